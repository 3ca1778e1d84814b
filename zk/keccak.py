"""Keccak-256 of many short messages of one length, as Merkle trees need it; compiled, much faster than a call each."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from eth_hash.auto import keccak as _keccak

Bytes2D = npt.NDArray[np.uint8]

_RATE = 136  # bytes a block
_FEW = 1 << 13
_hashed = 0  # messages so far in this process
_LOG = logging.getLogger(__name__)


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte digest of one message."""
    return bytes(_keccak(data))


def keccak256_many(messages: Bytes2D) -> Bytes2D:
    """Return the (n, 32) digests of (n, length) uint8 messages."""
    padded = _padded(messages)
    # a process's first messages are hashed, 9 us each, sooner than the compiled loop is loaded, half a second
    global _hashed
    _hashed += len(padded)
    return _plain_many(padded) if _hashed < _FEW else _many()(padded)


def _padded(messages: Bytes2D) -> Bytes2D:
    blocks = messages.shape[1] // _RATE + 1
    padded = np.zeros((messages.shape[0], blocks * _RATE), np.uint8)
    padded[:, : messages.shape[1]] = messages
    padded[:, messages.shape[1]] = 0x01
    padded[:, -1] |= 0x80
    return padded


def _plain_many(padded: Bytes2D) -> Bytes2D:
    out = np.empty((padded.shape[0], 32), np.uint8)
    for i, row in enumerate(padded):
        end = int(np.flatnonzero(row[:-1])[-1]) if row[-1] == 0x80 else padded.shape[1] - 1
        out[i] = np.frombuffer(keccak256(row[:end].tobytes()), np.uint8)
    return out


@functools.cache
def _many() -> Callable[[Bytes2D], Bytes2D]:
    """Return the compiled function once it agrees with the library about both short and long messages."""
    try:
        compiled = _compile()
    except ImportError:
        return _plain_many
    for length in (0, 65, 69, 135, 136, 300):
        # nine messages: each place of a group of eight, and a group that is not full
        padded = _padded((np.arange(9 * length) % 251).astype(np.uint8).reshape(9, length))
        if not np.array_equal(compiled(padded), _plain_many(padded)):
            _LOG.warning("the compiled keccak is wrong here: the plain one is used, fifty times slower")
            return _plain_many
    return compiled


def _compile() -> Callable[[Bytes2D], Bytes2D]:
    from zk.keccak_kernel import digest_padded

    def many(padded: Bytes2D) -> Bytes2D:
        out = np.empty((padded.shape[0], 32), np.uint8)
        words: Any = padded.view(np.uint64)
        digest_padded(words, out.view(np.uint64))
        return out

    return many
