"""The model file: safetensors that others can read, exact header, one form per model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from fl_platform.errors import UpdateHeaderMismatch, UpdateLengthMismatch
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.updates.model_file import decode_model, encode_model, model_header, model_length

# Not in alphabetical order, with a scalar and an odd size.
MODEL = ModelSpec(
    "m",
    (TensorSpec("z.weight", (3, 5), point=20), TensorSpec("scale", (), nonnegative=True), TensorSpec("a.bias", (7,))),
)


def row(seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).integers(-(2**31) + 1, 2**31, MODEL.size).astype(np.int32)
    found[15] = abs(found[15])
    return found


def test_a_model_comes_back_exactly_and_safetensors_reads_it(tmp_path) -> None:
    data = encode_model(row(), MODEL)
    assert len(data) == model_length(MODEL)
    np.testing.assert_array_equal(decode_model(data, MODEL), row())
    theirs = load(data)
    assert {name: array.shape for name, array in theirs.items()} == {t.name: t.shape for t in MODEL.tensors}
    assert np.concatenate([theirs[t.name].reshape(-1) for t in MODEL.tensors]).tolist() == row().tolist()
    (tmp_path / "model.safetensors").write_bytes(data)
    with safe_open(tmp_path / "model.safetensors", "np") as opened:
        assert opened.metadata() == {"points": "20,24,24"}


def test_tensors_lie_in_canonical_order() -> None:
    header = json.loads(model_header(MODEL)[8:])
    assert list(header) == ["__metadata__", "z.weight", "scale", "a.bias"]
    assert [header[t.name]["data_offsets"] for t in MODEL.tensors] == [[0, 60], [60, 64], [64, 92]]
    assert len(model_header(MODEL)) % 8 == 0


def test_the_integers_are_read_only_and_share_the_bytes() -> None:
    data = encode_model(row(), MODEL)
    view = decode_model(data, MODEL)
    assert np.shares_memory(view, np.frombuffer(data, dtype=np.uint8))
    assert not view.flags.writeable


@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_is_refused(change: int) -> None:
    data = encode_model(row(), MODEL)
    with pytest.raises(UpdateLengthMismatch):
        decode_model(data[:change] if change < 0 else data + b"\0", MODEL)


def test_every_flipped_header_byte_is_refused() -> None:
    data = encode_model(row(), MODEL)
    for index in range(len(model_header(MODEL))):
        broken = bytearray(data)
        broken[index] ^= 0x20
        with pytest.raises(UpdateHeaderMismatch):
            decode_model(bytes(broken), MODEL)


def test_other_points_are_another_model() -> None:
    other = replace(MODEL, tensors=(replace(MODEL.tensors[0], point=19), *MODEL.tensors[1:]))
    with pytest.raises(UpdateHeaderMismatch):
        decode_model(encode_model(row(), MODEL), other)


@pytest.mark.parametrize(("place", "value", "named"), [(3, -(2**31), "z.weight"), (15, -1, "scale")])
def test_an_integer_that_no_round_makes_is_refused(place: int, value: int, named: str) -> None:
    bad = row()
    bad[place] = value
    with pytest.raises(UpdateHeaderMismatch, match=f"{named}.*{value}"):
        decode_model(encode_model(bad, MODEL), MODEL)
