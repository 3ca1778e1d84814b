"""A27: NaN, infinity, subnormals and negative zero, at each position, in updates and in model files.

Attacker: a trainer whose training diverged or who wants to poison the sum; an aggregator who publishes a broken model.
Expected: not-finite floats never become integers, and no byte string decodes to one; equal values have equal bytes.
Expected loss: none.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import RejectedInput, UpdateNotFinite
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates.codec import (
    HEADER_BYTES,
    decode_update,
    dequantise,
    encode_update,
    pack_update,
    update_length,
)
from fl_platform.updates.model_file import decode_model, model_header
from fl_platform.updates.model_row import floats_of, integers_nearest
from fl_platform.updates.scale import largest_integer

MODEL = ModelSpec("m", (TensorSpec("w", (2, 3)), TensorSpec("s", ()), TensorSpec("b", (4,))))
SCALE = ScaleSpec((-4, -3, -2))
POSITIONS = [(tensor.name, index) for tensor in MODEL.tensors for index in range(tensor.size)]
# Quiet and signalling NaN of both signs with a payload, both infinities.
BAD_WORDS = [0x7FC00000, 0xFFC00001, 0x7F800001, 0xFFABCDEF, 0x7F800000, 0xFF800000]


def zeros() -> dict[str, np.ndarray]:
    return {tensor.name: np.zeros(tensor.shape, dtype=np.float32) for tensor in MODEL.tensors}


def float_of(word: int) -> np.ndarray:
    return np.array([word], dtype=np.uint32).view(np.float32)


def put(state: dict[str, np.ndarray], name: str, index: int, value: np.ndarray) -> None:
    state[name].reshape(-1)[index : index + 1] = value


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("word", BAD_WORDS)
def test_no_position_lets_a_value_through_that_is_not_finite(bits: int, word: int) -> None:
    for name, index in POSITIONS:
        delta = zeros()
        put(delta, name, index, float_of(word))
        with pytest.raises(UpdateNotFinite, match=f"'{name}'.*index {index}"):
            encode_update(delta, model=MODEL, scale=SCALE, bits=bits, seed=bytes(32))


@pytest.mark.parametrize("word", BAD_WORDS)
def test_a_first_model_with_one_is_refused_at_each_position(word: int) -> None:
    for name, index in POSITIONS:
        state = zeros()
        put(state, name, index, float_of(word))
        with pytest.raises(UpdateNotFinite, match=f"'{name}'.*index {index}"):
            integers_nearest(state, MODEL)


@settings(max_examples=100, deadline=None)
@given(body=st.binary(min_size=4 * MODEL.size, max_size=4 * MODEL.size) | st.just(b"\xff" * 4 * MODEL.size))
def test_whatever_integers_a_model_file_holds_its_numbers_are_finite(body: bytes) -> None:
    try:
        row = decode_model(model_header(MODEL) + body, MODEL)
    except RejectedInput:
        assert b"\0\0\0\x80" in body  # the one integer that no model has
        return
    assert all(np.isfinite(array).all() for array in floats_of(row, MODEL).values())


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.complex64, ">f4"])
def test_another_dtype_never_reaches_the_codec(dtype: object) -> None:
    delta = zeros()
    delta["b"] = delta["b"].astype(dtype)  # type: ignore[call-overload]
    with pytest.raises(RejectedInput, match="only float32"):
        encode_update(delta, model=MODEL, scale=SCALE, bits=8, seed=bytes(32))


@settings(max_examples=150, deadline=None)
@given(
    bits=st.sampled_from([4, 8, 16]),
    body=st.binary(min_size=22, max_size=22) | st.just(b"\x80" * 22) | st.just(b"\x00\x80" * 11),
)
def test_whatever_bytes_are_sealed_they_are_finite_and_within_range(bits: int, body: bytes) -> None:
    header = encode_update(zeros(), model=MODEL, scale=SCALE, bits=bits, seed=bytes(32)).data[:HEADER_BYTES]
    data = header + body[: update_length(MODEL.size, bits) - HEADER_BYTES]
    integers = decode_update(data, model=MODEL, bits=bits)
    assert int(np.abs(integers.astype(np.int64)).max()) <= largest_integer(bits)
    for array in dequantise(integers, model=MODEL, scale=SCALE).values():
        assert np.isfinite(array).all()
    again = pack_update(integers, model=MODEL, bits=bits)  # the one form that honest encoders give it
    assert np.array_equal(decode_update(again, model=MODEL, bits=bits), integers)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_subnormals_and_negative_zero_have_the_bytes_of_zero(bits: int) -> None:
    clean = encode_update(zeros(), model=MODEL, scale=SCALE, bits=bits, seed=bytes(32)).data
    for word in (0x00000001, 0x007FFFFF, 0x80000000, 0x80000001):
        delta = zeros()
        for name, index in POSITIONS:
            put(delta, name, index, float_of(word))
        assert encode_update(delta, model=MODEL, scale=SCALE, bits=bits, seed=bytes(32)).data == clean


def test_the_largest_floats_are_clipped_not_overflown() -> None:
    delta = {name: np.full_like(array, np.finfo(np.float32).max) for name, array in zeros().items()}
    update = encode_update(delta, model=MODEL, scale=SCALE, bits=8, seed=bytes(32))
    assert update.clipped
    assert decode_update(update.data, model=MODEL, bits=8).any()
