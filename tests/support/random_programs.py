"""Random round programs and rounds: every operation, every map, short and empty axes, extreme cells, rows and all."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.operations import PLAIN, Op, operands_of
from fl_platform.protocol.program import Program
from fl_platform.protocol.sources import SECOND, SOURCES, WORDS, Axis, Kind, Map, Source, grouped
from fl_platform.protocol.tape import Given, Lengths
from tests.support.integer_rows import IntegerRows

SMALL = 1 << 24  # sources are clamped to this, or most programs would leave 2^250 after a few products
NUMBERS = [source for source, given in SOURCES.items() if given.kind is Kind.NUMBER]


@dataclass
class Author:
    """Writes a program by dice."""

    dice: random.Random

    def program(self, columns: int) -> Program:
        """Return a program of about so many columns, rows, words and carried columns among them."""
        b = Builder()
        made = [b.clamp(b.source(source), -SMALL, SMALL) for source in NUMBERS]
        made += [b.clamp(b.word(word.name), -SMALL, SMALL) for word in self.dice.sample(WORDS, 3)]
        made += [one - one.swapped() for one in made if one.axes == (Axis.ENTRY,)][:2]  # pairs are rare else
        made += [b.const(self.dice.choice((0, 1, -1, 3, 255, 2**40))) for _ in range(2)]
        made.append(b.claimed("claimed", (Axis.ENTRY,), (-3, 9)))
        content = self._rows(b, made)
        made.append(b.plain(Op.EQ, content, self.dice.choice((0, b.gather(content, 0)))))
        axes = self.dice.choice(((), (Axis.SEAT,), (Axis.BLOCK,)))
        carried = b.carried("carried", axes, (-50, 2**70), start=self.dice.choice((0, 7)))
        made.append(carried)
        while len(made) < columns:
            try:
                found = self._one(b, made)
            except DocumentInvalid:  # too wide, or no such shape: another throw
                continue
            made.append(found)
        made += self._hashes(b, made)
        b.carry(carried, carried + self.dice.choice([c for c in made if set(c.axes) <= set(axes)]))
        return b.program()

    def _rows(self, b: Builder, made: list[Cells]) -> Cells:
        """Products of updates and of sums that rounds hand on, and a sum."""
        content = b.select(b.source(Source.REFUSED) == 0, b.source(Source.CONTENT), 0)
        sums = b.combine(content, b.clamp(self._some_of(made, {Axis.ENTRY}), 0, 9))
        past = b.carried("past", (Axis.DIRECTION,), kind=Kind.SUMS)
        first = b.numbers(past == 0) == 0
        b.carry(past, b.select(first, sums, past.before()))
        shifts = b.clamp(b.source(Source.BLOCK_SIZE), 0, 5)
        factors = b.plain(Op.SHIFT, self._some_of(made, {Axis.BLOCK}), self.dice.choice((0, 17, 39)))
        made.append(b.plain(Op.EQ, b.step(b.source(Source.PARENT), sums, factors), b.source(Source.PARENT)))
        pairs = b.dot(content, content.swapped())
        if self.dice.random() < 0.5:
            made += [b.clamp(pairs.diagonal(), -SMALL, SMALL), b.clamp(b.dot(past, past.swapped()), -SMALL, SMALL)]
        made += [b.clamp(pairs, -SMALL, SMALL), b.clamp(b.dot(content, past, shifts=shifts), -SMALL, SMALL)]
        made.append(b.clamp(b.dot(content, content, by_block=True), -SMALL, SMALL))
        return content

    def _hashes(self, b: Builder, made: list[Cells]) -> list[Cells]:
        """Hashes by groups of eight, of three at one place and along an axis, and whether two are equal."""
        some = self.dice.sample([c for c in made if c.axes and c.operand.map is Map.OWN and grouped(c.axes)], 2)
        hashed = [b.hash(one) for one in some]
        for one in hashed:  # grows: groups of groups
            if one.axes and grouped(one.axes) is not None:
                hashed.append(b.hash(one))
        short = self.dice.choice([c for c in made if c.axes and c.operand.map is Map.OWN])
        chain, along = b.hash_along(short, self.dice.choice((0, -5))), short.axes[-1]
        both = [(one, self._some_of(made, set(one.axes)), 0 if along in one.axes else chain) for one in hashed]
        return [b.plain(Op.EQ, one, b.plain(Op.POSEIDON3, one, some, last)) for one, some, last in both]

    def _one(self, b: Builder, made: list[Cells]) -> Cells:
        kind = self.dice.randrange(9)
        if kind == 0:
            x = self.dice.choice([c for c in made if (c.axes and not set(c.axes) & SECOND) or Axis.OTHER in c.axes])
            return b.sum(x, self.dice.choice(x.axes), weight=self.dice.choice((None, self._some(made))))
        if kind == 1:
            return b.running(self.dice.choice([c for c in made if c.axes]))
        if kind == 2:
            return b.gather(self.dice.choice([c for c in made if c.axes]), self._some(made))
        if kind == 4:
            of = [c for c in made if c.axes == (Axis.ENTRY,)]
            over = self.dice.choice([c for c in made if c.axes in ((Axis.SEAT,), (Axis.ENTRY,))])
            return b.inverse(self.dice.choice(of), over)
        if kind == 3:
            x = self.dice.choice([c for c in made if Axis.ENTRY in c.axes])
            weight = b.clamp(self._some(made), 0, 9)
            bounds = self.dice.choice(((0, 9), (-50, 50), (-SMALL, SMALL)))
            axis = self.dice.choice([a for a in x.axes if a not in SECOND or x.axes[-1] is a])
            return b.least(x, weight, self._some(made), axis, bounds)
        op = self.dice.choice(sorted(PLAIN))
        return b.plain(op, *(self._read(made) for _ in range(operands_of(op))))

    def _some(self, made: list[Cells]) -> Cells:
        return self.dice.choice(made)

    def _some_of(self, made: list[Cells], axes: set[Axis]) -> Cells:
        return self.dice.choice([c for c in made if set(c.axes) <= axes])

    def _read(self, made: list[Cells]) -> Cells | int:
        cells = self._some(made)
        throw = self.dice.randrange(8)
        if throw == 0 and set(cells.axes) & {Axis.ENTRY, Axis.DIRECTION}:
            return cells.swapped()
        if throw == 1 and set(cells.axes) & SECOND:
            return cells.diagonal()
        if throw == 2 and cells.axes:
            return cells.last()
        return self.dice.choice((0, 1, -7)) if throw == 3 else cells


def round_of(dice: random.Random) -> tuple[Lengths, Given]:
    """Return how long a round's axes are, and what it is evaluated from, but for what is claimed (`claimed_of`): often
    at the ends of bounds, sometimes all the same."""
    lengths = Lengths(
        entries=dice.choice((0, 1, 2, 3, 5)), seats=dice.choice((1, 4, 6)), blocks=dice.choice((1, 3)),
        directions=dice.choice((0, 2, 3)),
    )  # fmt: skip
    rows = IntegerRows.draw(dice, lengths.blocks)
    sources: dict[Source, Any] = {}
    for source, given in SOURCES.items():
        shape = lengths.shape(given.axes)
        count = int(np.prod(shape))
        if given.kind is Kind.NUMBER:
            drawn = _drawn(dice, *given.bounds, count)
        else:
            drawn = [rows.model if given.kind is Kind.MODEL else rows.draw_root(dice) for _ in range(count)]
        cells = np.array(drawn, dtype=object) if drawn else np.zeros(0, object)
        sources[source] = cells.reshape(shape) if source is not Source.COUNT else np.array(lengths.entries, object)
    words = {index: _drawn(dice, *word.bounds, 1)[0] for index, word in enumerate(WORDS)}
    return lengths, Given(sources, words, rows=rows, stepper=rows)


def claimed_of(program: Program, lengths: Lengths, dice: random.Random) -> dict[int, Array]:
    """Return some cells for each claimed column."""
    found: dict[int, Array] = {}
    for number, column in enumerate(program.columns):
        if column.op is Op.CLAIMED:
            shape = lengths.shape(column.axes)
            cells = [dice.randint(*column.bounds) for _ in range(int(np.prod(shape)))]
            found[number] = np.array(cells, dtype=object).reshape(shape)
    return found


def claiming(program: Program, lengths: Lengths, given: Given, dice: random.Random) -> Given:
    """Return what a round is evaluated from, with some cells for each claimed column."""
    return replace(given, brought=claimed_of(program, lengths, dice))


def _drawn(dice: random.Random, low: int, high: int, count: int) -> list[int]:
    cells = [
        dice.choice((low, high, min(high, max(low, 1)), dice.randint(low, high), dice.randint(low, min(high, low + 9))))
        for _ in range(count)
    ]
    return [cells[0]] * count if cells and dice.random() < 0.2 else cells


__all__ = ["Author", "Op", "claimed_of", "claiming", "round_of"]
