"""What an attacker may do, and what it sees. One class per attack; nothing but demo, tests and benchmarks imports them.

An attack changes an honest trainer in up to three places: the rows it learns from (`poison`), the float delta it
encodes (`forge`), the bytes it seals (`tamper`). Everything else, the receipt, the stake, the signature, stays valid:
what is tested is the platform, not a clumsy attacker.

Tests: tests/unit/attacks/test_attacks.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Delta = Mapping[str, npt.NDArray[np.float32]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """What an attacker knows when it forges its delta."""

    honest: Delta  # what honest training on its own rows gave
    parent: Delta  # the round's parent model
    previous: Sequence[Delta]  # models before it, newest first; empty in round 0
    rng: np.random.Generator  # the attacker's own randomness
    round: int
    others: Sequence[Delta] = field(default_factory=tuple)  # omniscient attackers: this round's honest deltas
    hostile: int = 1  # how many attackers act together


class Attack:
    """An honest trainer; attacks override what they change."""

    name: ClassVar[str] = "honest"
    attacker: ClassVar[str] = "nobody"
    expected: ClassVar[str] = "paid for its work"

    def poison(self, labels: Labels, *, classes: int) -> Labels:
        """Return the labels to learn from, int64 (n,), values below `classes`."""
        return labels

    def forge(self, view: View) -> Delta:
        """Return the float delta to encode; names, shapes and dtypes of `view.honest`."""
        return view.honest

    def tamper(self, data: bytes) -> bytes | None:
        """Return the plaintext to seal in place of an encoded update; None: store nothing and commit random hashes."""
        return data


def combine(terms: Sequence[tuple[float, Delta]]) -> Delta:
    """Return sum of factor * delta, computed in float64, as float32."""
    names = terms[0][1].keys()
    return {
        name: np.asarray(sum(factor * delta[name].astype(np.float64) for factor, delta in terms), dtype=np.float32)
        for name in names
    }


def norm(delta: Delta) -> float:
    """L2 norm over all tensors."""
    return float(np.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in delta.values())))


def scaled_to(delta: Delta, length: float) -> Delta:
    """Return `delta` with another L2 norm (a zero delta stays zero)."""
    own = norm(delta)
    return combine([(length / own if own else 0.0, delta)])


def noise_like(delta: Delta, rng: np.random.Generator) -> Delta:
    """Gaussian noise of the same shapes and L2 norm."""
    return scaled_to({n: rng.standard_normal(v.shape).astype(np.float32) for n, v in delta.items()}, norm(delta))


def zero_like(delta: Delta) -> Delta:
    """Zeros of the same shapes."""
    return {name: np.zeros_like(value) for name, value in delta.items()}
