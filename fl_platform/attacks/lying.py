"""An aggregator that judges honestly and seals something else (A08): which cell of its tape it changes.

Each lie changes one cell; all cells before it stay, and all behind it follow from what it tells, as a liar does that
wants to change no more than it must. It publishes the bundle that fits its tape. The claims' total, which the ledger
checks, stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.aggregation.admit import RoundContext
from fl_platform.aggregation.round_rows import cell_of, sums_root
from fl_platform.contribution.judge import Judgement, conclude
from fl_platform.protocol.bundle import Entry, TaskState
from fl_platform.protocol.operations import ROWS, Op
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Given, Place, Tape, evaluate
from fl_platform.rules.verdicts import Verdict
from fl_platform.updates.tensors import Tensors

ATTACK = "lying-aggregator"
DEFAULT_LIE = "pay-itself"
BEND_SUMS = "bend-sums"  # not of one cell alone: the sums and the model are objects of their own


@dataclass(frozen=True)
class Lie:
    """Which cell is changed, and how."""

    column: str
    place: Callable[[Tape], Place]
    change: Callable[[Tape, int], int]


@dataclass(frozen=True)
class Sealing:
    """What a round is judged from beside its updates."""

    spec: TaskSpec
    context: RoundContext
    before: TaskState
    entries: Sequence[Entry]
    parent: Tensors


def told(lie: str, at: Sealing, judged: Judgement) -> Judgement:
    """Return a judgement with a lie of `LIES` in it. Raises KeyError: unknown lie."""
    if lie == BEND_SUMS:
        return bend_sums(at, judged)
    found, tape = LIES[lie], judged.tape
    number, place = tape.program.column(found.column), found.place(tape)
    cells = tape.columns[number].astype(object)
    cells[place] = found.change(tape, int(cells[place]))
    return _concluded(at, judged, changed(tape, number, cells))


def changed(tape: Tape, number: int, cells: np.ndarray[tuple[int, ...], np.dtype[np.object_]]) -> Tape:
    """Return a tape with another column `number`: what is given stays, what is reckoned follows."""
    given = {Op.SOURCE, Op.PREV, Op.CLAIMED, *ROWS}
    brought = {n: tape.columns[n] for n, column in enumerate(tape.program.columns) if column.op in given}
    return evaluate(tape.program, tape.lengths, Given(brought=brought | {number: cells}))


def bend_sums(at: Sealing, judged: Judgement) -> Judgement:
    """Add to the largest coordinate of the sums and take the model from them; all else stays."""
    sums = judged.sums.copy()
    sums[int(np.argmax(np.abs(sums)))] += max(1, judged.divisor // 2)
    number = judged.tape.program.column("sums")
    root = np.array(cell_of(sums_root(at.spec.model, sums)), dtype=object)
    return _concluded(at, replace(judged, sums=sums), changed(judged.tape, number, root))


def _concluded(at: Sealing, judged: Judgement, tape: Tape) -> Judgement:
    made = conclude(
        at.spec, at.context, at.before, at.entries, (None,) * len(at.entries), tape=tape, sums=judged.sums,
        parent=at.parent,
    )  # fmt: skip
    return replace(made, blindings=judged.blindings)


def _first_in_the_sum(tape: Tape) -> Place:
    return (int(np.argmax(tape.named("weight") > 0)),)


def _two_updates(tape: Tape) -> Place:
    first, second = np.flatnonzero(tape.named("weight") > 0)[:2]
    return int(first), int(second)


LIES: Mapping[str, Lie] = {
    # half of the pot as the fee; all others share the rest
    "pay-itself": Lie("fee", lambda _: (), lambda tape, _: int(tape.named("pot")) // 2),
    "raise-score": Lie("score", _first_in_the_sum, lambda _, score: score + max(1, abs(score) // 100)),
    "drop-one": Lie("verdict", _first_in_the_sum, lambda _, __: Verdict.NO_WORK),
    "bend-gram": Lie("pairs", _two_updates, lambda _, product: product + 1),
    BEND_SUMS: Lie("sums", lambda _: (), lambda _, root: root),
}
