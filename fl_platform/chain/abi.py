"""Encode calls and decode results, events and custom errors from a contract's ABI.

Thin over eth-abi: addresses go in and come out as 20 bytes, structs go in as frozen dataclasses (by field order) and
come out as tuples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.address import to_canonical_address

from fl_platform.chain.types import Log
from fl_platform.errors import ChainError, IntegrityError
from fl_platform.protocol.keccak import keccak256

ERROR_STRING = keccak256(b"Error(string)")[:4]
PANIC = keccak256(b"Panic(uint256)")[:4]
PANICS = {0x01: "assertion", 0x11: "overflow", 0x12: "division by zero", 0x21: "bad enum", 0x32: "index out of range"}


@dataclass(frozen=True)
class Item:
    """One function, event or error of an ABI."""

    name: str
    signature: str  # name(type,...)
    inputs: tuple[str, ...]  # canonical types, structs flattened to (a,b)
    names: tuple[str, ...]  # of the inputs
    indexed: tuple[bool, ...]  # events only
    outputs: tuple[str, ...]  # functions only
    digest: bytes  # keccak256(signature)

    @property
    def selector(self) -> bytes:
        """First four bytes of the digest."""
        return self.digest[:4]


@dataclass(frozen=True)
class Decoded:
    """A decoded event: the name and its arguments by name, beside where it came from."""

    name: str
    values: Mapping[str, Any]
    log: Log


@dataclass(frozen=True)
class Revert:
    """A decoded custom error."""

    name: str  # empty when the contract gave no data, "Error" or "Panic" for the compiler's own
    values: tuple[Any, ...]
    text: str  # for people


class Abi:
    """The parts of one or several contracts' ABIs that this package uses."""

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        self._functions: dict[str, list[Item]] = {}
        self._events: dict[bytes, Item] = {}
        self._errors: dict[bytes, Item] = {}
        self._constructor: tuple[str, ...] = ()
        self.constructor_names: tuple[str, ...] = ()
        for entry in entries:
            kind = entry["type"]
            if kind == "constructor":
                self._constructor = tuple(_type_of(x) for x in entry["inputs"])
                self.constructor_names = tuple(x["name"] for x in entry["inputs"])
            elif kind in ("function", "event", "error"):
                self._add(kind, _item(entry))

    def _add(self, kind: str, item: Item) -> None:
        if kind == "function":
            self._functions.setdefault(item.name, []).append(item)
        elif kind == "event":
            self._events[item.digest] = item
        else:
            self._errors[item.selector] = item

    def merged(self, *others: Abi) -> Abi:
        """Return one ABI that knows the events and errors of all (for decoding; functions are this one's)."""
        result = Abi(())
        result._functions = self._functions
        for part in (*others, self):
            result._events.update(part._events)
            result._errors.update(part._errors)
        return result

    def function(self, name: str, count: int | None = None) -> Item:
        """Return the function called `name` (with `count` inputs, when overloaded)."""
        found = [x for x in self._functions.get(name, ()) if count is None or len(x.inputs) == count]
        if len(found) != 1:
            raise IntegrityError(f"ABI has {len(found)} functions {name} with {count} inputs; reinstall")
        return found[0]

    def functions(self) -> tuple[str, ...]:
        """Return the names of all functions, sorted."""
        return tuple(sorted(self._functions))

    def arity(self, name: str) -> int:
        """Return how many inputs the function called `name` has."""
        return len(self.function(name).inputs)

    def event_topic(self, name: str) -> bytes:
        """Return topic 0 of the event called `name`."""
        for topic, item in self._events.items():
            if item.name == name:
                return topic
        raise IntegrityError(f"ABI has no event {name}; artifacts and code differ")

    def event_names(self) -> tuple[str, ...]:
        """Return the names of all events, sorted."""
        return tuple(sorted(item.name for item in self._events.values()))

    def encode(self, name: str, *arguments: Any) -> bytes:
        """Return call data. Raises ChainError when a value does not fit its type (our caller's mistake, in words)."""
        item = self.function(name, len(arguments))
        return item.selector + _encode(item.inputs, arguments, item.signature)

    def encode_constructor(self, *arguments: Any) -> bytes:
        """Return what stands behind the creation code."""
        if len(arguments) != len(self._constructor):
            raise IntegrityError(f"constructor wants {len(self._constructor)} arguments, got {len(arguments)}")
        return _encode(self._constructor, arguments, "constructor")

    def decode_output(self, name: str, count: int, data: bytes) -> tuple[Any, ...]:
        """Decode what a call returned (from the chain, unverified). Raises ChainError when it does not parse."""
        item = self.function(name, count)
        return _decode(item.outputs, data, item.signature)

    def decode_log(self, log: Log) -> Decoded | None:
        """Decode an event, None when this ABI does not know it."""
        item = self._events.get(log.topics[0]) if log.topics else None
        if item is None:
            return None
        plain = [t for t, i in zip(item.inputs, item.indexed, strict=True) if not i]
        data = iter(_decode(tuple(plain), log.data, item.signature))
        topics = iter(log.topics[1:])
        values = {}
        for name, kind, indexed in zip(item.names, item.inputs, item.indexed, strict=True):
            values[name] = _decode_topic(kind, next(topics), item.signature) if indexed else next(data)
        return Decoded(item.name, values, log)

    def decode_revert(self, data: bytes, message: str = "") -> Revert:
        """Decode revert data (unverified) as far as possible; never raises."""
        if not data:
            return Revert("", (), message or "reverted without data (out of gas, or no code at the address?)")
        item = self._errors.get(data[:4])
        try:
            if data[:4] == ERROR_STRING:
                (text,) = abi_decode(["string"], data[4:])
                return Revert("Error", (text,), text)
            if data[:4] == PANIC:
                (code,) = abi_decode(["uint256"], data[4:])
                return Revert("Panic", (code,), f"Panic 0x{code:02x} ({PANICS.get(code, 'see the Solidity manual')})")
            if item is not None:
                values = _decode(item.inputs, data[4:], item.signature)
                shown = ", ".join(f"{n}={show(v)}" for n, v in zip(item.names, values, strict=True))
                return Revert(item.name, values, f"{item.name}({shown})")
        except (DecodingError, ChainError):
            return Revert("", (), f"reverted with data that does not parse: 0x{data.hex()}")
        return Revert("", (), f"reverted with an unknown error 0x{data[:4].hex()} (0x{data[4:].hex()})")


def show(value: Any) -> str:
    """Return a decoded value for people: bytes as 0x hex, the rest as is."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return "(" + ", ".join(show(inner) for inner in value) + ")"
    return str(value)


def plain(value: Any) -> Any:
    """Turn dataclasses into tuples, deeply; everything else stays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(plain(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, list | tuple):
        return tuple(plain(inner) for inner in value)
    return value


def _encode(types: Sequence[str], arguments: Sequence[Any], what: str) -> bytes:
    try:
        return abi_encode(list(types), [plain(a) for a in arguments])
    except (EncodingError, TypeError, ValueError, OverflowError) as error:
        raise ChainError(f"{what}: an argument does not fit its type: {error}") from error


def _decode(types: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    try:
        values = abi_decode(list(types), data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise ChainError(f"{what}: the chain's answer of {len(data)} bytes does not parse: {error}") from error
    return tuple(_canonical(kind, value) for kind, value in zip(types, values, strict=True))


def _decode_topic(kind: str, topic: bytes, what: str) -> Any:
    if kind in ("string", "bytes") or kind.endswith("]") or kind.startswith("("):
        return topic  # only its hash is on the chain
    return _decode((kind,), topic, what)[0]


def _canonical(kind: str, value: Any) -> Any:
    if kind == "address":
        return to_canonical_address(value)
    if kind.endswith("]"):
        return tuple(_canonical(kind[: kind.rindex("[")], inner) for inner in value)
    if kind.startswith("("):
        return tuple(_canonical(k, v) for k, v in zip(_split(kind[1:-1]), value, strict=True))
    return value


def _split(types: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, char in enumerate(types):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(types[start:i])
            start = i + 1
    return [*parts, types[start:]] if types else []


def _type_of(entry: Mapping[str, Any]) -> str:
    kind: str = entry["type"]
    if kind.startswith("tuple"):
        return "(" + ",".join(_type_of(x) for x in entry["components"]) + ")" + kind[5:]
    return kind


def _item(entry: Mapping[str, Any]) -> Item:
    inputs = tuple(_type_of(x) for x in entry["inputs"])
    signature = f"{entry['name']}({','.join(inputs)})"
    return Item(
        name=entry["name"],
        signature=signature,
        inputs=inputs,
        names=tuple(x.get("name") or f"arg{i}" for i, x in enumerate(entry["inputs"])),
        indexed=tuple(bool(x.get("indexed")) for x in entry["inputs"]),
        outputs=tuple(_type_of(x) for x in entry.get("outputs", ())),
        digest=keccak256(signature.encode()),
    )
