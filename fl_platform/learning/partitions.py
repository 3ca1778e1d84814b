"""Who holds which rows: IID, Dirichlet, McMahan's shards, or as they came. Each row goes to exactly one party.

Every function returns one sorted int64 array of row numbers per party.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_platform.errors import ConfigError

Rows = npt.NDArray[np.int64]


def shuffled(count: int, *, seed: int) -> Rows:
    """Return the row numbers 0 .. count - 1 in a seeded order."""
    return _generator(seed).permutation(count)


def iid(labels: npt.NDArray[np.int64], parties: int, *, seed: int) -> list[Rows]:
    """Deal shuffled rows in equal parts (sizes differ by at most one)."""
    _check(labels, parties, least=1)
    order = shuffled(len(labels), seed=seed)
    return [np.sort(part) for part in np.array_split(order, parties)]


def shards(labels: npt.NDArray[np.int64], parties: int, *, seed: int, each: int = 2) -> list[Rows]:
    """Sort by label, cut into `each * parties` shards, deal `each` to every party (McMahan 2017: pathological non-IID).

    With MNIST, 100 parties and two shards of 300 rows, most parties see two digits.
    """
    _check(labels, parties, least=each)
    # Ties within a label are shuffled by the seed, not left to the order of the file.
    order = shuffled(len(labels), seed=seed)
    order = order[np.argsort(labels[order], kind="stable")]
    pieces = np.array_split(order, each * parties)
    dealt = _generator(seed + 1).permutation(len(pieces)).reshape(parties, each)
    return [np.sort(np.concatenate([pieces[piece] for piece in hand])) for hand in dealt]


def dirichlet(labels: npt.NDArray[np.int64], parties: int, *, alpha: float, seed: int, least: int = 10) -> list[Rows]:
    """Split each class among the parties in shares drawn from Dirichlet(alpha); each party gets `least` rows or more.

    alpha -> 0 gives one class each, large alpha gives IID (Hsu 2019). A party that comes out with fewer than `least`
    takes random rows of the largest party, so the function always ends. Raises ConfigError for alpha <= 0 or too few
    rows.
    """
    if not alpha > 0:
        raise ConfigError(f"Dirichlet alpha {alpha} must be over 0; 0.3 is strongly non-IID, 100 nearly IID")
    _check(labels, parties, least=max(1, least))
    generator = _generator(seed)
    hands: list[list[int]] = [[] for _ in range(parties)]
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        cuts = (np.cumsum(generator.dirichlet(np.full(parties, alpha)))[:-1] * len(rows)).astype(np.int64)
        for hand, part in zip(hands, np.split(rows, np.minimum(cuts, len(rows))), strict=True):
            hand.extend(part.tolist())
    _top_up(hands, least, generator)
    return [np.sort(np.array(hand, dtype=np.int64)) for hand in hands]


def natural(holders: npt.NDArray[np.int64], parties: int) -> list[Rows]:
    """Leave the rows with who holds them: `holders` (n,), from 0. Raises ConfigError unless there are `parties`."""
    there = int(holders.max(initial=-1)) + 1
    if parties != there:
        raise ConfigError(f"the data come in {there} parts, not {parties}: take {there}, or deal the rows, as by iid")
    return [np.flatnonzero(holders == party) for party in range(parties)]


def _top_up(hands: list[list[int]], least: int, generator: np.random.Generator) -> None:
    for hand in hands:
        while len(hand) < least:
            largest = max(hands, key=len)
            hand.append(largest.pop(int(generator.integers(len(largest)))))


def _check(labels: npt.NDArray[np.int64], parties: int, *, least: int) -> None:
    if parties < 1 or len(labels) < parties * least:
        raise ConfigError(f"{len(labels)} rows cannot give {parties} parties {least} each; ask for fewer parties")


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))
