"""In which order an epoch reads rows, and where its batches begin and end. The same for the same seed on any machine.

Up to 2^24 rows an epoch's order is a permutation held in memory (128 MiB at most). Over that it is computed batch by
batch: a Feistel network over a power of four, walked until it lands on a row (Black and Rogaway 2002, "Ciphers with
arbitrary finite domains"), which takes the memory of a batch whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_IN_MEMORY = 1 << 24  # rows
_ROUNDS = 6  # Feistel rounds: four look random to any test of statistics, two are spare
# splitmix64's finaliser (Steele 2014): every bit of the input moves half of the output's.
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Order(Protocol):
    """Row numbers of one epoch, by place."""

    def __getitem__(self, places: slice) -> Rows:
        """Return the row numbers at some places, int64."""


class Orders:
    """The orders of a training's epochs: epoch k's is the k-th permutation that a Philox generator draws."""

    def __init__(self, rows: int, *, seed: int, shuffle: bool, most_in_memory: int | None = None) -> None:
        self._rows, self._seed, self._shuffle = rows, seed, shuffle
        self._most = MOST_IN_MEMORY if most_in_memory is None else most_in_memory
        self._generator, self._drawn = _generator(seed), 0

    def epoch(self, number: int) -> Order:
        """Return epoch `number`'s order (0 is the first); asked in any order, and again, the answer is the same."""
        if not self._shuffle:
            return _AsTheyStand(self._rows)
        if self._rows > self._most:
            return ComputedPermutation.draw(self._rows, (self._seed, number))
        if number < self._drawn:
            self._generator, self._drawn = _generator(self._seed), 0
        for _ in range(number - self._drawn):
            self._generator.permutation(self._rows)
        self._drawn = number + 1
        return self._generator.permutation(self._rows)


@dataclass(frozen=True)
class ComputedPermutation:
    """A seeded permutation of 0 .. rows - 1 that is computed where it is asked for."""

    rows: int
    half: np.uint64  # bits of each half of a number; the network permutes 4^half >= rows numbers
    keys: npt.NDArray[np.uint64]  # one a Feistel round

    @classmethod
    def draw(cls, rows: int, seed: int | tuple[int, ...]) -> ComputedPermutation:
        """Draw the keys of a permutation from a seed."""
        half = max(1, ((rows - 1).bit_length() + 1) // 2)
        keys = _generator(seed).integers(0, 2**64, size=_ROUNDS, dtype=np.uint64)
        return cls(rows, np.uint64(half), keys)

    def __getitem__(self, places: slice) -> Rows:
        numbers = self._permuted(np.arange(*places.indices(self.rows), dtype=np.uint64))
        while (outside := numbers >= self.rows).any():
            numbers[outside] = self._permuted(numbers[outside])
        return numbers.astype(np.int64)

    def _permuted(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        mask = (np.uint64(1) << self.half) - np.uint64(1)
        left, right = numbers >> self.half, numbers & mask
        for key in self.keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        return (left << self.half) | right


@dataclass(frozen=True)
class _AsTheyStand:
    rows: int

    def __getitem__(self, places: slice) -> Rows:
        return np.arange(*places.indices(self.rows), dtype=np.int64)


def spans(rows: int, size: int) -> Iterator[slice]:
    """Yield the places of each batch of `size`; a last batch of one row is part of the one before.

    A batch of one row has no variance: BatchNorm refuses it.
    """
    whole = _whole(rows, size)
    for start in range(0, whole, size):
        yield slice(start, start + size if start + size < whole else rows)


def count(rows: int, size: int) -> int:
    """Return how many batches `spans` yields."""
    return -(-_whole(rows, size) // size)


def epoch_seed(seed: int, number: int) -> int:
    """Return the seed, under 2^63, of whatever else is random in reading epoch `number`."""
    return int(_generator((seed, number)).integers(0, 2**63))


def _whole(rows: int, size: int) -> int:
    return rows - 1 if 1 < size < rows and rows % size == 1 else rows


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _FIRST
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _SECOND
    return numbers ^ (numbers >> np.uint64(31))


def _generator(seed: int | tuple[int, ...]) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))
