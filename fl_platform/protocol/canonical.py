"""One byte string per document: JSON with sorted keys, no spaces, no floats.

The digest of these bytes is what chains and receipts commit to, so two programs that agree on the values must agree on
the bytes. Floats are refused because their decimal form is a matter of taste; integers may be of any size.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from fl_platform.errors import DocumentInvalid

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]
# Python's parser recurses in C: with a raised recursion limit (py-evm raises it) a deep document kills the process.
MAX_DEPTH = 32
# A string that is never closed runs to the end: were it passed over, each of its escaped quotes would start another
# search, and a peer's megabyte would take hours.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_EXACT = frozenset((int, str))
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024  # a bundle of 10,000 trainers is about 30 MB


def canonical_json(value: Json) -> bytes:
    """Return the canonical UTF-8 bytes of `value` (dict, list, str, int, bool, None; trusted, our own).

    Raises TypeError on floats, bytes and non-string keys: those are our own mistakes.
    """
    _refuse_inexact(value)
    return _encoded(value)


def parse_canonical(data: bytes, *, what: str, max_bytes: int = MAX_DOCUMENT_BYTES) -> Json:
    """Parse bytes from the network (unverified) and demand that they are the canonical form of their own value.

    Raises DocumentInvalid when too long, not JSON, holding floats or not canonical.
    """
    if len(data) > max_bytes:
        raise DocumentInvalid(f"{what}: {len(data)} bytes, limit {max_bytes}; refuse its sender")
    _refuse_depth(data, what)
    try:
        value: Json = json.loads(
            data, parse_float=_no_float, parse_constant=_no_float, object_pairs_hook=_no_duplicates
        )
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid(f"{what}: not a JSON document without floats ({error})") from error
    if _encoded(value) != data:
        raise DocumentInvalid(
            f"{what}: not in canonical form (sorted keys, no spaces); ask its author to write it again"
        )
    return value


def digest(value: Json) -> bytes:
    """Return sha256 of the canonical bytes (32 bytes)."""
    return hashlib.sha256(canonical_json(value)).digest()


def _encoded(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _refuse_depth(data: bytes, what: str) -> None:
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise DocumentInvalid(f"{what}: nested deeper than {MAX_DEPTH} levels; refuse its sender")


def _no_float(text: str) -> Json:
    raise ValueError(f"number {text} is not an integer")


def _no_duplicates(pairs: list[tuple[str, Json]]) -> Json:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _refuse_inexact(value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"canonical documents have string keys, not {key!r}")
            _refuse_inexact(inner)
    elif isinstance(value, list | tuple):
        if not _EXACT.issuperset(map(type, value)):
            for inner in value:
                _refuse_inexact(inner)
    elif value is not None and not isinstance(value, bool | int | str):
        raise TypeError(f"canonical documents hold integers and strings, not {type(value).__name__}: {value!r}")


def hex_of(value: object) -> bytes:
    """Return the bytes of a lower-case 0x string. Raises ValueError otherwise (one spelling per value)."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"expected a 0x string, got {value!r}")
    data = bytes.fromhex(value[2:])
    if "0x" + data.hex() != value:
        raise ValueError(f"expected lower-case hex without spaces, got {value!r}")
    return data
