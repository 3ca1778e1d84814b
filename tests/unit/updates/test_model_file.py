"""The model file: safetensors that others can read, exact header, one form per model."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load

from fl_platform.errors import UpdateHeaderMismatch, UpdateLengthMismatch, UpdateNotFinite
from fl_platform.protocol.spec import ModelSpec, TensorSpec
from fl_platform.updates.model_file import decode_model, encode_model, model_digest, model_header, model_length

# Not in alphabetical order, with a scalar and an odd size.
MODEL = ModelSpec("m", (TensorSpec("z.weight", (3, 5)), TensorSpec("scale", ()), TensorSpec("a.bias", (7,))))


def state(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {t.name: np.asarray(rng.standard_normal(t.shape), dtype=np.float32) for t in MODEL.tensors}


def test_a_model_comes_back_exactly_and_safetensors_reads_it() -> None:
    data = encode_model(state(), MODEL)
    assert len(data) == model_length(MODEL)
    ours, theirs = decode_model(data, MODEL), load(data)
    assert list(ours) == [t.name for t in MODEL.tensors]
    for name, array in state().items():
        np.testing.assert_array_equal(ours[name], array)
        np.testing.assert_array_equal(theirs[name], array)
        assert ours[name].shape == array.shape


def test_tensors_lie_in_canonical_order() -> None:
    header = json.loads(model_header(MODEL)[8:])
    assert list(header) == ["z.weight", "scale", "a.bias"]
    assert [header[n]["data_offsets"] for n in header] == [[0, 60], [60, 64], [64, 92]]
    assert len(model_header(MODEL)) % 8 == 0


def test_views_are_read_only_and_share_the_bytes() -> None:
    data = encode_model(state(), MODEL)
    view = decode_model(data, MODEL)["z.weight"]
    assert np.shares_memory(view, np.frombuffer(data, dtype=np.uint8))
    assert not view.flags.writeable


@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_is_refused(change: int) -> None:
    data = encode_model(state(), MODEL)
    with pytest.raises(UpdateLengthMismatch):
        decode_model(data[:change] if change < 0 else data + b"\0", MODEL)


def test_every_flipped_header_byte_is_refused() -> None:
    data = encode_model(state(), MODEL)
    for index in range(len(model_header(MODEL))):
        broken = bytearray(data)
        broken[index] ^= 0x20
        with pytest.raises(UpdateHeaderMismatch):
            decode_model(bytes(broken), MODEL)


def test_not_finite_values_are_refused_both_ways() -> None:
    bad = state()
    bad["a.bias"][3] = np.inf
    with pytest.raises(UpdateNotFinite, match=r"a\.bias.*index 3"):
        encode_model(bad, MODEL)
    data = encode_model(state(), MODEL)
    with pytest.raises(UpdateNotFinite, match=r"a\.bias.*index 6"):
        decode_model(data[:-4] + np.float32(np.nan).tobytes(), MODEL)


def test_negative_zero_has_one_form() -> None:
    plus, minus = state(), state()
    plus["z.weight"][0, 0], minus["z.weight"][0, 0] = 0.0, -0.0
    assert encode_model(plus, MODEL) == encode_model(minus, MODEL)
    data = encode_model(state(), MODEL)
    with pytest.raises(UpdateHeaderMismatch, match=r"-0\.0"):
        decode_model(data[:-4] + np.float32(-0.0).tobytes(), MODEL)


def test_the_digest_is_plain_sha256() -> None:
    data = encode_model(state(), MODEL)
    assert model_digest(data) == hashlib.sha256(data).digest()
