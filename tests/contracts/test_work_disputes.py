"""Disputes about the work: one coordinate of an update, a weight, a sum, a width, the layout. A06 to A08, A24.

Every lie below changes one number of a sealed trace, and the leaf that it was taken from decides. The honest twin of
each cannot be challenged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_platform.chain import evidence, work_evidence
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.contribution.judge import sums_root
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.trace import COORDINATES, Trace, layout_bytes
from fl_platform.roles.work import record_of
from fl_platform.updates.content import content_root, open_content
from tests.support.contracts import Tree
from tests.support.disputes import Stage
from tests.support.evm import Reverted, account
from tests.support.rounds import Round, address_of
from tests.support.work import Work, big_round, big_spec

SHAPES = ((3, 50), (7,), (200,), ())
OFFSETS = (1, 4, 0, 2)


def staged(**lies: object) -> tuple[Stage, Work]:
    made = big_round(big_spec(*SHAPES, offsets=OFFSETS))
    stage = Stage.start(made)
    judged = stage.seal(made, **lies)  # type: ignore[arg-type]
    return stage, Work(stage.rounds[0], judged)


def receipt_of(stage: Stage, index: int) -> Receipt:
    return stage.bundles[0].entries[index].receipt


def rows_with_weight(trace: Trace) -> list[int]:
    return [row for row, (_, weight) in enumerate(trace.work.rows) if weight]


def sum_evidence(stage: Stage, work: Work, coordinate: int, sums: np.ndarray | None = None) -> Evidence:
    index = coordinate // COORDINATES
    rows = [work.leaf(row, index) for row in rows_with_weight(stage.traces[0])]
    return work_evidence.coordinate_of_sum(
        stage.traces[0], coordinate, sums=work.sums_leaf(index, sums), rows=rows
    )


def in_work(**changes: Callable[[int], int]) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        told: dict[str, Any] = {k: v(getattr(t.work, k)) for k, v in changes.items()}
        return replace(t, work=replace(t.work, **told))

    return lie


def in_row(row: int, place: int) -> Callable[[Trace], Trace]:
    """Change a row's root (0) or weight (1) by one."""

    def lie(t: Trace) -> Trace:
        rows = list(t.work.rows)
        rows[row] = (rows[row][0] + (place == 0), rows[row][1] + (place == 1))
        return replace(t, work=replace(t.work, rows=tuple(rows)))

    return lie


def entry_of_row(trace: Trace, row: int) -> int:
    return next(i for i, e in enumerate(trace.entries) if e.row == row + 1)


# --- the honest seal ---


def test_nothing_about_honest_work_can_be_refuted() -> None:
    stage, work = staged()
    trace, document = stage.traces[0], stage.rounds[0].spec.to_bytes()
    for index, entry in enumerate(trace.entries):
        shown = work_evidence.work(trace, index, receipt_of(stage, index))
        assert not stage.refuted(0, Question.WORK, shown)
        for coordinate in (0, 127, 128, 357):
            leaf = work.leaf(entry.row - 1, coordinate // COORDINATES)
            shown = work_evidence.out_of_range(trace, entry.row - 1, coordinate, leaf=leaf)
            assert not stage.refuted(0, Question.RANGE, shown)
    assert not stage.refuted(0, Question.WORK, work_evidence.weight(trace, 0))
    for coordinate in (0, 127, 128, 255, 256, 357):
        assert not stage.refuted(0, Question.SUM, sum_evidence(stage, work, coordinate))
    assert not stage.refuted(0, Question.LAYOUT, work_evidence.layout(trace, document, work.layout, None))


def test_the_layout_of_a_later_round_is_what_the_round_before_handed_on() -> None:
    made = big_round(big_spec(*SHAPES, offsets=OFFSETS))
    stage = Stage.start(made)
    judged = stage.seal(made)
    following = made.next_round(judged, _updates(made), reference=None)

    def lie(t: Trace) -> Trace:
        return replace(t, work=replace(t.work, layout=t.work.layout_after + 1))

    mark = stage.world.evm.snapshot()
    before = (stage.record(0), stage.traces[0])
    document = made.spec.to_bytes()
    for told, expected in ((lambda t: t, False), (lie, True)):
        stage.world.evm.restore(mark)
        again = stage.seal(following, trace=told)
        work = Work(stage.rounds[1], again)
        shown = work_evidence.layout(stage.traces[1], document, work.layout, before)
        assert stage.refuted(1, Question.LAYOUT, shown) is expected


def _updates(made: Round) -> list[np.ndarray]:
    work = Work(made, made.judge())
    return [work.row(row) for row in range(1, 4)]


# --- lies ---


def test_one_coordinate_of_the_sums() -> None:
    """A lying aggregator adds one to one coordinate: one leaf of every update, and it loses its bond."""
    made = big_round(big_spec(*SHAPES, offsets=OFFSETS))
    false: list[np.ndarray] = []

    def lie(bundle: RoundBundle) -> RoundBundle:
        sums = made.judge().sums.copy()
        sums[200] += 1
        false.append(sums)
        return replace(bundle, sums_root=sums_root(made.spec, sums))

    stage, work = staged(bundle=lie)
    assert not stage.refuted(0, Question.SUM, sum_evidence(stage, work, 201, false[0]))
    shown = sum_evidence(stage, work, 200, false[0])
    assert stage.refuted(0, Question.SUM, shown)
    stage.challenge(0, Question.SUM, shown)
    assert stage.run.member(stage.run.params.aggregators[0])[0] == 0  # its bond is gone


@pytest.mark.parametrize("place", [0, 1])
def test_a_content_root_or_weight_against_its_entry(place: int) -> None:
    stage, _ = staged(trace=in_row(2, place))
    index = entry_of_row(stage.traces[0], 2)
    shown = work_evidence.work(stage.traces[0], index, receipt_of(stage, index))
    assert stage.refuted(0, Question.WORK, shown)
    other = entry_of_row(stage.traces[0], 1)
    assert not stage.refuted(0, Question.WORK, work_evidence.work(stage.traces[0], other, receipt_of(stage, other)))
    with pytest.raises(Reverted, match="Judge_ReceiptMismatch"):
        stage.refuted(0, Question.WORK, work_evidence.work(stage.traces[0], index, receipt_of(stage, other)))


def test_a_weight_for_the_reference() -> None:
    stage, _ = staged(trace=in_row(0, 1))
    assert stage.refuted(0, Question.WORK, work_evidence.weight(stage.traces[0], 0))
    assert not stage.refuted(0, Question.WORK, work_evidence.weight(stage.traces[0], 1))


def test_a_work_leaf_with_too_few_rows() -> None:
    stage, _ = staged(trace=lambda t: replace(t, work=replace(t.work, rows=t.work.rows[:-1])))
    assert stage.refuted(0, Question.WORK, work_evidence.weight(stage.traces[0], 0))


def test_a_judged_update_outside_its_width() -> None:
    """-128 is no value of the codec: a judge that lets it pass lies; its owner cannot hide it among others."""
    made = big_round(big_spec(*SHAPES, offsets=OFFSETS))
    judged = made.judge()
    row = 1 + list(judged.gram.names[1:4]).index("0x" + address_of(2).hex())
    forged = Work(made, judged).row(row).copy()
    forged[130] = -128
    stage, _ = staged(trace=lambda t: _with_root(t, row, made, forged))
    leaf = _forged_leaf(made, forged, 1)
    shown = work_evidence.out_of_range(stage.traces[0], row, 130, leaf=leaf)
    assert stage.refuted(0, Question.RANGE, shown)
    shown = work_evidence.out_of_range(stage.traces[0], row, 131, leaf=leaf)
    assert not stage.refuted(0, Question.RANGE, shown)


def _with_root(trace: Trace, row: int, made: Round, forged: np.ndarray) -> Trace:
    root = content_root(forged.tobytes(), size=made.spec.model.size, bits=8, key=bytes(32))
    rows = list(trace.work.rows)
    rows[row] = (int.from_bytes(root, "big"), rows[row][1])
    return replace(trace, work=replace(trace.work, rows=tuple(rows)))


def _forged_leaf(made: Round, forged: np.ndarray, index: int) -> ContentLeafRecord:
    leaf = open_content(forged.tobytes(), index, size=made.spec.model.size, bits=8, key=bytes(32))
    return record_of(leaf)


@pytest.mark.parametrize("which", ["size", "offset", "missing"])
def test_a_layout_against_the_specification(which: str) -> None:
    spec = big_spec(*SHAPES, offsets=OFFSETS)
    sizes, offsets = [t.size for t in spec.model.tensors], list(OFFSETS)
    if which == "size":
        sizes[0], sizes[1] = sizes[0] - 1, sizes[1] + 1
    elif which == "offset":
        offsets[2] += 1
    else:
        sizes, offsets = sizes[:-1], offsets[:-1]
    told = layout_bytes(sizes, offsets)
    stage, _ = staged(trace=in_work(layout=lambda _: int.from_bytes(keccak256(told), "big")))
    assert stage.refuted(0, Question.LAYOUT, work_evidence.layout(stage.traces[0], spec.to_bytes(), told, None))


def test_the_width_in_the_rules_is_the_specifications() -> None:
    stage, _ = staged(trace=lambda t: replace(t, rules=replace(t.rules, bits=16)))
    assert stage.refuted(0, Question.RULES, evidence.rules(stage.traces[0], stage.rounds[0].spec.to_bytes()))


def test_nobody_answers_for_a_layout_that_another_handed_on() -> None:
    """The first aggregator hands on nonsense and is late; the second seals honestly and keeps its bond."""
    made = big_round(big_spec(*SHAPES, offsets=OFFSETS))
    stage = Stage.start(made)
    judged = stage.seal(made, trace=in_work(layout_after=lambda word: word + 1))
    following = made.next_round(judged, _updates(made), reference=None)
    placed, _, _ = stage.judge(following)
    stage.run.roster(Tree(tuple(e.leaf for e in placed.entries)))
    stage.run.advance()
    again = stage.seal(following)
    assert stage.record(1).aggregator != stage.record(0).aggregator
    before = (stage.record(0), stage.traces[0])
    work = Work(stage.rounds[1], again)
    shown = work_evidence.layout(stage.traces[1], made.spec.to_bytes(), work.layout, before)
    assert not stage.refuted(1, Question.LAYOUT, shown)


# --- evidence that is none ---


def test_leaves_of_another_place_or_width_revert() -> None:
    stage, work = staged()
    trace = stage.traces[0]
    good = [work.leaf(row, 0) for row in rows_with_weight(trace)]
    last = rows_with_weight(trace)[-1]
    short = replace(good[-1], body=good[-1].body[:-1])
    ends = [work.leaf(row, 2) for row in rows_with_weight(trace)]
    cases = (
        ("Contents_LeafMismatch", 5, work.sums_leaf(0), [*good[:-1], work.leaf(last, 1)]),
        ("Contents_LeafShape", 5, work.sums_leaf(0), [*good[:-1], short]),
        ("Judge_NoCoordinate", 358, work.sums_leaf(2), ends),
    )
    for error, coordinate, sums, rows in cases:
        shown = work_evidence.coordinate_of_sum(trace, coordinate, sums=sums, rows=rows)
        with pytest.raises(Reverted, match=error):
            stage.refuted(0, Question.SUM, shown)
    assert stage.world.disputes.call("workJudge") == stage.world.judges[4].address
    with pytest.raises(Reverted, match="Disputes_NotRefuted"):
        stage.world.disputes.send(
            account("challenger"), "challenge", stage.case(0, Question.SUM), sum_evidence(stage, work, 5),
            stage.run.params.aggregators,
        )  # fmt: skip


