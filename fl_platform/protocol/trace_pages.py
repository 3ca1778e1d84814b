"""A trace in pages, as a sealer shows it on chain when its bundle does not, and back: words to leaves.

Twin of `Traces.requirePage` (which page is next and how it is proved) and of the structs in `Traces.sol` (which words
are signed). Words come from a liar that picked them: only their number is sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.trace import EntryLeaf, Header, Kind, RoundLeaf, RulesLeaf, StandingLeaf, Trace, WorkLeaf

PAGE_BYTES = 96 * 1024  # of words: a node takes transactions of 128 KiB, and a page comes with header and path
WORD = 32
SIGNED = frozenset((
    "cosine_median", "determinant", "solution_0", "solution_1", "solution_2", "solution_3", "cosine", "quality",
    "group_quality", "score", "score_before", "score_after",
))  # fmt: skip
_WORK_HEAD = 3  # words before the rows
T = TypeVar("T", RulesLeaf, RoundLeaf, EntryLeaf, StandingLeaf)


@dataclass(frozen=True)
class Page:
    """Some leaves of one kind, side by side (ITraceDisputes.Page, with its place)."""

    kind: Kind
    first: int
    level: int  # it spans 2^level places
    words: bytes
    siblings: tuple[bytes, ...]


def pages(trace: Trace, kind: int = 0, index: int = 0) -> Iterator[Page]:
    """Yield a trace from leaf `index` of `kind` on, in pages of at most `PAGE_BYTES` (or one leaf).

    Anybody can have shown a part: the first page may begin before that leaf.
    """
    for number in Kind:
        leaves = trace.leaves[number]
        if number < kind or not leaves:
            continue
        level = len(trace.path(number, 0))
        while level and (len(leaves[0]) << level) > PAGE_BYTES:
            level -= 1
        start = index if number == kind else 0
        for first in range((start >> level) << level, len(leaves) if start < len(leaves) else 0, 1 << level):
            words = b"".join(leaves[first : first + (1 << level)])
            yield Page(number, first, level, words, trace.path(number, first, level))


def leaves_of(header: Header, kind: Kind, first: int, words: bytes) -> dict[tuple[Kind, int], bytes]:
    """Return the leaves of a page that was shown under a header: (kind, place) -> words. Twin of Traces.lengthOf."""
    rows = header.counts[Kind.GRAM]
    length = WORD * {
        Kind.RULES: len(fields(RulesLeaf)), Kind.ROUND: len(fields(RoundLeaf)), Kind.ENTRY: len(fields(EntryLeaf)),
        Kind.GRAM: rows, Kind.STANDING: len(fields(StandingLeaf)), Kind.WORK: _WORK_HEAD + 2 * rows,
    }[kind]  # fmt: skip
    count = len(words) // length if length else 0
    return {(kind, first + i): words[i * length : (i + 1) * length] for i in range(count)}


def rebuilt(header: Header, shown: Mapping[tuple[Kind, int], bytes]) -> Trace:
    """Return the trace whose leaves were shown: (kind, place) -> words (unverified).

    Raises DocumentInvalid when they are not all of it.
    """
    parts = [b"".join(shown[place] for place in sorted(shown) if place[0] == kind) for kind in Kind]
    rules, round_, work = (_numbers(parts[kind]) for kind in (Kind.RULES, Kind.ROUND, Kind.WORK))
    rows = header.counts[Kind.GRAM]
    lengths = (len(fields(RulesLeaf)), len(fields(RoundLeaf)), _WORK_HEAD + 2 * rows)
    if (len(rules), len(round_), len(work)) != lengths:
        raise DocumentInvalid(f"trace: {len(rules)}, {len(round_)}, {len(work)} words of single leaves, not {lengths}")
    gram = [_signed(number) for number in _numbers(parts[Kind.GRAM])]
    trace = Trace(
        rules=_leaf(RulesLeaf, rules),
        round=_leaf(RoundLeaf, round_),
        entries=_leaves(EntryLeaf, parts[Kind.ENTRY]),
        gram=tuple(tuple(gram[at : at + rows]) for at in range(0, len(gram), rows or 1)),
        standings=_leaves(StandingLeaf, parts[Kind.STANDING]),
        work=_work_leaf(work),
    )
    if trace.root != header.root:
        raise DocumentInvalid(f"trace: what was shown is 0x{trace.root.hex()}, not 0x{header.root.hex()}: parts lack")
    return trace


def _leaves(kind: type[T], words: bytes) -> tuple[T, ...]:
    numbers, width = _numbers(words), len(fields(kind))
    if len(numbers) % width:
        raise DocumentInvalid(f"trace: {len(numbers)} words of {kind.__name__}, which has {width}")
    return tuple(_leaf(kind, numbers[at : at + width]) for at in range(0, len(numbers), width))


def _work_leaf(numbers: tuple[int, ...]) -> WorkLeaf:
    roots, weights = numbers[_WORK_HEAD::2], numbers[_WORK_HEAD + 1 :: 2]
    rows = tuple((root, _signed(weight)) for root, weight in zip(roots, weights, strict=True))
    return WorkLeaf(sums=numbers[0], layout=numbers[1], layout_after=numbers[2], rows=rows)


def _leaf(kind: type[T], numbers: tuple[int, ...]) -> T:
    names = (field.name for field in fields(kind))
    return kind(*(_signed(n) if name in SIGNED else n for name, n in zip(names, numbers, strict=True)))


def _numbers(words: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(words[at : at + WORD], "big") for at in range(0, len(words), WORD))


def _signed(number: int) -> int:
    return number - (1 << 256) if number >> 255 else number
