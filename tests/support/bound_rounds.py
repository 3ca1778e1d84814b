"""Rounds on the real ledger whose seals a program decides, with rows that are opened: what binds a tape to the chain.

What a round is evaluated from is read here from the chain's own views, by none of the product's code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.outputs import accounts, claims_of
from fl_platform.dispute.targets import EntryShown, ParentSeal, Target
from fl_platform.ledger.records import RosterRecord as Roster
from fl_platform.ledger.records import SealRecord as Seal
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import INDEX_OF, WORDS, Source
from fl_platform.protocol.tape import Given, Lengths, Tape
from fl_platform.protocol.terms import Block, Terms
from fl_platform.rules.compose import Rule, compose
from tests.support.contracts import Run, Tree, Windows, World, digest
from tests.support.evm import account, created_at
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import claiming
from tests.support.rule_rounds import DEFAULTS, Federation

ASK_BOND = 10**15
REFERENCE, CHALLENGER = account("reference"), account("challenger")


class RefereeWorld(World):
    """The platform with the referee as its disputes."""

    def _disputes(self, deployer: bytes) -> None:
        at = [created_at(deployer, nonce) for nonce in range(13)]
        self.disputes = self.evm.create(deployer, "Referee", at[8], at[12], at[9], at[3], at[1], at[2], at[10])
        self.views = self.evm.create(deployer, "LedgerOracle", at[3])
        self.tapes = self.evm.create(deployer, "Tapes")
        self.sources = self.evm.create(deployer, "Sources", at[3], at[1], at[2], at[10], at[11])
        self.reveals = self.evm.create(deployer, "Reveals", at[6], at[3], at[1], at[2])
        self.complaints = self.evm.create(deployer, "Complaints")
        self.poseidon = self.evm.create(deployer, "Poseidon")


@cache
def _shared() -> tuple[RefereeWorld, tuple[bytes, int]]:
    world = RefereeWorld()
    world.fill(CHALLENGER)
    return world, world.evm.snapshot()


def referee_world() -> RefereeWorld:
    """Return the shared deployment in its first state."""
    world, mark = _shared()
    world.evm.restore(mark)
    return world


@dataclass
class Sealed:
    """One sealed round: what everybody knows of it, its honest tape, and what was sealed."""

    target: Target
    entries: tuple[EntryShown, ...]
    known: KnownRound
    honest: Tape
    sealed: Tape
    seats: tuple[bytes, ...]
    claims: tuple[Leaf, ...]
    parent: ParentSeal | None


Lie = Callable[[KnownRound, Tape], Tape]
NO_LIE: Lie = lambda _, honest: honest  # noqa: E731


@dataclass
class BoundTask:
    """A task on the ledger that a program decides."""

    dice: random.Random
    world: World
    rule: Rule = field(default_factory=Rule)
    trainers: int = 4
    auditors: tuple[bytes, ...] = ()
    windows: Windows = field(default_factory=Windows)
    rounds: list[Sealed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.program: Program = compose(self.rule)
        self.people = [account(f"trainer {i}") for i in range(self.trainers)]
        self.fed = Federation(self.dice, self.trainers, self.rule.directions)
        self.rows: IntegerRows = self.fed.rows
        words = {word.name: word.bounds[0] for word in WORDS} | DEFAULTS | self.fed.rules
        self.terms = Terms(
            {INDEX_OF[name]: value for name, value in words.items()},
            tuple(
                Block(size, k < self.fed.counting, exponent, self.fed.points[k], bool(self.fed.nonnegative[k]))
                for k, (size, exponent) in enumerate(zip(self.fed.sizes, self.fed.first, strict=True))
            ),
            ASK_BOND, word_of(self.rows.model), REFERENCE.address, self.auditors,
        )  # fmt: skip
        self.run = Run.start(
            self.world, trainers=0, bonded=3, program=self.program.root, rules=self.terms.root, rounds=8,
            windows=self.windows,
        )  # fmt: skip
        for who in self.people:
            self.run.join(who, self.run.params.stake * self.dice.choice((1, 1, 2)))
        self.joined = list(self.people)

    @property
    def seats(self) -> tuple[bytes, ...]:
        """The account of every seat."""
        joined = [who.address for who in self.joined]
        return accounts(self.run.params.aggregators, self.world.owner.address, joined)

    def play(self, lie: Lie = NO_LIE, *, claims: Callable[[list[Leaf]], list[Leaf]] = list, **seal: Any) -> Sealed:
        """Roster, force, seal a round of drawn entries; `lie` makes what is sealed of the honest tape."""
        number, parent = self.run.round, self.rounds[-1] if self.rounds else None
        rostered, forced = self._entries(parent)
        leaves = [(entry, self._leaf_stake(entry)) for entry in rostered]
        tree = Tree(tuple(Leaf(one.trainer, stake, one.struct_hash()) for one, stake in leaves))
        self.run.roster(tree)
        for one in forced:
            who = next(each for each in self.joined if each.address == one.trainer)
            self.world.ledger.send(who, "forceInclude", one, self.run.sign(who, one))
        shown = tuple(EntryShown(one, tree.leaves[i].amount, tree.path(i)) for i, (one, _) in enumerate(leaves))
        shown += tuple(EntryShown(one) for one in forced)
        self.world.wait(max(self.world.evm.now, self.run.window()[0]))
        lengths, given = self._given(number, shown, parent)
        known = KnownRound(self.program, lengths, given, self.rows)
        honest = evaluate(self.program, lengths, given)
        told = lie(known, honest)
        leaf_list = claims(list(claims_of(told, self.seats)))
        model = int(told.output(Output.MODEL))  # 0 where a liar has no model to start from: the ledger takes no 0
        seal.setdefault("model", word_of(model) if model else digest("no model"))
        self.run.seal(Tree(tuple(leaf_list)), trace=told.root, **seal)
        seal_record, roster = self.run.seals[number][0], self.run.rosters[number][0]
        target = Target(
            self.run.task, number, Seal(**vars(seal_record)), Roster(**vars(roster)), self.terms, self.program,
            self.run.params.aggregators,
        )  # fmt: skip
        before = None if parent is None else ParentSeal(parent.target.record, parent.target.roster, parent.sealed)
        made = Sealed(target, shown, known, honest, told, self.seats, tuple(leaf_list), before)
        self.rounds.append(made)
        return made

    def _leaf_stake(self, receipt: Receipt) -> int:
        return 0 if receipt.trainer == REFERENCE.address else int(self.run.member(receipt.trainer)[0])

    def _entries(self, parent: Sealed | None) -> tuple[list[Receipt], list[Receipt]]:
        """Return drawn receipts: rostered ones by address, forced ones."""
        model = self.terms.initial_model if parent is None else parent.target.record.model
        past = [] if parent is None else [root for root in self._past(parent.sealed) if root]
        made: list[Receipt] = []
        forced: list[Receipt] = []
        for who in self.joined:
            if self.dice.random() < 0.15 and len(made) > 1:
                continue
            kind = self.dice.choice(("honest",) * 7 + ("old parent", "length", "zero", "copy", "replay", "elsewhere"))
            root = self.fed.row(1, 0.8)
            if kind == "zero":
                root = self.rows.add(np.zeros(sum(self.fed.sizes)))
            if kind == "copy" and made:
                root = int.from_bytes(made[-1].content_root, "big", signed=True)
            if kind == "replay" and past:
                row = self.rows.rows[past[0]].astype(float)
                scale = float(np.abs(row).max()) or 1.0
                root = self.rows.add(self.fed.within(row * (3 * self.fed.unit / scale)))
            receipt = self.run.receipt(
                who, parent=digest("old") if kind == "old parent" else model, content_root=word_of(root),
                length=DEFAULTS["update_length"] + (kind == "length"), samples=self.dice.randrange(1, 1_000),
            )  # fmt: skip
            if kind == "elsewhere":  # the ledger takes no such receipt; a roster's author can list one
                name = self.dice.choice(("task", "round", "life"))
                other: dict[str, Any] = {name: getattr(receipt, name) + 1}
                receipt = replace(receipt, **other)
            late = made and kind != "elsewhere" and self.dice.random() < 0.2
            (forced if late else made).append(receipt)
            if not late and kind != "elsewhere" and self.dice.random() < 0.1:  # the first counts
                forced.append(receipt)
        if self.dice.random() < 0.85:
            content = word_of(self.fed.row(1, 0.3))
            length = DEFAULTS["update_length"]
            made.append(self.run.receipt(REFERENCE, parent=model, content_root=content, length=length))
        return sorted(made, key=lambda one: one.trainer), forced

    def _past(self, tape: Tape) -> list[int]:
        number = next(column.operands[0].column for column in self.program.columns if column.name == "past")
        return [int(root) for root in tape.columns[number]]

    def _given(self, number: int, shown: Sequence[EntryShown], parent: Sealed | None) -> tuple[Lengths, Given]:
        receipts = [one.receipt for one in shown]
        roster = self.run.rosters[number][0]
        tenures = [self.run.tenure(one.trainer) for one in receipts]
        party = [one.trainer == REFERENCE.address for one in receipts]
        here = [(one.task, one.round, one.life) == (self.run.task, number, roster.life) for one in receipts]
        total = int(self.world.views.call("allotted", self.run.task, number))

        def of(values: Sequence[int]) -> Array:
            return np.array(list(values), dtype=object).reshape(len(values))

        def stake(tenure: Any) -> int:
            joined, at, left, _ = tenure
            return joined if at and at < roster.rostered_at and (not left or left >= roster.rostered_at) else 0

        sources: dict[Source, Array | int] = {
            Source.COUNT: len(receipts),
            Source.ROUND: number,
            Source.POT: total - (0 if parent is None else parent.target.record.claim_total),
            Source.AGGREGATOR: self.run.params.aggregators.index(self.run.aggregator),
            Source.PARENT: cell_of(self.terms.initial_model if parent is None else parent.target.record.model),
            Source.SEAT_OF: of([
                (REFERENCE_SEAT if p else t[3] * (t[3] < roster.seats)) if h else 0
                for h, p, t in zip(here, party, tenures, strict=True)
            ]),
            Source.STAKE: of([0 if p or not h else stake(t) for h, p, t in zip(here, party, tenures, strict=True)]),
            Source.ENTRY_PARENT: of([cell_of(one.parent) for one in receipts]),
            Source.LENGTH: of([one.length for one in receipts]),
            Source.SAMPLES: of([one.samples for one in receipts]),
            Source.CONTENT: of([cell_of(one.content_root) for one in receipts]),
            Source.REFUSED: of([0 if self.dice.random() < 0.9 else 2 for _ in receipts]),
            Source.BLOCK_SIZE: of([block.size for block in self.terms.blocks]),
            Source.BLOCK_COUNTS: of([int(block.counts) for block in self.terms.blocks]),
            Source.FIRST_EXPONENT: of([block.first_exponent for block in self.terms.blocks]),
            Source.BLOCK_STEP_BITS: of([block.step_bits for block in self.terms.blocks]),
            Source.BLOCK_NONNEGATIVE: of([int(block.nonnegative) for block in self.terms.blocks]),
        }
        lengths = Lengths(len(receipts), 9 + self.run.joins, len(self.terms.blocks), self.rule.directions)
        previous = None if parent is None else parent.sealed.columns
        given = Given(sources, self.terms.words, previous, self.rows, self.rows)
        return lengths, claiming(self.program, lengths, given, self.dice)


def cell_of(data: bytes) -> int:
    """Return 32 bytes as a cell holds them."""
    return int.from_bytes(data, "big", signed=True)


def word_of(cell: int) -> bytes:
    """Return a cell as 32 bytes."""
    return cell.to_bytes(32, "big", signed=True)

