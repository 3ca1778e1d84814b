"""The circuit against its twin over random rounds, and signals that nothing would hold."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from fl_platform.errors import DocumentInvalid
from tests.support.settlement_vectors import context, round_of
from tests.support.settlements import Shape, made_round
from zk.curve import mcl
from zk.curve.bn254 import ORDER
from zk.groth16 import files, keys, package_keys, witness
from zk.settlement.inputs import circuit_inputs, statement
from zk.settlement.statement import NOT_SELECTED, Round, settle_round


def outcome(round_: Round) -> tuple[int, ...] | None:
    """Return the circuit's public numbers; None where it has no witness. rho is the same for all."""
    try:
        signals = witness.calculate(keys.program(len(round_.slots)), circuit_inputs(round_, 12345))
    except DocumentInvalid:
        return None
    return tuple(int.from_bytes(signals[i].tobytes(), "little") for i in (1, 2, 3))


def expected(round_: Round) -> tuple[int, ...] | None:
    from zk.settlement.inputs import commitment, payload, value_at

    try:
        values = payload(round_, settle_round(round_))
    except DocumentInvalid:
        return None
    return commitment(round_), value_at(values, 12345), 12345


@pytest.mark.parametrize(("slots", "count"), [(4, 20), (16, 6), (64, 1)])
def test_circuit_and_twin_agree_on_outcomes_and_on_refusals(slots: int, count: int) -> None:
    least = {4: 1, 16: 12, 64: 40}[slots]
    for seed in range(count):
        rng = random.Random(seed)
        shape = Shape(
            rng.randint(least, slots), krum=slots < 64 and rng.random() < 0.7, byzantine=rng.choice((0, 1, 6)),
            directions=rng.randint(0, 1), reference=rng.random() < 0.8, spread=rng.choice((5, 40, 60)),
        )  # fmt: skip
        round_ = made_round(shape, seed, clip_bps=rng.choice((8_000, 15_000)), base_bps=rng.choice((0, 2_000, 10_000)))
        assert len(round_.slots) == slots
        assert outcome(round_) == expected(round_), (shape, seed)


def test_the_vector_of_sixteen_leaves_somebody_out_by_multi_krum() -> None:
    assert NOT_SELECTED in settle_round(round_of(16)).codes


def test_no_signal_is_free_but_where_it_cannot_matter() -> None:
    """Change each signal of a true witness by itself: a constraint must break.

    Exempt are factors of zero: the inverse in IsZero for 0, and multi-Krum's thresholds where it is off.
    """
    r1cs = files.read_r1cs(keys.constraints(4))
    signals = witness.calculate(keys.program(4), statement(round_of(4), context()).inputs)
    values = [int.from_bytes(row.tobytes(), "little") for row in signals]
    entries = r1cs.entries
    sides: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    uses: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    rows = zip(
        entries.matrix.tolist(), entries.constraint.tolist(), entries.signal.tolist(),
        mcl.scalars_to_ints(entries.value), strict=True,
    )  # fmt: skip
    for matrix, constraint, signal, value in rows:
        sides[constraint][matrix] = (sides[constraint][matrix] + value * values[signal]) % ORDER
        uses[signal][constraint][matrix] = value
    assert not [c for c, (a, b, out) in sides.items() if (a * b - out) % ORDER]
    step = 12345678901234567890
    free = [
        signal
        for signal in range(1, r1cs.signals)
        if not any(
            ((sides[c][0] + k[0] * step) * (sides[c][1] + k[1] * step) - sides[c][2] - k[2] * step) % ORDER
            for c, k in uses[signal].items()
        )
    ]
    for signal in free:
        for constraint, (a, b, out) in uses[signal].items():
            left, right, _ = sides[constraint]
            assert out == 0
            assert (a and not b and right == 0) or (b and not a and left == 0)
    assert len(free) <= 20
    assert package_keys.entry(4).constraints == r1cs.constraints
