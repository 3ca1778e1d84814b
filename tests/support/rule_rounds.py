"""Random rounds of a rule with real rows: honest work, cheats, faults, empty rounds; each hands on to the next one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.program import Program
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import INDEX_OF, WORDS, Axis, Source
from fl_platform.protocol.tape import Given, Lengths, Tape
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import claiming

PARENT, LENGTH = 0, 1_000  # of an entry: the model that the round starts from
FIRST_TRAINER = REFERENCE_SEAT + 1
DEFAULTS: dict[str, int] = {
    "bits": 8, "stochastic": 1, "spread": 32, "update_length": LENGTH, "stake_cap_bps": 5_000, "clip_bps": 15_000,
    "reject_bps": 200_000, "floor_bps": 1_000, "duplicate_bps": 9_800, "reference_bps": 3_000,
    "noise_sigmas_squared": 9, "least_length_shift": 3, "byzantine": 1, "alpha_num": 1, "alpha_den": 1, "fee_bps": 300,
    "base_bps": 1_000, "memory": 8, "server_lr_num": 1, "server_lr_den": 1,
    "clip_factor": 8,
}  # fmt: skip
# What an entry is like, and how often.
KINDS = {
    "honest": 30, "noise": 2, "short": 1, "long": 1, "longer": 1, "flipped": 1, "replay": 4, "copy": 3, "zero": 1,
    "refused": 2, "parent": 1, "length": 1, "stranger": 1, "second": 2, "no row": 1,
}  # fmt: skip
SHAPES = ("mixed",) * 8 + ("empty", "one", "two", "all refused", "all equal", "all zero", "one live", "no reference")


@dataclass
class Entry:
    """One entry of a round."""

    seat: int
    stake: int
    content: int
    parent: int = PARENT
    length: int = LENGTH
    refused: int = 0
    samples: int = 1


@dataclass
class Federation:
    """A task's trainers and rules; draws its rounds."""

    dice: random.Random
    trainers: int = 6
    directions: int = 4
    sizes: tuple[int, ...] = (40, 16, 8)
    counting: int = 2
    words: dict[str, int] = field(default_factory=dict)
    scale_of_first: int = 0  # how much larger the first block is stored, a power of two

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.dice.randrange(2**32))
        self.stakes = [
            self.dice.choice((10**18, 10**18, self.dice.randrange(1, 5 * 10**18))) for _ in range(self.trainers)
        ]
        self.rules = {word.name: word.bounds[0] for word in WORDS} | DEFAULTS | {
            "blocks": len(self.sizes), "directions": self.directions, "size": sum(self.sizes[: self.counting]),
        } | self.words  # fmt: skip
        self.rows = IntegerRows(self.sizes, self.counting, self.rules["bits"])
        self.largest = 2 ** (self.rules["bits"] - 1) - 1
        self.unit = max(0.6, self.largest / self.rules["spread"] / 2)  # integers that a standard deviation is
        self.truth = self.random.normal(size=sum(self.sizes))
        self.first = [self.dice.randrange(-9, 3) for _ in self.sizes]
        self.points = [5 + block % 7 - exponent for block, exponent in enumerate(self.first)]
        self.nonnegative = [int(block % 5 == 2) for block in range(len(self.sizes))]
        self.first[0] += self.scale_of_first
        self.points[0] -= self.scale_of_first
        self.lengths = Lengths(0, FIRST_TRAINER + self.trainers, len(self.sizes), self.directions)

    def row(self, signal: float, noise: float) -> int:
        """Keep a random update along the truth; return its root."""
        vector = signal * self.truth + noise * self.random.normal(size=len(self.truth))
        return self.rows.add(self.within(self.unit * vector))

    def within(self, vector: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a vector as the codec's integers."""
        return np.asarray(np.clip(np.rint(vector), -self.largest, self.largest))

    def entries(self, shape: str, past: Sequence[int]) -> list[Entry]:
        """Return a round's entries, the reference's somewhere among them."""
        count = {"empty": 0, "one": 1, "two": 2}.get(shape, max(self.dice.randint(0, self.trainers) for _ in range(2)))
        seats = self.dice.sample(range(self.trainers), min(count, self.trainers))
        found: list[Entry] = []
        for seat in seats:
            kind = self.dice.choices(list(KINDS), list(KINDS.values()))[0] if shape == "mixed" else "honest"
            found.append(self._entry(kind, seat, found, past))
        equal = self.row(1, 1)
        for number, one in enumerate(found):
            if shape == "all refused" or (shape == "one live" and number):
                one.refused = self.dice.randint(1, 3)
            if shape in ("all equal", "all zero"):
                one.content = equal if shape == "all equal" else self.rows.add(np.zeros(sum(self.sizes)))
        if shape != "no reference":
            for _ in range(self.dice.choice((0, 1, 1, 1, 1, 2)) if shape == "mixed" else 1):
                parent = self.dice.choice((PARENT, PARENT, PARENT, 5))
                party = Entry(REFERENCE_SEAT, 0, self.row(self.dice.choice((1, 1, 1, 0)), 0.3), parent)
                found.insert(self.dice.randint(0, len(found)), party)
        return found

    def crowd(self, count: int) -> list[Entry]:
        """Return a reference and honest entries of so many trainers, some of them copies."""
        found = [Entry(REFERENCE_SEAT, 0, self.row(1, 0.3))]
        for seat in range(count):
            again = seat > 0 and self.dice.random() < 0.1
            content = found[-1].content if again else self.row(1, self.dice.choice((0.4, 1)))
            found.append(Entry(FIRST_TRAINER + seat, self.stakes[seat], content))
        return found

    def _entry(self, kind: str, seat: int, before: Sequence[Entry], past: Sequence[int]) -> Entry:
        signals = {
            "noise": (0, 1.2),
            "short": (0.02, 0.02),
            "long": (2.5, 0.5),
            "longer": (60, 1),
            "flipped": (-1, 0.5),
        }
        noise = self.dice.choice((0.4, 1, 2))
        found = Entry(FIRST_TRAINER + seat, self.stakes[seat], self.row(*signals.get(kind, (1, noise))))
        known = [root for root in past if root]
        if kind == "replay" and known:
            mix = sum(self.dice.randint(-2, 3) * self.rows.rows[root].astype(float) for root in known)
            scale = np.abs(mix).max() or 1.0
            found.content = self.rows.add(np.rint(mix * (self.dice.choice((3, 4.5)) * self.unit / scale)))
        if kind in ("copy", "second") and before:
            other = self.dice.choice(before)
            row = self.rows.rows[other.content] if other.content else 0 * self.truth
            near = self.rows.add(self.within(row + (self.random.random(len(self.truth)) < 0.03)))
            found.content = self.dice.choice((other.content, near))
            found.seat, found.stake = (other.seat, other.stake) if kind == "second" else (found.seat, found.stake)
        if kind == "zero":
            found.content = self.rows.add(np.zeros(len(self.truth)))
        if kind == "no row":
            found.content = 0
        found.refused = self.dice.randint(1, 3) if kind == "refused" else 0
        found.parent = 5 if kind == "parent" else PARENT
        found.length = 999 if kind == "length" else LENGTH
        found.stake = 0 if kind == "stranger" else found.stake
        return found

    def given(self, entries: Sequence[Entry], previous: Tape | None) -> tuple[Lengths, Given]:
        """Return what a round of these entries is evaluated from, but for what is claimed."""
        lengths = Lengths(len(entries), self.lengths.seats, self.lengths.blocks, self.lengths.directions)

        def of(name: str) -> Array:
            return np.array([getattr(one, name) for one in entries], dtype=object)

        parents = np.array([one.parent or self.rows.model for one in entries], dtype=object)
        sources: dict[Source, Any] = {
            Source.COUNT: len(entries), Source.ROUND: 0, Source.POT: self.dice.choice((0, 1, 10**19, 10**20)),
            Source.AGGREGATOR: self.dice.randrange(3), Source.PARENT: self.rows.model, Source.SEAT_OF: of("seat"),
            Source.STAKE: of("stake"), Source.ENTRY_PARENT: parents, Source.LENGTH: of("length"),
            Source.SAMPLES: of("samples"), Source.CONTENT: of("content"), Source.REFUSED: of("refused"),
            Source.BLOCK_SIZE: np.array(self.sizes), Source.FIRST_EXPONENT: np.array(self.first),
            Source.BLOCK_COUNTS: np.array([int(k < self.counting) for k in range(len(self.sizes))]),
            Source.BLOCK_STEP_BITS: np.array(self.points) + self.first,
            Source.BLOCK_NONNEGATIVE: np.array(self.nonnegative),
        }  # fmt: skip
        words = {INDEX_OF[name]: value for name, value in self.rules.items()}
        carried = None if previous is None else previous.columns
        return lengths, Given(sources, words, carried, self.rows, self.rows)

    def round(self, program: Program, previous: Tape | None, shape: str | None = None) -> Tape:
        """Draw a round and evaluate it."""
        past = [] if previous is None else past_after(previous)
        entries = self.entries(shape or self.dice.choice(SHAPES), past)
        return self.played(program, entries, previous)

    def played(self, program: Program, entries: Sequence[Entry], previous: Tape | None = None) -> Tape:
        """Evaluate a round of these entries."""
        lengths, given = self.given(entries, previous)
        return evaluate(program, lengths, claiming(program, lengths, given, self.dice))

    def play(self, program: Program, rounds: int) -> list[Tape]:
        """Draw some rounds, each from what the one before handed on."""
        tapes: list[Tape] = []
        for _ in range(rounds):
            tapes.append(self.round(program, tapes[-1] if tapes else None))
        return tapes


def past_after(tape: Tape) -> list[int]:
    """Return the content roots of the sums that a round hands on, newest first."""
    columns = tape.program.columns
    carried = [one for one in columns if one.name == "past" and one.axes == (Axis.DIRECTION,)]
    return [int(root) for one in carried for root in tape.columns[one.operands[0].column]]
