"""Which challenges may hold against a sealed round: candidates, likeliest first. The judges on chain decide.

Nothing here sends. Moves about the updates' integers are in `work_watching`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from fl_platform.chain import evidence
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.errors import FLError, RetryError
from fl_platform.protocol.trace import Kind, Trace
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.sealed import Sealed
from fl_platform.roles.tracing import all_places

logger = logging.getLogger(__name__)

Move = tuple[Question, Evidence]


def about_all(reader: TaskReader, sealed: Sealed, but: set[tuple[Kind, int]]) -> Iterator[Move]:
    """Yield what can be asked about every leaf that is not among `but`."""
    yield from obtainable(dropped(sealed))
    yield from _asymmetric(sealed.trace)
    for place in all_places(sealed.trace):
        if place not in but:
            yield from obtainable(about(reader, sealed, [place]))


def _others(trace: Trace, index: int) -> Iterator[int]:
    yield from (i for i, entry in enumerate(trace.entries) if entry.capped and i != index)


def about(
    reader: TaskReader,
    sealed: Sealed,
    places: list[tuple[Kind, int]],
    *,
    near: Callable[[Trace, int], Iterator[int]] = _others,
) -> Iterator[Move]:
    """Yield what can be asked about some leaves; `near`: which entries an entry may be a near-duplicate of."""
    trace = sealed.trace
    for kind, index in places:
        if kind is Kind.RULES:
            yield Question.RULES, evidence.rules(trace, reader.spec.to_bytes())
        elif kind is Kind.ROUND:
            yield Question.TOTALS, evidence.totals(trace)
            yield Question.ENTRIES, evidence.entries(trace)
            yield Question.SOLUTION, evidence.solution(trace)
            yield from _carried(sealed, None)
        elif kind is Kind.ENTRY:
            yield from _about_entry(trace, index)
            if trace.entries[index].row and trace.entries[index].capped:
                for other in near(trace, index):
                    yield Question.DUPLICATES, evidence.duplicates(trace, index, other)
        elif kind is Kind.STANDING:
            yield Question.STANDING, evidence.standing(trace, index)
            yield from about_claim(sealed, index)
            yield from _carried(sealed, index)


def about_claim(sealed: Sealed, index: int) -> Iterator[Move]:
    """Yield an account against its claim, where the claims are known."""
    if sealed.claims is not None and index < len(sealed.claims):
        yield Question.CLAIM, evidence.claim(sealed.trace, index, sealed.claims)


def against_roster(reader: TaskReader, sealed: Sealed) -> Iterator[Move]:
    """Yield entries against what is on chain: the forced list, and the roster where the bundle knows its leaves."""
    record, trace, bundle = sealed.record, sealed.trace, sealed.bundle
    for i, item in enumerate(record.forced):
        yield Question.FORCED, evidence.forced(trace, i, sealed.roster, item)
    for first, second in _pairs(trace):
        yield Question.TWICE, evidence.twice(trace, first, second)
    if bundle is None:
        return
    leaves = tuple(entry.leaf for entry in bundle.entries if not entry.forced)
    if not leaves or bundle.roster.digest != sealed.roster.root:
        return
    members = reader.history().members_at_roster(record.number)
    for i, leaf in enumerate(leaves):
        if leaf.amount and leaf.owner not in members:
            yield Question.FOREIGN, evidence.roster(None, i, sealed.roster, leaves)
    # a bundle's own entries are the roster's, or not as many: any leaf tells
    for i in range(len(leaves) if sealed.hidden else 1):
        yield Question.ROSTER, evidence.roster(trace, i, sealed.roster, leaves)


def obtainable(moves: Iterator[Move]) -> Iterator[Move]:
    """Yield moves as long as what they are made of can be had: it may be a liar's."""
    try:
        yield from moves
    except RetryError:
        raise
    except FLError as error:
        logger.warning("some evidence cannot be made: %s", error)
    except Exception:  # a hidden trace's words are whatever a liar picked; the other moves are tried all the same
        logger.warning("a sealed trace broke what makes evidence of it", exc_info=True)


def _carried(sealed: Sealed, index: int | None) -> Iterator[Move]:
    new = index is not None and not sealed.trace.standings[index].previous
    if sealed.number == 0 or new:
        yield Question.CARRIED, evidence.carried(sealed.trace, index, None)
    if sealed.before is not None and sealed.before[1].standings:
        yield Question.CARRIED, evidence.carried(sealed.trace, index, sealed.before)


def dropped(sealed: Sealed) -> Iterator[Move]:
    """Yield trainers that should have an account and have none."""
    there = {s.trainer for s in sealed.trace.standings}
    for i, entry in enumerate(sealed.trace.entries):
        if entry.trainer not in there and entry.stake:
            yield Question.DROPPED, evidence.dropped(sealed.trace, entry.trainer, i)
    if sealed.before is not None:
        for standing in sealed.before[1].standings:
            if standing.trainer not in there:
                yield Question.DROPPED, evidence.dropped(sealed.trace, standing.trainer, sealed.before)


def _about_entry(trace: Trace, index: int) -> Iterator[Move]:
    yield Question.ENTRY, evidence.entry(trace, index)
    if not trace.entries[index].row:
        return
    yield Question.SCORE, evidence.score(trace, index)
    yield Question.QUALITY, evidence.quality(trace, index)
    yield Question.GROUP, evidence.group(trace, index)
    yield Question.REPLAY, evidence.replay(trace, index)
    yield Question.KRUM, evidence.krum(trace, index)


def _asymmetric(trace: Trace) -> Iterator[Move]:
    """Gram entries that are not their mirrors: a bundle has but one half, a trace of its own has both."""
    for row in range(len(trace.gram)):
        column = next((c for c in range(row) if trace.gram[row][c] != trace.gram[c][row]), None)
        if column is not None:
            yield Question.SYMMETRY, evidence.symmetry(trace, row, column)


def _pairs(trace: Trace) -> Iterator[tuple[int, int]]:
    seen: dict[int, int] = {}
    for i, entry in enumerate(trace.entries):
        if entry.trainer in seen:
            yield seen[entry.trainer], i
        seen.setdefault(entry.trainer, i)
