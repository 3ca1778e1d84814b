"""What a challenger brings before the disputes contract: leaves of the sealed trace in the order each question wants.

Twin of contracts/interfaces/IDisputes.sol, where every question is explained. Pure: it proves whatever the trace says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode

from fl_platform.chain.abi import plain
from fl_platform.chain.history import Forced
from fl_platform.chain.records import RosterRecord, SealRecord
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.trace import EntryLeaf, Header, Kind, Trace

SEAL = "(bytes32,bytes32,bytes32,bytes32,uint40,uint32,bytes32,uint128,uint32,uint40,address)"
_ROSTER = "(bytes32,uint32,uint128,uint32,uint40,address,uint8)"
_LEAF = "(uint32,address,uint128,bytes32)"
_OPENING = "(uint32,bytes,bytes32[])"
BEFORE = f"({SEAL},uint32[6],bytes32[6],{_OPENING})"
_ROSTER_PROOF = f"({_ROSTER},{_LEAF},bytes)"
_FORCED_PROOF = f"({_ROSTER},uint256,uint256,address,bytes32)"
_RULES_KEYS = (
    "stake_cap_bps", "clip_bps", "reject_bps", "floor_bps", "duplicate_bps", "byzantine", None, "fee_bps", "base_bps",
    "alpha_num", "alpha_den", None, "bits",
)  # fmt: skip


class Question(IntEnum):
    """Which rule a seal is said to break (IDisputes.Question)."""

    CLAIM = 0
    STANDING = 1
    TOTALS = 2
    CARRIED = 3
    DROPPED = 4
    ROSTER = 5
    FORCED = 6
    TWICE = 7
    RULES = 8
    ENTRY = 9
    ENTRIES = 10
    FOREIGN = 11
    SYMMETRY = 12
    SOLUTION = 13
    QUALITY = 14
    GROUP = 15
    SCORE = 16
    DUPLICATES = 17
    KRUM = 18
    REPLAY = 19
    UNTRACED = 20
    WORK = 21
    SUM = 22
    RANGE = 23
    LAYOUT = 24


@dataclass(frozen=True)
class Opened:
    """ITraceJudge.Opening."""

    index: int
    words: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Evidence:
    """ITraceJudge.Evidence."""

    counts: tuple[int, ...]
    roots: tuple[bytes, ...]
    openings: tuple[Opened, ...]
    all: bytes
    extra: bytes


@dataclass(frozen=True)
class Case:
    """ITraceJudge.Case."""

    task: int
    round: int
    record: SealRecord
    question: int


Places = Sequence[tuple[Kind, int]]
NO_TRACE = Header((0,) * len(Kind), (bytes(32),) * len(Kind))


def opened(trace: Trace, kind: Kind, index: int) -> Opened:
    """Return a leaf with its path, as calls carry it. Raises DocumentInvalid when there is none."""
    found = trace.open(kind, index)
    return Opened(found.index, found.words, found.siblings)


def gather(trace: Trace, places: Places, *, everything: Kind | None = None, extra: bytes = b"") -> Evidence:
    """Return the evidence of these leaves, of all leaves of a kind where the question touches every update."""
    header = trace.header
    openings = tuple(opened(trace, kind, index) for kind, index in places)
    body = b"" if everything is None else b"".join(trace.leaves[everything])
    return Evidence(header.counts, header.roots, openings, body, extra)


def claim(trace: Trace, index: int, claims: tuple[Leaf, ...]) -> Evidence:
    """The claim leaf at the place of an account, against the account."""
    leaf = claims[index]
    extra = encode(["address", "uint128", "bytes32"], [leaf.owner, leaf.amount, leaf.data])
    return gather(trace, [(Kind.STANDING, index)], extra=extra + path_of(claims, index))


def standing(trace: Trace, index: int) -> Evidence:
    """One account's arithmetic."""
    entry = trace.standings[index].entry
    if not entry:  # it should have one when its trainer is on the roster
        trainer = trace.standings[index].trainer
        entry = next((i + 1 for i, e in enumerate(trace.entries) if e.trainer == trainer and e.stake and e.code < 8), 0)
    places = [(Kind.ROUND, 0), (Kind.STANDING, index)]
    return gather(trace, places + ([(Kind.ENTRY, entry - 1)] if 0 < entry <= len(trace.entries) else []))


def totals(trace: Trace) -> Evidence:
    """Sums of the split."""
    return gather(trace, [(Kind.RULES, 0), (Kind.ROUND, 0)], everything=Kind.STANDING)


def carried(trace: Trace, index: int | None, before: tuple[SealRecord, Trace] | None) -> Evidence:
    """An account (None: the pots) against the round before (None: round 0, or an account said to be new)."""
    place = (Kind.ROUND, 0) if index is None else (Kind.STANDING, index)
    if before is None:
        return gather(trace, [place])
    seal, old = before
    if index is None:
        return gather(trace, [place], extra=encode([BEFORE], [before_of(seal, old, (Kind.ROUND, 0))]))
    account = trace.standings[index]
    same = [i for i, s in enumerate(old.standings) if s.trainer == account.trainer]
    wanted = same[0] if same else min(max(account.previous - 1, 0), len(old.standings) - 1)
    return gather(trace, [place], extra=encode([BEFORE], [before_of(seal, old, (Kind.STANDING, wanted))]))


def dropped(trace: Trace, trainer: int, lost: tuple[SealRecord, Trace] | int) -> Evidence:
    """A trainer without an account: shown by the round before (its seal and trace), or by its entry's number."""
    addresses = [s.trainer for s in trace.standings]
    above = next((i for i, a in enumerate(addresses) if a > trainer), len(addresses))
    beside = [(Kind.STANDING, i) for i in (above - 1, above) if 0 <= i < len(addresses)]
    if isinstance(lost, int):
        return gather(trace, [(Kind.ENTRY, lost), *beside])
    seal, old = lost
    index = next(i for i, s in enumerate(old.standings) if s.trainer == trainer)
    return gather(trace, beside, extra=encode([BEFORE], [before_of(seal, old, (Kind.STANDING, index))]))


def roster(trace: Trace | None, index: int, record: RosterRecord, leaves: tuple[Leaf, ...]) -> Evidence:
    """A roster leaf: against the entry at its place, or (without a trace) against the members of the task."""
    leaf = leaves[index]
    chain_leaf = (index, leaf.owner, leaf.amount, leaf.data)
    extra = encode([_ROSTER_PROOF], [(plain(record), chain_leaf, path_of(leaves, index))])
    if trace is None:
        return Evidence(NO_TRACE.counts, NO_TRACE.roots, (), b"", extra)
    places = [(Kind.ENTRY, index)] if index < len(trace.entries) else []
    return gather(trace, places, extra=extra)


def forced(trace: Trace, index: int, record: RosterRecord, item: Forced) -> Evidence:
    """Forced receipt number `index` of the round, against the slot that the ledger keeps of it."""
    proof = (plain(record), index, item.seat, item.receipt.trainer, item.receipt.struct_hash())
    place = record.count + index
    places = [(Kind.ENTRY, place)] if place < len(trace.entries) else []
    return gather(trace, places, extra=encode([_FORCED_PROOF], [proof]))


def twice(trace: Trace, first: int, second: int) -> Evidence:
    """Two entries of one trainer that both count."""
    return gather(trace, [(Kind.ENTRY, first), (Kind.ENTRY, second)])


def rules(trace: Trace, document: bytes) -> Evidence:
    """The rules leaf against the specification's bytes."""
    places = [document.find(f'"{key}":'.encode()) if key else 0 for key in _RULES_KEYS]
    places[6] = max(document.find(f'"name":"{name}","reject_bps":'.encode()) for name in ("multi-krum", "fedavg"))
    places[11] = document.find(b'"kind":')
    return gather(trace, [(Kind.RULES, 0)], extra=encode(["bytes", "uint256[13]"], [document, places]))


def untraced(document: bytes) -> Evidence:
    """A seal without a trace, in a task whose specification (these bytes) is exact."""
    extra = encode(["bytes", "uint256"], [document, document.find(b'"exact":')])
    return Evidence(NO_TRACE.counts, NO_TRACE.roots, (), b"", extra)


def entry(trace: Trace, index: int) -> Evidence:
    """One entry's screen, caps and weight."""
    return gather(trace, [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.ENTRY, index), *_row(trace, index)])


def entries(trace: Trace) -> Evidence:
    """Stake sums, medians, divisor, rows."""
    return gather(trace, [(Kind.RULES, 0), (Kind.ROUND, 0)], everything=Kind.ENTRY)


def symmetry(trace: Trace, first: int, second: int) -> Evidence:
    """A Gram entry against its mirror."""
    return gather(trace, [(Kind.GRAM, first), (Kind.GRAM, second)])


def solution(trace: Trace) -> Evidence:
    """What all scores share."""
    reference = [(Kind.GRAM, 0)] if trace.round.reference else []
    return gather(trace, [(Kind.ROUND, 0), *reference, *_directions(trace)])


def quality(trace: Trace, index: int) -> Evidence:
    """One update's quality."""
    zero = [(Kind.GRAM, 0)] if trace.gram else []
    return gather(trace, [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.ENTRY, index), *_row(trace, index), *zero])


def group(trace: Trace, index: int) -> Evidence:
    """Sums over the group of an entry."""
    places = [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.ENTRY, index), *_row(trace, index)]
    return gather(trace, places, everything=Kind.ENTRY)


def score(trace: Trace, index: int) -> Evidence:
    """One score."""
    return gather(trace, [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.ENTRY, index)])


def duplicates(trace: Trace, first: int, second: int) -> Evidence:
    """Two near-duplicates in different groups."""
    shared = [(Kind.RULES, 0), (Kind.ROUND, 0)]
    return gather(trace, [*shared, (Kind.ENTRY, first), (Kind.ENTRY, second), *_row(trace, first)])


def krum(trace: Trace, index: int) -> Evidence:
    """One update's distances and its selection."""
    return gather(trace, [(Kind.ROUND, 0), (Kind.ENTRY, index), *_row(trace, index)], everything=Kind.ENTRY)


def replay(trace: Trace, index: int) -> Evidence:
    """Whether an update is made of public directions."""
    places = [(Kind.RULES, 0), (Kind.ROUND, 0), (Kind.ENTRY, index), *_row(trace, index)]
    return gather(trace, places + _directions(trace))


def _row(trace: Trace, index: int) -> list[tuple[Kind, int]]:
    found: EntryLeaf = trace.entries[index]
    return [(Kind.GRAM, found.row - 1)] if 0 < found.row <= len(trace.gram) else []


def _directions(trace: Trace) -> list[tuple[Kind, int]]:
    o = trace.round
    rows = (o.direction_0, o.direction_1, o.direction_2, o.direction_3)
    return [(Kind.GRAM, row - 1) for row in rows if 0 < row <= len(trace.gram)]


def path_of(leaves: tuple[Leaf, ...], index: int) -> bytes:
    """Return the way from a Merkle-sum leaf up: sum and hash of every sibling, 48 bytes each."""
    siblings = merkle_sum.prove(leaves, index).siblings
    return b"".join(node.total.to_bytes(16, "big") + node.digest for node in siblings)


def before_of(seal: SealRecord, trace: Trace, place: tuple[Kind, int]) -> tuple[object, ...]:
    """Return a seal with its header and one of its leaves, as `BEFORE` (judges' struct) encodes them."""
    header = trace.header
    return (plain(seal), header.counts, header.roots, plain(opened(trace, *place)))
