"""The update file: exact length, one canonical form, same bytes everywhere; and a peer's file is read as contracts do,
whatever its header says.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from math import isqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import (
    ConfigError,
    UpdateHeaderMismatch,
    UpdateLengthMismatch,
    UpdateNotFinite,
    UpdateRangeExceeded,
)
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.rows import integers_of
from fl_platform.updates.codec import (
    HEADER_BYTES,
    MAX_SATURATED_PPM,
    check_length,
    decode_update,
    dequantise,
    encode_update,
    pack_update,
    payload_length,
    split_tensors,
    update_header,
    update_length,
)
from fl_platform.updates.content import open_file
from fl_platform.updates.scale import clip_steps, largest_integer, measured_scale, step_of
from tests.support.philox import philox_words

MODEL = ModelSpec("two", (TensorSpec("w", (37, 41)), TensorSpec("b", (43,))))
SEED = bytes(range(32))
BITS = (4, 8, 16)


def random_delta(seed: int = 0, size: float = 0.01) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        t.name: (rng.standard_normal(t.shape) * size * (k * 3 + 1)).astype(np.float32)
        for k, t in enumerate(MODEL.tensors)
    }


def encode(delta: dict[str, np.ndarray], bits: int, **other: object) -> bytes:
    scale = measured_scale(random_delta(), model=MODEL, bits=bits)
    return encode_update(delta, model=MODEL, scale=scale, bits=bits, seed=SEED, **other).data  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_an_update_comes_back_within_one_step_of_the_delta(bits: int, rounding: str) -> None:
    delta, scale = random_delta(), measured_scale(random_delta(), model=MODEL, bits=bits)
    update = encode_update(delta, model=MODEL, scale=scale, bits=bits, seed=SEED, rounding=rounding)
    assert len(update.data) == update_length(MODEL.size, bits)
    assert (update.clipped, update.halvings, update.saturated) == (False, 0, 0)
    integers = decode_update(update.data, model=MODEL, bits=bits)
    back = dequantise(integers, model=MODEL, scale=scale)
    allowed = 1.0 if rounding == "stochastic" else 0.5
    for index, tensor in enumerate(MODEL.tensors):
        step = step_of(scale, index)
        assert np.abs(back[tensor.name].astype(float) - delta[tensor.name]).max() <= allowed * step * (1 + 1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_decoding_copies_nothing(bits: int) -> None:
    data = encode(random_delta(), bits)
    integers = decode_update(data, model=MODEL, bits=bits)
    assert np.shares_memory(integers, np.frombuffer(data, dtype=np.uint8))
    assert not integers.flags.writeable


def test_the_header_is_as_documented() -> None:
    data = encode(random_delta(), 8)
    d = 37 * 41 + 43
    assert data[:16] == b"FLU1\x01\x08\x00\x00" + d.to_bytes(8, "little")
    assert data[16:32] == MODEL.digest[:16]
    assert len(data) == 32 + d


def test_int4_puts_the_low_nibble_first() -> None:
    model = ModelSpec("three", (TensorSpec("w", (3,)),))
    data = pack_update(np.array([1, -2, 7], dtype=np.int8), model=model, bits=4)
    assert data[HEADER_BYTES:] == bytes([0xE1, 0x07])


@settings(max_examples=60, deadline=None)
@given(bits=st.sampled_from(BITS), values=st.lists(st.integers(-32767, 32767), min_size=1, max_size=33))
def test_every_integer_in_range_survives(bits: int, values: list[int]) -> None:
    limit = largest_integer(bits)
    wanted = np.clip(np.array(values), -limit, limit).astype(np.int16)
    model = ModelSpec("m", (TensorSpec("w", (len(values),)),))
    data = pack_update(wanted, model=model, bits=bits)
    assert len(data) == HEADER_BYTES + payload_length(len(values), bits)
    np.testing.assert_array_equal(decode_update(data, model=model, bits=bits), wanted)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("change", [-1, 1, -HEADER_BYTES])
def test_any_other_length_is_refused_first(bits: int, change: int) -> None:
    data = encode(random_delta(), bits)
    other = data[:change] if change < 0 else data + b"\0" * change
    with pytest.raises(UpdateLengthMismatch, match=str(update_length(MODEL.size, bits))):
        decode_update(b"XXXX" + other[4:], model=MODEL, bits=bits)  # the header is wrong too: length is reported


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES])
def test_nothing_is_read_of_a_file_of_another_length(bits: int, length: int) -> None:
    assert length not in (update_length(MODEL.size, other) for other in BITS)
    with pytest.raises(UpdateLengthMismatch, match=f"update has {length} bytes"):
        decode_update(bytes(length), model=MODEL, bits=bits)
    with pytest.raises(UpdateLengthMismatch, match=f"update has {length} bytes"):
        check_length(length, model=MODEL, bits=bits)


def test_a_file_of_another_width_has_another_length_and_is_refused_for_it() -> None:
    for bits in BITS:
        data = encode(random_delta(), bits)
        for other in BITS:
            if other != bits:
                with pytest.raises(UpdateLengthMismatch, match=str(update_length(MODEL.size, other))):
                    decode_update(data, model=MODEL, bits=other)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("index", range(HEADER_BYTES))
def test_no_byte_of_the_header_changes_what_is_read(index: int, bits: int) -> None:
    data = bytearray(encode(random_delta(), bits))
    wanted = decode_update(bytes(data), model=MODEL, bits=bits)
    for change in (0x01, 0x80, 0xFF):
        told = bytearray(data)
        told[index] ^= change
        assert np.array_equal(decode_update(bytes(told), model=MODEL, bits=bits), wanted)


def test_another_models_update_of_the_same_size_is_read_by_this_tasks_rules() -> None:
    other = ModelSpec("other", (TensorSpec("all", (MODEL.size,)),))
    integers = np.arange(MODEL.size) % 255 - 127
    data = pack_update(np.asarray(integers, np.int8), model=other, bits=8)
    assert data[:HEADER_BYTES] != update_header(MODEL, 8)
    assert decode_update(data, model=MODEL, bits=8).tolist() == integers.tolist()


@pytest.mark.parametrize(("bits", "bad"), [(8, b"\x80"), (16, b"\x00\x80"), (4, b"\x08"), (4, b"\x80")])
def test_the_most_negative_value_counts_as_0_at_each_end_and_its_neighbours_as_they_are(bits: int, bad: bytes) -> None:
    model = ModelSpec("even", (TensorSpec("w", (10,)),))
    limit = largest_integer(bits)
    ones = pack_update(np.ones(10, np.int8), model=model, bits=bits)
    for at_end in (False, True):
        start = len(ones) - len(bad) if at_end else HEADER_BYTES
        integers = decode_update(ones[:start] + bad + ones[start + len(bad) :], model=model, bits=bits)
        mine = (9 if at_end else 0) + {(4, b"\x08", True): -1, (4, b"\x80", False): 1}.get((bits, bad, at_end), 0)
        beside = {mine ^ 1} if bits == 4 else set()  # the other nibble of the byte, which is 0
        assert integers.tolist() == [0 if i == mine or i in beside else 1 for i in range(10)]
        assert integers.dtype == np.dtype({4: "i1", 8: "i1", 16: "<i2"}[bits])
    for kept in (-limit, limit):
        data = pack_update(np.full(10, kept), model=model, bits=bits)
        assert decode_update(data, model=model, bits=bits).tolist() == [kept] * 10


def test_the_unused_nibble_is_not_read() -> None:
    model = ModelSpec("odd", (TensorSpec("w", (3,)),))
    data = pack_update(np.array([1, -2, 7], dtype=np.int8), model=model, bits=4)
    for nibble in range(16):
        told = data[:-1] + bytes([data[-1] & 0x0F | nibble << 4])
        assert decode_update(told, model=model, bits=4).tolist() == [1, -2, 7]


@st.composite
def files(draw: st.DrawFn) -> tuple[ModelSpec, int, bytes]:
    """Any bytes of the right length, often with what no honest encoder makes."""
    sizes = draw(st.lists(st.one_of(st.integers(1, 9), st.integers(1, 300)), min_size=1, max_size=4))
    bits = draw(st.sampled_from(BITS))
    model = ModelSpec("m", tuple(TensorSpec(f"t{k}", (size,)) for k, size in enumerate(sizes)))
    length, rng = update_length(model.size, bits), np.random.default_rng(draw(st.integers(0, 2**32)))
    extreme = np.frombuffer(b"\x00\x80\x08\x88\x7f\x81\xff", np.uint8)
    kinds = [rng.integers(0, 256, length).astype(np.uint8), rng.choice(extreme, length)]
    return model, bits, draw(st.sampled_from(kinds)).tobytes()


@settings(max_examples=150, deadline=None)
@given(files(), st.binary(min_size=32, max_size=32))
def test_any_bytes_are_the_integers_that_a_contract_reads_leaf_by_leaf(
    file: tuple[ModelSpec, int, bytes], key: bytes
) -> None:
    """Both readers agree on every byte string of the right length: no file is one update here and another there."""
    model, bits, plain = file
    integers, table, limit = decode_update(plain, model=model, bits=bits), model.leaves, largest_integer(bits)
    assert integers.shape == (model.size,)
    assert -limit <= int(integers.min()) <= int(integers.max()) <= limit
    for index in range(table.count):
        read = integers_of(open_file(plain, index, table=table, bits=bits, key=key).body, bits)
        own = table.span(index)
        assert read.tolist() == integers[own].tolist() + [0] * (128 - (own.stop - own.start))
    # what was read has one honest form, and that reads the same
    again = pack_update(integers, model=model, bits=bits)
    assert np.array_equal(decode_update(again, model=model, bits=bits), integers)


@settings(max_examples=100, deadline=None)
@given(files())
def test_any_bytes_are_the_integers_of_a_slow_reader(file: tuple[ModelSpec, int, bytes]) -> None:
    model, bits, plain = file
    payload = int.from_bytes(plain[HEADER_BYTES:], "little")
    slow = []
    for place in range(model.size):
        word = (payload >> (bits * place)) % 2**bits
        value = word - 2**bits if word >> (bits - 1) else word
        slow.append(0 if value == -(2 ** (bits - 1)) else value)
    assert decode_update(plain, model=model, bits=bits).tolist() == slow
    assert decode_update(memoryview(plain), model=model, bits=bits).tolist() == slow


def test_packing_refuses_what_the_range_forbids() -> None:
    model = ModelSpec("m", (TensorSpec("w", (2,)),))
    with pytest.raises(UpdateRangeExceeded):
        pack_update(np.array([0, -128], dtype=np.int16), model=model, bits=8)
    with pytest.raises(UpdateLengthMismatch):
        pack_update(np.array([0, 0, 0], dtype=np.int8), model=model, bits=8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_the_tensors_name(bad: float) -> None:
    delta = random_delta()
    delta["b"][17] = bad
    with pytest.raises(UpdateNotFinite, match=r"'b'.*index 17"):
        encode(delta, 8)


def test_names_shapes_and_dtypes_are_held_against_the_spec() -> None:
    delta = random_delta()
    with pytest.raises(UpdateHeaderMismatch, match="'b'"):
        encode({"w": delta["w"]}, 8)
    with pytest.raises(UpdateHeaderMismatch, match="shape"):
        encode({"w": delta["w"].T, "b": delta["b"]}, 8)
    with pytest.raises(UpdateHeaderMismatch, match="float64"):
        encode({"w": delta["w"].astype(np.float64), "b": delta["b"]}, 8)


def test_unknown_rounding_width_or_seed_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="rounding"):
        encode(random_delta(), 8, rounding="up")
    with pytest.raises(ConfigError, match="bits 7"):
        update_length(10, 7)
    scale = measured_scale(random_delta(), model=MODEL, bits=8)
    with pytest.raises(ConfigError, match="32 bytes"):
        encode_update(random_delta(), model=MODEL, scale=scale, bits=8, seed=b"short")


@pytest.mark.parametrize("bits", BITS)
def test_a_long_delta_is_clipped_and_stays_under_the_admission_bound(bits: int) -> None:
    scale = measured_scale(random_delta(), model=MODEL, bits=bits)
    long = {name: array * np.float32(1e6) for name, array in random_delta(3).items()}
    update = encode_update(long, model=MODEL, scale=scale, bits=bits, seed=SEED)
    parts = split_tensors(decode_update(update.data, model=MODEL, bits=bits), MODEL)
    squared = sum(int((parts[t.name].astype(np.int64) ** 2).sum()) for t in MODEL.tensors)
    assert update.clipped
    clip = clip_steps(MODEL, bits)
    # rounding moves a coordinate by less than a step; `rules.screens` refuses what is longer
    assert clip**2 * 0.1 < squared < (clip + isqrt(MODEL.counted_size) + 2) ** 2


@pytest.mark.parametrize("bits", BITS)
def test_saturation_is_bounded_by_halving_and_keeps_the_direction(bits: int) -> None:
    """A delta with few huge coordinates passes the L2 clip and would saturate in each of them."""
    scale = measured_scale(random_delta(), model=MODEL, bits=bits)
    spiky = {name: np.zeros_like(array) for name, array in random_delta().items()}
    spiky["w"].reshape(-1)[:20] = np.float32(1.0) * np.array([1, -1] * 10, dtype=np.float32)
    update = encode_update(spiky, model=MODEL, scale=scale, bits=bits, seed=SEED)
    integers = decode_update(update.data, model=MODEL, bits=bits)
    assert update.saturated <= -(-MODEL.size * MAX_SATURATED_PPM // 1_000_000)
    assert np.count_nonzero(integers) == 20
    assert (np.sign(integers[:20]) == np.sign(spiky["w"].reshape(-1)[:20])).all()


@pytest.mark.parametrize("bits", BITS)
def test_what_does_not_count_neither_clips_nor_is_clipped(bits: int) -> None:
    model = ModelSpec("mixed", (*MODEL.tensors, TensorSpec("mean", (40,), counted=False)))
    scale = measured_scale(random_delta(), model=MODEL, bits=bits)
    mixed = ScaleSpec((*scale.exponents, -6))
    limit = largest_integer(bits)
    for factor in (1, 1e6):  # the second is clipped, and halved until few coordinates are cut off
        delta = {name: array * np.float32(factor) for name, array in random_delta(3).items()}
        alone = encode_update(delta, model=MODEL, scale=scale, bits=bits, seed=SEED)
        for mean in (3 * 2.0**-6, 1e9):
            both = {**delta, "mean": np.full(40, mean, np.float32)}
            update = encode_update(both, model=model, scale=mixed, bits=bits, seed=SEED)
            integers = decode_update(update.data, model=model, bits=bits)
            assert np.array_equal(integers[:-40], decode_update(alone.data, model=MODEL, bits=bits))
            assert integers[-40:].tolist() == [min(3, limit) if mean < 1 else limit] * 40
            assert (update.clipped, update.halvings, update.saturated) == (
                alone.clipped, alone.halvings, alone.saturated,
            )  # fmt: skip


def test_scalars_and_any_strides_are_encoded() -> None:
    model = ModelSpec("odd", (TensorSpec("t", ()), TensorSpec("w", (3, 4))))
    rows = np.arange(-12, 12, dtype=np.float32).reshape(4, 6)[:, ::-2].T
    assert min(rows.strides) < 0
    delta = {"t": np.asarray(-3.0, np.float32), "w": rows}
    scale = ScaleSpec((0, 0))
    data = encode_update(delta, model=model, scale=scale, bits=8, seed=SEED, rounding="nearest").data
    assert decode_update(data, model=model, bits=8).tolist() == [-3, *rows.reshape(-1).astype(int)]
    plain = {"t": np.float32(-3.0), "w": np.array(rows, order="C")}
    assert data == encode_update(plain, model=model, scale=scale, bits=8, seed=SEED, rounding="nearest").data  # type: ignore[arg-type]
    back = dequantise(decode_update(data, model=model, bits=8), model=model, scale=scale)
    assert {name: array.shape for name, array in back.items()} == {"t": (), "w": (3, 4)}
    assert measured_scale(delta, model=model, bits=8) == measured_scale(plain, model=model, bits=8)  # type: ignore[arg-type]


def test_equal_values_have_equal_bytes() -> None:
    delta = random_delta()
    delta["b"][:5] = 0.0
    negative = {name: array.copy() for name, array in delta.items()}
    negative["b"][:5] = -0.0
    tiny = {name: array.copy() for name, array in delta.items()}
    tiny["b"][:5] = np.float32(1e-45)  # subnormal
    fortran = {name: np.asfortranarray(array) for name, array in delta.items()}
    assert encode(delta, 8) == encode(negative, 8) == encode(fortran, 8) == encode(tiny, 8)


# Frozen on the first run; a change here breaks the audit of every task that was ever recorded.
GOLDEN = {
    4: "6249d0f8bf487401e9bb37c201f2867e0f9195204bba614b697290068d1d2874",
    8: "976f62995bc0262ce957df8a85e8fc807925a17d93798bc0f61c344ebc420fd6",
    16: "3979a5214751fe542a806ec43ac4d27a2736ec51c3ffb7111f22fa8904a8396b",
}


def golden_delta() -> dict[str, np.ndarray]:
    """Exact dyadic values, so that the vector needs no random generator."""
    w = ((np.arange(37 * 41) * 7919) % 2048 - 1024).astype(np.float32) / np.float32(65536)
    w[5] = 0.5  # saturates at 4 and 8 bits
    b = ((np.arange(43) * 104729) % 512 - 256).astype(np.float32) / np.float32(4096)
    return {"w": w.reshape(37, 41), "b": b}


@pytest.mark.parametrize("bits", BITS)
def test_golden_bytes(bits: int) -> None:
    scale = ScaleSpec(({4: -5, 8: -8, 16: -14}[bits], {4: -2, 8: -5, 16: -11}[bits]))
    update = encode_update(golden_delta(), model=MODEL, scale=scale, bits=bits, seed=SEED)
    assert hashlib.sha256(update.data).hexdigest() == GOLDEN[bits]


@pytest.mark.parametrize("bits", BITS)
def test_a_slow_scalar_encoder_gives_the_same_integers(bits: int) -> None:
    """Python numbers one by one, Philox by hand: no numpy arithmetic, no blocks."""
    scale = ScaleSpec(({4: -5, 8: -8, 16: -14}[bits], {4: -2, 8: -5, 16: -11}[bits]))
    update = encode_update(golden_delta(), model=MODEL, scale=scale, bits=bits, seed=SEED)
    assert not update.clipped
    assert update.halvings == 0
    words = philox_words(SEED)
    slow: list[int] = []
    for tensor, exponent in zip(MODEL.tensors, scale.exponents, strict=True):
        values = [float(v) for v in golden_delta()[tensor.name].reshape(-1)]
        draws = [next(words) for _ in range(len(values) + len(values) % 2)]
        for value, draw in zip(values, draws, strict=False):
            scaled = value / 2.0**exponent
            whole = math.floor(scaled) + (draw < int((scaled - math.floor(scaled)) * 2**32))
            slow.append(max(-largest_integer(bits), min(largest_integer(bits), whole)))
    assert decode_update(update.data, model=MODEL, bits=bits).tolist() == slow


@pytest.mark.parametrize("threads", ["1", "2"])
def test_bytes_do_not_depend_on_the_number_of_threads(threads: str) -> None:
    code = (
        "import sys, hashlib; sys.path[:0] = sys.argv[1:];"
        "from test_codec import golden_delta, MODEL, SEED, encode_update, measured_scale;"
        "s = measured_scale(golden_delta(), model=MODEL, bits=8);"
        "print(hashlib.sha256(encode_update(golden_delta(), model=MODEL, scale=s, bits=8, seed=SEED).data).hexdigest())"
    )
    here = Path(__file__)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", code, str(here.parent), str(here.parents[3])],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    scale = measured_scale(golden_delta(), model=MODEL, bits=8)
    here_bytes = encode_update(golden_delta(), model=MODEL, scale=scale, bits=8, seed=SEED).data
    assert done.stdout.strip() == hashlib.sha256(here_bytes).hexdigest()
