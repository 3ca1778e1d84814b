"""From scaled floats to integers: seeded stochastic rounding, or nearest.

Randomness is a counter-based generator (Philox4x64-10) read as raw words, keyed by HKDF of the trainer's secret, task
and round; the decision is a comparison of integers. No thread, machine or library default enters, so a trainer that
repeats a round hands in the same bytes, and holding `seed` is enough to recompute them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_platform.errors import ConfigError
from fl_platform.updates.tensors import Floats

Rounding = Literal["stochastic", "nearest"]
ROUNDINGS: tuple[Rounding, ...] = ("stochastic", "nearest")
SEED_BYTES = 32
_SALT = b"fl-platform/rounding/1"


def rounding_seed(secret: bytes, *, task: int, round_number: int, context: bytes = b"") -> bytes:
    """Derive the 32-byte seed of one trainer's rounding in one round (HKDF-SHA256).

    `secret`: at least 16 bytes that only the trainer knows (its wallet or wrapping key); never logged. `context` binds
    chain id and contract where one secret serves several.
    """
    if len(secret) < 16:
        raise ConfigError(f"the rounding secret has {len(secret)} bytes, at least 16 are needed")
    info = task.to_bytes(32, "big") + round_number.to_bytes(8, "big") + context
    return HKDF(algorithm=hashes.SHA256(), length=SEED_BYTES, salt=_SALT, info=info).derive(secret)


class WordStream:
    """Uniform 32-bit words of one seed, tensor after tensor; each tensor starts on a fresh 64-bit word."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 bytes, of which the first 16 key the generator and the last 16 place its counter."""
        if len(seed) != SEED_BYTES:
            raise ConfigError(f"a rounding seed has {SEED_BYTES} bytes, not {len(seed)}")
        key = int.from_bytes(seed[:16], "little")
        counter = int.from_bytes(seed[16:], "little")
        self._bits = np.random.Philox(key=key, counter=counter)

    def take(self, count: int) -> npt.NDArray[np.uint32]:
        """Return the next `count` words, uint32 (low half of each 64-bit word first)."""
        words = self._bits.random_raw((count + 1) // 2).astype("<u8", copy=False)
        return words.view("<u4")[:count]


def round_stochastic(scaled: Floats, words: npt.NDArray[np.uint32]) -> Floats:
    """Round each value up with a probability equal to its fraction (to 2^-32), else down: unbiased.

    `scaled`: finite float64, |value| < 2^52; `words`: as many uniform uint32. Returns whole float64.
    """
    down = np.floor(scaled)
    threshold = ((scaled - down) * 2.0**32).astype(np.uint64)
    return np.asarray(down + (words < threshold), dtype=np.float64)


def round_nearest(scaled: Floats) -> Floats:
    """Round half to even. Biased towards zero in effect: everything under half a step is lost."""
    return np.rint(scaled)
