"""The frozen base: what nobody learns and everybody needs alike, as one object that the rules name by its digest.

A safetensors file of what `parameters.frozen` gives, of any dtype, without metadata. Who has the same numbers already
fetches nothing; nobody ever sends them in an update. A module may hold a float tensor wider than the file does, as one
does that `load_state` turned into float32: the numbers are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.spectral_norm import SpectralNorm

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning.parameters import frozen, initial_module, modules_of
from fl_platform.learning.statistics import ESTIMATED
from fl_platform.protocol.spec import NO_BASE
from fl_platform.store.unixfs import cid_of

_LENGTH = 8  # bytes before the header that say how long it is
_ENTRY = 256  # bytes of one header entry beside its name, at most: dtype, 20 sides, two offsets
_REMEDY = "is model() that of the task, with the same layers frozen and of the same dtype?"


def encode_base(module: nn.Module) -> bytes | None:
    """Return what of a module is frozen as one safetensors file; None where nothing is. Raises ConfigError."""
    parameters = frozen(module)
    if not parameters:
        return None
    from safetensors.torch import save

    for name, parameter in parameters.items():
        _dtype_name(name, parameter)
    return save({name: value.detach().cpu().contiguous() for name, value in parameters.items()})


def base_digest(data: bytes | None) -> bytes:
    """Return what the rules say of a base: the digest of its content identifier, 32 bytes; no bytes without a base."""
    return NO_BASE if data is None else cid_of(data).digest


def base_limit(module: nn.Module) -> int:
    """Return how many bytes a base of this module has at most: what a reader lets a store send. Raises ConfigError."""
    parameters = frozen(module)
    return _limit(parameters)


def load_base(module: nn.Module, data: bytes) -> None:
    """Copy a base (untrusted bytes) into what of a module is frozen, in place.

    Length, names, dtypes, shapes and offsets are held against the module before anything is allocated; it is never
    larger than the module itself. Raises DocumentInvalid naming the first tensor that differs, ConfigError.
    """
    parameters = frozen(module)
    start, entries = _header(data, parameters)
    dtypes = _check_entries(entries, parameters, size=len(data) - start)
    with torch.no_grad():
        for name, parameter in parameters.items():
            first, last = entries[name]["data_offsets"]
            raw = torch.from_numpy(np.frombuffer(data, np.uint8, count=last - first, offset=start + first).copy())
            if dtypes[name] == torch.bool and bool((raw > 1).any()):
                raise DocumentInvalid(f"frozen base: tensor {name!r} holds truth values other than 0 and 1")
            parameter.copy_(raw.view(dtypes[name]).reshape(parameter.shape))


def check_buffers(module: nn.Module, factory: Callable[[], nn.Module], *, seed: int) -> None:
    """Refuse buffers that are drawn at random: they stay at home, so that each party would learn over its own.

    `module`: what `factory` builds from `seed`. Raises ConfigError naming the first such buffer, or a layer under the
    old spectral norm, whose vectors stay those of the weights that it was built with.
    """
    for prefix, part in modules_of(module):
        if any(isinstance(hook, SpectralNorm) for hook in part._forward_pre_hooks.values()):
            raise ConfigError(
                f"layer {prefix.removesuffix('.') or 'model()'!r} is under torch.nn.utils.spectral_norm, whose vectors "
                "are drawn at random and not sent; use torch.nn.utils.parametrizations.spectral_norm"
            )
    ours = _buffers_at_home(module)
    theirs = _buffers_at_home(initial_module(factory, seed=seed + 1)) if ours else {}
    for name, digest in ours.items():
        if theirs.get(name) != digest:
            raise ConfigError(
                f"buffer {name!r} comes out differently each time model() is called, and no party sends its buffers; "
                "make it an nn.Parameter with requires_grad=False, or build that layer right after torch.manual_seed"
            )


def _buffers_at_home(module: nn.Module) -> dict[str, bytes]:
    """Digests of the buffers that are neither frozen nor estimated anew by every reader."""
    pinned = frozen(module)
    found = {}
    for prefix, part in modules_of(module):
        if isinstance(part, ESTIMATED):
            continue
        for name, buffer in part.named_buffers(recurse=False):
            if prefix + name not in pinned and buffer.layout is torch.strided and not buffer.is_meta:
                flat = buffer.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                found[prefix + name] = hashlib.sha256(flat.numpy().data).digest()
    return found


def _header(data: bytes, parameters: Mapping[str, torch.Tensor]) -> tuple[int, dict[str, Any]]:
    """Return where the payload starts, and the header, parsed once nothing is longer than in such a module.

    The header has a limit of its own: JSON takes many times its length in memory, and the payload may be gigabytes.
    """
    start, limit = _LENGTH + int.from_bytes(data[:_LENGTH], "little"), _limit(parameters)
    if not _LENGTH < start <= min(len(data), _LENGTH + _header_limit(parameters)) or len(data) > limit:
        raise DocumentInvalid(
            f"frozen base: {len(data)} bytes, of this party's model {limit} at most, and a header to {start}; {_REMEDY}"
        )
    try:
        entries = json.loads(data[_LENGTH:start])
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid("frozen base: its header is no JSON") from error
    if not isinstance(entries, dict):
        raise DocumentInvalid("frozen base: its header is no table of tensors")
    return start, entries


def _check_entries(
    entries: Mapping[str, Any], parameters: Mapping[str, torch.Tensor], *, size: int
) -> dict[str, torch.dtype]:
    """Hold a header against a module; returns the dtype of each tensor in the file."""
    dtypes = {name: _check_entry(name, entries.get(name), value) for name, value in parameters.items()}
    if len(entries) != len(parameters):
        raise DocumentInvalid(
            f"frozen base: the task's has {len(entries)} tensors, this party's model {len(parameters)}; {_REMEDY}"
        )
    end = 0
    for name in sorted(parameters, key=lambda name: tuple(entries[name]["data_offsets"])):
        first, last = entries[name]["data_offsets"]
        if first != end or last - first != parameters[name].numel() * dtypes[name].itemsize:
            raise DocumentInvalid(f"frozen base: tensor {name!r} lies elsewhere than after the one before it")
        end = last
    if end != size:
        raise DocumentInvalid(f"frozen base: its tensors end at {end} of {size} bytes")
    return dtypes


def _check_entry(name: str, found: Any, parameter: torch.Tensor) -> torch.dtype:
    """Hold one tensor's entry against the module's: the shape the same, and a dtype that its parameter can hold."""
    if not isinstance(found, dict) or found.keys() != {"dtype", "shape", "data_offsets"}:
        raise DocumentInvalid(f"frozen base: tensor {name!r} is not in the task's; {_REMEDY}")
    dtype = next((dtype for dtype in _DTYPES if _DTYPES[dtype] == found["dtype"]), None)
    if dtype is None or found["shape"] != list(parameter.shape) or not _holds(parameter.dtype, dtype):
        raise DocumentInvalid(
            f"frozen base: tensor {name!r} is not {_dtype_name(name, parameter)} of shape {tuple(parameter.shape)} in "
            f"the task's; {_REMEDY}"
        )
    pair = found["data_offsets"]
    if not isinstance(pair, list) or len(pair) != 2 or any(type(value) is not int for value in pair):
        raise DocumentInvalid(f"frozen base: tensor {name!r} has no two offsets")
    return dtype


def _holds(ours: torch.dtype, theirs: torch.dtype) -> bool:
    """Whether every number of one dtype is one of the other's."""
    wider = ours in (torch.float32, torch.float64) and theirs.is_floating_point and theirs.itemsize < ours.itemsize
    return ours == theirs or wider


def _limit(parameters: Mapping[str, torch.Tensor]) -> int:
    return _LENGTH + _header_limit(parameters) + sum(_bytes_of(parameter) for parameter in parameters.values())


def _header_limit(parameters: Mapping[str, torch.Tensor]) -> int:
    return 64 + sum(_ENTRY + len(json.dumps(name)) for name in parameters)


def _bytes_of(parameter: torch.Tensor) -> int:
    return math.prod(parameter.shape) * parameter.dtype.itemsize


def _dtype_name(name: str, parameter: torch.Tensor) -> str:
    found = _DTYPES.get(parameter.dtype)
    if found is None:
        raise ConfigError(f"frozen tensor {name!r} is {parameter.dtype}, which a safetensors file cannot hold")
    return found


# As https://github.com/huggingface/safetensors names them.
_DTYPES: Mapping[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
