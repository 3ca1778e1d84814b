"""The compiled Keccak-f[1600] permutation over rows of padded blocks. Use zk.keccak, which checks it."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def _constants() -> list[int]:
    """Return the 24 round constants from their definition (an 8-bit LFSR, FIPS 202 3.2.5)."""
    state, found = 1, []
    for _ in range(24):
        constant = 0
        for j in range(7):
            if state & 1:
                constant |= 1 << ((1 << j) - 1)
            state = (state << 1) ^ (0x171 if state & 0x80 else 0)
        found.append(constant)
    return found


def _lane_walk() -> tuple[list[int], list[int]]:
    """Return, in the order of the rho and pi steps' walk from lane (1, 0), the target lanes and the rotations."""
    lanes, turns = [], []
    x, y = 1, 0
    for t in range(24):
        x, y = y, (2 * x + 3 * y) % 5
        lanes.append(x + 5 * y)
        turns.append((t + 1) * (t + 2) // 2 % 64)
    return lanes, turns


def _compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for its cache
        return njit(nogil=True)(function)


_ROUNDS = np.array(_constants(), np.uint64)
_LANES = np.array(_lane_walk()[0], np.int64)
_TURNS = np.array(_lane_walk()[1], np.uint64)
_RATE_WORDS = 17


@_compiled
def _rotate(word: Any, turn: Any) -> Any:
    return (word << turn) | (word >> (np.uint64(64) - turn))


@_compiled
def _permute(state: Any, columns: Any) -> None:
    one = np.uint64(1)
    for r in range(24):
        for x in range(5):
            columns[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
        for x in range(5):
            mixed = columns[(x + 4) % 5] ^ _rotate(columns[(x + 1) % 5], one)
            for y in range(0, 25, 5):
                state[x + y] ^= mixed
        carried = state[1]
        for t in range(24):
            lane = _LANES[t]
            kept = state[lane]
            state[lane] = _rotate(carried, _TURNS[t])
            carried = kept
        for y in range(0, 25, 5):
            for x in range(5):
                columns[x] = state[x + y]
            for x in range(5):
                state[x + y] = columns[x] ^ (~columns[(x + 1) % 5] & columns[(x + 2) % 5])
        state[0] ^= _ROUNDS[r]


@_compiled
def digest_padded(words: Any, out: Any) -> None:
    """out[i] = digest of the padded message words[i]. words: (n, 17 * blocks) uint64; out: (n, 4) uint64."""
    state = np.empty(25, np.uint64)
    columns = np.empty(5, np.uint64)
    for i in range(words.shape[0]):
        state[:] = 0
        for block in range(0, words.shape[1], _RATE_WORDS):
            for k in range(_RATE_WORDS):
                state[k] ^= words[i, block + k]
            _permute(state, columns)
        for k in range(4):
            out[i, k] = state[k]
