"""The global model as one file: safetensors of int32, canonical order, one byte string per model (`model_row`).

safetensors' own writer orders tensors by name, so the header is written here: canonical order, padded with spaces to 8
bytes, and the tensors' points as its metadata. A reader of the format opens it; our reader takes only the exact header
that the spec implies, so it never parses a peer's header at all.
"""

from __future__ import annotations

import json

import numpy as np

from fl_platform.errors import UpdateHeaderMismatch, UpdateLengthMismatch
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.protocol.rows import LARGEST_WEIGHT
from fl_platform.updates.model_row import ModelRow
from fl_platform.updates.tensors import tensor_slices


def model_header(model: ModelSpec) -> bytes:
    """The only header that a model file of this spec may carry: 8 bytes of length, then JSON, 8-byte aligned."""
    points = ",".join(str(tensor.point) for tensor in model.tensors)
    entries: dict[str, object] = {"__metadata__": {"points": points}}
    entries |= {
        tensor.name: {"dtype": "I32", "shape": list(tensor.shape), "data_offsets": [4 * place.start, 4 * place.stop]}
        for tensor, place in zip(model.tensors, tensor_slices(model), strict=True)
    }
    body = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    body += b" " * (-len(body) % 8)
    return len(body).to_bytes(8, "little") + body


def model_length(model: ModelSpec) -> int:
    """Exact length of a model file in bytes."""
    return len(model_header(model)) + 4 * model.size


def encode_model(row: ModelRow, model: ModelSpec) -> bytes:
    """Serialise a model's integers, int32 (d,)."""
    return model_header(model) + row.astype("<i4").tobytes()


def decode_model(data: bytes | memoryview, model: ModelSpec) -> ModelRow:
    """Read a model file (untrusted bytes) as a read-only int32 view (d,) into `data`.

    Checks length, then header, before anything is allocated, then that every integer is one that a model can have.
    Raises UpdateLengthMismatch, UpdateHeaderMismatch.
    """
    header = model_header(model)
    expected = len(header) + 4 * model.size
    if len(data) != expected:
        raise UpdateLengthMismatch(f"model file has {len(data)} bytes; model {model.name!r} has {expected}")
    if bytes(data[: len(header)]) != header:
        raise UpdateHeaderMismatch(f"model file's header is not that of model {model.name!r}; it is of another model")
    row = np.frombuffer(data, dtype="<i4", count=model.size, offset=len(header))
    for tensor, place in zip(model.tensors, tensor_slices(model), strict=True):
        least = 0 if tensor.nonnegative else -LARGEST_WEIGHT
        if int(row[place].min()) < least:
            raise UpdateHeaderMismatch(
                f"model file: tensor {tensor.name!r} has the integer {int(row[place].min())}, below {least}"
            )
    return row
