"""Whole lives of tasks: what the events tell is what the contract says, along every path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.types import Admission, Phase, RoundState
from fl_platform.config import MINIMAL
from fl_platform.errors import IntegrityError, TaskClosed, TransactionReverted, UnknownTask, WalletError
from fl_platform.ledger import events as ev
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.folding import fold
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import NO_SEAL, MemberFlag
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.seats import FIRST_SEAT
from tests.support.chain import (
    AGGREGATOR,
    EMBEDDED,
    ETHER,
    OWNER,
    SUCCESSOR,
    Stage,
    claim_leaves,
    ledger_oracle,
    receipt_of,
    roster,
    roster_leaves,
    seal,
    stage,
    wallet,
)

TRAINERS = [wallet(10 + number) for number in range(3)]


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with stage(with_disputes=True) as made:
        yield made


@pytest.fixture
def s(shared: Stage) -> Iterator[Stage]:
    """A deployment that forgets what a test did, chain and journal."""
    backend = shared.chain.backend
    mark = backend.snapshot()
    chain = Chain(backend, EMBEDDED, policy=MINIMAL)
    yield Stage(chain, Contracts(chain, shared.owner.deployment, OWNER), shared.judge)
    backend.revert(mark)


def begin(s: Stage, *, rounds: int = 3) -> tuple[int, Contracts]:
    """Open a task with three trainers and a bonded aggregator."""
    task = s.open(s.spec(rounds=rounds))
    for trainer in TRAINERS:
        s.join(task, trainer)
    return task, s.bond(task, AGGREGATOR)


def agrees(own: Contracts, task: int) -> TaskHistory:
    """Hold the history against every view the contracts offer, and return it."""
    oracle, history, now = ledger_oracle(own), own.history(task), own.now()
    assert history.head == own.head(task)
    for found in history.rounds:
        state = own.chain.read(oracle, "roundState", task, found.number, found.seal or NO_SEAL)
        assert history.state(found.number, now) is RoundState(state), found.number
        record = history.claim_record(found.number)
        if record is not None:
            assert own.ring_digest(task, found.number) == record.digest(task, found.number)
        elif found.roster is not None and not found.void:
            assert own.ring_digest(task, found.number) == found.roster.digest(task, found.number)
    for account, stake in history.stakes.items():
        member = own.member(task, account)
        assert (stake, history.claimed.get(account, 0)) == (member.stake, member.claimed)
        assert (account in history.members) == bool(member.flags & MemberFlag.TRAINER)
        assert (account in history.bonded) == bool(member.flags & MemberFlag.AGGREGATOR)
        assert (account in history.leaving) == bool(member.flags & MemberFlag.LEAVING)
    for account, seat in history.seats.items():
        assert own.tenure(task, account).seat == seat
    for found in history.rounds:
        if found.roster is not None:
            tenures = {account: own.tenure(task, account) for account in history.seats}
            assert found.stakes == {
                account: tenure.joined_stake
                for account, tenure in sorted(tenures.items())
                if tenure.joined_at < found.roster.rostered_at <= (tenure.left_at or found.roster.rostered_at)
            }, "a dispute reads another stake"
    assert own.seats(task) == FIRST_SEAT + len(history.seats)
    current = history.head.round
    assert history.allotted(current) == own.allotted(task, current)
    if current < history.opened.rounds:
        forced, life = history.rounds[current].forced, history.head.life
        assert len(forced) == own.forced_count(task)
        for index, item in enumerate(forced):
            assert item.digest == own.chain.read(own.ledger, "forced", task, current, life, index)
    assert history.bonus == own.chain.read(oracle, "bonus", task)
    return history


def test_an_undisputed_life(s: Stage) -> None:
    task, own = begin(s)
    opened = agrees(own, task).opened
    assert (opened.owner, opened.bounty, opened.stake) == (OWNER.address, 3 * ETHER, ETHER)
    assert opened.aggregators == (AGGREGATOR.address, SUCCESSOR.address)
    for number in range(3):
        roster(own, task, number, TRAINERS)
        assert agrees(own, task).rounds[number].stakes == {
            t.address: ETHER for t in sorted(TRAINERS, key=lambda t: t.address)
        }
        seal(own, task, number, TRAINERS)
        agrees(own, task)
    final = own.history(task).final_at(2)
    assert final is not None
    own.chain.wait_until(final - 1)
    assert agrees(own, task).state(2, own.now()) is RoundState.SEALED
    own.chain.wait_until(final)
    history = agrees(own, task)
    last = history.last_final(own.now())
    assert last is not None
    assert last.number == 2
    leaves = claim_leaves(TRAINERS, own.allotted(task, 2))
    for trainer in TRAINERS:
        own.claim(task, 2, leaves, trainer.address)
        own.withdraw(task, trainer.address)
    own.record_reputation(task, 2, leaves)
    assert own.record_reputation(task, 2, leaves) is not None  # the receipt of the first time
    own.close_task(task)
    history = agrees(own, task)
    assert history.closed is not None
    assert history.reputation_rounds == (2,)
    assert sum(history.claimed.values()) == sum(history.withdrawn.values()) == 3 * ETHER
    assert own.reputation_of(task, TRAINERS[0].address).value == 7


def test_leaving_is_for_ever(s: Stage) -> None:
    task, own = begin(s)
    mine = s.as_(TRAINERS[0])
    mine.leave(task)
    assert mine.leave(task) is None
    assert TRAINERS[0].address in agrees(own, task).leaving
    with pytest.raises(TransactionReverted, match="Escrow_StillUnbonding"):
        mine.exit(task)
    s.chain.wait_until(own.ready_at(task, TRAINERS[0].address))
    mine.exit(task)
    assert mine.exit(task) is None
    mine.withdraw(task)
    assert mine.withdraw(task) is None
    assert TRAINERS[0].address not in agrees(own, task).members
    with pytest.raises(TransactionReverted, match="Escrow_AlreadyLeft"):
        mine.join(task, ETHER, keccak256(b"again"))
    assert agrees(own, task).seats == {t.address: 9 + place for place, t in enumerate(TRAINERS)}


def test_who_leaves_before_a_roster_has_no_stake_in_its_round(s: Stage) -> None:
    """Its stake is locked for long, and it can still force a receipt in: a sealer that paid by it would fall."""
    task, own = begin(s)
    roster(own, task, 0, TRAINERS)
    seal(own, task, 0, TRAINERS)
    s.as_(TRAINERS[0]).leave(task)
    roster(own, task, 1, TRAINERS[1:])
    signed = TRAINERS[0].sign_receipt(receipt_of(TRAINERS[0], task, 1), Domain(own.chain_id, own.ledger_address))
    own.force_include(signed.receipt, signed.signature)
    s.as_(TRAINERS[1]).leave(task)
    first, second = agrees(own, task).rounds[:2]
    assert len(first.stakes) == 3
    assert set(second.stakes) == {t.address for t in TRAINERS[1:]}
    assert agrees(own, task).stakes[TRAINERS[0].address] == ETHER


def test_a_receipt_left_out_is_forced_in(s: Stage) -> None:
    task, own = begin(s)
    roster(own, task, 0, TRAINERS[1:])
    domain = Domain(own.chain_id, own.ledger_address)
    for trainer in TRAINERS[:2]:
        signed = trainer.sign_receipt(receipt_of(trainer, task, 0), domain)
        own.force_include(signed.receipt, signed.signature)
        own.force_include(signed.receipt, signed.signature)
    history = agrees(own, task)
    assert [item.receipt.trainer for item in history.rounds[0].forced] == [t.address for t in TRAINERS[:2]]
    seal(own, task, 0, TRAINERS)
    found = agrees(own, task).rounds[0].seal
    assert found is not None
    assert found.forced == len(history.rounds[0].forced) == 2


def test_a_late_aggregator_is_replaced_and_its_fine_goes_to_the_trainers(s: Stage) -> None:
    task, own = begin(s)
    s.chain.wait_until(own.window(task)[1])
    own.advance(task)
    history = agrees(own, task)
    (change,) = history.replacements
    assert (change.late, change.successor, change.slashed) == (AGGREGATOR.address, SUCCESSOR.address, ETHER // 10)
    assert history.allotted(0) == ETHER + ETHER // 10
    successor = s.bond(task, SUCCESSOR)
    roster(successor, task, 0, TRAINERS)
    seal(successor, task, 0, TRAINERS)
    history = agrees(own, task)
    assert history.allotted(0) == ETHER + ETHER // 10
    told = [event for event in history.events if not isinstance(event, ev.BonusRaised)]
    with pytest.raises(IntegrityError, match="what was slashed, at most 0; the end point hides events"):
        fold(told, history.head, history.block)
    s.as_(AGGREGATOR).unbond_aggregator(task)
    assert agrees(own, task).bonded == {SUCCESSOR.address}


def test_passing_hands_over_without_a_fine(s: Stage) -> None:
    task, own = begin(s)
    successor = s.bond(task, SUCCESSOR)
    roster(own, task, 0, TRAINERS)
    s.chain.wait_until(own.window(task)[0])
    own.pass_round(task, 0)
    own.pass_round(task, 0)  # done already: not again for the successor
    (change,) = agrees(own, task).replacements
    assert (change.late, change.successor) == (AGGREGATOR.address, SUCCESSOR.address)
    assert (change.slashed, change.passed) == (0, True)
    seal(successor, task, 0, TRAINERS)
    assert agrees(own, task).allotted(0) == ETHER
    roster(successor, task, 1, TRAINERS)
    s.chain.wait_until(own.window(task)[0])
    successor.pass_round(task, 1)
    history = agrees(own, task)
    assert (history.head.phase, history.bonus) == (Phase.COMPENSATED, 0)
    assert history.stakes[AGGREGATOR.address] == history.stakes[SUCCESSOR.address] == 2 * ETHER


def test_a_round_whose_roster_is_void_is_compensated(s: Stage) -> None:
    task, own = begin(s)
    s.bond(task, SUCCESSOR)
    for number in range(2):
        roster(own, task, number, TRAINERS)
        seal(own, task, number, TRAINERS)
    disputed(s, own, task, 0)
    judged(s, own, task, 0, upheld=True)
    seal(s.as_(SUCCESSOR), task, 0, TRAINERS)
    s.chain.wait_until(own.window(task)[1])
    own.advance(task)
    history = agrees(own, task)
    assert (history.head.phase, history.rounds[1].roster) == (Phase.COMPENSATED, None)


def test_nobody_left_without_a_roster_refunds(s: Stage) -> None:
    task, own = begin(s)
    for _ in range(2):
        s.chain.wait_until(own.window(task)[1])
        own.advance(task)
    history = agrees(own, task)
    assert (history.head.phase, history.ended) == (Phase.REFUNDED, True)
    with pytest.raises(TaskClosed, match="nobody is late"):
        own.advance(task)
    s.owner.close_task(task)
    assert agrees(own, task).released == {OWNER.address: 3 * ETHER + ETHER // 10}


def test_nobody_left_with_a_roster_compensates(s: Stage) -> None:
    task, own = begin(s)
    roster(own, task, 0, TRAINERS)
    for _ in range(2):
        s.chain.wait_until(own.window(task)[1])
        own.advance(task)
    history = agrees(own, task)
    assert history.head.phase is Phase.COMPENSATED
    assert history.closes_at() == history.head.time + history.opened.windows.takeover
    s.chain.wait_until(history.closes_at() - 2)  # the next block comes a second later
    with pytest.raises(TransactionReverted, match="TooEarly"):
        own.close_task(task)
    s.chain.wait_until(history.closes_at())
    own.close_task(task)
    leaves = roster_leaves(TRAINERS)
    for trainer in TRAINERS[:2]:
        own.claim_compensation(task, leaves, trainer.address)
        own.claim_compensation(task, leaves, trainer.address)
    history = agrees(own, task)
    part = history.released[TRAINERS[0].address]
    assert part == history.released[TRAINERS[1].address] == own.settled(task).total // 3
    closed = own.settled(task).closed_at
    s.chain.wait_until(closed + history.opened.windows.unbonding)
    own.sweep_compensation(task)
    own.claim_residual(task, TRAINERS[2].address)
    settled = own.settled(task)
    assert settled.swept
    assert agrees(own, task).released[TRAINERS[2].address] == settled.per_share == (settled.total - 2 * part) // 3


def disputed(s: Stage, own: Contracts, task: int, number: int) -> None:
    assert s.judge is not None
    record = own.history(task).rounds[number].seal
    s.chain.send(s.judge, "challenge", task, number, record, 0, signer=OWNER)


def judged(s: Stage, own: Contracts, task: int, number: int, *, upheld: bool) -> None:
    assert s.judge is not None
    found = own.history(task)
    arguments = (task, number, found.rounds[number].seal, upheld, OWNER.address, 0, found.opened.aggregators)
    s.chain.send(s.judge, "judge", *arguments, signer=OWNER)


def test_a_rejected_dispute_changes_nothing_but_the_clock(s: Stage) -> None:
    task, own = begin(s)
    for number in range(2):
        roster(own, task, number, TRAINERS)
        seal(own, task, number, TRAINERS)
    disputed(s, own, task, 0)
    history = agrees(own, task)
    assert history.state(0, own.now()) is RoundState.CHALLENGED
    assert history.last_final(10**12) is None
    s.chain.wait_until(own.now() + 1_000)
    assert agrees(own, task).state(1, own.now()) is RoundState.SEALED
    judged(s, own, task, 0, upheld=False)
    history = agrees(own, task)
    assert (history.voids, history.rounds[0].challenged) == (0, False)
    roster(own, task, 2, TRAINERS)
    agrees(own, task)


def test_an_upheld_dispute_voids_the_rounds_after_it_and_the_successor_seals_anew(s: Stage) -> None:
    task, own = begin(s)
    for number in range(2):
        roster(own, task, number, TRAINERS)
        seal(own, task, number, TRAINERS)
    roster(own, task, 2, TRAINERS)
    fallen = [own.history(task).rounds[number].seal for number in range(2)]
    disputed(s, own, task, 0)
    judged(s, own, task, 0, upheld=True)
    history = agrees(own, task)
    assert (history.head.round, history.head.phase, history.voids) == (0, Phase.ROSTERED, 1)
    assert [r.overturned for r in history.rounds] == [(fallen[0],), (fallen[1],), ()]
    assert [r.void for r in history.rounds] == [False, True, True]
    assert history.bonus > 0
    successor = s.bond(task, SUCCESSOR)
    seal(successor, task, 0, TRAINERS)
    agrees(own, task)
    for number in (1, 2):
        roster(successor, task, number, TRAINERS)
        seal(successor, task, number, TRAINERS)
    history = agrees(own, task)
    assert history.head.phase is Phase.DONE
    assert not any(r.void for r in history.rounds)


def test_consent_and_allow_list(s: Stage) -> None:
    s.owner.mint(OWNER.address, 20 * ETHER)
    task = s.owner.open_task(s.spec(title="consent"), admission=Admission.CONSENT)
    mine = s.as_(TRAINERS[0])
    mine.mint(TRAINERS[0].address, ETHER)
    ticket = s.owner.sign_consent(task, TRAINERS[0].address, own_deadline := s.owner.now() + 1_000)
    assert ticket.deadline == own_deadline
    with pytest.raises(TransactionReverted, match="TaskRegistry_NotAdmitted"):
        mine.join(task, ETHER, b"\x01" * 32, replace(ticket, deadline=own_deadline + 1))
    mine.join(task, ETHER, b"\x01" * 32, ticket)
    assert TRAINERS[0].address in s.owner.history(task).members
    leaf = keccak256(keccak256(bytes(12) + TRAINERS[0].address))
    task = s.owner.open_task(s.spec(title="list"), admission=Admission.ALLOW_LIST, allow_root=leaf)
    mine.mint(TRAINERS[0].address, ETHER)
    mine.join(task, ETHER, b"\x01" * 32)
    assert s.owner.task(task).members == 1


def test_histories_and_unknown_tasks(s: Stage) -> None:
    task, own = begin(s)
    second = s.open(s.spec(title="second"))
    assert [h.task for h in own.histories()] == [task, second]
    assert own.history(task, final=True) == own.history(task)
    for ask in (own.history, own.task, own.token_of):
        with pytest.raises(UnknownTask, match="no task 99"):
            ask(99)


def test_one_spec_opens_one_task_a_wallet(s: Stage) -> None:
    task = s.open(s.spec(title="once"))
    assert s.owner.open_task(s.spec(title="once")) == task
    assert s.owner.task_count() == task


def test_too_few_tokens_are_said_before_anything_is_sent(s: Stage) -> None:
    task = s.open(s.spec(title="poor"))
    poor = s.as_(wallet(77))
    with pytest.raises(WalletError, match=r"holds 0 wei of token 0x.*, join locks"):
        poor.join(task, ETHER, b"\x01" * 32)
    assert s.chain.backend.nonce(wallet(77).address) == 0


def test_a_reader_without_a_wallet_cannot_send(s: Stage) -> None:
    reader = Contracts(s.chain, s.owner.deployment)
    with pytest.raises(WalletError, match="name a wallet"):
        reader.withdraw(1, OWNER.address) or reader.mint(OWNER.address, 1)


def test_missing_events_are_noticed(s: Stage) -> None:
    task, own = begin(s)
    roster(own, task, 0, TRAINERS)
    seal(own, task, 0, TRAINERS)
    history = own.history(task)
    for kind, words in (
        (ev.RoundSealed, "show no seal of 0"),
        (ev.RoundRostered, "sealed without a roster"),
        (ev.LedgerOpened, "in one contract and not in the other"),
    ):
        kept = [event for event in history.events if not isinstance(event, kind)]
        with pytest.raises(IntegrityError, match=words):
            fold(kept, history.head, history.block)
    assert fold((), history.head, history.block) is None


def test_claims_that_cannot_be_made_say_why(s: Stage) -> None:
    task, own = begin(s)
    with pytest.raises(TaskClosed, match="not sealed"):
        own.claim(task, 0, claim_leaves(TRAINERS, ETHER), TRAINERS[0].address)
    roster(own, task, 0, TRAINERS)
    seal(own, task, 0, TRAINERS)
    with pytest.raises(TransactionReverted, match="RoundLedger_NotFinal"):
        own.claim(task, 0, claim_leaves(TRAINERS, ETHER), TRAINERS[0].address)
    with pytest.raises(WalletError, match="is not in round 0's claims"):
        own.claim(task, 0, claim_leaves(TRAINERS, ETHER), OWNER.address)


def fell(s: Stage, own: Contracts, task: int) -> None:
    """Let the head's roster fall before a seal stands on it."""
    assert s.judge is not None
    found = own.history(task)
    roster_ = found.rounds[found.head.round].roster
    assert roster_ is not None
    digest, listed = roster_.digest(task, found.head.round), found.opened.aggregators
    arguments = (task, digest, roster_.aggregator, roster_.seats, OWNER.address, listed)
    s.chain.send(s.judge, "fell", *arguments, signer=OWNER)


def test_a_roster_that_fell_opens_its_round_again_in_the_next_life(s: Stage) -> None:
    task, own = begin(s)
    roster(own, task, 0, TRAINERS)
    first = own.history(task).rounds[0].roster
    fell(s, own, task)
    history = agrees(own, task)
    (found,) = history.rounds
    assert (found.roster, found.fallen, found.stakes) == (None, (first,), {})
    assert (history.head.phase, history.head.aggregator) == (Phase.OPEN, SUCCESSOR.address)
    assert (history.voids, history.head.life, history.life_of(0)) == (1, 1, 1)
    assert (history.stakes[AGGREGATOR.address], history.bonus) == (0, 2 * ETHER - 2 * ETHER * 3 // 10)
    successor = s.bond(task, SUCCESSOR)
    roster(successor, task, 0, TRAINERS)
    second = agrees(own, task).rounds[0].roster
    assert second is not None
    assert second.life == 1
    seal(successor, task, 0, TRAINERS)
    history = agrees(own, task)
    assert history.rosters == ((0, first), (0, second))
    assert history.rounds[0].fallen == (first,)
    roster(successor, task, 1, TRAINERS)
    fell(s, own, task)
    history = agrees(own, task)
    assert (history.head.phase, history.rounds[1].roster) == (Phase.COMPENSATED, None)
    assert len(history.rounds[1].fallen) == 1


def test_a_fall_that_no_roster_came_before_is_noticed(s: Stage) -> None:
    task, own = begin(s)
    roster(own, task, 0, TRAINERS)
    fell(s, own, task)
    history = own.history(task)
    told = [event for event in history.events if not isinstance(event, ev.RoundRostered)]
    with pytest.raises(IntegrityError, match="a roster fell that no event shows; the end point hides events"):
        fold(told, history.head, history.block)
