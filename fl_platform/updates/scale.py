"""The step of each tensor: a power of two, step_t = 2^e_t; the owner measures round 0's, and rounds move it by a rule.

Lengths, distances and angles are taken on the integers as they are, every tensor in its own steps
(`judging.round_rows`): so neither they nor the integers see by which power of two a tensor is stored. Limits are in
steps, and follow from the number of parameters that count alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import isqrt

from fl_platform.errors import ConfigError
from fl_platform.protocol.model_spec import (
    FARTHEST_DOWN,
    FARTHEST_UP,
    LARGEST_EXPONENT,
    LEAST_EXPONENT,
    ModelSpec,
    ScaleSpec,
)
from fl_platform.updates.tensors import Tensors, check_tensors, energy

# Standard deviations that the largest integer stands for, by bits. Deltas have heavy tails: on MNIST (MLP, 2-shard, 40
# rounds, float32 90.5 %) a spread of 8 saturates (int8 88.3, int4 89.2 %), 12 rarely, 16 and more do not (int8 90.4 %);
# at 4 bits 64 costs 0.8 points of rounding noise.
SPREAD: dict[int, int] = {4: 16, 8: 32, 16: 256}

# The trainer clips its delta at this many times the norm that the scale was made for. A factor of an adapter grows 4 to
# 6 times between two rounds, since its gradient waits for the other one; at 2 its updates lost half of their length.
CLIP_FACTOR = 8


def largest_integer(bits: int) -> int:
    """Return q_max = 2^(bits-1) - 1; the range is symmetric, -2^(bits-1) is forbidden. Raises ConfigError."""
    if bits not in SPREAD:
        raise ConfigError(f"codec bits {bits} are not supported; use 4, 8 or 16")
    return int(2 ** (bits - 1)) - 1


def step_of(scale: ScaleSpec, index: int) -> float:
    """step_t of tensor `index` in canonical order, float64 (exact)."""
    return 2.0 ** scale.exponents[index]


def measured_scale(delta: Tensors, *, model: ModelSpec, bits: int, spread: int | None = None) -> ScaleSpec:
    """Return round 0's scale from one float delta that the owner trained on its own data.

    SPREAD * rms_t / q_max as a power of two, the exponent rounded to nearest (up costs 2.6 points at int4). A tensor
    that did not move gets the finest step of the others: too fine a step grows by itself, one too coarse loses all.
    The one place where floats become a scale; from then on a round's program moves it by integers (`rules.steps`).
    `spread` replaces SPREAD in experiments; a task uses the frozen one. Raises ConfigError when the delta is zero,
    UpdateNotFinite and UpdateHeaderMismatch as `check_tensors`.
    """
    check_tensors(delta, model)
    factor = Fraction((spread or SPREAD[bits]) ** 2, largest_integer(bits) ** 2)
    squares = [factor * Fraction(energy(delta[tensor.name])) / tensor.size for tensor in model.tensors]
    moved = [_exponent_nearest(value) for value in squares if value]
    if not moved:
        raise ConfigError("the measured delta is zero everywhere; train at least one step with a learning rate over 0")
    return ScaleSpec(tuple(_exponent_nearest(value) if value else min(moved) for value in squares))


def clip_steps(model: ModelSpec, bits: int) -> int:
    """L2 bound to which a trainer clips its delta before rounding, in steps, rounded down.

    CLIP_FACTOR * q_max / SPREAD * sqrt(d), d what counts: the norm that a scale is made for, times a factor.
    """
    room = CLIP_FACTOR * largest_integer(bits)
    return isqrt(room * room * model.counted_size // SPREAD[bits] ** 2)


def check_sum_bound(weights: Iterable[int], *, bits: int) -> None:
    """Raise ConfigError unless sum|a| * q_max < 2^31: then no weighted sum, and no part of one, can leave int32.

    Weights of a round add up to at most 2^16 and q_max is below 2^15.
    """
    total = sum(map(abs, weights))
    bound = total * largest_integer(bits)
    if bound >= 2**31:
        raise ConfigError(
            f"weights that add up to {total} and updates of {bits} bits reach {bound}, the limit is 2^31: lower the "
            "weights or the number of trainers"
        )


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _exponent_nearest(squared: Fraction) -> int:
    """Return the e with 2^(2e - 1) <= squared < 2^(2e + 1), within the exponents that a scale may have."""
    # of twice the square: floor(log2) first from the lengths in binary, which is it or one too much
    double = 2 * squared
    floor = double.numerator.bit_length() - double.denominator.bit_length()
    if double < Fraction(2) ** floor:
        floor -= 1
    return _within(floor // 2, LEAST_EXPONENT + FARTHEST_DOWN, LARGEST_EXPONENT - FARTHEST_UP)
