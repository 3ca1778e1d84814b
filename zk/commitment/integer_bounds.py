"""The integer bounds that turn an equality modulo r into an equality of integers; beyond them things are refused.

Tests: tests/unit/zk/commitment/test_pedersen.py
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fl_platform.errors import CommitmentMismatch, ConfigError, UpdateRangeExceeded
from zk.curve.engine import Row

SUM_LIMIT = 1 << 62
MAX_BITS = 16


def largest_magnitude(bits: int) -> int:
    """Return the largest |q| of the codec: 2^(b-1) - 1; -2^(b-1) is forbidden."""
    if not 2 <= bits <= MAX_BITS:
        raise ConfigError(f"updates of {bits} bits: from 2 to {MAX_BITS} are possible")
    return (1 << (bits - 1)) - 1


def check_weights(weights: Sequence[int], bits: int) -> int:
    """Check n * max|a| * 2^(b-1) < 2^62 and return the largest |sum a_i q_i| there can be. Raises ConfigError."""
    magnitude = largest_magnitude(bits)
    bound = len(weights) * max((abs(weight) for weight in weights), default=0) << (bits - 1)
    if bound >= SUM_LIMIT:
        raise ConfigError(
            f"{len(weights)} updates of {bits} bits with these weights reach {bound}, the limit is 2^62; "
            "lower the weights or the number of trainers"
        )
    return sum(abs(weight) for weight in weights) * magnitude


def check_row(row: Row, bits: int) -> None:
    """Check that every entry is one of the codec's integers. Raises UpdateRangeExceeded, ConfigError."""
    limit = largest_magnitude(bits)
    if row.dtype.kind not in "iu":
        raise UpdateRangeExceeded(f"an update has integers, not {row.dtype}: quantise it first")
    if row.size and (int(row.min()) < -limit or int(row.max()) > limit):
        worst = max(abs(int(row.min())), abs(int(row.max())))
        raise UpdateRangeExceeded(f"an update of {bits} bits has an entry of {worst}, the limit is {limit}: clip it")


def check_aggregate(aggregate: Row, limit: int) -> None:
    """Check that a claimed sum is int64 and within what the weights can reach. Raises CommitmentMismatch."""
    if aggregate.dtype != np.int64:
        raise CommitmentMismatch(f"an aggregate is a vector of int64, not of {aggregate.dtype}")
    if aggregate.size and (int(aggregate.min()) < -limit or int(aggregate.max()) > limit):
        worst = max(abs(int(aggregate.min())), abs(int(aggregate.max())))
        raise CommitmentMismatch(f"the aggregate has an entry of {worst}; these weights reach {limit} at most")
