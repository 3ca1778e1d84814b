"""What a round's program may read: the axes of its columns, the kinds of its cells, and the sources from outside.

Each source has one binding on chain (contracts/dispute/Referee.sol), frozen before the sealer's window opens or in the
seal, so that nothing anybody does later changes a cell. Its bounds are the protocol's, not a rule's.

Tests: tests/unit/protocol/test_program.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from fl_platform.protocol.operations import GROUP, Bounds


class Axis(IntEnum):
    """What a column's places count. The order is that of a column's axes, the first outermost."""

    ENTRY = 1  # roster entries in order, forced ones behind
    OTHER = 2  # the same entries, for pairs
    SEAT = 3  # accounts, by seat
    BLOCK = 4  # of parameters: a tensor as a rule, in the order of leaves, those that count first
    DIRECTION = 5  # aggregates of earlier rounds, newest first
    OTHER_DIRECTION = 6  # the same, for pairs
    ENTRY_8 = 7  # groups of eight entries, the last one maybe of fewer; of 64, and so on
    ENTRY_64 = 8
    OTHER_8 = 9
    OTHER_64 = 10
    SEAT_8 = 11
    SEAT_64 = 12
    SEAT_512 = 13
    SEAT_4096 = 14
    SEAT_32768 = 15


# What the groups of groups of an axis are, from below up. The last of them is no longer than one group.
GROUPS: Mapping[Axis, tuple[Axis, ...]] = {
    Axis.ENTRY: (Axis.ENTRY_8, Axis.ENTRY_64), Axis.OTHER: (Axis.OTHER_8, Axis.OTHER_64),
    Axis.SEAT: (Axis.SEAT_8, Axis.SEAT_64, Axis.SEAT_512, Axis.SEAT_4096, Axis.SEAT_32768),
}  # fmt: skip
# Of what an axis has groups, and how many places each.
GROUPED: Mapping[Axis, tuple[Axis, int]] = {
    group: (axis, GROUP**level) for axis, groups in GROUPS.items() for level, group in enumerate(groups, 1)
}
_LONGEST = {
    Axis.ENTRY: 512, Axis.OTHER: 512, Axis.SEAT: 65_536, Axis.BLOCK: 256, Axis.DIRECTION: 16, Axis.OTHER_DIRECTION: 16,
}  # fmt: skip
# The longest that each can be: what the bounds of running values are reckoned with.
LONGEST: Mapping[Axis, int] = _LONGEST | {
    group: -(-_LONGEST[axis] // places) for group, (axis, places) in GROUPED.items()
}
# Of a round's entries: what its roster names at most, and what trainers can force in beside it (RoundLedger).
MOST_ROSTERED = MOST_FORCED = LONGEST[Axis.ENTRY] // 2
TWINS: Mapping[Axis, Axis] = {
    Axis.ENTRY: Axis.OTHER, Axis.OTHER: Axis.ENTRY, Axis.DIRECTION: Axis.OTHER_DIRECTION,
    Axis.OTHER_DIRECTION: Axis.DIRECTION,
}  # fmt: skip
SECOND = frozenset({Axis.OTHER, Axis.OTHER_DIRECTION})  # of a pair


class Map(IntEnum):
    """Which cell of an operand a cell reads. What lies outside of the operand is 0."""

    OWN = 0  # at the own place; axes that the operand has not are dropped
    SWAPPED = 1  # as OWN, with the two axes of each pair exchanged
    DIAGONAL = 2  # as OWN, with the second of each pair at the place of the first
    BEFORE = 3  # as OWN, one place earlier along the own last axis
    LAST = 4  # as OWN, at the last place of the operand's last axis, which the own column has not


class Kind(IntEnum):
    """What a cell holds. All but numbers are 32 raw bytes, read by EQ, SEL, GATHER, PREV, rows and outputs alone."""

    NUMBER = 0
    MODEL = 1  # the content root of a model's integers, int32
    UPDATE = 2  # the content root of an update's integers; 0: no row
    SUMS = 3  # the content root of a round's sums, int32; 0: no row
    FIELD = 4  # a number below the order r of BN254's scalar field; read by POSEIDON, EQ and outputs alone


RAW: Bounds = (-(2**255), 2**255 - 1)


class Source(IntEnum):
    """Where a SOURCE column's cells come from."""

    WORD = 1  # of the task's rules, a leaf of its rules root; the immediate says which
    COUNT = 2  # of entries: the roster's and the forced ones
    ROUND = 3
    POT = 4  # that this round allots, wei
    AGGREGATOR = 5  # seat of who seals
    PARENT = 6  # content root of the model that this round starts from
    SEAT_OF = 7  # of an entry's trainer, as its roster leaf or forced slot says
    STAKE = 8  # that an entry's trainer joined with, wei; 0: none
    ENTRY_PARENT = 9  # in an entry's receipt: content root of the model that it was trained from
    LENGTH = 10  # declared in an entry's receipt, bytes
    SAMPLES = 11  # declared in an entry's receipt
    CONTENT = 12  # root of an entry's integers, from its receipt
    REFUSED = 13  # why an entry's update is not opened (`Refused`), as the seal says with its evidence
    BLOCK_SIZE = 14  # parameters in a block
    BLOCK_COUNTS = 15  # 1: the block counts in lengths, products and pay
    FIRST_EXPONENT = 16  # of the block's step in round 0
    BLOCK_STEP_BITS = 17  # that the block's step of round 0 has in the model: first exponent and the integers' point
    BLOCK_NONNEGATIVE = 18  # 1: the model's numbers in the block are never below 0


class Refused(IntEnum):
    """Why a sealer did not open an update. Each kind has its own evidence."""

    NO = 0
    CONVICTED = 1  # a bad key or a bad opening was shown on chain by the time that the seal names
    WITHHELD = 2  # no key came before the reveal's deadline
    MISSING = 3  # enough of the task's witnesses complained, by the time that the seal names, that it is not to be had


@dataclass(frozen=True)
class Given:
    """A source's shape, kind and the bounds that the protocol gives it."""

    axes: tuple[Axis, ...]
    bounds: Bounds
    kind: Kind = Kind.NUMBER


_E, _B = (Axis.ENTRY,), (Axis.BLOCK,)
SOURCES: Mapping[Source, Given] = {
    Source.COUNT: Given((), (0, LONGEST[Axis.ENTRY])),
    Source.ROUND: Given((), (0, 2**16 - 1)),
    Source.POT: Given((), (0, 2**80 - 1)),
    Source.AGGREGATOR: Given((), (0, LONGEST[Axis.SEAT] - 1)),
    Source.PARENT: Given((), RAW, Kind.MODEL),
    Source.SEAT_OF: Given(_E, (0, LONGEST[Axis.SEAT] - 1)),
    Source.STAKE: Given(_E, (0, 2**80 - 1)),
    Source.ENTRY_PARENT: Given(_E, RAW, Kind.MODEL),
    Source.LENGTH: Given(_E, (0, 2**64 - 1)),
    Source.SAMPLES: Given(_E, (0, 2**64 - 1)),
    Source.CONTENT: Given(_E, RAW, Kind.UPDATE),
    Source.REFUSED: Given(_E, (0, len(Refused) - 1)),
    Source.BLOCK_SIZE: Given(_B, (0, 2**28)),
    Source.BLOCK_COUNTS: Given(_B, (0, 1)),
    Source.FIRST_EXPONENT: Given(_B, (-300, 300)),
    Source.BLOCK_STEP_BITS: Given(_B, (-600, 600)),
    Source.BLOCK_NONNEGATIVE: Given(_B, (0, 1)),
}


@dataclass(frozen=True)
class Word:
    """A number of the rules that a task freezes: its name, and the bounds that its specification keeps to."""

    name: str
    bounds: Bounds


_BPS: Bounds = (0, 10_000)
# The index of a word is its place here. New ones are put at the end: their indices are part of programs' bytes.
WORDS: tuple[Word, ...] = (
    Word("blocks", (1, LONGEST[Axis.BLOCK])),
    Word("directions", (0, LONGEST[Axis.DIRECTION])),
    Word("size", (1, 2**28)),  # parameters that count
    Word("bits", (4, 16)),  # of an update's integers
    Word("stochastic", (0, 1)),  # 1: updates are rounded stochastically
    Word("spread", (1, 1_024)),  # standard deviations that the largest integer stands for
    Word("update_length", (0, 2**40)),  # bytes
    Word("stake_cap_bps", _BPS),
    Word("clip_bps", (0, 1_000_000)),
    Word("reject_bps", (0, 1_000_000)),
    Word("floor_bps", _BPS),
    Word("duplicate_bps", _BPS),
    Word("reference_bps", _BPS),  # a cosine with the reference below this part of the median one is other work
    Word("noise_sigmas_squared", (0, 1_000)),
    Word("least_length_shift", (0, 16)),  # a score is per length, of at least the median's 2^-this
    Word("byzantine", (0, LONGEST[Axis.ENTRY])),
    Word("alpha_num", (0, 1_000)),
    Word("alpha_den", (1, 1_000)),
    Word("fee_bps", _BPS),
    Word("base_bps", _BPS),
    Word("memory", (1, 1_024)),  # a reputation moves by one part in this many
    Word("server_lr_num", (0, 2**16)),
    Word("server_lr_den", (1, 2**16)),
    Word("clip_factor", (1, 64)),  # a trainer clips its delta at this many times the length that steps are made for
)
INDEX_OF: Mapping[str, int] = {word.name: index for index, word in enumerate(WORDS)}
# Rules of a task's own name their numbers by these.
OWN_WORDS = range(48, 64)
OWN_BOUNDS: Bounds = (-(2**64), 2**64)


def grouped(axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
    """Return the axes of the groups of eight along the last one; None where that has none, and is longer than one."""
    last = axes[-1]
    of, _ = GROUPED.get(last, (last, 1))
    above = [group for group in GROUPS.get(of, ()) if group > last]
    if above:
        return (*axes[:-1], above[0])
    return axes[:-1] if LONGEST[last] <= GROUP else None


def word_bounds(index: int) -> Bounds | None:
    """Return the bounds of the rules' word `index`; None where there is none."""
    if 0 <= index < len(WORDS):
        return WORDS[index].bounds
    return OWN_BOUNDS if index in OWN_WORDS else None


def given_of(immediate: int) -> Given | None:
    """Return what a SOURCE instruction's immediate (untrusted) stands for; None: nothing."""
    number, index = immediate & 0xFF, immediate >> 8
    if number == Source.WORD:
        bounds = word_bounds(index)
        return None if bounds is None else Given((), bounds)
    return SOURCES.get(Source(number)) if index == 0 and number in set(Source) else None


def immediate_of(source: Source, index: int = 0) -> int:
    """Return the immediate that stands for a source; `index`: of a word."""
    return index << 8 | int(source)
