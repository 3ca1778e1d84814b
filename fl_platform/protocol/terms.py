"""What a task freezes beside its program: the numbers of its rules, its blocks of parameters, and what binds a round.

    root   keccak(fourteen words of 32 bytes: blocks, directions, leaves, counting leaves, bits of an update's integers,
           ask bond, initial model, reference party's address, auditors' hash, recipients' hash, witnesses' hash,
           complaints needed, words root, blocks root)
    words  the Merkle root over 64 leaves keccak(0x00, index u8, int256)
    blocks the Merkle root over leaves keccak(0x00, eight words: first leaf, leaves, parameters, counts, first exponent,
           bits of a first step in the model, never below 0, first parameter)

Inner nodes are keccak(0x01, left, right); a hash of parties is keccak(addresses, 32 bytes each), that of
recipients keccak(address, 32 bytes, and wrap key, 64 bytes, each).
`TaskRegistry.openTask` keeps the root. Twin of contracts/libraries/Terms.sol.

Tests: tests/contracts/test_referee_bound.py
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.program import merkle_root
from fl_platform.protocol.rows import COORDINATES, RowShape, path_of, row_levels
from fl_platform.protocol.sources import INDEX_OF, LONGEST, OWN_WORDS, SOURCES, Axis, Source, word_bounds

WORD_LEAVES = OWN_WORDS.stop


@dataclass(frozen=True)
class Block:
    """A run of parameters with a step of its own: a tensor as a rule."""

    size: int  # parameters
    counts: bool  # in lengths, products and pay
    first_exponent: int  # of its step in round 0
    point: int = 0  # bits behind the point of its integers in the model
    nonnegative: bool = False  # the model's numbers there are never below 0

    @property
    def step_bits(self) -> int:
        """Bits that its step of round 0 has in the model."""
        return self.first_exponent + self.point


@dataclass(frozen=True)
class Terms:
    """All of it. Raises DocumentInvalid for what no task can have."""

    words: Mapping[int, int]  # of the rules, by index; those that are not there are 0 and no source
    blocks: tuple[Block, ...]  # those that count come first
    ask_bond: int  # wei that a question about a seal costs until it is answered
    initial_model: bytes  # content root of the model that round 0 starts from, 32 bytes
    reference: bytes  # address of the party whose entries are the reference, 20 bytes; zero: none
    auditors: tuple[bytes, ...] = ()  # addresses: who has updates' keys beside the first two aggregators
    recipients: tuple[tuple[bytes, bytes], ...] = ()  # address and wrap key (64 bytes) of who gets keys, in order
    witnesses: tuple[bytes, ...] = ()  # addresses: who says that an update is not to be had
    complaints_needed: int = 0  # how many of them must; 0: nothing lets a sealer leave an update out as missing

    def __post_init__(self) -> None:
        """Refuse what no round could be bound to."""
        for index, value in self.words.items():
            bounds = word_bounds(index)
            if bounds is None or not bounds[0] <= value <= bounds[1]:
                raise DocumentInvalid(f"the rules' word {index} is {value}; it must be within {bounds}")
        counting = [block.counts for block in self.blocks]
        if not 0 < len(counting) <= LONGEST[Axis.BLOCK] or counting != sorted(counting, reverse=True):
            raise DocumentInvalid(
                f"{len(counting)} blocks of parameters: 1 to {LONGEST[Axis.BLOCK]} are allowed, those that count first"
            )
        for block in self.blocks:
            limits = (
                (block.size, SOURCES[Source.BLOCK_SIZE]), (block.first_exponent, SOURCES[Source.FIRST_EXPONENT]),
                (block.step_bits, SOURCES[Source.BLOCK_STEP_BITS]),
            )  # fmt: skip
            if block.size < 1 or not all(given.bounds[0] <= value <= given.bounds[1] for value, given in limits):
                raise DocumentInvalid(
                    f"a block of {block.size} parameters with the step 2^{block.first_exponent}, point {block.point}"
                )

    def word(self, name: str) -> int:
        """Return a word by its name. Raises KeyError."""
        return self.words[INDEX_OF[name]]

    @cached_property
    def shape(self) -> RowShape:
        """How rows lie in leaves."""
        starts = [0]
        for block in self.blocks:
            starts.append(starts[-1] + -(-block.size // COORDINATES))
        return RowShape(tuple(starts), sum(block.counts for block in self.blocks), self.word("bits"))

    @cached_property
    def word_leaves(self) -> list[bytes]:
        """Leaves of the tree over the words."""
        return [
            keccak256(b"\0" + bytes([index]) + _word(self.words[index])) if index in self.words else bytes(32)
            for index in range(WORD_LEAVES)
        ]

    @cached_property
    def block_leaves(self) -> list[bytes]:
        """Leaves of the tree over the blocks."""
        return [keccak256(b"\0" + b"".join(map(_word, self.block_words(k)))) for k in range(len(self.blocks))]

    def block_words(self, number: int) -> tuple[int, ...]:
        """Return the eight words of a block's leaf."""
        block, first = self.blocks[number], self.shape.starts[number]
        count = self.shape.starts[number + 1] - first
        before = sum(each.size for each in self.blocks[:number])
        return (
            first, count, block.size, int(block.counts), block.first_exponent, block.step_bits, int(block.nonnegative),
            before,
        )  # fmt: skip

    def block_of(self, leaf: int) -> int:
        """Return the block that a leaf of a row is of; the last one for what is behind all of them."""
        return max(0, min(bisect_right(self.shape.starts, leaf), len(self.blocks)) - 1)

    def shown_block(self, number: int) -> tuple[object, ...]:
        """Return the fields of a block with its path, as contracts take it."""
        return number, list(self.block_words(number)), list(path_of(row_levels(self.block_leaves), number))

    def facts(self) -> tuple[int | bytes, ...]:
        """Return the fields of the contract's struct, in order."""
        shape = self.shape
        return (
            len(self.blocks), self.word("directions"), shape.leaves, shape.counted_leaves, shape.update_bits,
            self.ask_bond, self.initial_model, self.reference, parties_hash(self.auditors), self.recipients_hash,
            parties_hash(self.witnesses), self.complaints_needed, merkle_root(self.word_leaves),
            merkle_root(self.block_leaves),
        )  # fmt: skip

    @property
    def recipients_hash(self) -> bytes:
        """Hash of who gets updates' keys, 32 bytes."""
        return keccak256(b"".join(address.rjust(32, b"\0") + key for address, key in self.recipients))

    @cached_property
    def root(self) -> bytes:
        """What `openTask` freezes, 32 bytes."""
        facts = self.facts()
        return keccak256(b"".join(_word(each) if isinstance(each, int) else each.rjust(32, b"\0") for each in facts))


def parties_hash(addresses: tuple[bytes, ...]) -> bytes:
    """Hash of parties' addresses (20 bytes each), 32 bytes."""
    return keccak256(b"".join(address.rjust(32, b"\0") for address in addresses))


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=True)
