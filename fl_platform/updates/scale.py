"""The step of each tensor: a frozen integer formula of public values of the round before.

step_t = mantissa * 2^(exponent + offset_t) with mantissa 128 .. 255 and offset_t 0 .. 4: exact in float64, and products
of integers with powers of two stay integers. "Base units" below are multiples of mantissa * 2^exponent; the Gram matrix
is in squared base units, G_ij = sum_t 4^offset_t <q_i^t, q_j^t>.

Formula. Let N^2 be the median over trainers of G_ii, and S_t the integer sum of squares of tensor t of the aggregate.
The share of tensor t in the median update's energy is taken to be its share in the aggregate's, so its root mean square
is rms_t^2 = N^2 * p_t / (d_t * sum p), p_t = 4^offset_t * S_t. The step wanted is SPREAD * rms_t / q_max: the largest
integer stands for SPREAD standard deviations. The base step is the smallest dyadic number not below
max(min_t wanted, max_t wanted / 16), kept within [1/2, 4] of the previous one; offset_t is the least that reaches
wanted.
Clipping costs more accuracy than rounding, hence wide spreads; at 4 bits rounding noise is the larger evil.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

from fl_platform.errors import ConfigError
from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.updates.tensors import Tensors, check_tensors, energy

LOWEST_MANTISSA, HIGHEST_MANTISSA = 128, 255
MAX_OFFSET = 4
LOWEST_EXPONENT, HIGHEST_EXPONENT = -200, 200

# Standard deviations that the largest integer stands for, by bits. Deltas have heavy tails: on MNIST (MLP, 2-shard, 40
# rounds, float32 90.5 %) a spread of 8 saturates (int8 88.3, int4 89.2 %), 12 rarely, 16 and more do not (int8 90.4 %);
# at 4 bits 64 costs 0.8 points of rounding noise.
SPREAD: dict[int, int] = {4: 16, 8: 32, 16: 256}

# The trainer clips its delta at this many times the norm that the scale was made for (2 bits of room for non-IID data).
CLIP_FACTOR = 2


def largest_integer(bits: int) -> int:
    """Return q_max = 2^(bits-1) - 1; the range is symmetric, -2^(bits-1) is forbidden. Raises ConfigError."""
    if bits not in SPREAD:
        raise ConfigError(f"codec bits {bits} are not supported; use 4, 8 or 16")
    return int(2 ** (bits - 1)) - 1


def base_step(scale: ScaleSpec) -> float:
    """The base unit as float64 (exact)."""
    return float(scale.mantissa) * 2.0**scale.exponent


def step_of(scale: ScaleSpec, index: int) -> float:
    """step_t of tensor `index` in canonical order, float64 (exact)."""
    return float(scale.mantissa) * 2.0 ** (scale.exponent + scale.offsets[index])


def next_scale(
    previous: ScaleSpec,
    *,
    model: ModelSpec,
    bits: int,
    median_norm_squared: int,
    aggregate_energies: Sequence[int],
    spread: int | None = None,
) -> ScaleSpec:
    """Return the scale of the next round from public integers of this one (formula in the module's docstring).

    `median_norm_squared`: lower median of the admitted trainers' G_ii, squared base units of `previous`.
    `aggregate_energies`: per tensor, the sum of squares of the integer aggregate sum_i a_i q_i; any common factor
    (the weights) cancels. Nothing admitted, or a zero aggregate: the scale stays. Pure integer arithmetic. `spread`
    replaces SPREAD in experiments; a task uses the frozen one.
    """
    _check_lengths(model, previous.offsets, aggregate_energies)
    shares = [s << (2 * o) for s, o in zip(aggregate_energies, previous.offsets, strict=True)]
    total = sum(shares)
    if median_norm_squared <= 0 or total <= 0:
        return previous
    base_squared = _square(previous.mantissa, previous.exponent)
    rms_squared = [
        base_squared * Fraction(median_norm_squared * share, total * tensor.size)
        for share, tensor in zip(shares, model.tensors, strict=True)
    ]
    return _fit(rms_squared, bits, spread or SPREAD[bits], lowest=base_squared / 4, highest=base_squared * 16)


def measured_scale(delta: Tensors, *, model: ModelSpec, bits: int, spread: int | None = None) -> ScaleSpec:
    """Return round 0's scale from one float delta that the owner trained on its own data (steps rounded up).

    The one place where floats become a scale; from then on `next_scale` uses integers only.
    Raises ConfigError when the delta is zero, UpdateNotFinite and UpdateHeaderMismatch as `check_tensors`.
    """
    check_tensors(delta, model)
    rms_squared = [Fraction(energy(delta[tensor.name])) / tensor.size for tensor in model.tensors]
    if not any(rms_squared):
        raise ConfigError("the measured delta is zero everywhere; train at least one step with a learning rate over 0")
    return _fit(rms_squared, bits, spread or SPREAD[bits], lowest=None, highest=None)


def clip_units(scale: ScaleSpec, model: ModelSpec, bits: int) -> int:
    """L2 bound to which a trainer clips its delta before rounding, in base units of `scale`, rounded down.

    CLIP_FACTOR * q_max / SPREAD * sqrt(sum_t d_t 4^offset_t): the norm that this scale was made for, times a factor.
    """
    room = CLIP_FACTOR * largest_integer(bits)
    return isqrt(room * room * _grid_squared(scale, model) // SPREAD[bits] ** 2)


def norm_bound_squared(scale: ScaleSpec, model: ModelSpec, bits: int) -> int:
    """Largest G_ii (squared base units) that a delta clipped at `clip_units` can reach; over it, refuse.

    Stochastic rounding moves each coordinate by less than one step, so |q| < clip + sqrt(sum_t d_t 4^offset_t).
    """
    reach = clip_units(scale, model, bits) + 1 + isqrt(_grid_squared(scale, model)) + 1
    return reach * reach


def check_sum_bound(*, updates: int, largest_weight: int, bits: int) -> None:
    """Raise ConfigError unless n * max|a| * 2^(b-1) < 2^62: then no weighted sum can leave int64."""
    bound = updates * largest_weight * 2 ** (bits - 1)
    if bound >= 2**62:
        raise ConfigError(
            f"{updates} updates of {bits} bits with weights up to {largest_weight} reach {bound}, the limit is 2^62; "
            "lower the weights or the number of trainers"
        )


def _grid_squared(scale: ScaleSpec, model: ModelSpec) -> int:
    _check_lengths(model, scale.offsets)
    return sum(tensor.size << (2 * o) for tensor, o in zip(model.tensors, scale.offsets, strict=True))


def _check_lengths(model: ModelSpec, *per_tensor: Sequence[int]) -> None:
    for values in per_tensor:
        if len(values) != len(model.tensors):
            raise ConfigError(f"{len(values)} values for the {len(model.tensors)} tensors of model {model.name!r}")


def _square(mantissa: int, exponent: int) -> Fraction:
    return Fraction(mantissa * mantissa) * Fraction(4) ** exponent


def _fit(
    rms_squared: Sequence[Fraction], bits: int, spread: int, *, lowest: Fraction | None, highest: Fraction | None
) -> ScaleSpec:
    """Choose mantissa, exponent and offsets for the wanted steps; bounds are squared base steps."""
    factor = Fraction(spread**2, largest_integer(bits) ** 2)
    wanted = [value * factor for value in rms_squared]
    base_squared = max(min(value for value in wanted if value > 0), max(wanted) / 4**MAX_OFFSET)
    if lowest is not None and highest is not None:
        base_squared = min(max(base_squared, lowest), highest)
    mantissa, exponent = _dyadic_up(base_squared)
    base_squared = _square(mantissa, exponent)
    offsets = tuple(
        next((o for o in range(MAX_OFFSET) if base_squared * 4**o >= value), MAX_OFFSET) for value in wanted
    )
    return ScaleSpec(mantissa=mantissa, exponent=exponent, offsets=offsets)


def _dyadic_up(squared: Fraction) -> tuple[int, int]:
    """Smallest mantissa * 2^exponent (mantissa 128 .. 255) whose square is not below `squared`, exponent in bounds."""
    guess = (squared.numerator.bit_length() - squared.denominator.bit_length()) // 2 - 8
    exponent = min(max(guess, LOWEST_EXPONENT), HIGHEST_EXPONENT)
    while exponent < HIGHEST_EXPONENT and _square(HIGHEST_MANTISSA, exponent) < squared:
        exponent += 1
    while exponent > LOWEST_EXPONENT and _square(HIGHEST_MANTISSA, exponent - 1) >= squared:
        exponent -= 1
    unit = squared / Fraction(4) ** exponent
    mantissa = isqrt(unit.numerator // unit.denominator)
    if mantissa * mantissa < unit:
        mantissa += 1
    return min(max(mantissa, LOWEST_MANTISSA), HIGHEST_MANTISSA), exponent
