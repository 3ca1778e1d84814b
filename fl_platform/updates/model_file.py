"""The global model as one file: safetensors, float32, canonical order, one byte string per model.

safetensors' own writer orders tensors by name, so the header is written here: canonical order, no metadata, padded with
spaces to 8 bytes. A reader of the format opens it; our reader takes only the exact header that the spec implies, so it
never parses a peer's header at all.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt

from fl_platform.errors import UpdateHeaderMismatch, UpdateLengthMismatch
from fl_platform.protocol.spec import ModelSpec
from fl_platform.updates.tensors import Tensors, check_tensors, tensor_slices


def model_header(model: ModelSpec) -> bytes:
    """The only header that a model file of this spec may carry: 8 bytes of length, then JSON, 8-byte aligned."""
    entries = {
        tensor.name: {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [4 * place.start, 4 * place.stop]}
        for tensor, place in zip(model.tensors, tensor_slices(model), strict=True)
    }
    body = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    body += b" " * (-len(body) % 8)
    return len(body).to_bytes(8, "little") + body


def model_length(model: ModelSpec) -> int:
    """Exact length of a model file in bytes."""
    return len(model_header(model)) + 4 * model.size


def encode_model(state: Tensors, model: ModelSpec) -> bytes:
    """Serialise float32 tensors; equal values give equal bytes (-0.0 becomes 0.0).

    Raises UpdateHeaderMismatch (names, shapes), UpdateNotFinite.
    """
    check_tensors(state, model)
    parts = [model_header(model)]
    # Adding 0.0 turns -0.0 into 0.0 and changes nothing else.
    parts += [
        (state[t.name].astype("<f4", copy=False) + np.float32(0.0)).astype("<f4").tobytes() for t in model.tensors
    ]
    return b"".join(parts)


def decode_model(data: bytes | memoryview, model: ModelSpec) -> dict[str, npt.NDArray[np.float32]]:
    """Read a model file (untrusted bytes) as read-only float32 views into `data`.

    Checks length, then header, before anything is allocated, then that all values are finite and no zero is negative.
    Raises UpdateLengthMismatch, UpdateHeaderMismatch, UpdateNotFinite.
    """
    header = model_header(model)
    expected = len(header) + 4 * model.size
    if len(data) != expected:
        raise UpdateLengthMismatch(f"model file has {len(data)} bytes; model {model.name!r} has {expected}")
    if bytes(data[: len(header)]) != header:
        raise UpdateHeaderMismatch(f"model file's header is not that of model {model.name!r}; it is of another model")
    flat = np.frombuffer(data, dtype="<f4", count=model.size, offset=len(header))
    places = zip(model.tensors, tensor_slices(model), strict=True)
    state = {tensor.name: flat[place].reshape(tensor.shape) for tensor, place in places}
    check_tensors(state, model)
    if bool((flat.view("<u4") == np.uint32(0x80000000)).any()):
        raise UpdateHeaderMismatch("model file holds -0.0; its canonical form has 0.0")
    return state


def model_digest(data: bytes | memoryview) -> bytes:
    """sha256 of a model file, 32 bytes: what a seal records and a receipt names as parent."""
    return hashlib.sha256(data).digest()
