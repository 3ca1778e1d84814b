"""Random round programs and rounds: every operation, every map, short and empty axes, extreme cells."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.building import Builder, Cells
from fl_platform.protocol.operations import PLAIN, Op, operands_of
from fl_platform.protocol.program import SOURCES, Axis, Program, Source
from fl_platform.protocol.tape import Lengths

PAIRS = (Axis.ENTRY, Axis.OTHER)
SMALL = 1 << 24  # sources are clamped to this, or most programs would leave 2^250 after a few products


@dataclass
class Author:
    """Writes a program by dice."""

    dice: random.Random

    def program(self, columns: int) -> Program:
        """Return a program of about so many columns."""
        builder = Builder()
        made = [builder.clamp(builder.source(source), -SMALL, SMALL) for source in Source]
        made += [one - one.swapped() for one in made if one.axes == (Axis.ENTRY,)][:2]  # pairs are rare else
        made += [builder.const(self.dice.choice((0, 1, -1, 3, 255, 2**40))) for _ in range(2)]
        while len(made) < columns:
            try:
                found = self._one(builder, made)
            except DocumentInvalid:  # too wide, or no such shape: another throw
                continue
            made.append(found)
        for number in range(3):
            builder.output(f"out{number}", self.dice.choice(made))
        return builder.program()

    def _one(self, builder: Builder, made: list[Cells]) -> Cells:
        kind = self.dice.randrange(9)
        if kind == 0:
            x = self.dice.choice([c for c in made if c.axes])
            return builder.sum(x, self.dice.choice(x.axes), weight=self._some(made))
        if kind == 1:
            return builder.running(self.dice.choice([c for c in made if c.axes]))
        if kind == 2:
            return builder.gather(self.dice.choice([c for c in made if c.axes]), self._some(made))
        if kind == 4:
            of = [c for c in made if c.axes == (Axis.ENTRY,)]
            over = self.dice.choice([c for c in made if c.axes in ((Axis.SEAT,), (Axis.ENTRY,))])
            count = builder.source(Source.COUNT)
            return builder.inverse(self.dice.choice(of), over, count)
        if kind == 3:
            x = self.dice.choice([c for c in made if Axis.ENTRY in c.axes])
            weight = builder.clamp(self._some(made), 0, 9)
            bounds = self.dice.choice(((0, 9), (-50, 50), (-SMALL, SMALL)))
            return builder.least(x, weight, self._some(made), Axis.ENTRY, bounds)
        op = self.dice.choice(sorted(PLAIN))
        return builder.plain(op, *(self._read(made) for _ in range(operands_of(op))))

    def _some(self, made: list[Cells]) -> Cells:
        return self.dice.choice(made)

    def _read(self, made: list[Cells]) -> Cells | int:
        cells = self._some(made)
        throw = self.dice.randrange(8)
        if throw == 0 and set(PAIRS) & set(cells.axes):
            return cells.swapped()
        if throw == 1 and Axis.OTHER in cells.axes:
            return cells.diagonal()
        if throw == 2 and cells.axes:
            return cells.last()
        return self.dice.choice((0, 1, -7)) if throw == 3 else cells


def round_of(dice: random.Random) -> tuple[Lengths, dict[Source, Any]]:
    """Return how long a round's axes are, and its sources: often at their ends, sometimes all the same."""
    lengths = Lengths(entries=dice.choice((0, 1, 2, 3, 5)), seats=dice.choice((0, 1, 4, 6)))
    sources: dict[Source, Any] = {}
    for source, given in SOURCES.items():
        low, high = given.bounds
        shape = lengths.shape(given.axes)
        drawn = [
            dice.choice((low, high, min(high, 1), dice.randint(low, high), dice.randint(low, min(high, 9))))
            for _ in range(int(np.prod(shape)))
        ]
        same = dice.random() < 0.2
        cells = np.array([drawn[0]] * len(drawn) if same else drawn, dtype=object) if drawn else np.zeros(0, object)
        sources[source] = cells.reshape(shape) if source is not Source.COUNT else np.array(lengths.entries, object)
    return lengths, sources


__all__ = ["Author", "Op", "round_of"]
