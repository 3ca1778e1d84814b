"""A sealer shows the receipt of every entry and the keys of every judged one, and nothing else in their place (A07)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.chain.demands import Demand
from fl_platform.chain.entries_shown import ShownEntry, entries_from
from fl_platform.chain.records import struct
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.trace import EntryLeaf, Trace
from tests.support.contracts import Tree
from tests.support.disputes import Stage
from tests.support.evm import Outcome, Reverted, account
from tests.support.rounds import happy_round
from tests.support.shown import shown_entries

ENTRIES = 1
CHALLENGER = account("challenger")


class Scene:
    """A sealed round of real receipts and packages, and a demand for its entries."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.world = stage, stage.world
        done = self.world.demands.send(CHALLENGER, "demand", stage.run.task, 0, stage.record(0), ENTRIES, 9)
        self.number = int(done.output[0])

    @property
    def demand(self) -> Demand:
        return struct(Demand, self.world.demands.call("demandOf", self.number))

    def shown(self, first: int = 0) -> list[ShownEntry]:
        return shown_entries(self.stage, first)

    def answer(self, shown: list[ShownEntry]) -> Outcome:
        header, roster = self.stage.traces[0].header, self.stage.roster_record(0)
        return self.world.demands.send(
            account("anyone"), "answerEntries", self.number, self.stage.record(0), roster, header.counts,
            header.roots, shown,
        )  # fmt: skip


def scene(stage: Stage | None = None) -> Scene:
    if stage is None:
        stage = Stage.start(happy_round(3))
        stage.seal(happy_round(3))
    return Scene(stage)


def test_entries_are_shown_in_any_number_and_read_back_as_they_were() -> None:
    one = scene()
    entries, found = one.stage.bundles[0].entries, {}
    assert len(entries) > 3
    assert any(leaf.row for leaf in one.stage.traces[0].entries)
    for part in (one.shown()[:1], one.shown(1)[:2], one.shown(3)):
        assert not one.demand.answered
        content = one.answer(part).event("Answered")["content"]
        found |= entries_from(content, one.stage.traces[0])
    assert one.demand.answered
    assert [(e.receipt, e.keys, e.stake, e.forced) for e in map(found.__getitem__, sorted(found))] == [
        (e.receipt, e.keys, e.stake, e.forced) for e in entries
    ]


def test_other_entries_are_no_answer() -> None:
    one = scene()
    whole = one.shown()
    judged = next(i for i, leaf in enumerate(one.stage.traces[0].entries) if leaf.row)
    good, other = whole[judged], whole[(judged + 1) % len(whole)]
    receipt = replace(good.receipt, samples=good.receipt.samples + 1)
    bad = {
        "WrongEntry": (
            replace(good, receipt=receipt), replace(good, receipt=other.receipt), replace(good, boxes=()),
            replace(good, boxes=good.boxes[:1] * 2), replace(good, packageSignature=other.packageSignature),
            replace(good, packageSignature=b""), replace(good, boxes=good.boxes * 40),
        ),
        "SignatureInvalid": (replace(good, signature=other.signature), replace(good, signature=b"")),
        "MerkleSum_": (replace(good, siblings=other.siblings), replace(good, siblings=good.siblings[:-48])),
    }  # fmt: skip
    for error, entries in bad.items():
        for entry in entries:
            with pytest.raises(Reverted, match=error):
                one.answer([*whole[:judged], entry])
    for order in (whole[1:], whole[::-1], [whole[0], *whole]):
        with pytest.raises(Reverted, match="Demands_WrongEntry"):
            one.answer(order)
    one.answer(whole)


def lying(**changes: int) -> Stage:
    """Seal a trace with other words in the first judged entry."""
    stage = Stage.start(happy_round(3))

    def lie(trace: Trace) -> Trace:
        place = next(i for i, leaf in enumerate(trace.entries) if leaf.row)
        told: EntryLeaf = replace(trace.entries[place], **changes)
        return replace(trace, entries=(*trace.entries[:place], told, *trace.entries[place + 1 :]))

    stage.seal(happy_round(3), trace=lie)
    return stage


@pytest.mark.parametrize("changes", [{"receipt": 5}, {"trainer": 7}, {"stake": 11}, {"stake": 1 << 200}])
def test_an_entry_that_is_not_on_the_roster_cannot_be_shown(changes: dict[str, int]) -> None:
    one = scene(lying(**changes))
    with pytest.raises(Reverted, match=r"Demands_WrongEntry|MerkleSum_"):
        one.answer(one.shown())


def test_a_forged_receipt_is_its_rosterers_and_no_successors() -> None:
    """Refused by both; who wrote the roster must show a signature, who took it over need not."""
    made = happy_round(3)
    forged: Entry = replace(made.entries[1], signature=made.entries[0].signature)
    made = replace(made, entries=(made.entries[0], forged, *made.entries[2:]))
    for advanced in (False, True):
        stage = Stage.start(made)
        if advanced:
            stage.run.roster(Tree(tuple(e.leaf for e in made.entries)))
            stage.run.advance()
        stage.seal(made)
        one = scene(stage)
        assert stage.traces[0].entries[1].row == 0
        shown = one.shown()
        shown[1] = replace(shown[1], signature=shown[0].signature)
        if advanced:
            one.answer(shown)
            assert one.demand.answered
        else:
            with pytest.raises(Reverted, match="SignatureInvalid"):
                one.answer(shown)
