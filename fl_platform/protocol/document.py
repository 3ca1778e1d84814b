"""Dataclasses as canonical documents: integers and strings as they are, bytes as 0x strings, tuples as lists.

What reads a class is made once from its type hints and kept: a bundle holds thousands of objects of a few classes.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from functools import cache

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.canonical import Json, hex_of

Reader = Callable[[typing.Any], typing.Any]
_EXACT = frozenset((int, str))  # what a document holds as it is: long lists of them need no look at each


def to_json(value: object) -> Json:
    """Turn a frozen dataclass tree of int, str, bool, bytes and tuples into a canonical document."""
    if isinstance(value, tuple):
        return list(value) if _EXACT.issuperset(map(type, value)) else [to_json(inner) for inner in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if value is None or isinstance(value, bool | int | str):
        return value
    if dataclasses.is_dataclass(value):
        return {name: to_json(getattr(value, name)) for name in _names(typing.cast(typing.Any, type(value)))}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def from_json(kind: typing.Any, value: object, where: str) -> typing.Any:
    """Read a dataclass tree strictly (exact fields, exact types) from a parsed document. Raises DocumentInvalid."""
    try:
        return _reader(kind)(value)
    except _MisfitError as error:
        raise DocumentInvalid(f"{where}: {where}{error.place} {error}") from error
    except (ValueError, TypeError) as error:
        raise DocumentInvalid(f"{where}: {error}") from error


class _MisfitError(ValueError):
    """A value of another type than its place's; `place` grows on the way out, so that nobody writes it otherwise."""

    place = ""


@cache
def _names(kind: typing.Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _reader(kind: typing.Any) -> Reader:
    """Return what reads a value of this type: made once, for type hints are slow to look up."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_reader(kind)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _tuple_reader(typing.get_args(kind))
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(k for k in typing.get_args(kind) if k is not type(None)))
        return lambda value: None if value is None else inner(value)
    return hex_of if kind is bytes else _plain_reader(kind)


def _plain_reader(kind: type) -> Reader:
    name = "an integer" if kind is int else kind.__name__

    def read(value: object) -> object:
        if type(value) is not kind:  # a bool is no integer
            raise _MisfitError(f"must be {name}, not {value!r}")
        return value

    return read


def _dataclass_reader(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _names(kind)}

    def read(value: object) -> object:
        if not isinstance(value, dict) or value.keys() != readers.keys():
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise _MisfitError(f"must have exactly the fields {sorted(readers)}, found {found}")
        fields = {}
        for name, reader in readers.items():
            try:
                fields[name] = reader(value[name])
            except _MisfitError as error:
                error.place = f".{name}{error.place}"
                raise
        return kind(**fields)

    return read


def _tuple_reader(arguments: tuple[typing.Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _list_reader(arguments[0])
    readers = tuple(map(_reader, arguments))

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _MisfitError("must be a list")
        if len(readers) != len(value):
            raise _MisfitError(f"must have {len(readers)} entries")
        return _each(zip(readers, value, strict=True))

    return read


def _list_reader(kind: typing.Any) -> Reader:
    reader = _reader(kind)

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _MisfitError("must be a list")
        if kind in _EXACT and set(map(type, value)) <= {kind}:
            return tuple(value)
        return _each((reader, inner) for inner in value)

    return read


def _each(pairs: Iterable[tuple[Reader, object]]) -> tuple[object, ...]:
    result = []
    for index, (reader, value) in enumerate(pairs):
        try:
            result.append(reader(value))
        except _MisfitError as error:
            error.place = f"[{index}]{error.place}"
            raise
    return tuple(result)
