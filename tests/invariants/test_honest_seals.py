"""No honest seal can be refuted: 200 random rounds in CI, 25 in `make test`; all widths, shapes, screens, odd entries.

`make fuzz ROUNDS=2000` plays more. A round that falls here costs an honest aggregator its bond there.
"""

from __future__ import annotations

from collections import Counter

import pytest

from fl_platform.aggregation import rules
from fl_platform.contribution import judge
from fl_platform.contribution.settlement_round import settlement_round
from fl_platform.errors import NoCircuit
from fl_platform.protocol.bundle import RoundBundle
from tests.support.honest_rounds import Found, fuzz, play
from tests.support.rounds import Round
from zk.groth16 import keys, witness
from zk.settlement_inputs import Context, statement

PARTS, ROUNDS = 8, 25
# Every way through the rule that an honest round can take. One that is not drawn is a branch that nobody compares.
WAYS = {
    "admitted", "reference", "NoWork", "UpdateNormExceeded", "NotSelected", "Replay", "OffReference",
    "ReceiptForeign", "ReceiptDuplicate", "StoreMissing", "UpdateLengthMismatch",
    "bits 4", "bits 8", "bits 16", "0 directions", "1 directions", "2 directions", "3 directions", "4 directions",
    "worth 0, measured 0", "worth 0, measured 1", "worth 1, measured 0", "worth 1, measured 1", "worth 2, measured 0",
    "worth 0: all scores are 0", "worth 1: all scores are 0", "reference of zero", "a negative score sum",
    "somebody lacks", "multi-Krum selects", "multi-Krum has nobody to fear", "multi-Krum with nobody left",
    "a stranger beside multi-Krum", "nobody admitted, paid by stake", "an eighth of a length stays", "near-duplicates",
    "clipped", "capped", "not sealed: too few for multi-Krum, or nobody to pay",
}  # fmt: skip


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_no_honest_seal_can_be_refuted(part: int) -> None:
    found = fuzz(ROUNDS, first_seed(part))
    assert found.faults == []
    assert found.rounds >= ROUNDS


@pytest.mark.slow
def test_these_rounds_take_every_way_through_the_rule() -> None:
    seen: Counter[str] = Counter()
    for part in range(PARTS):
        seen += fuzz(ROUNDS, first_seed(part), ask=False).seen
    assert set(seen) == WAYS


@pytest.mark.slow
def test_a_circuit_takes_every_honest_round_that_has_one() -> None:
    """What has no circuit is said to have none; all else, its witness holds: `prove` never ends in a riddle."""
    proved = Counter[int]()

    def look(made: Round, bundle: RoundBundle) -> None:
        assert made.context.pot is not None
        try:
            settlement = settlement_round(made.spec, bundle, pot=made.context.pot)
        except NoCircuit:
            return
        slots = len(settlement.slots)
        stated = statement(settlement, Context(31337, 1, 7, 1, 2))
        signals = witness.calculate(keys.program(slots), stated.inputs)
        assert tuple(int.from_bytes(signals[i].tobytes(), "little") for i in (1, 2, 3)) == stated.public
        proved[slots] += 1

    found = fuzz(60, first_seed(0), ask=False, look=look)
    assert found.rounds > sum(proved.values()) > found.rounds // 2
    assert set(proved) == {4, 16}


@pytest.mark.parametrize("reader", [pytest.param("energy", marks=pytest.mark.slow), "dropped"])
def test_a_reader_that_disagrees_is_found(monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    """The two disagreements that once cost honest sealers their bonds, put back into one reader."""
    if reader == "energy":
        monkeypatch.setattr(rules, "clean_energy", lambda squared, rounding: max(0, squared - rounding))
    else:
        monkeypatch.setattr(judge, "OFF_ROSTER", frozenset({"ReceiptDuplicate"}))
    found = Found()
    for seed in range(first_seed(0), first_seed(0) + 40):
        play(seed, found)
        if found.faults:
            return
    pytest.fail(f"{found.rounds} rounds, and nobody noticed that {reader} has two meanings")


def first_seed(part: int) -> int:
    return 1_000 * (part + 1)
