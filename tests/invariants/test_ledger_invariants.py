"""The invariants of README.md under random calls, beside a Python twin that predicts every outcome."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fl_platform.protocol.merkle_sum import Leaf
from tests.support.contracts import (
    AGGREGATOR,
    COMPENSATED,
    DONE,
    LEAVING,
    PAID,
    RESIDUAL,
    RESIDUAL_PAID,
    TRAINER,
    Run,
    Tree,
    Windows,
    digest,
    escrow_balance,
    fresh_world,
    holdings,
)
from tests.support.evm import Outcome, Reverted, account
from tests.support.ledger_twin import OPEN, ROSTERED, Twin

ANYONE = account("anyone")
ACCUSER = account("challenger")
NAMES = [account(f"trainer {i}") for i in range(4)]
WINDOWS = Windows(min_round=60, roster=200, force=40, reveal=10, seal=100, challenge=150, takeover=80, unbonding=1_000)
POT = 1_003
WHEN = st.sampled_from(["now", "before", "first", "first", "first", "last", "late"])


class Ledger(RuleBasedStateMachine):
    """Random lives of one task."""

    @initialize(
        aggregators=st.integers(1, 3), rounds=st.integers(1, 6), trainers=st.integers(0, 3), played=st.integers(0, 4)
    )
    def open(self, aggregators: int, rounds: int, trainers: int, played: int) -> None:
        self.world = fresh_world()
        listed = tuple(a.address for a in self.world.aggregators[:aggregators])
        self.run = Run.start(
            self.world, trainers=trainers, bonded=1, rounds=rounds, pot=POT, bond=POT + 7, stake=500, windows=WINDOWS,
            aggregators=listed,
        )  # fmt: skip
        self.twin = Twin(self.run.params, self.world.evm.now, bonds={0: POT + 7}, bonded={0})
        for who in sorted(self.run.trainers, key=lambda a: int(self.run.tenure(a)[3])):
            self.twin.join(who.address, 500, self.now)
        self.deposited = self.run.params.bounty + POT + 7 + 500 * trainers
        self.withdrawn: dict[bytes, int] = {}
        self.credited: dict[bytes, int] = {}
        self.owner_released = 0
        self.trainers_released = 0
        self.slashed_to_pot = 0
        self.frozen_records: dict[int, Any] = {}
        self.accusation: dict[int, int] = {}
        self.forced: set[tuple[int, int, bytes]] = set()
        self.voids = 0
        if trainers:
            self.play(played)

    # --- bookkeeping ---

    def attempt(self, allowed: bool, call: Any, *arguments: Any, **options: Any) -> Outcome | None:
        """Make a call that the twin allows or forbids; the chain must agree."""
        try:
            done: Outcome = call(*arguments, **options)
        except Reverted as error:
            if allowed:
                raise AssertionError("the twin allows what reverted") from error
            return None
        assert allowed, "the chain did what the twin forbids"
        self._note(done)
        return done

    def _note(self, done: Outcome) -> None:
        for name, values in done.events:
            if name == "RewardClaimed":
                self._credit(values["owner"], values["amount"])
            elif name == "PotReleased":
                self._credit(values["account"], values["amount"])
                if values["account"] == self.world.owner.address:
                    self.owner_released += values["amount"]
                else:
                    self.trainers_released += values["amount"]
            elif name == "StakeReleased":
                self._credit(values["account"], values["amount"])
            elif name == "BondPaid":
                self._credit(values["to"], values["amount"])
            elif name == "StakeSlashed":
                self._credit(values["beneficiary"], values["share"])
                self.slashed_to_pot += values["amount"] - values["share"]

    def _credit(self, who: bytes, amount: int) -> None:
        self.credited[who] = self.credited.get(who, 0) + amount

    def people(self) -> list[bytes]:
        accounts = (self.world.owner, *self.world.aggregators, *NAMES, ACCUSER)
        return [a.address for a in accounts]

    def flags(self, who: Any) -> int:
        return int(self.run.member(who)[3])

    @property
    def now(self) -> int:
        return self.world.evm.now

    # --- time and members ---

    @rule(seconds=st.sampled_from([1, 30, 60, 90, 149]))
    def wait(self, seconds: int) -> None:
        self.world.wait(self.now + seconds)

    def _go(self, when: str) -> None:
        """Set the clock to a boundary of the head's window, where it still lies ahead."""
        if self.twin.running and when != "now":
            first, last = self.twin.window()
            target = {"first": first, "before": first - 1, "last": last - 1, "late": last}[when]
            self.world.wait(max(self.now, target))

    @rule(action=st.integers(0, 6), number=st.integers(0, 8), amount=st.integers(0, 300))
    def member(self, action: int, number: int, amount: int) -> None:
        """One rule for everything that members do, so that rounds stay the most frequent event."""
        trainer, place = NAMES[number % 4], number % 3
        if action == 0:
            self.join(trainer, amount)
        elif action == 1:
            self.leave(trainer)
        elif action == 2:
            self.bond(place)
        elif action == 3:
            self.unbond(place)
        elif action == 4:
            self.exit(number % 7)
        elif action == 5:
            self.slash(trainer, amount + 1)
        else:
            self.withdraw(number)

    def join(self, who: Any, extra: int) -> None:
        ended = self.twin.phase in (4, 5) or self.ended()
        free = not self.flags(who) & (TRAINER | AGGREGATOR | LEAVING) and self.twin.may_join(who.address)
        if self.attempt(free and not ended, self._join, who, 500 + extra):
            self.deposited += 500 + extra
            self.twin.join(who.address, 500 + extra, self.now)

    def ended(self) -> bool:
        return bool(self.world.registry.call("task", self.run.task)[6])

    def _join(self, who: Any, stake: int) -> Outcome:
        trainers = list(self.run.trainers)
        done = self.run.join(who, stake=stake)
        if who in trainers:
            self.run.trainers = trainers
        return done

    def leave(self, who: Any) -> None:
        allowed = bool(self.flags(who) & TRAINER) and not self.flags(who) & LEAVING
        if self.attempt(allowed, self.world.registry.send, who, "leaveTask", self.run.task):
            self.twin.leave(who.address, self.now)

    def bond(self, place: int) -> None:
        if place >= len(self.run.params.aggregators):
            return
        who = self.world.aggregators[place]
        allowed = not self.flags(who) & (AGGREGATOR | LEAVING)
        if self.attempt(allowed, self.run.bond, place):
            self.deposited += POT + 7
            self.twin.bonds[place] = self.twin.bonds.get(place, 0) + POT + 7
            self.twin.bonded.add(place)

    def unbond(self, place: int) -> None:
        who = self.world.aggregators[place]
        current = place == self.twin.place and self.twin.running
        allowed = bool(self.flags(who) & AGGREGATOR) and not current
        if self.attempt(allowed, self.world.ledger.send, who, "unbondAggregator", self.run.task):
            self.twin.bonded.discard(place)

    def exit(self, number: int) -> None:
        who = [*NAMES, *self.world.aggregators][number]
        ready = self.world.escrow.call("readyAt", self.run.task, who.address)
        allowed = bool(self.flags(who) & LEAVING) and self.now >= ready and not self.twin.frozen
        if self.attempt(allowed, self.world.escrow.send, who, "exit", self.run.task) and number >= len(NAMES):
            self.twin.bonds[number - len(NAMES)] = 0

    # --- rounds ---

    @rule(rounds=st.integers(1, 3))
    def play(self, rounds: int) -> None:
        """Some honest rounds by whoever is the aggregator."""
        for _ in range(rounds):
            if self.twin.frozen or not self.twin.running:
                return
            if self.twin.place not in self.twin.bonded:
                self.bond(self.twin.place)
            for step in (lambda: self.roster(False, "first"), lambda: self.seal([1, 2, 3, 0], "first")):
                step()

    @rule(garbage=st.booleans(), when=WHEN)
    def roster(self, garbage: bool, when: str) -> None:
        self._go(when)
        fake = Tree((Leaf(digest("nobody")[:20], 10, bytes(32)), Leaf(digest("no one")[:20], 5, bytes(32))))
        held = [t for t in self.run.trainers if self.run.member(t)[0] > 0]
        tree = fake if garbage or not held else self.run.roster_tree()
        if self.attempt(self.twin.may_step(self.now, OPEN), self.run.roster, tree, at=self.now):
            self.twin.roster(self.now)

    @rule(
        weights=st.lists(st.integers(0, 5), min_size=4, max_size=4),
        when=WHEN,
        off=st.sampled_from(["nothing", "nothing", "what is late", "a wei", "a wei too much"]),
    )
    def seal(self, weights: list[int], when: str, off: str = "nothing") -> None:
        self._go(when)
        if not self.run.trainers or self.run.round not in self.run.rosters:
            return
        shares = [w + 1 for w in weights[: len(self.run.trainers)]]
        late = self.twin.late
        less = {"nothing": 0, "what is late": late, "a wei": min(late, 1), "a wei too much": late + 1}[off]
        tree = self.run.claims(self.twin.allotted() - less, shares)
        fits = self.twin.may_step(self.now, ROSTERED) and less <= late
        if self.attempt(fits, self.run.seal, tree, at=self.now):
            self.twin.seal(self.now, tree.root.total)

    @rule(when=st.sampled_from(["now", "last", "late", "late"]))
    def advance(self, when: str) -> None:
        self._go(when)
        if self.attempt(self.twin.may_advance(self.now), self.run.advance, at=self.now):
            self.twin.advance(self.now)

    @rule(when=WHEN)
    def pass_(self, when: str) -> None:
        """It costs nobody anything, and moves no money."""
        self._go(when)
        everybody = [*self.people(), bytes(20)]
        before = [self.run.member(who) for who in everybody]
        if self.attempt(self.twin.may_pass(self.now), self.run.pass_, at=self.now):
            self.twin.pass_(self.now)
        assert [self.run.member(who) for who in everybody] == before

    @rule(who=st.sampled_from(NAMES))
    def force(self, who: Any) -> None:
        receipt = self.run.receipt(who)
        inside = self.now < self.twin.time + WINDOWS.force and not self.twin.takeover
        allowed = self.twin.phase == ROSTERED and not self.twin.frozen and inside and bool(self.flags(who) & TRAINER)
        allowed = allowed and self.twin.tenures[who.address].joined < self.twin.time
        mark = (self.twin.life, self.twin.round, who.address)
        allowed = allowed and mark not in self.forced
        call = (ANYONE, "forceInclude", receipt, self.run.sign(who, receipt))
        if self.attempt(allowed, self.world.ledger.send, *call):
            self.forced = {*self.forced, mark}

    # --- disputes ---

    @precondition(lambda self: self.run.seals)
    @rule(data=st.data(), bond=st.sampled_from([0, 40]))
    def challenge(self, data: st.DataObject, bond: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.run.seals)))
        if self.attempt(self.twin.may_challenge(number, self.now), self.run.challenge, number, bond=bond):
            self.twin.challenge(number, self.now)
            self.deposited += bond
            self.accusation = {**self.accusation, number: bond}

    @precondition(lambda self: self.twin.frozen)
    @rule(data=st.data(), upheld=st.booleans())
    def judge(self, data: st.DataObject, upheld: bool) -> None:
        number = data.draw(st.sampled_from([n for n, s in self.twin.seals.items() if s.disputed]))
        self._judge(number, upheld)

    def _judge(self, number: int, upheld: bool) -> None:
        bond = self.accusation.pop(number)
        done = self.attempt(True, self.run.judge, number, upheld, bond=bond)
        assert done is not None
        if upheld:
            self.accusation = {n: b for n, b in self.accusation.items() if n < number}
            self.twin.uphold(number, self.now)
            self.voids += 1
        else:
            self.twin.reject(number, self.now)

    @precondition(lambda self: self.run.seals)
    @rule(data=st.data())
    def overturn(self, data: st.DataObject) -> None:
        """A lie that is shown at once needs no mark before."""
        number = data.draw(st.sampled_from(sorted(self.run.seals)))
        if number not in self.accusation and self.attempt(
            self.twin.may_challenge(number, self.now), self.run.judge, number, True
        ):
            self.accusation = {n: b for n, b in self.accusation.items() if n < number}
            self.twin.uphold(number, self.now)
            self.voids += 1

    @rule()
    def roster_falls(self) -> None:
        """A roster that its maker cannot show falls before it is sealed, or a task that it ended is closed."""
        found = self.run.rosters.get(self.twin.round)
        if found is None:
            return
        task, record, listed = self.run.task, found[0], self.run.params.aggregators
        digest = self.world.views.call("rosterDigest", task, self.twin.round, record)
        call = (ANYONE, "fell", task, digest, record.aggregator, record.seats, ACCUSER.address, listed)
        if self.attempt(self.twin.may_fall(self.now), self.world.disputes.send, *call):
            self.twin.fall(listed.index(record.aggregator), self.now)
            self.voids += 1

    def slash(self, who: Any, amount: int) -> None:
        stake, before = self.run.member(who)[0], self.slashed_to_pot
        call = (ANYONE, "slash", self.run.task, who.address, amount, ACCUSER.address, 2_500)
        done = self.attempt(not self.twin.closed, self.world.disputes.send, *call)
        if done:
            assert done.event("StakeSlashed")["amount"] == min(stake, amount)
            if self.flags(who) & TRAINER and stake - min(stake, amount) < self.run.params.stake:
                self.twin.leave(who.address, self.now)
            self.twin.slash(self.slashed_to_pot - before, self.now)

    # --- money out ---

    @precondition(lambda self: self.run.seals)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.run.seals)))
        tree = self.run.seals[number][1]
        index = data.draw(st.integers(0, len(tree.leaves) - 1))
        leaf = tree.leaves[index]
        more = leaf.amount > self.run.member(leaf.owner)[2]
        try:
            done = self.run.claim(number, index)
        except Reverted as error:
            fits = error.name not in ("Escrow_ClaimAboveTotal", "Escrow_NothingToClaim")
            if self.twin.is_final(number, self.now) and more and fits:
                raise AssertionError("a final round does not pay") from error
            return
        assert self.twin.is_final(number, self.now)
        self._note(done)

    def withdraw(self, number: int) -> None:
        who = self.people()[number]
        credit = self.run.member(who)[1]
        call = (ANYONE, "withdraw", self.run.task, who)
        if self.attempt(credit > 0, self.world.escrow.send, *call):
            self.withdrawn[who] = self.withdrawn.get(who, 0) + credit

    @rule()
    def close(self) -> None:
        last = self.twin.round - 1
        if last >= 0 and last not in self.run.seals:
            return
        if self.twin.running or self.now < self._final_at(last):
            return
        owed, before = self.twin.to_owner() if self.twin.may_close(self.now) else 0, self.owner_released
        if self.attempt(self.twin.may_close(self.now), self.run.close, at=self.now):
            self.twin.closed = True
            sharing = self.shares()
            extra = self.owner_released - before - owed
            assert extra == 0 or (self.twin.phase != DONE and 0 <= extra < max(1, sharing)) or sharing == 0

    def has_share(self, who: Any) -> bool:
        """Whether a trainer had a seat in time, and did not leave before the end."""
        early = self.run.tenure(who)[3] < self.world.settlement.call("settlement", self.run.task)[5]
        return bool(self.flags(who) & RESIDUAL) and (early or self.twin.phase != COMPENSATED)

    def shares(self) -> int:
        """How many residual shares there are, or would be."""
        _total, _paid, _at, _each, _swept, seats = self.world.settlement.call("settlement", self.run.task)
        if self.twin.phase != COMPENSATED:
            seats = self.world.views.call("seats", self.run.task)
        elif self.run.round in self.run.rosters:
            assert seats == self.run.rosters[self.run.round][0].seats
        found = int(self.world.registry.call("membersBelow", self.run.task, seats))
        assert found == sum(self.has_share(who) for who in NAMES)
        return found

    def _final_at(self, number: int) -> int:
        return 0 if number < 0 else self.run.seals[number][0].sealed_at + WINDOWS.challenge

    @precondition(lambda self: self.twin.closed and self.twin.phase == COMPENSATED)
    @precondition(lambda self: self.run.round in self.run.rosters)
    @rule(data=st.data())
    def compensate(self, data: st.DataObject) -> None:
        tree = self.run.rosters[self.run.round][1]
        index = data.draw(st.integers(0, len(tree.leaves) - 1))
        self._try_compensation(index)

    def _try_compensation(self, index: int) -> None:
        who = self.run.rosters[self.run.round][1].leaves[index].owner
        paid_before = self.flags(who) & PAID
        try:
            self._note(self.run.compensate(index))
        except Reverted:
            return
        assert not paid_before
        assert self.flags(who) & PAID

    # --- invariants ---

    @invariant()
    def money_is_conserved(self) -> None:
        if not hasattr(self, "run"):
            return
        held = escrow_balance(self.world)
        assert held == self.deposited - sum(self.withdrawn.values())
        assert held == holdings(self.world, [self.run.task], [*self.people(), bytes(20)])

    @invariant()
    def credit_comes_from_somewhere(self) -> None:
        if not hasattr(self, "run"):
            return
        for who in self.people():
            _stake, credit, _claimed, _flags = self.run.member(who)
            assert self.withdrawn.get(who, 0) + credit == self.credited.get(who, 0)

    @invariant()
    def chain_and_twin_agree(self) -> None:
        if not hasattr(self, "run"):
            return
        head, twin = self.run.head, self.twin
        assert (head[2], head[5], head[4]) == (twin.round, twin.phase, twin.place)
        assert (bool(head[7]), bool(head[9]), bool(head[11])) == (twin.takeover, twin.frozen, twin.closed)
        assert bool(head[6]) == (twin.place in twin.bonded)
        assert head[12] == twin.life
        assert self.world.views.call("bonus", self.run.task) == twin.bonus
        if twin.running:
            assert self.run.window() == twin.window()
        assert self.world.views.call("everRostered", self.run.task) == twin.ever

    @invariant()
    def seats_are_dense_and_tenures_written_once(self) -> None:
        if not hasattr(self, "run"):
            return
        twin, told = self.twin.tenures, {who.address: self.run.tenure(who) for who in NAMES}
        for address, tenure in told.items():
            t = twin.get(address)
            assert tenure == ((t.stake, t.joined, t.left, t.seat) if t else (0, 0, 0, 0))
        seats = sorted(tenure[3] for tenure in told.values() if tenure[1])
        assert seats == list(range(9, self.world.views.call("seats", self.run.task)))

    @invariant()
    def final_is_final(self) -> None:
        if not hasattr(self, "run"):
            return
        for number in sorted(self.run.seals):
            if self.twin.is_final(number, self.now):
                self.frozen_records.setdefault(number, self.run.claim_record(number))
        for number, record in self.frozen_records.items():
            if self.twin.holds(number):
                self.world.ledger.call("requireFinal", self.run.task, number, record)
                assert self.run.claim_record(number) == record

    @invariant()
    def a_rostered_pot_stays_with_the_trainers(self) -> None:
        if not hasattr(self, "run") or not self.twin.closed:
            return
        shares = self.shares()
        if shares == 0:
            return  # nobody is left that could be paid
        assert self.owner_released <= POT * (self.run.params.rounds - self.twin.ever) + self.twin.bonus + shares

    # --- the end: calls by anyone empty the escrow ---

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        event(f"left in phase {self.twin.phase}, closed {self.twin.closed}")
        self._finish()
        event(f"ended in phase {self.twin.phase}, {self.voids} voids")
        self._pay_out()
        self.money_is_conserved()
        account_ = self.world.escrow.call("account", self.run.task)
        assert account_[0] == account_[1], "the pot is not empty"
        self._bring_home()
        assert escrow_balance(self.world) == 0, "money is stuck"
        assert (
            self.owner_released + self.trainers_released + account_[1] == self.run.params.bounty + self.slashed_to_pot
        )

    def _finish(self) -> None:
        while self.twin.frozen:
            self._judge(self.twin.lowest, False)
        while self.twin.running:
            self.world.wait(max(self.now, self.twin.window()[1]))
            self._note(self.run.advance())
            self.twin.advance(self.now)
        if not self.twin.closed:
            self._note(self.run.close())
            self.twin.closed = True

    def _pay_out(self) -> None:
        task, phase = self.run.task, self.twin.phase
        if phase == COMPENSATED and not self.world.settlement.call("settlement", task)[4]:
            if self.run.round in self.run.rosters:
                for index in range(len(self.run.rosters[self.run.round][1].leaves)):
                    self._try_compensation(index)
            self.world.wait(self.now + WINDOWS.unbonding)
            self._note(self.world.settlement.send(ANYONE, "sweepCompensation", task))
        for who in NAMES:
            unpaid = self.has_share(who) and not self.flags(who) & RESIDUAL_PAID
            if unpaid and self.world.settlement.call("settlement", task)[3]:
                self._note(self.world.settlement.send(ANYONE, "claimResidual", task, who.address))
        if self.twin.round:
            number = self.twin.round - 1
            for index, leaf in enumerate(self.run.seals[number][1].leaves):
                if leaf.amount > self.run.member(leaf.owner)[2]:
                    self._note(self.run.claim(number, index))

    def _bring_home(self) -> None:
        task = self.run.task
        for who in (*NAMES, *self.world.aggregators):
            flags = self.flags(who)
            if flags & TRAINER and not flags & LEAVING:
                self.world.registry.send(who, "leaveTask", task)
            elif flags & AGGREGATOR:
                self.world.ledger.send(who, "unbondAggregator", task)
        self.world.wait(self.now + WINDOWS.unbonding)
        for who in (*NAMES, *self.world.aggregators):
            if self.flags(who) & LEAVING:
                self.world.escrow.send(who, "exit", task)
        self._return_void_accusations()
        for who in self.people():
            if self.run.member(who)[1]:
                self.world.escrow.send(ANYONE, "withdraw", task, who)

    def _return_void_accusations(self) -> None:
        """Bonds of disputes that an earlier one made void: the disputes contract gives them back."""
        left, who = self.run.bond_of(ACCUSER), ACCUSER.address
        if left:
            self.world.escrow.send(self.world.disputes.address, "payBond", self.run.task, who, left, who)


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.mark.first
class TestLedger(Ledger.TestCase):  # type: ignore[misc,name-defined]
    """On every save."""

    settings = settings(max_examples=6, stateful_step_count=40, deadline=None, suppress_health_check=_QUIET)


@pytest.mark.first
@pytest.mark.slow
class TestLedgerLong(Ledger.TestCase):  # type: ignore[misc,name-defined]
    """On every merge."""

    settings = settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=_QUIET)
