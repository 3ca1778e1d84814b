"""A roster as a target of its own: what is asked of it, who pays, and what its fall leaves behind.

given a roster that stands unsealed
    a leaf that its trainer signed is shown in time -> the bond is the maker's, the leaf is never asked for again
    nobody shows a leaf in time                     -> it falls: the maker's whole bond, 30 % of it for the asker
    leaves do not ascend                            -> it falls at once; who committed to the call has the 30 %
given the roster of a task that ended compensated, for a takeover window
    it can be asked for, shown and felled as before; its fall leaves the pot to all seats that there were
given one that is sealed, fell, or stands in another life
    a question that was not shown                   -> its bond goes back, and nothing falls
its fall leaves the round OPEN with the next aggregator, in the next life; COMPENSATED where nobody is left.
"""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest

from tests.contracts.conftest import Reverts
from tests.support.bound_rounds import ASK_BOND, CHALLENGER, BoundTask, RefereeWorld, referee_world
from tests.support.contracts import CHALLENGER_BPS, COMPENSATED, TOKENS, RosterRecord, Windows
from tests.support.evm import account
from tests.support.rosters import Listed, rostered

OPEN, ROSTERED, DONE = 1, 2, 3
BOND = 10 * TOKENS
ANSWER = 200 // 2  # half of Windows.takeover
TO_CHALLENGER = BOND * CHALLENGER_BPS // 10_000


@pytest.fixture
def world() -> RefereeWorld:
    return referee_world()


def wait(world: RefereeWorld, seconds: int) -> None:
    world.wait(world.evm.now + seconds)


# --- honest first -----------------------------------------------------------------------------------------------------


def test_whatever_is_asked_of_an_honest_roster_it_stands(world: RefereeWorld, reverts: Reverts) -> None:
    listed = rostered(world)
    for index in range(len(listed.receipts)):
        listed.ask(index)
    wait(world, ANSWER - 1)
    for index in range(len(listed.receipts)):
        listed.show(index, account("anyone").address if index % 2 else None)
    wait(world, ANSWER)
    for index in range(len(listed.receipts)):
        with pytest.raises(Exception, match="Referee_QuestionState"):
            listed.lapse(index)
        with pytest.raises(Exception, match="Referee_QuestionState"):
            listed.ask(index)
        if index:
            with reverts("Rosters_Ascending", index - 1):
                listed.refute(index - 1)
    assert listed.credit(listed.record.aggregator) == len(listed.receipts) * ASK_BOND
    assert listed.run.bond_of(CHALLENGER) == 0
    assert (listed.run.phase, listed.run.member(listed.record.aggregator)[0]) == (ROSTERED, BOND)
    listed.run.seal()
    listed.conserves()


def test_a_question_is_shown_until_its_last_second(world: RefereeWorld, reverts: Reverts) -> None:
    listed = rostered(world)
    deadline = listed.ask(1).event("RosterAsked")["deadline"]
    assert deadline == world.evm.now + ANSWER
    wait(world, ANSWER - 1)
    mark = world.evm.snapshot()
    with reverts("Referee_Deadline", deadline):
        listed.lapse(1)
    listed.show(1)
    world.evm.restore(mark)
    wait(world, 1)
    with reverts("Referee_Deadline", deadline):
        listed.show(1)
    listed.lapse(1)


def test_only_what_stands_can_be_asked_for_by_the_task_s_terms(world: RefereeWorld, reverts: Reverts) -> None:
    listed = rostered(world)
    task, number, record, facts, _ = listed.about(0)
    other = RosterRecord(*[digest if i else bytes(31) + b"\1" for i, digest in enumerate(astuple(record))])
    cheap = (*facts[:5], 0, *facts[6:])
    for call in (
        (task, number, other, facts, 0), (task, number + 1, record, facts, 0), (task, number, record, cheap, 0),
        (task, number, record, facts, record.count), (task + 7, number, record, facts, 0),
    ):  # fmt: skip
        with pytest.raises(Exception, match="Sources_Mismatch"):
            world.disputes.send(CHALLENGER, "askRoster", *call)
    listed.run.seal()
    with reverts("Sources_Mismatch", task, number):
        listed.ask(0)


def test_what_shows_a_leaf_is_that_leaf_signed_by_its_trainer(world: RefereeWorld) -> None:
    listed = rostered(world)
    listed.ask(0)
    call = (account("anyone"), "showRoster", *listed.about(0))
    for entry, signature, why in (
        (listed.entry(1), listed.signatures[1], "NotInTree"),
        (listed.entry(0), listed.signatures[1], "ReceiptSignatureInvalid"),
        (listed.entry(0), bytes(65), "ReceiptSignatureInvalid"),
    ):
        with pytest.raises(Exception, match=why):
            world.disputes.send(*call, entry, signature)
    listed.show(0)


def test_nothing_of_a_sealed_roster_lapses_and_its_bonds_go_back(world: RefereeWorld, reverts: Reverts) -> None:
    listed = rostered(world)
    listed.ask(2)
    with reverts("Rosters_Stands", listed.run.task, 0):
        listed.reclaim(2)
    listed.run.seal()
    wait(world, ANSWER)
    with pytest.raises(Exception, match="WrongPhase"):
        listed.lapse(2)
    listed.reclaim(2)
    assert (listed.credit(CHALLENGER.address), listed.run.bond_of(CHALLENGER)) == (ASK_BOND, 0)
    with pytest.raises(Exception, match="Referee_QuestionState"):
        listed.reclaim(2)
    listed.conserves()


def test_a_roster_that_stands_again_has_a_whole_answer_s_time(world: RefereeWorld) -> None:
    """Its maker sealed, and need not have answered; the seal fell: what was asked before it fells nobody."""
    task = BoundTask(random.Random(4), world)
    listed = rostered(world, task)
    listed.ask(0)
    run = task.run
    run.seal()
    wait(world, ANSWER)
    _fell_seal(listed)
    assert (run.phase, run.head[12], run.aggregator) == (ROSTERED, 1, world.aggregators[1].address)
    with pytest.raises(Exception, match="Referee_QuestionState"):
        listed.lapse(0)
    listed.reclaim(0)
    deadline = listed.ask(0).event("RosterAsked")["deadline"]
    assert deadline == world.evm.now + ANSWER
    listed.show(0)
    assert run.phase == ROSTERED
    listed.conserves()


def _fell_seal(listed: Listed) -> None:
    """Let the seal fall as the referee would: the ledger is told by the contract that it trusts."""
    run, world = listed.run, listed.world
    record, listed_ = run.seals[listed.number][0], run.params.aggregators
    call = (run.task, listed.number, record, bytes(20), listed_)
    world.ledger.send(world.disputes.address, "overturnSeal", *call)


# --- what falls -------------------------------------------------------------------------------------------------------


def falls_to(listed: Listed, successor: bytes, *, challenger: int, life: int = 1) -> None:
    """Hold the state after a fall: round open, bond gone, its share paid."""
    run, now = listed.run, listed.world.evm.now
    head = run.head
    assert (head[0], head[1], head[2], head[5]) == (successor, now, listed.number, OPEN)
    assert (bool(head[7]), bool(head[8]), head[12]) == (True, False, life)
    assert run.window() == (now, now + run.params.windows.takeover)
    assert run.member(listed.record.aggregator)[0] == 0
    assert listed.credit(CHALLENGER.address) == challenger
    assert listed.world.views.call("bonus", run.task) == BOND - (challenger - challenger % TO_CHALLENGER)
    listed.conserves()


def test_a_leaf_that_nobody_shows_fells_the_roster(world: RefereeWorld) -> None:
    listed = rostered(world)
    first, second, _ = (who.address for who in world.aggregators)
    listed.ask(3)
    wait(world, ANSWER)
    fell = listed.lapse(3).event("RosterFell")
    assert (fell["round"], fell["maker"], fell["next"], fell["slashed"]) == (0, first, second, BOND)
    falls_to(listed, second, challenger=TO_CHALLENGER + ASK_BOND)
    with pytest.raises(Exception, match="Referee_QuestionState"):
        listed.lapse(3)


def test_who_joins_after_the_roster_shares_nothing_of_its_fall(world: RefereeWorld) -> None:
    """A46: who asks chooses when it lapses, and could let friends take seats until then."""
    listed = rostered(world)
    run = listed.run
    run.join(account("latecomer"))
    listed.ask(3)
    wait(world, ANSWER)
    listed.lapse(3)
    seats = listed.record.seats
    assert world.views.call("seats", run.task) == seats + 1
    assert world.ledger.call("words", run.task)[3] >> 232 == seats


def test_it_falls_under_a_successor_who_goes_on(world: RefereeWorld) -> None:
    listed = rostered(world)
    listed.run.advance()
    second = world.aggregators[1].address
    late = BOND // 10
    listed.ask(0)
    wait(world, ANSWER)
    listed.lapse(0)
    run = listed.run
    assert (run.phase, run.aggregator, run.member(listed.record.aggregator)[0]) == (OPEN, second, 0)
    assert world.views.call("bonus", run.task) == late + (BOND - late) - (BOND - late) * CHALLENGER_BPS // 10_000
    again = rostered(world, listed.task)
    assert again.record.life == 1
    run.seal()
    assert run.round == 1
    listed.conserves()


@pytest.mark.parametrize(("order", "at"), [((0, 2, 1, 3), 1), ((1, 1, 2, 3), 0), ((0, 1, 3, 3), 2)])
@pytest.mark.parametrize("commit", [True, False])
def test_leaves_that_do_not_ascend_fell_it_at_once(
    world: RefereeWorld, order: tuple[int, ...], at: int, commit: bool
) -> None:
    listed = rostered(world, order=order)
    listed.refute(at, commit=commit)
    assert listed.run.phase == OPEN
    falls_to(listed, world.aggregators[1].address, challenger=TO_CHALLENGER if commit else 0)


def test_the_others_bonds_come_back_once_it_fell(world: RefereeWorld) -> None:
    listed, other = rostered(world), account("reference")
    world.fill(other)
    listed.ask(0)
    listed.ask(1, other)
    wait(world, ANSWER)
    listed.lapse(0)
    with pytest.raises(Exception, match="Referee_QuestionState"):
        listed.reclaim(0)
    listed.reclaim(1)
    assert (listed.credit(other.address), listed.run.bond_of(other)) == (ASK_BOND, 0)


def test_the_last_aggregator_s_roster_ends_the_task_compensated(world: RefereeWorld) -> None:
    listed = rostered_by_the_last(world)
    run = listed.run
    listed.ask(0)
    wait(world, ANSWER)
    assert listed.lapse(0).event("RosterFell")["next"] == bytes(20)
    assert (run.phase, run.member(world.aggregators[2])[0]) == (COMPENSATED, 0)
    run.close()
    # no roster stands: the pot is divided among all that joined before it fell
    wait(world, run.params.windows.unbonding)
    world.settlement.send(account("anyone"), "sweepCompensation", run.task)
    for who in run.trainers:
        world.settlement.send(who, "claimResidual", run.task, who.address)
    listed.conserves()


def rostered_by_the_last(world: RefereeWorld) -> Listed:
    """The roster of a task whose other aggregators were late."""
    task = BoundTask(random.Random(6), world)
    for _ in range(2):
        task.run.advance()
    return rostered(world, task)


def compensated(world: RefereeWorld) -> Listed:
    """The roster of a task whose last aggregator made it and passed."""
    listed = rostered_by_the_last(world)
    listed.run.pass_()
    assert listed.run.phase == COMPENSATED
    return listed


def test_an_honest_maker_answers_after_a_compensated_end_and_keeps_its_bond(world: RefereeWorld) -> None:
    """Asked at once and as late as counts; its bond is its own after the time that it takes anyway."""
    listed = compensated(world)
    run, maker = listed.run, world.aggregators[2]
    world.ledger.send(maker, "unbondAggregator", run.task)
    free_at = world.evm.now + run.params.windows.unbonding
    listed.ask(0)
    wait(world, ANSWER - 1)
    listed.show(0)
    listed.ask(1)
    wait(world, ANSWER - 1)
    listed.show(1)
    run.close()
    assert (run.member(maker)[0], listed.credit(maker.address)) == (BOND, 2 * ASK_BOND)
    shares = [run.compensate(index).event("CompensationClaimed")["amount"] for index in range(listed.record.count)]
    assert sum(shares) == pytest.approx(run.params.pot + 2 * BOND // 10, abs=len(shares))  # two fines for lateness
    world.wait(max(world.evm.now, free_at))
    world.escrow.send(maker, "exit", run.task)
    listed.conserves()


def test_what_nobody_shows_after_a_compensated_end_fells_the_roster(world: RefereeWorld, reverts: Reverts) -> None:
    """The last of the list passes before any answer is due: it loses its bond, and the pot goes to all seats."""
    listed = compensated(world)
    run = listed.run
    listed.ask(2)
    wait(world, ANSWER)
    with reverts("RoundLedger_TooEarly", run.task, run.closable_at):
        run.close(at=world.evm.now)
    fell = listed.lapse(2).event("RosterFell")
    assert (fell["maker"], fell["next"], fell["slashed"]) == (world.aggregators[2].address, bytes(20), BOND)
    assert (run.phase, run.head[12], listed.credit(CHALLENGER.address)) == (COMPENSATED, 1, TO_CHALLENGER + ASK_BOND)
    with reverts("Sources_Mismatch", run.task, listed.number):
        listed.ask(1)  # a roster falls once, so the books can wait once more and no longer
    run.close()
    world.wait(world.evm.now + run.params.windows.unbonding)
    divided = world.settlement.send(account("anyone"), "sweepCompensation", run.task).event("CompensationSwept")
    assert divided["amount"] == run.params.pot + 2 * BOND // 10 + BOND - TO_CHALLENGER
    for who in run.trainers:
        world.settlement.send(who, "claimResidual", run.task, who.address)
    listed.conserves()


def test_a_question_of_before_the_end_lapses_after_it(world: RefereeWorld) -> None:
    listed = rostered_by_the_last(world)
    run = listed.run
    listed.ask(0)
    run.pass_()
    wait(world, ANSWER)
    listed.lapse(0)
    assert (run.phase, run.member(world.aggregators[2])[0]) == (COMPENSATED, 0)


def test_after_its_time_the_roster_of_an_ended_task_stands(world: RefereeWorld, reverts: Reverts) -> None:
    """Whoever asks or lapses too late has its bond back, and the maker need not look any more, closed or not."""
    listed = compensated(world)
    run = listed.run
    over = run.closable_at
    world.wait(over - ANSWER)
    listed.ask(0)  # due when the time is over
    world.wait(over - 1)
    listed.ask(1)
    with reverts("Rosters_Stands", run.task, listed.number):
        listed.reclaim(0)
    wait(world, 1)
    with reverts("Sources_Mismatch", run.task, listed.number):
        listed.ask(2)
    with reverts("RoundLedger_TooLate", run.task, over):
        listed.lapse(0)
    listed.reclaim(0)
    run.close()
    listed.reclaim(1)
    assert (listed.credit(CHALLENGER.address), run.bond_of(CHALLENGER)) == (2 * ASK_BOND, 0)
    assert run.member(listed.record.aggregator)[0] == BOND
    listed.conserves()


def test_a_dispute_takes_no_question_about_an_ended_task_away(world: RefereeWorld, reverts: Reverts) -> None:
    """While it stands still nothing lapses; so bonds stay where they are, and the time comes back."""
    task = BoundTask(random.Random(7), world, windows=Windows(challenge=600))
    run = task.run
    for _ in range(2):
        run.advance()
    task.play()
    listed = rostered(world, task)
    run.pass_()
    record = run.seals[0][0]
    listed.ask(0)
    world.ledger.send(world.disputes.address, "markChallenged", run.task, 0, record)
    wait(world, run.params.windows.takeover)
    with reverts("Rosters_Stands", run.task, listed.number):
        listed.reclaim(0)
    with reverts("RoundLedger_TaskChallenged", run.task, 0):
        listed.lapse(0)
    world.ledger.send(world.disputes.address, "markUnchallenged", run.task, 0, record)
    listed.lapse(0)
    assert run.member(listed.record.aggregator)[0] == 0


def test_a_frozen_task_waits(world: RefereeWorld, reverts: Reverts) -> None:
    task = BoundTask(random.Random(3), world)
    task.play()
    listed = rostered(world, task)
    run = task.run
    listed.ask(0)
    record = run.seals[0][0]
    world.ledger.send(world.disputes.address, "markChallenged", run.task, 0, record)
    wait(world, ANSWER)
    with reverts("RoundLedger_TaskChallenged", run.task, 0):
        listed.lapse(0)
    world.ledger.send(world.disputes.address, "markUnchallenged", run.task, 0, record)
    listed.lapse(0)
    assert run.phase == OPEN


def test_a_forced_list_goes_with_the_roster(world: RefereeWorld) -> None:
    task = BoundTask(random.Random(5), world)
    left_out = task.people.pop()
    listed = rostered(world, task)
    run = task.run
    receipt = run.receipt(left_out)
    world.ledger.send(left_out, "forceInclude", receipt, run.sign(left_out, receipt))
    listed.ask(0)
    wait(world, ANSWER)
    listed.lapse(0)
    assert world.ledger.call("forcedCount", run.task) == 0
    task.people.append(left_out)
    rostered(world, task)
    again = run.receipt(left_out)
    assert (receipt.life, again.life) == (0, 1)
    world.ledger.send(left_out, "forceInclude", again, run.sign(left_out, again))


def test_only_disputes_and_only_the_ring_s_roster(world: RefereeWorld, reverts: Reverts) -> None:
    listed = rostered(world)
    run, aggregators = listed.run, listed.run.params.aggregators
    call = (run.task, bytes(32), listed.record.aggregator, listed.record.seats, bytes(20), aggregators)
    with reverts("RoundLedger_NotDisputes", CHALLENGER.address):
        world.ledger.send(CHALLENGER, "overturnRoster", *call)
    kept = world.ledger.call("ringSlot", run.task, 0)
    with reverts("RoundLedger_RecordMismatch", run.task, 0, bytes(32), kept):
        world.ledger.send(world.disputes.address, "overturnRoster", *call)
    with reverts("RoundLedger_AggregatorsMismatch", run.task):
        world.ledger.send(world.disputes.address, "overturnRoster", *call[:5], aggregators[:2])
