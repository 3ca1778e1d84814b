"""A delta becomes bytes once, in `encode_update`; `decode_update` gives the integers back without copying.

File: 32-byte header (magic "FLU1", version, bits, two zero bytes, d as u64 little endian, the first 16 bytes of the
model spec's digest), then d signed integers, little endian; at 4 bits two to a byte, low nibble first. The exact length
follows from the spec. Whoever reads a peer's file goes by the task's rules, as a contract does that is shown a few of
its integers: the header tells people and tools what a file is, and the one value outside the symmetric range counts as
0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from fl_platform.errors import ConfigError, UpdateLengthMismatch, UpdateRangeExceeded
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec
from fl_platform.updates.rounding import ROUNDINGS, Rounding, WordStream, round_nearest, round_stochastic
from fl_platform.updates.scale import clip_steps, largest_integer, step_of
from fl_platform.updates.tensors import Floats, Integers, Tensors, check_tensors, energy, exact_sum, tensor_slices

logger = logging.getLogger(__name__)

MAGIC = b"FLU1"
VERSION = 1
HEADER_BYTES = 32
DTYPES: dict[int, str] = {4: "|i1", 8: "|i1", 16: "<i2"}

# More saturated coordinates than this (parts per million) and the whole delta is halved: its direction is worth more
# than its length, and the next round's scale follows.
MAX_SATURATED_PPM = 1_000
_BLOCK = 1 << 18  # coordinates rounded at once: float64 work space of a few MiB, however large the model


@dataclass(frozen=True)
class EncodedUpdate:
    """One trainer's update as it goes into the envelope."""

    data: bytes  # header and payload, exactly `update_length(d, bits)` bytes
    clipped: bool  # the L2 clip shortened the delta
    halvings: int  # how often it was halved to keep saturation in bounds
    saturated: int  # counted coordinates that were cut off at +-q_max, at most ceil(d * MAX_SATURATED_PPM / 10^6)


def payload_length(size: int, bits: int) -> int:
    """Bytes of `size` integers of `bits` bits."""
    largest_integer(bits)
    return (size + 1) // 2 if bits == 4 else size * bits // 8


def update_length(size: int, bits: int) -> int:
    """Exact length in bytes of an update of d = `size` parameters: known from the spec before a byte arrives."""
    return HEADER_BYTES + payload_length(size, bits)


def update_header(model: ModelSpec, bits: int) -> bytes:
    """The one header (32 bytes) that an update of this model and width may carry."""
    largest_integer(bits)
    return MAGIC + bytes((VERSION, bits, 0, 0)) + model.size.to_bytes(8, "little") + model.digest[:16]


def encode_update(
    delta: Tensors,
    *,
    model: ModelSpec,
    scale: ScaleSpec,
    bits: int,
    seed: bytes,
    rounding: str = "stochastic",
) -> EncodedUpdate:
    """Clip, scale and round a float delta into its one canonical byte string.

    `delta`: name -> float32 of the spec's shape; `seed`: 32 bytes (`rounding_seed`), unused by "nearest". Same
    arguments, same bytes, on any machine and any number of threads. -0.0 and 0.0, and all values that round alike, give
    equal bytes. Tensors that do not count are rounded as they are, cut off at the largest integer.
    Raises UpdateHeaderMismatch, UpdateNotFinite (with the tensor's name), ConfigError.
    """
    if rounding not in ROUNDINGS:
        raise ConfigError(f"rounding {rounding!r} is unknown; use one of {', '.join(ROUNDINGS)}")
    check_tensors(delta, model)
    factor = _clip_factor(delta, model, scale, bits)
    clipped = factor < 1.0
    limit = -(-model.counted_size * MAX_SATURATED_PPM // 1_000_000)
    halvings = 0
    integers, saturated = _quantise(delta, model, scale, bits, factor, seed, rounding)
    while saturated > limit:  # ends: a clipped delta has few coordinates over q_max, and fewer with every halving
        halvings += 1
        integers, saturated = _quantise(delta, model, scale, bits, factor / 2**halvings, seed, rounding)
    if clipped or halvings:
        logger.info("update shortened: clipped=%s halvings=%d saturated=%d", clipped, halvings, saturated)
    data = update_header(model, bits) + _pack(integers, bits)
    return EncodedUpdate(data=data, clipped=clipped, halvings=halvings, saturated=saturated)


def decode_update(data: bytes | memoryview, *, model: ModelSpec, bits: int) -> Integers:
    """Return the d integers of a plaintext update (untrusted), shape (d,), whatever its header says.

    At 8 and 16 bits the result is a read-only view into `data` (int8, little-endian int16) unless a value is out of
    range; at 4 bits it is unpacked to int8. Twin of `protocol.rows.integers_of`, and of Contents.sol. Raises
    UpdateLengthMismatch, before anything is read.
    """
    check_length(len(data), model=model, bits=bits)
    integers, outside = _unpack(data, model.size, bits), -largest_integer(bits) - 1
    if int(integers.min()) > outside:
        return integers
    return np.where(integers == outside, 0, integers).astype(DTYPES[bits])


def check_length(length: int, *, model: ModelSpec, bits: int) -> None:
    """Compare a claimed or real length in bytes with the exact one. Raises UpdateLengthMismatch."""
    expected = update_length(model.size, bits)
    if length != expected:
        raise UpdateLengthMismatch(
            f"update has {length} bytes; {model.size} parameters of {model.name!r} at {bits} bits have {expected}"
        )


def split_tensors(flat: npt.NDArray[np.generic], model: ModelSpec) -> dict[str, npt.NDArray[np.generic]]:
    """Cut a flat vector of d entries into views of the spec's names and shapes."""
    if flat.shape != (model.size,):
        raise ConfigError(f"a vector of shape {flat.shape} is not the {model.size} parameters of {model.name!r}")
    places = zip(model.tensors, tensor_slices(model), strict=True)
    return {tensor.name: flat[place].reshape(tensor.shape) for tensor, place in places}


def dequantise(
    integers: Integers | npt.NDArray[np.int32], *, model: ModelSpec, scale: ScaleSpec
) -> dict[str, npt.NDArray[np.float32]]:
    """Integers, of an update or a sum, back to a float32 delta (q * step_t in float64, rounded once).

    For inspection: audits use integers.
    """
    values = np.empty(model.size, dtype=np.float32)
    for index, place in enumerate(tensor_slices(model)):
        values[place] = integers[place].astype(np.float64) * step_of(scale, index)
    places = zip(model.tensors, tensor_slices(model), strict=True)
    return {tensor.name: values[place].reshape(tensor.shape) for tensor, place in places}


def pack_update(integers: Integers, *, model: ModelSpec, bits: int) -> bytes:
    """Serialise integers that were made elsewhere (attacks, tests, tools). Raises UpdateRangeExceeded."""
    limit = largest_integer(bits)
    if integers.shape != (model.size,):
        raise UpdateLengthMismatch(f"{integers.shape} integers for a model of {model.size} parameters")
    if int(integers.min()) < -limit or int(integers.max()) > limit:
        raise UpdateRangeExceeded(f"integers {int(integers.min())} to {int(integers.max())}, allowed is +-{limit}")
    return update_header(model, bits) + _pack(integers.astype(DTYPES[bits]), bits)


def _clip_factor(delta: Tensors, model: ModelSpec, scale: ScaleSpec, bits: int) -> float:
    """min(1, bound / norm), the norm of what counts in steps, in float64; machine-independent (sums by halving, IEEE
    square root and division).
    """
    parts = [energy(delta[tensor.name]) / step_of(scale, t) ** 2 for t, tensor in enumerate(model.counted)]
    norm, bound = sqrt(exact_sum(np.array(parts, dtype=np.float64))), clip_steps(model, bits)
    return bound / norm if norm > bound else 1.0


def _quantise(
    delta: Tensors, model: ModelSpec, scale: ScaleSpec, bits: int, factor: float, seed: bytes, rounding: str
) -> tuple[Integers, int]:
    limit = largest_integer(bits)
    stream = WordStream(seed) if rounding == "stochastic" else None
    integers = np.empty(model.size, dtype=DTYPES[bits])
    saturated = 0
    for index, (tensor, place) in enumerate(zip(model.tensors, tensor_slices(model), strict=True)):
        source, target = delta[tensor.name].reshape(-1), integers[place]
        step = step_of(scale, index)
        for start in range(0, tensor.size, _BLOCK):
            scaled: Floats = source[start : start + _BLOCK].astype(np.float64)
            if tensor.counted:
                scaled *= factor
            scaled /= step
            # Far outside the range the value is cut off whatever the rounding; this keeps it where floor is exact.
            np.clip(scaled, -2.0 * limit - 2.0, 2.0 * limit + 2.0, out=scaled)
            whole = round_nearest(scaled) if stream is None else round_stochastic(scaled, stream.take(scaled.size))
            if tensor.counted:
                saturated += int(np.count_nonzero(np.abs(whole) > limit))
            target[start : start + _BLOCK] = np.clip(whole, -limit, limit)
    return integers, saturated


def _pack(integers: Integers, bits: int) -> bytes:
    if bits != 4:
        return integers.tobytes()
    nibbles = (integers.astype(np.int8).view(np.uint8) & 0x0F).astype(np.uint8)
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    return (nibbles[0::2] | (nibbles[1::2] << np.uint8(4))).astype(np.uint8).tobytes()


def _unpack(data: bytes | memoryview, size: int, bits: int) -> Integers:
    if bits != 4:
        return np.frombuffer(data, dtype=DTYPES[bits], count=size, offset=HEADER_BYTES)
    packed = np.frombuffer(data, dtype=np.uint8, count=payload_length(size, 4), offset=HEADER_BYTES)
    nibbles = np.empty(2 * packed.size, dtype=np.uint8)
    nibbles[0::2] = packed & 0x0F
    nibbles[1::2] = packed >> 4
    signed = ((nibbles[:size] ^ np.uint8(8)).astype(np.int8) - np.int8(8)).astype(np.int8)
    return np.asarray(signed)


__all__ = [
    "HEADER_BYTES",
    "EncodedUpdate",
    "Rounding",
    "check_length",
    "decode_update",
    "dequantise",
    "encode_update",
    "pack_update",
    "payload_length",
    "split_tensors",
    "update_header",
    "update_length",
]
