"""The trace of a round: every intermediate value of its judgement as a leaf of a tree, so that one leaf decides a lie.

A seal carries the tree's root. Each leaf follows from a few others (at most n, one for each update) by integer
arithmetic that `contracts/disputes/` repeats: whoever finds a leaf that does not follow opens it beside those it should
follow from, and the contract decides. Twin of `contracts/libraries/Traces.sol`.

    leaf  = keccak(0x00, kind u8, index u32, words)       a word is 32 bytes, two's complement
    node  = keccak(0x01, left, right)                     depth is fixed by the count, missing leaves are 0
    trace = keccak(0x02, count u32 of every kind, root of every kind)

A kind has a tree of its own and its count stands in the header, so a leaf has one place and none can be left out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256

EMPTY = bytes(32)
MAX_LEAVES = 2**20
COORDINATES = 128  # of a vector, in one leaf of its content tree (Contents.COORDINATES)
DIRECTION_BITS = 16  # of a public direction's integers (Contents.DIRECTION_BITS); see contribution/judge.py


class Kind(IntEnum):
    """What a leaf is about."""

    RULES = 0
    ROUND = 1
    ENTRY = 2
    GRAM = 3
    STANDING = 4
    WORK = 5


class Code(IntEnum):
    """A verdict as a number."""

    ADMITTED = 0
    REFERENCE = 1
    NO_WORK = 2
    TOO_LONG = 3
    NOT_SELECTED = 4
    REPLAY = 5
    OFF_REFERENCE = 6
    REFUSED = 7  # admission refused it: receipt, opening, length, header or range
    OFF_ROSTER = 8  # a stranger, or a second entry


class WorthKind(IntEnum):
    """The task's kind of worth as a number."""

    ANCHORED = 0
    LEAVE_ONE_OUT = 1
    EQUAL = 2


@dataclass(frozen=True)
class RulesLeaf:
    """The numbers of the task's specification that arithmetic needs."""

    stake_cap_bps: int
    clip_bps: int
    reject_bps: int
    floor_bps: int
    duplicate_bps: int
    byzantine: int
    multi_krum: int  # 0 or 1
    fee_bps: int
    base_bps: int
    alpha_num: int
    alpha_den: int
    worth: int  # WorthKind
    size: int  # parameters d
    bits: int  # of an update's integers


@dataclass(frozen=True)
class RoundLeaf:
    """Values that all entries of a round share."""

    measured: int  # 1: worth was measured
    reference: int  # 1: row 0 of the Gram matrix is the owner's reference
    candidates: int  # trainers' rows, behind the reference
    rounding: int  # squared length that rounding adds on average
    longest: int  # squared length that no honest encoder exceeds
    candidate_stake: int  # wei
    capped_total: int  # of capped stakes of candidates, wei
    median: int  # length, 2^-16 base units
    kept_stake: int  # of those that passed the screen, wei
    live_total: int  # of their capped stakes, wei
    selected_total: int  # of the capped stakes of those in the sum, wei
    byzantine: int  # f that multi-Krum still withstands
    cosine_median: int  # 2^-32, times the reference's length
    divisor: int
    roster_stake: int  # wei
    pot: int  # wei
    fee: int  # wei
    base_pot: int  # wei
    pots_before: int  # wei that went through the catch-up split in earlier rounds
    positive_scores: int
    due_total: int  # entitlements of those present, wei
    lacking_total: int  # wei
    scored_pot: int  # wei
    base_pool: int  # wei that went by stake
    by_admitted: int  # 1: by stake among the admitted; 0: among the rostered
    share_total: int  # of the stakes that base_pool is split by, wei
    pots_after: int  # wei
    determinant: int  # of the public directions' Gram matrix; 1 without directions
    solution_0: int  # adj(G_PP) g_Pr, a number for each independent direction
    solution_1: int
    solution_2: int
    solution_3: int
    direction_0: int  # Gram row + 1 of each independent direction, 0 where there is none
    direction_1: int
    direction_2: int
    direction_3: int
    reference_length: int  # 2^-16 base units


@dataclass(frozen=True)
class EntryLeaf:
    """One entry and what became of it; addresses and hashes as numbers."""

    trainer: int
    stake: int  # wei
    receipt: int  # struct hash
    forced: int
    code: int  # Code
    row: int  # Gram row + 1; 0: none
    first_cap: int  # capped stake among the candidates, wei
    squared: int  # its length, squared base units: the Gram matrix' own entry
    norm: int
    cosine: int
    krum: int  # sum of squared distances to the nearest others; 0 where multi-Krum is off
    capped: int  # capped stake among those that passed the screen, wei
    full: int
    weight: int
    quality: int
    group: int  # Gram row + 1 of the group's leader
    group_stake: int  # of the group's members, wei
    group_quality: int  # sum of quality * capped stake over the group
    group_largest: int  # wei
    score: int
    roster_cap: int  # capped stake among the rostered, wei


@dataclass(frozen=True)
class StandingLeaf:
    """One account before and after the round."""

    trainer: int
    entry: int  # its entry's index + 1; 0: not on this round's roster
    previous: int  # its index + 1 among the standings of the round before; 0: new
    score_before: int
    scored_before: int
    base_before: int
    reputation_before: int
    due: int  # entitlement of who is present, wei
    lacking: int  # wei
    score_after: int
    scored_after: int
    base_after: int
    reputation_after: int


@dataclass(frozen=True)
class WorkLeaf:
    """What the Gram matrix and the sums were taken from: one leaf, so that a lie about a sum needs no other's path."""

    sums: int  # content root of the sums
    layout: int  # hash of the model's tensors with this round's offsets (`layout_bytes`)
    layout_after: int  # the same with the next round's
    rows: tuple[tuple[int, int], ...]  # (content root, weight) of every Gram row

    def numbers(self) -> tuple[int, ...]:
        """Return the leaf's words."""
        return (self.sums, self.layout, self.layout_after, *(number for row in self.rows for number in row))


@dataclass(frozen=True)
class Opening:
    """A leaf with its way to the root of its kind."""

    kind: Kind
    index: int
    words: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Header:
    """Counts and roots of all kinds: the preimage of the trace root."""

    counts: tuple[int, ...]
    roots: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """What a seal carries (32 bytes)."""
        return keccak256(b"\x02" + b"".join(struct.pack(">I", c) for c in self.counts) + b"".join(self.roots))


@dataclass(frozen=True)
class Trace:
    """All leaves of a round. `gram` holds whole rows of the symmetric matrix."""

    rules: RulesLeaf
    round: RoundLeaf
    entries: tuple[EntryLeaf, ...]
    gram: tuple[tuple[int, ...], ...]
    standings: tuple[StandingLeaf, ...]
    work: WorkLeaf

    @cached_property
    def leaves(self) -> tuple[tuple[bytes, ...], ...]:
        """The words of every leaf, by kind."""
        rows: tuple[Sequence[object], ...] = (
            (self.rules,), (self.round,), self.entries, self.gram, self.standings, (self.work.numbers(),),
        )  # fmt: skip
        return tuple(tuple(encode_words(_numbers(leaf)) for leaf in kind) for kind in rows)

    @cached_property
    def _levels(self) -> tuple[list[list[bytes]], ...]:
        return tuple(_tree(Kind(kind), leaves) for kind, leaves in enumerate(self.leaves))

    def row_bits(self, row: int) -> int:
        """Return the width of a Gram row's integers: the rules' for reference and trainers, else a direction's."""
        return self.rules.bits if row < self.round.reference + self.round.candidates else DIRECTION_BITS

    @property
    def header(self) -> Header:
        """Counts and roots."""
        return Header(tuple(len(kind) for kind in self.leaves), tuple(levels[-1][0] for levels in self._levels))

    @property
    def root(self) -> bytes:
        """What a seal carries (32 bytes)."""
        return self.header.root

    def open(self, kind: Kind, index: int) -> Opening:
        """Return leaf `index` of a kind with its path. Raises DocumentInvalid when there is none."""
        leaves = self.leaves[kind]
        if not 0 <= index < len(leaves):
            raise DocumentInvalid(f"trace: no {kind.name} leaf {index} among {len(leaves)}")
        return Opening(kind, index, leaves[index], self.path(kind, index))

    def path(self, kind: Kind, index: int, level: int = 0) -> tuple[bytes, ...]:
        """Return the way up from the subtree of 2^level places that begins at leaf `index`."""
        levels = self._levels[kind][level:-1]
        return tuple(row[(index >> (level + up)) ^ 1] for up, row in enumerate(levels))


def layout_bytes(sizes: Sequence[int], offsets: Sequence[int]) -> bytes:
    """Return 9 bytes a tensor, in canonical order: its size u64 big endian, and the offset u8 of its steps.

    A coordinate counts 4^offset in an inner product; contracts walk through these bytes to find its tensor.
    """
    return b"".join(struct.pack(">QB", size, offset) for size, offset in zip(sizes, offsets, strict=True))


def verify(header: Header, opening: Opening) -> bool:
    """Say whether an opening (unverified) belongs to the header. Twin of Traces.requireLeaf."""
    count = header.counts[opening.kind]
    if not 0 <= opening.index < count or len(opening.siblings) != depth_of(count):
        return False
    digest, position = leaf_hash(opening.kind, opening.index, opening.words), opening.index
    for sibling in opening.siblings:
        digest = node_hash(sibling, digest) if position & 1 else node_hash(digest, sibling)
        position >>= 1
    return digest == header.roots[opening.kind]


def encode_words(values: Sequence[int]) -> bytes:
    """Return numbers as words of 32 bytes, two's complement. Raises DocumentInvalid outside -2^255 .. 2^256 - 1."""
    for value in values:
        if not -(1 << 255) <= value < 1 << 256:
            raise DocumentInvalid(f"trace: {value} does not fit into a word of 256 bits; this round has no trace")
    return b"".join((value % (1 << 256)).to_bytes(32, "big") for value in values)


def leaf_hash(kind: Kind, index: int, words: bytes) -> bytes:
    """Return a leaf's hash (32 bytes)."""
    return keccak256(b"\x00" + bytes([kind]) + struct.pack(">I", index) + words)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return a node's hash (32 bytes)."""
    return keccak256(b"\x01" + left + right)


def depth_of(count: int) -> int:
    """Return the depth of a kind's tree: ceil(log2(count)), 0 for none or one leaf."""
    if not 0 <= count <= MAX_LEAVES:
        raise DocumentInvalid(f"trace: {count} leaves of a kind, allowed 0 to {MAX_LEAVES}")
    return max(0, count - 1).bit_length()


def _numbers(leaf: object) -> tuple[int, ...]:
    return leaf if isinstance(leaf, tuple) else astuple(leaf)  # type: ignore[call-overload]


def _tree(kind: Kind, leaves: Sequence[bytes]) -> list[list[bytes]]:
    width = 1 << depth_of(len(leaves))
    level = [leaf_hash(kind, i, words) for i, words in enumerate(leaves)]
    level += [EMPTY] * (width - len(level))
    levels = [level]
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        levels.append(level)
    return levels
