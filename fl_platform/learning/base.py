"""The frozen base: the parameters that nobody learns, as one object that a task's rules name by its digest.

A safetensors file of any dtype, names as in `learning.parameters`, without metadata. Who has the same frozen numbers
already fetches nothing; nobody ever sends them in an update. Load the base before the learned state: a module that
`load_state` turned into float32 no longer has the dtypes of its base.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning.parameters import frozen
from fl_platform.protocol.spec import NO_BASE
from fl_platform.store.unixfs import cid_of

_LENGTH = 8  # bytes before the header that say how long it is
_ENTRY = 256  # bytes of one header entry beside its name, at most: dtype, 20 sides, two offsets
_REMEDY = "is model() that of the task, with the same layers frozen and of the same dtype?"


def encode_base(module: nn.Module) -> bytes | None:
    """Return a module's frozen parameters as one safetensors file; None where all are learned. Raises ConfigError."""
    parameters = frozen(module)
    if not parameters:
        return None
    from safetensors.torch import save

    for name, parameter in parameters.items():
        _dtype_name(name, parameter)
    return save({name: value.detach().cpu().contiguous() for name, value in parameters.items()})


def base_digest(data: bytes | None) -> bytes:
    """Return what the rules say of a base: the digest of its content identifier, 32 bytes; zeros for none."""
    return NO_BASE if data is None else cid_of(data).digest


def base_limit(module: nn.Module) -> int:
    """Return how many bytes a base of this module has at most: what a reader lets a store send. Raises ConfigError."""
    return _LENGTH + _header_limit(frozen(module)) + _payload(frozen(module))


def load_base(module: nn.Module, data: bytes) -> None:
    """Copy a base (untrusted bytes) into a module's frozen parameters in place.

    Length, names, dtypes, shapes and offsets are held against the module before anything is allocated; it is never
    larger than the module itself. Raises DocumentInvalid naming the first tensor that differs, ConfigError.
    """
    parameters = frozen(module)
    start, entries = _header(data, parameters)
    _check_entries(entries, parameters, size=len(data) - start)
    with torch.no_grad():
        for name, parameter in parameters.items():
            first, last = entries[name]["data_offsets"]
            raw = torch.from_numpy(np.frombuffer(data, np.uint8, count=last - first, offset=start + first).copy())
            if parameter.dtype == torch.bool and bool((raw > 1).any()):
                raise DocumentInvalid(f"frozen base: tensor {name!r} holds truth values other than 0 and 1")
            parameter.copy_(raw.view(parameter.dtype).reshape(parameter.shape))


def _header(data: bytes, parameters: Mapping[str, nn.Parameter]) -> tuple[int, dict[str, Any]]:
    """Return where the payload starts, and the header, parsed once its length is known to be that of such a module."""
    length = int.from_bytes(data[:_LENGTH], "little")
    start = _LENGTH + length
    if not 0 < length <= _header_limit(parameters) or len(data) != start + _payload(parameters):
        raise DocumentInvalid(
            f"frozen base: {len(data)} bytes with a header of {length}, this party's model has "
            f"{_payload(parameters)} bytes of frozen parameters; {_REMEDY}"
        )
    try:
        entries = json.loads(data[_LENGTH:start])
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid("frozen base: its header is no JSON") from error
    if not isinstance(entries, dict):
        raise DocumentInvalid("frozen base: its header is no table of tensors")
    return start, entries


def _check_entries(entries: Mapping[str, Any], parameters: Mapping[str, nn.Parameter], *, size: int) -> None:
    for name, parameter in parameters.items():
        wanted = {"dtype": _dtype_name(name, parameter), "shape": list(parameter.shape)}
        found = entries.get(name)
        if not isinstance(found, dict) or found.keys() != {*wanted, "data_offsets"}:
            raise DocumentInvalid(f"frozen base: tensor {name!r} is not in the task's; {_REMEDY}")
        if {key: found[key] for key in wanted} != wanted:
            raise DocumentInvalid(
                f"frozen base: tensor {name!r} is not {wanted['dtype']} of shape {tuple(parameter.shape)} in the "
                f"task's; {_REMEDY}"
            )
    if len(entries) != len(parameters):
        raise DocumentInvalid(
            f"frozen base: the task's has {len(entries)} tensors, this party's model {len(parameters)}; {_REMEDY}"
        )
    _check_offsets({name: entries[name]["data_offsets"] for name in parameters}, parameters, size=size)


def _check_offsets(offsets: Mapping[str, Any], parameters: Mapping[str, nn.Parameter], *, size: int) -> None:
    """Demand that the tensors lie one after another and fill the payload."""
    for name, pair in offsets.items():
        if not isinstance(pair, list) or len(pair) != 2 or any(type(value) is not int for value in pair):
            raise DocumentInvalid(f"frozen base: tensor {name!r} has no two offsets")
    end = 0
    for name, (first, last) in sorted(offsets.items(), key=lambda item: item[1]):
        if first != end or last - first != _bytes_of(parameters[name]):
            raise DocumentInvalid(f"frozen base: tensor {name!r} lies elsewhere than after the one before it")
        end = last
    if end != size:
        raise DocumentInvalid(f"frozen base: its tensors end at {end} of {size} bytes")


def _header_limit(parameters: Mapping[str, nn.Parameter]) -> int:
    return 64 + sum(_ENTRY + len(json.dumps(name)) for name in parameters)


def _payload(parameters: Mapping[str, nn.Parameter]) -> int:
    return sum(_bytes_of(parameter) for parameter in parameters.values())


def _bytes_of(parameter: torch.Tensor) -> int:
    return math.prod(parameter.shape) * parameter.dtype.itemsize


def _dtype_name(name: str, parameter: torch.Tensor) -> str:
    found = _DTYPES.get(parameter.dtype)
    if found is None:
        raise ConfigError(f"frozen parameter {name!r} is {parameter.dtype}, which a safetensors file cannot hold")
    return found


# As https://github.com/huggingface/safetensors names them.
_DTYPES: Mapping[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
