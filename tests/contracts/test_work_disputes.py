"""Disputes about the work: one coordinate of an update, a weight, a sum, a width, the layout. A06 to A08, A24.

Every lie below changes one number of a sealed trace, and the leaf that it was taken from decides. The honest twin of
each cannot be challenged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.chain import evidence, work_evidence
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.contribution.judge import sums_root
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.trace import Trace
from fl_platform.roles.work import record_of
from fl_platform.updates.content import content_root, open_content
from tests.support.disputes import Stage
from tests.support.evm import Reverted, account
from tests.support.rounds import Round, address_of
from tests.support.work import Work, big_round, big_spec

SHAPES = ((3, 50), (7,), (200,), ())  # 358 coordinates, 6 leaves
TABLE = big_spec(*SHAPES).model.leaves
BEHIND = ((1, 22), (2, 7), (5, 127))  # places behind the end of a tensor: zeros


def staged(**lies: object) -> tuple[Stage, Work]:
    made = big_round(big_spec(*SHAPES))
    stage = Stage.start(made)
    judged = stage.seal(made, **lies)  # type: ignore[arg-type]
    return stage, Work(stage.rounds[0], judged)


def receipt_of(stage: Stage, index: int) -> Receipt:
    return stage.bundles[0].entries[index].receipt


def rows_with_weight(trace: Trace) -> list[int]:
    return [row for row, (_, weight) in enumerate(trace.work.rows) if weight]


def sum_evidence(
    stage: Stage, work: Work, coordinate: int | tuple[int, int], sums: np.ndarray | None = None
) -> Evidence:
    place = TABLE.place_of(coordinate) if isinstance(coordinate, int) else coordinate
    rows = [work.leaf(row, place[0]) for row in rows_with_weight(stage.traces[0])]
    return work_evidence.coordinate_of_sum(stage.traces[0], place, sums=work.sums_leaf(place[0], sums), rows=rows)


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
        for place in (*map(TABLE.place_of, (0, 127, 128, 149, 150, 357)), *BEHIND):
            leaf = work.leaf(entry.row - 1, place[0])
            shown = work_evidence.out_of_range(trace, entry.row - 1, place, leaf=leaf)
            assert not stage.refuted(0, Question.RANGE, shown)
    assert not stage.refuted(0, Question.WORK, work_evidence.weight(trace, 0))
    for coordinate in (0, 127, 128, 149, 150, 156, 157, 255, 256, 357, *BEHIND):
        assert not stage.refuted(0, Question.SUM, sum_evidence(stage, work, coordinate))
    assert not stage.refuted(0, Question.LAYOUT, work_evidence.layout(trace, document))


# --- lies ---


def test_one_coordinate_of_the_sums() -> None:
    """A lying aggregator adds one to one coordinate: one leaf of every update, and it loses its bond."""
    made = big_round(big_spec(*SHAPES))
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
    made = big_round(big_spec(*SHAPES))
    judged = made.judge()
    row = 1 + list(judged.gram.names[1:4]).index("0x" + address_of(2).hex())
    forged = Work(made, judged).row(row).copy()
    forged[130] = -128
    stage, _ = staged(trace=lambda t: _with_root(t, row, made, forged))
    leaf = _forged_leaf(made, forged, 1)
    shown = work_evidence.out_of_range(stage.traces[0], row, TABLE.place_of(130), leaf=leaf)
    assert stage.refuted(0, Question.RANGE, shown)
    shown = work_evidence.out_of_range(stage.traces[0], row, TABLE.place_of(131), leaf=leaf)
    assert not stage.refuted(0, Question.RANGE, shown)


def _with_root(trace: Trace, row: int, made: Round, forged: np.ndarray) -> Trace:
    root = content_root(forged.tobytes(), table=TABLE, bits=8, key=bytes(32))
    rows = list(trace.work.rows)
    rows[row] = (int.from_bytes(root, "big"), rows[row][1])
    return replace(trace, work=replace(trace.work, rows=tuple(rows)))


def _forged_leaf(made: Round, forged: np.ndarray, index: int) -> ContentLeafRecord:
    leaf = open_content(forged.tobytes(), index, table=TABLE, bits=8, key=bytes(32))
    return record_of(leaf)


@pytest.mark.parametrize("name", ["size", "leaves", "counted_leaves"])
def test_the_sizes_in_the_rules_are_the_specifications(name: str) -> None:
    stage, _ = staged(trace=lambda t: replace(t, rules=replace(t.rules, **{name: getattr(t.rules, name) + 1})))
    document = stage.rounds[0].spec.to_bytes()
    assert stage.refuted(0, Question.LAYOUT, work_evidence.layout(stage.traces[0], document))


def test_the_width_in_the_rules_is_the_specifications() -> None:
    stage, _ = staged(trace=lambda t: replace(t, rules=replace(t.rules, bits=16)))
    assert stage.refuted(0, Question.RULES, evidence.rules(stage.traces[0], stage.rounds[0].spec.to_bytes()))


# --- evidence that is none ---


def test_leaves_of_another_place_or_width_revert() -> None:
    stage, work = staged()
    trace = stage.traces[0]
    good = [work.leaf(row, 0) for row in rows_with_weight(trace)]
    last = rows_with_weight(trace)[-1]
    short = replace(good[-1], body=good[-1].body[:-1])
    ends = [work.leaf(row, 5) for row in rows_with_weight(trace)]
    cases = (
        ("Contents_LeafMismatch", (0, 5), work.sums_leaf(0), [*good[:-1], work.leaf(last, 1)]),
        ("Contents_LeafShape", (0, 5), work.sums_leaf(0), [*good[:-1], short]),
        ("Judge_NoCoordinate", (6, 0), work.sums_leaf(5), ends),
        ("Judge_NoCoordinate", (5, 128), work.sums_leaf(5), ends),
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


