"""Rounds that `judge_round` judges, on the real ledger: what the chain says of each is read here by none of the
product's code, so that a seal stands only where both read alike.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fl_platform.dispute.claims import CellClaim
from fl_platform.dispute.disputed_round import source_column
from fl_platform.dispute.outputs import OutputClaim, accounts, claims_of, next_claims, program_path
from fl_platform.dispute.targets import EntryShown, ParentSeal, Target, source_claim
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.judge import Judgement
from fl_platform.judging.judge_public import rejudge_public
from fl_platform.judging.program import program_of, terms_of
from fl_platform.judging.tapes import told_tape
from fl_platform.ledger.records import RosterRecord, SealRecord
from fl_platform.ledger.reveals import ShownKey, boxes_of
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.openings import OTHER_KINDS, opened, refutation_of
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.receipt import sign_digest
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import Axis, Source
from fl_platform.protocol.spec import Party, TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import pack_update
from tests.support.bound_rounds import CHALLENGER, RefereeWorld, cell_of, referee_world, word_of
from tests.support.contracts import Run, Tree
from tests.support.evm import Account, Reverted, account
from tests.support.rounds import (
    STAKE,
    Place,
    Round,
    address_of,
    build_round,
    first_state,
    make_entry,
    private_key,
    zero_model,
)

WITNESSES = tuple(account(f"witness {i}") for i in range(3))


@dataclass
class JudgedRound:
    """One sealed round."""

    made: Round
    judged: Judgement
    bundle: RoundBundle
    target: Target
    entries: tuple[EntryShown, ...]
    sealed: Tape
    claims: tuple[Leaf, ...]
    parent: ParentSeal | None


Lie = Callable[[Round, Judgement], Tape]
ALONE = (Output.TOTAL, Output.MODEL)  # of no seat
PAID = (Output.EARNED, Output.REPUTATION, *ALONE)


@dataclass
class JudgedTask:
    """A task of the product's rules on the ledger."""

    world: RefereeWorld
    spec: TaskSpec
    run: Run
    rounds: list[JudgedRound] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)  # key numbers, in the order of their seats

    @classmethod
    def open(
        cls, spec: TaskSpec, *, trainers: dict[int, int], rounds: int = 4, witnesses: Sequence[Account] = WITNESSES
    ) -> JudgedTask:
        """Open a task of these rules; `trainers`: stakes in wei by key number, who join in this order."""
        world = referee_world()
        listed = tuple(Party(who.address, bytes(64)) for who in world.aggregators)
        first = first_state(spec, zero_model(spec))
        spec = replace(
            spec, aggregators=listed, owner=world.owner.address, initial_model=first.model,
            initial_root=first.model_root,
            witnesses=tuple(who.address for who in witnesses),
            complaints_needed=len(witnesses) // 2 + 1 if witnesses else 0,
        )  # fmt: skip
        run = Run.start(
            world, trainers=0, bonded=2, spec=spec.digest, program=program_of(spec).root, rules=terms_of(spec).root,
            rounds=rounds, pot=spec.money.pot, stake=1, fee_bps=spec.money.fee_bps,
        )  # fmt: skip
        task = cls(world, spec, run)
        for number, stake in trainers.items():
            task.join(number, stake)
        return task

    def join(self, number: int, stake: int = STAKE) -> None:
        """Let the holder of a test key join."""
        self.run.join(person(number), stake)
        self.joined.append(number)

    @property
    def place(self) -> Place:
        """Where its rounds are signed for."""
        return Place(self.world.domain, self.run.task)

    def draw(self, updates: list[Any], **options: Any) -> Round:
        """Build the next round of trainers 1, 2, ... with the stakes that they joined with."""
        stakes = [int(self.run.member(address_of(number))[0]) for number in range(1, len(updates) + 1)]
        if self.rounds:
            last = self.rounds[-1]
            options["before"] = last.judged.after
            options["models"] = {**last.made.models, last.judged.after.model: last.judged.row}
        made = build_round(self.spec, updates, stakes=stakes, place=self.place, **options)
        for one in self.rounds:
            made.sums |= sums_of(one.judged)
        return made

    def force(self, made: Round, number: int, update: Any, **changes: Any) -> None:
        """Add an entry that its trainer will force in."""
        entry = make_entry(self.spec, made.before, number, update, stake=0, place=self.place)
        made.entries.append(replace(entry, forced=True))
        made.data.append(pack_update(update, model=self.spec.model, bits=self.spec.codec.bits))
        if changes:
            made.sign(len(made.entries) - 1, number, **changes)

    def seal(
        self, made: Round, *, lie: Lie = lambda _, judged: judged.tape, rostered: Callable[[], object] = lambda: None
    ) -> JudgedRound:
        """Roster, force, judge by the product and seal; `rostered` happens between roster and forced receipts."""
        number, run = self.run.round, self.run
        listed = [entry for entry in made.entries if not entry.forced]
        tree = Tree(tuple(entry.leaf for entry in listed))
        run.roster(tree)
        seats_at = list(self.joined)
        members = {address_of(k): self._stake_at(k, number) for k in seats_at}
        rostered()
        for entry in made.entries[len(listed) :]:
            sender = next(person(k) for k in (*self.joined, 0) if address_of(k) == entry.receipt.trainer)
            self.world.ledger.send(sender, "forceInclude", entry.receipt, entry.signature)
        self._complain(made)
        boxes = [self._force_out(made, i) for i in range(len(made.entries))]
        self.world.wait(max(self.world.evm.now, run.window()[0]))
        shown = tuple(EntryShown(e.receipt, e.stake, tree.path(i), boxes[i]) for i, e in enumerate(listed))
        shown += tuple(EntryShown(e.receipt, boxes=boxes[i]) for i, e in enumerate(made.entries) if e.forced)
        parent = self.rounds[-1] if self.rounds else None
        total = int(self.world.views.call("allotted", run.task, number))
        pot = total - (0 if parent is None else parent.target.record.claim_total)
        seats = accounts(run.params.aggregators, self.world.owner.address, [address_of(k) for k in seats_at])
        context = replace(
            made.context, aggregator=run.aggregator, members=members, seats=seats, pot=pot, missing=made.missing
        )  # fmt: skip
        placed = replace(made, context=context)
        judged = placed.judge()
        bundle = bundle_of(self.spec, context, made.before, placed.entries, judged)
        tape = lie(placed, judged)
        claims = claims_of(tape, seats)
        run.seal(Tree(claims), trace=tape.root, model=word_of(int(tape.output(Output.MODEL))))
        record, roster = run.seals[number][0], run.rosters[number][0]
        target = Target(
            run.task, number, SealRecord(**vars(record)), RosterRecord(**vars(roster)), terms_of(self.spec),
            program_of(self.spec), run.params.aggregators,
        )  # fmt: skip
        before = None if parent is None else ParentSeal(parent.target.record, parent.target.roster, parent.sealed)
        done = JudgedRound(placed, judged, bundle, target, shown, tape, claims, before)
        self.rounds.append(done)
        return done

    def _complain(self, made: Round) -> None:
        """Let as many witnesses as are needed say what is not to be had."""
        names = sorted(made.missing)
        for who in random.Random(self.run.round).sample(WITNESSES, self.spec.complaints_needed) if names else ():
            self.world.complaints.send(who, "complain", self.run.task, self.run.round, names)

    def _force_out(self, made: Round, index: int) -> tuple[ShownKey, ...]:
        """Put on chain what a round says that a trainer forced out; return its boxes."""
        keys, entry = made.forced_out.get(index), made.entries[index]
        if keys is None:
            return ()
        trainer = next(person(k) for k in (*self.joined, 0) if address_of(k) == entry.receipt.trainer)
        digest = package_digest(entry.receipt, keys, self.world.domain, self.spec)
        package = boxes_of(keys, self.spec), sign_digest(digest, trainer.key)
        self.world.reveals.send(trainer, "forceReveal", (entry.receipt, entry.signature), package)
        return package[0]

    def _stake_at(self, number: int, round_number: int) -> int:
        joined, at, left, _ = self.run.tenure(address_of(number))
        closed = self.run.rosters[round_number][0].rostered_at
        return int(joined) if at and at < closed and (not left or left >= closed) else 0

    # --- who reads it ---

    def of_entries(self, one: JudgedRound) -> dict[Source, list[int]]:
        """Return what `ISources` says of each entry, read from the chain's own views."""
        roster, found = one.target.roster, []
        for receipt in (shown.receipt for shown in one.entries):
            stake, joined_at, left_at, seat = self.run.tenure(receipt.trainer)
            here = (receipt.task, receipt.round, receipt.life) == (self.run.task, one.target.round, roster.life)
            party = receipt.trainer == one.target.terms.reference
            was = 0 < joined_at < roster.rostered_at <= (left_at or roster.rostered_at)
            found.append((
                (REFERENCE_SEAT if party else seat * (seat < roster.seats)) * here, stake * was * here * (not party),
                cell_of(receipt.parent), receipt.length, receipt.samples, cell_of(receipt.content_root),
            ))  # fmt: skip
        named = (Source.SEAT_OF, Source.STAKE, Source.ENTRY_PARENT, Source.LENGTH, Source.SAMPLES, Source.CONTENT)
        return {source: [row[k] for row in found] for k, source in enumerate(named)}

    def refutes(self, one: JudgedRound, claim: Any) -> bool:
        """Whether a claim fells a seal."""
        try:
            self.world.disputes.send(CHALLENGER, claim.function, one.target.encoded(), *claim.encoded())
        except Reverted as error:
            if "NotRefuted" not in str(error):
                raise
            return False
        return True

    def bond(self) -> int:
        """What the first aggregator has at stake, wei."""
        return int(self.run.member(self.run.params.aggregators[0])[0])

    def against(self, one: JudgedRound, *, whole: bool = False) -> Iterator[str]:
        """Yield what the chain holds against a seal: by each source and carried column, the claims, and cells.

        `whole`: of every source all cells, and of every column one; else the last one and a drawn one, and some.
        """
        program, tape = one.target.program, one.sealed
        dice = random.Random(tape.root)
        for number, column in enumerate(program.columns):
            cells_of = tape.columns[number]
            if cells_of.size == 0:
                continue
            if column.op in (Op.SOURCE, Op.PREV):
                places = list(np.ndindex(cells_of.shape))
                for place in places if whole else {dice.choice(places), places[-1]}:  # what is forced in comes last
                    cell = opened(tape, number, place)
                    claim = source_claim(one.target, number, place, cell, entries=one.entries, parent=one.parent)
                    if self.refutes(one, claim):
                        yield f"{column.name} at {place} is {cell.value}"
            elif column.op not in OTHER_KINDS and (whole or dice.random() < 0.05):
                place = tuple(length - 1 for length in cells_of.shape)
                if self.refutes(one, CellClaim(refutation_of(tape, number, place))):
                    yield f"{column.name} at {place}"
        yield from self._claims(one)

    def drawn_claims(self, one: JudgedRound, dice: random.Random, count: int) -> Iterator[tuple[str, Any]]:
        """Yield drawn claims with what each is about: a source or carried cell, an output, a cell, and so on."""
        program, tape, outputs = one.target.program, one.sealed, PAID
        there = [(n, column) for n, column in enumerate(program.columns) if tape.columns[n].size]
        given = [n for n, column in there if column.op in (Op.SOURCE, Op.PREV)]
        by_entry = [n for n, column in there if column.op is Op.SOURCE and column.axes == (Axis.ENTRY,)] or given
        cells = [n for n, column in there if column.op not in OTHER_KINDS]
        for which in itertools.islice(itertools.cycle(("given", "output", "cell")), count):
            if which == "output":
                output, seat = dice.choice(outputs), dice.randrange(len(one.claims))
                yield f"{output.name} of seat {seat}", self._output_claim(one, output, seat)
                continue
            number = dice.choice(cells if which == "cell" else dice.choice((given, by_entry, by_entry)))
            shape = tape.columns[number].shape
            place = tuple(dice.choice((dice.randrange(length), length - 1)) for length in shape)
            what = f"{program.columns[number].name} at {place} is {tape.cell(number, place)}"
            if which == "cell":
                yield what, CellClaim(refutation_of(tape, number, place))
            else:
                cell = opened(tape, number, place)
                yield what, source_claim(one.target, number, place, cell, entries=one.entries, parent=one.parent)

    def _claims(self, one: JudgedRound) -> Iterator[str]:
        for output in PAID:
            for seat in (0,) if output in ALONE else range(9, len(one.claims), 2):
                if self.refutes(one, self._output_claim(one, output, seat)):
                    yield f"{output.name} of seat {seat}"

    def _output_claim(self, one: JudgedRound, output: Output, seat: int) -> OutputClaim:
        program, tree = one.target.program, Tree(one.claims)
        cell = opened(one.sealed, program.outputs[output], () if output in ALONE else (seat,))
        path = program_path(program)
        return OutputClaim(output, program.header(), path, cell, seat, tree.leaves[seat], tree.path(seat))

    def differences(self, one: JudgedRound) -> Iterator[str]:
        """Yield what a stranger without a key, or the bundle's own bytes, say otherwise."""
        bundle, judged = RoundBundle.from_bytes(one.bundle.to_bytes()), one.judged
        if told_tape(self.spec, bundle).root != one.target.record.trace:
            yield "the document tells of another tape"
        for source, cells in self.of_entries(one).items():
            number = source_column(one.target, source)
            if number is not None and one.sealed.columns[number].tolist() != cells:
                yield f"the chain's {source.name.lower()} is {cells}"
        again = rejudge_public(
            self.spec, one.made.context, one.made.before, bundle, sums=judged.sums, models=one.made.parent_row,
            **one.made.extra,
        )  # fmt: skip
        for name in ("verdicts", "measured", "divisor", "sums_root", "after", "split"):
            if getattr(again, name) != getattr(judged, name):
                yield f"a stranger finds other {name}"
        if again.tape.root != judged.tape.root:
            yield "a stranger finds another tape"
        if list(judged.tape.broken()):
            yield "a check of its own tape is 0"
        seats = one.made.context.seats
        if next_claims(one.target, one.sealed, seats, published=one.claims, shown={}) is not None:
            yield "its claims are not its tape's"


def person(number: int) -> Account:
    """Return the account of a test key."""
    return Account(private_key(number), address_of(number))


def sums_of(judged: Judgement) -> dict[bytes, Any]:
    """Return a round's sums by their file's digest."""
    return {cid_of(judged.aggregate_bytes).digest: judged.sums}
