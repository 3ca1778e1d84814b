"""The watcher's part about the work itself: which leaf of an update, of the sums or of the layout shows a lie, and the
game that finds a wrong Gram entry's leaf.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache, partial

from fl_platform.aggregation.gram import GramRow, gram_matrix
from fl_platform.aggregation.products import first_difference, first_outside, split_range
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Bisections, OpenGame
from fl_platform.chain.evidence import Question
from fl_platform.contribution.tracing import layout_of
from fl_platform.protocol.trace import COORDINATES, Trace
from fl_platform.roles.moves import Move
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.sealed import Sealed, readable
from fl_platform.roles.work import RoundWork
from fl_platform.updates.content import ContentLeaf, verify_content_leaf

logger = logging.getLogger(__name__)

def public_moves(reader: TaskReader, sealed: Sealed) -> Iterator[Move]:
    """Yield challenges that need no key: content roots and weights against receipts and entries, the layout."""
    trace, bundle = sealed.trace, sealed.bundle
    first = min(trace.round.reference, len(trace.work.rows))
    last = max(first, min(trace.round.reference + trace.round.candidates, len(trace.work.rows)))
    for row in (*range(first), *range(last, len(trace.work.rows))):
        yield Question.WORK, work_evidence.weight(trace, row)
    if bundle is None:
        return
    receipts = {int.from_bytes(e.receipt.struct_hash(), "big"): e.receipt for e in bundle.entries}
    for index, entry in enumerate(trace.entries):
        if 0 < entry.row <= len(trace.work.rows) and entry.receipt in receipts:
            yield Question.WORK, work_evidence.work(trace, index, receipts[entry.receipt])
    if sealed.number == 0 or sealed.before is not None:
        tensors = layout_of(reader.spec, bundle.before.scale)
        yield Question.LAYOUT, work_evidence.layout(trace, reader.spec.to_bytes(), tensors, sealed.before)


def opened_moves(work: RoundWork, trace: Trace, bits: int) -> Iterator[Move]:
    """Yield challenges that show leaves of updates: a value outside its width, a coordinate of the sums."""
    for row in range(min(trace.round.reference + trace.round.candidates, len(trace.work.rows))):
        outside = first_outside(work.integers(row), bits)
        if outside is not None:
            leaf = work.leaf(row, outside // COORDINATES)
            yield Question.RANGE, work_evidence.out_of_range(trace, row, outside, leaf=leaf)
            return
    weights = {row: weight for row, (_, weight) in enumerate(trace.work.rows) if weight}
    wrong = first_difference(work.told_sums, work.sums_by(weights))
    if wrong is not None:
        index = wrong // COORDINATES
        yield Question.SUM, work_evidence.coordinate_of_sum(
            trace, wrong, sums=work.sums_leaf(index), rows=[work.leaf(row, index) for row in sorted(weights)]
        )  # fmt: skip


def wrong_gram_entries(reader: TaskReader, work: RoundWork, trace: Trace) -> Iterator[tuple[int, int]]:
    """Yield (row, column) of every Gram entry that is not the product of its rows."""
    names = work.bundle.rows
    rows = [GramRow(name, number, trace.row_bits(number)) for number, name in enumerate(names)]
    right = gram_matrix(rows, work.integers, model=reader.spec.model, scale=work.bundle.before.scale).values
    for row in range(len(names)):
        yield from ((row, column) for column in range(row + 1) if trace.gram[row][column] != right[row][column])


class GramChallenger:
    """Plays the challenger's side of games about Gram entries, move by move."""

    def __init__(self, reader: TaskReader, games: Bisections) -> None:
        self._reader, self._games = reader, games

    def open(self, work: RoundWork, trace: Trace) -> int | None:
        """Open a game about the first wrong entry that leaves can decide; None: there is none, or updates do not open.

        Where the trace names another content root than a row has (a direction's is judged nowhere), no leaf can be
        shown: the game would be lost.
        """
        opens = cache(partial(self._opens, work, trace))
        entries = wrong_gram_entries(self._reader, work, trace)
        wrong = readable(lambda: next((w for w in entries if all(map(opens, w))), None))
        if wrong is None:
            return None
        shown = work_evidence.gram_entry(trace, *wrong)
        return self._games.open(self._reader.task, work.bundle.round, shown)

    def _opens(self, work: RoundWork, trace: Trace, row: int) -> bool:
        """Whether a row's own leaves lie under the content root that the trace names."""
        leaf, root = work.leaf(row, 0), trace.work.rows[row][0].to_bytes(32, "big")
        opening = ContentLeaf(0, leaf.blind, leaf.body, leaf.siblings)
        return verify_content_leaf(opening, root=root, size=trace.rules.size, bits=trace.row_bits(row))

    def waits(self, number: int) -> bool:
        """Whether a game goes on. One whose seal fell by another dispute is ended here: its bond comes back."""
        game = self._games.game(number)
        if game is None:
            return False
        if self._games.stands(game):
            return True
        self._games.expire(number)
        return False

    def step(self, number: int, work: RoundWork, trace: Trace, *, now: int) -> bool:
        """Make the next move of a game that waits if it is ours, or end it. True when the seal fell."""
        found = next(g for g in self._games.open_games(self._reader.task) if g.number == number)
        if now >= found.game.deadline:  # the sealer has not split in time, or this side not moved
            self._games.expire(number)
            return not found.game.answered
        return found.game.answered and self._answer(found, work, trace)

    def _answer(self, found: OpenGame, work: RoundWork, trace: Trace) -> bool:
        game = found.game
        _, width = work_evidence.parts_of(game.count)
        products = work.products(found.row, found.column)
        right = split_range(products, first=game.first, count=game.count, width=width)
        index = first_difference(found.parts, right)
        if index is None:
            logger.warning("game %d: every part is right; the bond is lost", found.number)
            return False
        first = game.first + index * width
        if min(width, game.first + game.count - first) > 1:
            self._games.pick(found.number, found.parts, index)
            return False
        statement = work_evidence.statement_of(trace, found.row, found.column)
        product = work.product(found.row, found.column, first)
        self._games.prove(found.number, statement, found.parts, index, product)
        return True
