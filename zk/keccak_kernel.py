"""The compiled Keccak-f[1600] permutation, on eight messages at once. Use zk.keccak, which checks it.

A state is 25 vectors of eight 64-bit lanes, one lane a message: LLVM keeps them in AVX-512 registers where the
processor has them, and splits each in two (AVX2) or four elsewhere.

Tests: tests/unit/zk/test_keccak.py
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TOGETHER = 8  # messages
_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, TOGETHER)
_RATE_WORDS = 17


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


def _walk() -> list[tuple[int, int, int]]:
    """Return (source lane, target lane, rotation) of the rho and pi steps, but for lane 0 (FIPS 202 3.2.2-3)."""
    steps, x, y = [], 1, 0
    for t in range(24):
        target = y, (2 * x + 3 * y) % 5
        steps.append((x + 5 * y, target[0] + 5 * target[1], (t + 1) * (t + 2) // 2 % 64))
        x, y = target
    return steps


def _splat(builder: Any, word: Any) -> Any:
    alone = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), TOGETHER), [0] * TOGETHER)
    return builder.shuffle_vector(alone, alone, everywhere)


def _round(builder: Any, a: list[Any], constant: Any) -> list[Any]:
    """Emit one round on 25 vectors, lane (x, y) at x + 5 y."""

    def rotate(value: Any, turn: int) -> Any:
        up, down = (ir.Constant(_VECTOR, [places] * TOGETHER) for places in (turn, 64 - turn))
        return builder.or_(builder.shl(value, up), builder.lshr(value, down))

    columns = [a[x] for x in range(5)]
    for y in range(5, 25, 5):
        columns = [builder.xor(columns[x], a[x + y]) for x in range(5)]
    mixed = [builder.xor(columns[(x + 4) % 5], rotate(columns[(x + 1) % 5], 1)) for x in range(5)]
    a = [builder.xor(a[i], mixed[i % 5]) for i in range(25)]
    b = [a[0]] * 25
    for source, target, turn in _walk():
        b[target] = rotate(a[source], turn)
    out = []
    for y in range(0, 25, 5):
        for x in range(5):
            kept = builder.and_(builder.not_(b[y + (x + 1) % 5]), b[y + (x + 2) % 5])
            out.append(builder.xor(b[y + x], kept))
    out[0] = builder.xor(out[0], _splat(builder, constant))
    return out


def _rounds(_typing: Any, state: Any, constants: Any) -> Any:
    """Apply the 24 rounds in place. state: (25, 8) uint64, lane by lane; constants: (24,) uint64."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places, words = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args, args, strict=True)
        )
        first = builder.bitcast(places, _VECTOR.as_pointer())
        lanes = [cgutils.alloca_once(builder, _VECTOR) for _ in range(25)]
        for i, lane in enumerate(lanes):
            builder.store(builder.load(builder.gep(first, [ir.Constant(_I64, i)]), align=8), lane)
        with cgutils.for_range(builder, ir.Constant(_I64, 24)) as loop:
            constant = builder.load(builder.gep(words, [loop.index]))
            after = _round(builder, [builder.load(lane) for lane in lanes], constant)
            for value, lane in zip(after, lanes, strict=True):
                builder.store(value, lane)
        for i, lane in enumerate(lanes):
            builder.store(builder.load(lane), builder.gep(first, [ir.Constant(_I64, i)]), align=8)
        return context.get_dummy_value()

    return types.void(state, constants), emit


_permute: Any = intrinsic(_rounds)


def _compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for its cache
        return njit(nogil=True)(function)


_CONSTANTS = np.array(_constants(), np.uint64)


@_compiled
def digest_padded(words: Any, out: Any) -> None:
    """out[i] = digest of the padded message words[i]. words: (n, 17 * blocks) uint64; out: (n, 4) uint64."""
    state = np.empty((25, TOGETHER), np.uint64)
    last = words.shape[0] - 1
    for start in range(0, words.shape[0], TOGETHER):
        state[:] = 0
        for block in range(0, words.shape[1], _RATE_WORDS):
            for j in range(TOGETHER):
                i = min(start + j, last)  # a group that is not full hashes the last message several times
                for k in range(_RATE_WORDS):
                    state[k, j] ^= words[i, block + k]
            _permute(state, _CONSTANTS)
        for j in range(min(TOGETHER, words.shape[0] - start)):
            for k in range(4):
                out[start + j, k] = state[k, j]
