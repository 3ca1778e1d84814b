"""Gates give what the operations of cells give, for operands at and between all ends; nothing else satisfies them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from fl_platform.errors import NoCircuit
from fl_platform.protocol.arithmetic import apply
from fl_platform.protocol.operations import PLAIN, Bounds, Op, bounds_of, operands_of
from tests.support.circuits import Lying, free_signals, unsatisfied
from zk.circuits.gates import Gates, constant
from zk.circuits.hashing import permutation
from zk.circuits.system import Cell, Linear, System
from zk.curve.bn254 import ORDER
from zk.poseidon import permute_hash

WIDTHS = (0, 1, 2, 3, 7, 20, 61)


def drawn_bounds(dice: random.Random, op: Op, place: int) -> Bounds:
    """Return bounds of an operand: one value, one sign, or both."""
    if op is Op.SHIFT and place == 1:
        low = dice.randint(-9, 9)
        return low, low + dice.choice((0, 1, 5))
    wide = 1 << dice.choice(WIDTHS)
    low, high = sorted((dice.choice((0, -wide, dice.randint(-wide, wide))), dice.randint(-wide, wide)))
    return dice.choice(((low, high), (low, low), (0, max(0, high))))


def between(dice: random.Random, bounds: Bounds) -> int:
    low, high = bounds
    return dice.choice((low, high, min(high, max(low, 0)), dice.randint(low, high)))


def built(op: Op, bounds: list[Bounds], x: list[int], system: System) -> Cell:
    """Return what a gate gives of fresh signals with these bounds, and these values where it is concrete."""
    cells = [
        constant(low) if low == high else Cell(system.hint(lambda value=value: value), low, high)  # type: ignore[misc]
        for (low, high), value in zip(bounds, x, strict=True)
    ]
    return Gates(system).give(op, *cells)


def hull(op: Op, bounds: list[Bounds]) -> bool:
    """Whether a program could have such a column."""
    return max(map(abs, bounds_of(op, *bounds))) < 1 << 240


@pytest.mark.parametrize("op", sorted(PLAIN))
def test_a_gate_gives_what_the_operation_gives(op: Op) -> None:
    dice = random.Random(int(op))
    for _ in range(150):
        bounds = [drawn_bounds(dice, op, place) for place in range(operands_of(op))]
        if not hull(op, bounds):
            continue
        symbolic = System(concrete=False)
        made = built(op, bounds, [0] * len(bounds), symbolic)
        for _ in range(4):
            x = [between(dice, one) for one in bounds]
            concrete = System(concrete=True)
            found = built(op, bounds, x, concrete)
            assert found.number == apply(op, *x), (op, bounds, x)
            assert made.low <= found.number <= made.high
            assert unsatisfied(symbolic, concrete.values) is None
            value = made.value
            terms = value.terms.items() if isinstance(value, Linear) else [(0, value)]
            assert (sum(f * concrete.values[s] for s, f in terms) - found.number) % ORDER == 0


LIES: tuple[Callable[[int], int], ...] = (
    lambda v: v + 1, lambda v: v - 1, lambda v: -v, lambda v: 1 - v, lambda v: v + (1 << 40), lambda v: (v + 1) // 2,
    lambda v: pow(v, -1, ORDER) if v % ORDER else 1,
)  # fmt: skip


@pytest.mark.parametrize("op", sorted(PLAIN))
def test_no_other_hint_gives_another_result(op: Op) -> None:
    """Whoever proves brings the hints: another one than the right one has no witness, or changes nothing."""
    dice = random.Random(100 + int(op))
    for _ in range(60):
        bounds = [drawn_bounds(dice, op, place) for place in range(operands_of(op))]
        if not hull(op, bounds):
            continue
        x = [between(dice, one) for one in bounds]
        operands = sum(low != high for low, high in bounds)
        honest = Lying(concrete=True)
        right = built(op, bounds, x, honest).number
        alone = [((about,), lie) for about in range(operands, honest.hints) for lie in LIES]
        pairs = [((about, about + 1), lambda v: 1 - v) for about in range(operands, honest.hints - 1)]
        for about, lie in (*alone, *pairs):
            lying = Lying(concrete=True, about=about, lie=lie)
            try:
                found = built(op, bounds, x, lying).number
            except (NoCircuit, AssertionError):
                continue
            assert (found - right) % ORDER == 0, (op, bounds, x, about)


@pytest.mark.parametrize("op", sorted(PLAIN))
def test_no_signal_is_free_but_the_inverse_of_zero(op: Op) -> None:
    dice = random.Random(200 + int(op))
    for _ in range(25):
        bounds = [drawn_bounds(dice, op, place) for place in range(operands_of(op))]
        if not hull(op, bounds):
            continue
        symbolic, concrete = System(concrete=False), System(concrete=True)
        built(op, bounds, [0] * len(bounds), symbolic)
        x = [between(dice, one) for one in bounds]
        built(op, bounds, x, concrete)
        operands = sum(low != high for low, high in bounds)
        for signal in free_signals(symbolic, concrete.values):
            if signal > operands:  # only ever a factor of zero
                touching = [row for row in symbolic.rows if any(signal in side.terms for side in row)]
                assert all(signal not in row[2].terms for row in touching)


def test_the_permutation_is_poseidons() -> None:
    dice = random.Random(5)
    for _ in range(3):
        x = [dice.choice((0, 1, -3, dice.randrange(ORDER))) for _ in range(8)]
        symbolic, concrete = System(concrete=False), System(concrete=True)
        signals = [symbolic.hint(lambda: 0) for _ in x]
        made = permutation(symbolic, signals)
        values = [concrete.hint(lambda value=value: value) for value in x]  # type: ignore[misc]
        assert permutation(concrete, values) == permute_hash([value % ORDER for value in x])
        assert unsatisfied(symbolic, concrete.values) is None
        assert isinstance(made, Linear)
        assert symbolic.constraints == 405


def test_a_number_that_is_too_wide_has_no_circuit() -> None:
    system = System(concrete=False)
    wide = Cell(system.hint(lambda: 0), 0, 1 << 200)
    with pytest.raises(NoCircuit, match="a number of 401 bits is wider than the 251"):
        Gates(system).give(Op.MUL, wide, wide)


def test_a_round_outside_of_a_quotients_bounds_has_no_witness() -> None:
    system = System(concrete=True)
    gates = Gates(system)
    top, below = (Cell(system.hint(lambda value=value: value), 0, 1_000) for value in (999, 3))  # type: ignore[misc]
    for ends in ((0, 333), (-512, 511), (-9, 400), (0, 512), (-256, 333)):
        assert gates.quotient(top, below, ends, held=True).number == 333
    for ends in ((0, 332), (0, 256), (-256, 256), (-300, 300), (0, 4), (-512, 255)):
        with pytest.raises(NoCircuit, match="circuits refuse these numbers"):
            gates.quotient(top, below, ends, held=True)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 4), (-4, 4), (-7, 7), (0, 6), (3, 12), (-5, 0), (0, 65_536)])
def test_a_range_is_what_it_says(low: int, high: int) -> None:
    """At both ends, and beyond them whatever else is brought."""
    for value in (low, high, low - 1, high + 1, high + 2, 2 * high - low + 1, low + (1 << 20)):
        lies: list[Callable[[int], int]] = [lambda v: v, lambda v: 1 - v, lambda v: 1, lambda v: 0]
        outcomes = []
        for lie in lies:
            system = Lying(concrete=True, about=(1,), lie=lie)
            told = system.hint(lambda value=value: value)  # type: ignore[misc]
            try:
                Gates(system).require_within(told, low, high)
            except NoCircuit:
                outcomes.append(False)
            else:
                outcomes.append(True)
        assert outcomes[0] == (low <= value <= high)
        assert outcomes[0] or not any(outcomes)
