"""A record: what one role has to say about one round. Sinks take records and ask nothing back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from fl_platform.sinks.names import METRICS, Metric

Value = float | int | str

MAX_TEXT = 200  # characters of a string value
MAX_LABEL = 64
_UNSAFE = re.compile(r"[^0-9A-Za-z_.:-]")
_KEY = re.compile(r"([a-z][a-z_]*)(?:\[([0-9A-Za-z_.:?-]{1,64})\])?")


def label(text: str) -> str:
    """Return text (of a peer, unverified) as a label: letters, digits and _.:- stay, others become ?, 64 at most."""
    return _UNSAFE.sub("?", text[:MAX_LABEL]) or "?"


def labelled(name: str, text: str) -> str:
    """Return the key of a value with a label; `text` may be a peer's."""
    return f"{name}[{label(text)}]"


@dataclass(frozen=True)
class Named:
    """One value of a record, its key taken apart."""

    metric: Metric
    label: str  # empty: the metric has none
    value: Value

    @property
    def path(self) -> str:
        """Name and label as a path, as in refused/NotSelected."""
        return f"{self.metric.name}/{self.label}" if self.label else self.metric.name

    @property
    def number(self) -> float:
        """The value of a metric that is no text."""
        return float(self.value)


@dataclass(frozen=True)
class Record:
    """One role's values of one round."""

    role: str  # of names.py
    task: int
    round: int
    values: Mapping[str, Value]  # key: a name of names.py, with its label in brackets where it has one
    who: str = ""  # wallet of the party that reports, made a label
    time: float = field(default_factory=time.time)  # Unix seconds

    def __post_init__(self) -> None:
        """Hold keys against the table, make `who` a label and texts harmless. Raises ValueError: a mistake of ours."""
        object.__setattr__(self, "who", label(self.who) if self.who else "")
        clean = {key: _harmless(value) for key, value in self.values.items()}
        object.__setattr__(self, "values", MappingProxyType(clean))
        for named in self:
            if self.role not in named.metric.roles:
                raise ValueError(f"{named.metric.name} is not reported by role {self.role!r}")

    def __iter__(self) -> Iterator[Named]:
        """Yield the values with their keys taken apart. Raises ValueError for a key that is not in the table."""
        for key, value in self.values.items():
            found = _KEY.fullmatch(key)
            metric = METRICS.get(found[1]) if found else None
            if found is None or metric is None or bool(found[2]) != bool(metric.label):
                raise ValueError(f"{key!r} is no value of fl_platform/sinks/names.py")
            if isinstance(value, str) != metric.text:
                raise ValueError(f"{key} = {value!r}: {'a text' if metric.text else 'a number'} is wanted")
            yield Named(metric, found[2] or "", value)


class Sink(Protocol):
    """A place that records go to. Called from one thread at a time."""

    where: str  # for messages

    def write(self, record: Record) -> None:
        """Take a record; may raise anything, may take its time: see opening.Sinks."""

    def close(self) -> None:
        """Let go of files and ports."""


def _harmless(value: Value) -> Value:
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else "?" for letter in value[:MAX_TEXT])
    return int(value) if isinstance(value, bool) else value
