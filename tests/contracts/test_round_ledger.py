"""RoundLedger, the forward path: bond, roster, force-include, seal, advance, claim.

Each call reverts when, changing one thing only from the happy path:
rosterRound   the caller is not the current aggregator, the phase or round is another, the bond is missing, a dispute is
              open, the clock is before or past the window, the roster is empty
sealRound     the same, and the seal is incomplete, its forced list is another, its claims do not allot what is due
forceInclude  there is no roster, the receipt is for another round, the window is over, the signature is not the
              trainer's, the trainer is no member or has forced one already
advance       the list is another, the deadline has not passed, the task has ended, a dispute is open
claim         the record is another, the round is not final, the leaf is not in the tree, nothing is left to claim
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fl_platform.protocol.keccak import keccak256
from tests.contracts.conftest import Reverts
from tests.support.contracts import (
    AGGREGATOR,
    COMPENSATED,
    DONE,
    LEAVING,
    REFUNDED,
    TOKENS,
    RosterRecord,
    Run,
    SealRecord,
    Tree,
    Windows,
    World,
    digest,
    escrow_balance,
    holdings,
)
from tests.support.evm import account

OPEN, ROSTERED = 1, 2
WINDOWS = Windows()


def roster_call(run: Run, sender: Any = None, number: int | None = None, **changes: Any) -> Any:
    """Roster with one thing changed."""
    root = run.roster_tree().root
    fields = {"root": root.digest, "count": len(run.trainers), "total": root.total, **changes}
    who = run.aggregator if sender is None else sender
    return run.world.ledger.send(
        who, "rosterRound", run.task, run.round if number is None else number, *fields.values()
    )


def seal_call(run: Run, sender: Any = None, number: int | None = None, tree: Tree | None = None, **changes: Any) -> Any:
    """Seal with one thing changed."""
    given = run.seal_input(tree or run.claims(run.world.views.call("allotted", run.task, run.round)), **changes)
    who = run.aggregator if sender is None else sender
    return run.world.ledger.send(who, "sealRound", run.task, run.round if number is None else number, given)


# --- the happy path ---


def test_a_task_from_open_to_closed(world: World) -> None:
    run = Run.start(world, trainers=3, rounds=3).play()
    assert run.phase == DONE
    assert run.round == 3
    last = run.finalize()
    for index in range(3):
        paid = run.claim(last, index).event("RewardClaimed")
        assert paid["amount"] == paid["cumulative"] == run.seals[last][1].leaves[index].amount
    run.close()
    for trainer in run.trainers:
        assert run.withdraw(trainer) == 10 * TOKENS
    everyone = [world.owner.address, *(a.address for a in (*world.aggregators, *run.trainers))]
    assert holdings(world, [run.task], everyone) == escrow_balance(world) == run.params.bond + 3 * run.params.stake


def test_roster_and_seal_leave_what_their_events_say(world: World) -> None:
    run = Run.start(world, trainers=3)
    rostered = run.roster().event("RoundRostered")
    record = run.rosters[0][0]
    names = ("root", "count", "totalStake", "seats", "rosteredAt", "aggregator")
    assert RosterRecord(*(rostered[k] for k in names), life=0) == record
    assert (record.seats, record.life) == (12, 0)
    assert (rostered["task"], rostered["round"]) == (run.task, 0)
    assert world.views.call("ringDigest", run.task, 0) == world.views.call("rosterDigest", run.task, 0, record)
    sealed = run.seal().event("RoundSealed")
    seal, _ = run.seals[0]
    words = (seal.bundle, seal.model, seal.trace, seal.as_of, seal.claim_root, seal.claim_total, seal.claim_count)
    assert sealed["record"] == words
    assert (sealed["task"], sealed["round"]) == (run.task, 0)
    assert (sealed["sealedAt"], sealed["aggregator"]) == (seal.sealed_at, seal.aggregator)
    claims = run.claim_record(0)
    fields = (claims.content, claims.claim_root, claims.claim_total, claims.claim_count, claims.final_at, claims.slot)
    assert world.views.call("claimRecord", run.task, 0, seal) == fields
    packed = (run.task, 0, claims.content, claims.claim_root, *fields[2:])
    expected = keccak256(b"".join(w if isinstance(w, bytes) else w.to_bytes(32, "big") for w in packed))
    assert world.views.call("ringDigest", run.task, 0) == expected


def test_the_ring_is_reused_and_always_holds_a_final_round(world: World) -> None:
    run = Run.start(world, trainers=2, rounds=9, pot=9 * TOKENS)
    for number in range(9):
        run.roster()
        run.seal()
        older = number - 2
        if older >= 0:
            run.claim(older, number % 2)  # two windows of minRound later the round is final, without waiting
    assert run.world.views.call("config", run.task)[10] == 3


# --- roster ---


def test_roster_window_is_half_open(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    opened, first, last = world.evm.now, *run.window()
    assert (first, last) == (opened + WINDOWS.min_round, opened + WINDOWS.roster)
    mark = world.evm.snapshot()
    for at, error in (
        (first - 1, ("RoundLedger_TooEarly", run.task, first)),
        (last, ("RoundLedger_TooLate", run.task, last)),
    ):
        world.wait(at)
        with reverts(*error):
            roster_call(run)
    for at in (first, last - 1):
        world.evm.restore(mark)
        world.wait(at)
        roster_call(run)


def test_roster_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=0)
    other, first = world.aggregators[1].address, world.aggregators[0].address
    world.wait(run.window()[0])
    with reverts("RoundLedger_NotBonded", run.task, first):
        roster_call(run)
    run.bond(0)
    run.bond(1)
    with reverts("RoundLedger_NotAggregator", run.task, other, first):
        roster_call(run, other)
    with reverts("RoundLedger_NotAggregator", run.task, world.owner.address, first):
        roster_call(run, world.owner)
    with reverts("RoundLedger_WrongRound", run.task, 1, 0):
        roster_call(run, number=1)
    with reverts("RoundLedger_WrongRound", run.task, 2**56, 0):  # shifted by 200 bits this would look like round 0
        roster_call(run, number=2**56)
    for changes in ({"count": 0}, {"total": 0}, {"root": bytes(32)}, {"count": 257}):
        fields = {"count": 3, "total": run.roster_tree().root.total, **changes}
        with reverts("RoundLedger_RosterOutOfBounds", fields["count"], 256, fields["total"]):
            roster_call(run, **changes)
    roster_call(run)
    with reverts("RoundLedger_WrongPhase", run.task, ROSTERED, OPEN):
        roster_call(run)
    with reverts("RoundLedger_NotAggregator", 99, first, bytes(20)):
        world.ledger.send(first, "rosterRound", 99, 0, digest(1), 1, 1)


# --- seal ---


def test_seal_window_is_half_open(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    run.roster()
    rostered, first, last = world.evm.now, *run.window()
    assert (first, last) == (rostered + WINDOWS.force + WINDOWS.reveal + 1, rostered + 450)
    mark = world.evm.snapshot()
    for at, error in (
        (first - 2, ("RoundLedger_TooEarly", run.task, first - 1)),
        (first - 1, ("RoundLedger_AsOfOutOfBounds", run.task, first - 2, first - 1, first - 1)),
        (last, ("RoundLedger_TooLate", run.task, last)),
    ):
        world.wait(at)
        with reverts(*error):
            seal_call(run)
    for at in (first, last - 1):
        world.evm.restore(mark)
        world.wait(at)
        seal_call(run)


def test_seal_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2)
    first, other = (a.address for a in world.aggregators[:2])
    with reverts("RoundLedger_WrongPhase", run.task, OPEN, ROSTERED):
        seal_call(run)
    run.roster()
    world.wait(run.window()[0])
    with reverts("RoundLedger_NotAggregator", run.task, other, first):
        seal_call(run, other)
    with reverts("RoundLedger_WrongRound", run.task, 1, 0):
        seal_call(run, number=1)
    for field in ("bundle", "model", "claim_root"):
        with reverts("RoundLedger_SealIncomplete", run.task, 0):
            seal_call(run, **{field: bytes(32)})


@pytest.mark.parametrize("round_number", [0, 2])
def test_seal_must_allot_the_pots_to_the_wei(world: World, reverts: Reverts, round_number: int) -> None:
    run = Run.start(world).play(round_number)
    run.roster()
    world.wait(run.window()[0])
    due = (round_number + 1) * run.params.pot
    assert world.views.call("allotted", run.task, round_number) == due
    for total in (due + 1, due - 1, 0):
        with reverts("RoundLedger_AllotmentMismatch", total, 3, due):
            seal_call(run, claim_total=total)
    for count in (0, 2**20 + 1):
        with reverts("RoundLedger_AllotmentMismatch", due, count, due):
            seal_call(run, claim_total=due, claim_count=count)
    seal_call(run, claim_total=due)


def slash(run: Run, amount: int) -> None:
    """Take so much of a trainer's stake into the pot."""
    who = run.trainers[0].address
    run.world.disputes.send(account("x"), "slash", run.task, who, amount, bytes(20), 0)


def test_a_seal_may_leave_out_what_was_slashed_in_its_window_and_no_more(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=2)
    pot = run.params.pot
    slash(run, 1)
    run.roster()
    slash(run, 2)
    first = run.window()[0]
    world.wait(first - 1)
    slash(run, 4)  # in the first second of the window, in which nobody can seal
    world.wait(first)
    slash(run, 8)
    world.wait(first + 20)
    slash(run, 16)
    mark = world.evm.snapshot()
    for total in (pot + 32, pot + 6):
        with reverts("RoundLedger_AllotmentMismatch", total, 3, pot + 31):
            seal_call(run, claim_total=total)
    for total in (pot + 31, pot + 15, pot + 7):
        world.evm.restore(mark)
        seal_call(run, claim_total=total)
    run.roster()
    world.wait(run.window()[0])
    slash(run, 32)
    for total in (2 * pot + 64, 2 * pot + 30):  # what the seal before left out is not late any more
        with reverts("RoundLedger_AllotmentMismatch", total, 3, 2 * pot + 63):
            seal_call(run, claim_total=total)
    seal_call(run, claim_total=2 * pot + 31)


def test_a_successor_and_a_later_window_take_note_of_what_was_late(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2, windows=replace(WINDOWS, challenge=1_000)).play(1)
    run.roster()
    world.wait(run.window()[0])
    slash(run, 8)
    due = 2 * run.params.pot + 8
    mark = world.evm.snapshot()
    run.challenge(0)
    slash(run, 16)
    world.wait(world.evm.now + 10)
    run.judge(0, False)  # the window opens ten seconds later, which have passed
    with reverts("RoundLedger_AllotmentMismatch", due + 15, 3, due + 16):
        seal_call(run, claim_total=due + 15)
    world.evm.restore(mark)
    due += run.advance().event("AggregatorReplaced")["slashed"]
    world.evm.now += 1
    with reverts("RoundLedger_AllotmentMismatch", due - 1, 3, due):
        seal_call(run, claim_total=due - 1)
    seal_call(run, claim_total=due)


# --- force-include ---


def force(run: Run, who: Any, sender: Any = None, **changes: Any) -> Any:
    receipt = run.receipt(who, **changes)
    return run.world.ledger.send(sender or account("anyone"), "forceInclude", receipt, run.sign(who, receipt))


def slot_of(run: Run, who: Any) -> bytes:
    """What the ledger keeps of a trainer's forced receipt."""
    seat = int(run.tenure(who)[3]).to_bytes(32, "big")
    return keccak256(seat + who.address.rjust(32, b"\0") + run.receipt(who).struct_hash())


def test_every_forced_receipt_has_a_slot_and_the_seal_their_number(world: World) -> None:
    run = Run.start(world)
    run.roster(Tree(run.roster_tree().leaves[1:]))
    for index, who in enumerate(run.trainers[:2]):
        done = force(run, who).event("ReceiptForced")
        assert (done["index"], done["seat"], done["trainer"]) == (index, run.tenure(who)[3], who.address)
        assert (done["round"], done["life"]) == (0, 0)
        assert world.ledger.call("forced", run.task, 0, 0, index) == slot_of(run, who)
        assert world.ledger.call("forcedCount", run.task) == index + 1
    assert world.ledger.call("forced", run.task, 0, 0, 2) == bytes(32)
    run.seal()
    kept = world.views.call("ringDigest", run.task, 0)
    for number in range(4):  # only the true number is what the seal's digest holds
        told = world.views.call("claimRecord", run.task, 0, replace(run.seals[0][0], forced=number))
        words = (w if isinstance(w, bytes) else w.to_bytes(32, "big") for w in (run.task, 0, *told))
        assert (keccak256(b"".join(words)) == kept) == (number == 2)
    assert world.ledger.call("forcedCount", run.task) == 0
    run.roster()
    assert force(run, run.trainers[0]).event("ReceiptForced")["index"] == 0  # a new round, a new list
    assert world.ledger.call("forced", run.task, 1, 0, 0) == slot_of(run, run.trainers[0])
    assert world.ledger.call("forced", run.task, 0, 0, 0) != bytes(32)


def test_a_seal_is_of_a_time_inside_its_window_and_before_itself(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    run.roster()
    opens = world.evm.now + WINDOWS.force + WINDOWS.reveal
    assert run.window() == (opens + 1, opens + WINDOWS.seal)
    world.wait(opens)
    with reverts("RoundLedger_AsOfOutOfBounds", run.task, opens, opens, opens):
        seal_call(run, as_of=opens)
    world.wait(opens + 7)
    for wrong in (0, opens - 1, opens + 7, opens + 8):
        with reverts("RoundLedger_AsOfOutOfBounds", run.task, wrong, opens, opens + 7):
            seal_call(run, as_of=wrong)
    mark = world.evm.snapshot()
    for right in (opens, opens + 6):
        world.evm.restore(mark)
        run.seal(at=world.evm.now, as_of=right)
        assert run.claim_record(0).content == world.views.call("claimRecord", run.task, 0, run.seals[0][0])[0]
        claims = run.claim_record(0)
        words = (run.task, 0, claims.content, claims.claim_root, claims.claim_total, claims.claim_count)
        packed = (*words, claims.final_at, claims.slot)
        kept = keccak256(b"".join(w if isinstance(w, bytes) else w.to_bytes(32, "big") for w in packed))
        assert world.views.call("ringDigest", run.task, 0) == kept


def test_a_successor_seals_as_of_its_takeover_at_the_earliest(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2)
    run.roster()
    run.advance()
    taken = world.evm.now
    assert run.window() == (taken + 1, taken + WINDOWS.takeover)
    world.wait(taken + 1)
    with reverts("RoundLedger_AsOfOutOfBounds", run.task, taken - 1, taken, taken + 1):
        seal_call(run, as_of=taken - 1)
    run.seal(at=world.evm.now, as_of=taken)


def test_force_include_window_is_half_open(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    with reverts("RoundLedger_WrongPhase", run.task, OPEN, ROSTERED):
        force(run, run.trainers[0])
    run.roster()
    rostered = world.evm.now
    force(run, run.trainers[0])
    world.wait(rostered + WINDOWS.force - 1)
    force(run, run.trainers[1])
    world.wait(rostered + WINDOWS.force)
    with reverts("RoundLedger_TooLate", run.task, rostered + WINDOWS.force):
        force(run, run.trainers[2])


def test_force_include_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    run.roster()
    who, stranger = run.trainers[0], account("stranger")
    with reverts("RoundLedger_ReceiptForeign", run.task, 1):
        force(run, who, round=1)
    with reverts("RoundLedger_ReceiptForeign", run.task, 0):
        force(run, who, life=1)
    with reverts("RoundLedger_WrongPhase", run.task + 1, 0, ROSTERED):
        force(run, who, task=run.task + 1)
    with reverts("RoundLedger_NotMember", run.task, stranger.address):
        force(run, stranger)
    with reverts("RoundLedger_NotMember", run.task, world.aggregators[0].address):
        force(run, world.aggregators[0])
    receipt = run.receipt(who)
    with reverts("RoundLedger_ReceiptSignatureInvalid", who.address, stranger.address):
        world.ledger.send(who, "forceInclude", receipt, run.sign(stranger, receipt))
    with reverts("RoundLedger_ReceiptSignatureInvalid", who.address, bytes(20)):
        world.ledger.send(who, "forceInclude", receipt, run.sign(who, receipt)[:64])
    force(run, who)
    with reverts("RoundLedger_AlreadyForced", run.task, 0, who.address):
        force(run, who, salt=digest("another"))


def test_who_joins_after_the_roster_takes_no_place_on_the_list(world: World, reverts: Reverts) -> None:
    run = Run.start(world)
    run.roster()
    late = account("late")
    run.join(late)  # in the roster's own second
    with reverts("RoundLedger_NotMember", run.task, late.address):
        force(run, late)


def test_no_receipt_is_forced_after_a_takeover(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2)
    run.roster()
    force(run, run.trainers[0])
    run.advance()
    with reverts("RoundLedger_TooLate", run.task, world.evm.now):
        force(run, run.trainers[1])
    world.wait(run.window()[0])
    run.seal()  # the successor answers the same list
    assert run.seals[0][0].forced == 1


# --- passing ---


def test_passing_hands_over_and_costs_nothing(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=3)
    listed = [account_.address for account_ in world.aggregators]
    with reverts("RoundLedger_WrongPhase", run.task, OPEN, ROSTERED):
        run.pass_()
    run.roster()
    opens = run.window()[0] - 1
    world.wait(opens - 1)
    with reverts("RoundLedger_TooEarly", run.task, opens):
        run.pass_(at=opens - 1)
    money = [run.member(who) for who in listed]
    told = run.pass_(at=opens).event("RoundPassed")
    assert told == {"task": run.task, "round": 0, "from": listed[0], "to": listed[1]}
    assert (run.phase, run.aggregator, bool(run.head[7])) == (ROSTERED, listed[1], True)
    assert [run.member(who) for who in listed] == money
    assert world.views.call("bonus", run.task) == 0
    with reverts("RoundLedger_NotAggregator", run.task, listed[0], listed[1]):
        world.ledger.send(listed[0], "passRound", run.task, 0, run.params.aggregators)
    with reverts("RoundLedger_WrongRound", run.task, 1, 0):
        world.ledger.send(listed[1], "passRound", run.task, 1, run.params.aggregators)
    with reverts("RoundLedger_AggregatorsMismatch", run.task):
        world.ledger.send(listed[1], "passRound", run.task, 0, run.params.aggregators[:2])
    last = run.window()[1]
    with reverts("RoundLedger_TooLate", run.task, last):
        run.pass_(at=last)
    world.evm.now = last - 1  # nothing was mined in between
    run.pass_(at=last - 1)
    run.seal()
    assert run.seals[0][0].aggregator == listed[2]
    world.ledger.send(listed[0], "unbondAggregator", run.task)  # its bond is whole and free to go


def test_passing_wants_a_bond_and_no_open_dispute(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=1).play(1)
    run.roster()
    run.challenge(0)
    with reverts("RoundLedger_TaskChallenged", run.task, 0):
        run.pass_()
    run.judge(0, False)
    run.pass_()
    with reverts("RoundLedger_NotBonded", run.task, run.aggregator):
        run.pass_()


def test_a_round_that_all_pass_on_is_compensated_by_stake(world: World) -> None:
    run = Run.start(world, bonded=3)
    run.roster()
    run.pass_()
    run.pass_()
    done = run.pass_()
    assert done.event("RoundPassed")["to"] == bytes(20)
    assert done.event("RoundCompensated")["round"] == 0
    assert run.phase == COMPENSATED
    run.close()
    for index, trainer in enumerate(run.trainers):
        run.compensate(index)
        assert run.member(trainer)[1] == run.params.pot // 3
    assert [run.member(who)[0] for who in run.params.aggregators] == [run.params.bond] * 3


def test_a_round_whose_roster_is_void_is_compensated_too(world: World) -> None:
    """Nobody rosters it again: its pot had a roster once, so it never goes back to the owner."""
    run = Run.start(world, bonded=2, windows=replace(WINDOWS, challenge=1_200)).play(2)
    run.judge(0, True)
    run.seal()
    assert run.phase == OPEN
    assert world.views.call("everRostered", run.task) == 2
    for _ in range(2):
        done = run.advance()
    assert done.event("RoundCompensated")["round"] == 1
    assert run.phase == COMPENSATED
    run.close()
    world.wait(world.evm.now + WINDOWS.unbonding)
    share = world.settlement.send(account("x"), "sweepCompensation", run.task).event("CompensationSwept")
    assert share["shares"] == 3
    assert share["amount"] >= run.params.pot


# --- bonds ---


def test_bond_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=0, trainers=1)
    first, second = world.aggregators[:2]
    listed, bond = run.params.aggregators, run.params.bond
    with reverts("RoundLedger_AggregatorsMismatch", run.task):
        world.ledger.send(first, "bondAggregator", run.task, listed[:2], 0, bond)
    for place in (1, 3):
        with reverts("RoundLedger_NotListed", run.task, first.address):
            world.ledger.send(first, "bondAggregator", run.task, listed, place, bond)
    with reverts("RoundLedger_BondTooSmall", run.task, bond - 1, bond):
        world.ledger.send(first, "bondAggregator", run.task, listed, 0, bond - 1)
    assert not run.head[6]
    run.bond(0)
    assert run.head[6]
    with reverts("Escrow_RoleConflict", run.task, first.address, AGGREGATOR):
        run.bond(0)
    run.bond(1)
    assert run.member(second) == (bond, 0, 0, AGGREGATOR)


def test_a_trainer_cannot_aggregate(world: World, reverts: Reverts) -> None:
    who = account("trainer 0")
    run = Run.start(world, bonded=0, trainers=1, aggregators=(who.address,))
    with reverts("Escrow_RoleConflict", run.task, who.address, 9):
        run.bond(0)


def test_the_current_aggregator_of_a_running_task_cannot_leave(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2, rounds=1)
    first, second = world.aggregators[:2]
    with reverts("RoundLedger_StillCurrent", run.task, first.address):
        world.ledger.send(first, "unbondAggregator", run.task)
    with reverts("RoundLedger_NotBonded", run.task, account("x").address):
        world.ledger.send(account("x"), "unbondAggregator", run.task)
    left = world.ledger.send(second, "unbondAggregator", run.task).event("AggregatorLeft")
    assert left["readyAt"] == world.evm.now + WINDOWS.unbonding
    assert run.member(second)[3] == LEAVING
    run.play()
    world.ledger.send(first, "unbondAggregator", run.task)
    assert not run.head[6]
    world.wait(world.evm.now + WINDOWS.unbonding)
    for who in (first, second):
        assert world.escrow.send(who, "exit", run.task).output == (run.params.bond,)


# --- takeover ---


def test_a_late_aggregator_pays_and_the_next_takes_over(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2, pot=10 * TOKENS + 1)
    first, second, third = run.params.aggregators
    deadline = run.window()[1]
    world.wait(deadline - 1)
    with reverts("RoundLedger_TooEarly", run.task, deadline):
        world.ledger.send(account("x"), "advance", run.task, run.params.aggregators)
    with reverts("RoundLedger_AggregatorsMismatch", run.task):
        world.ledger.send(account("x"), "advance", run.task, run.params.aggregators[:1])
    done = run.advance()
    fine = TOKENS + 1  # a tenth, rounded up
    assert done.event("AggregatorReplaced") == {
        "task": run.task, "round": 0, "from": first, "to": second, "slashed": fine,
    }  # fmt: skip
    assert run.aggregator == second
    assert run.window() == (world.evm.now, world.evm.now + WINDOWS.takeover)
    assert world.views.call("bonus", run.task) == fine
    with reverts("RoundLedger_NotAggregator", run.task, first, second):
        roster_call(run, first)
    run.roster()
    assert world.views.call("allotted", run.task, 0) == run.params.pot + fine
    done = run.advance()
    assert done.event("AggregatorReplaced")["to"] == third
    with reverts("RoundLedger_NotBonded", run.task, third):
        seal_call(run)
    run.bond(2)
    run.seal()
    assert run.seals[0][1].root.total in range(run.params.pot + 2 * fine - 2, run.params.pot + 2 * fine + 1)
    assert run.window()[0] == world.evm.now + WINDOWS.min_round  # a takeover ends with its phase


def test_an_unbonded_aggregator_loses_only_its_turn(world: World) -> None:
    run = Run.start(world, bonded=0)
    assert run.advance().event("AggregatorReplaced")["slashed"] == 0
    assert world.views.call("bonus", run.task) == 0


def test_the_last_one_late_without_a_roster_refunds(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=1, aggregators=world.params().aggregators[:1]).play(1)
    done = run.advance()
    assert done.event("RoundRefunded") == {"task": run.task, "round": 1}
    assert run.phase == REFUNDED
    assert world.registry.call("task", run.task)[6]
    with reverts("RoundLedger_WrongPhase", run.task, REFUNDED, OPEN):
        run.advance()


def test_the_last_one_late_with_a_roster_compensates_with_the_whole_bond(world: World) -> None:
    run = Run.start(world, bonded=1, aggregators=world.params().aggregators[:1])
    run.roster()
    done = run.advance()
    assert done.event("RoundCompensated") == {"task": run.task, "round": 0}
    assert done.event("AggregatorReplaced")["slashed"] == run.params.bond
    assert run.phase == COMPENSATED


# --- claim ---


def test_claims_are_cumulative(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=3).play(1)
    run.claim(run.finalize(), 0)
    run.play(2)
    last = run.finalize()
    again = run.claim(last, 0).event("RewardClaimed")
    each = run.seals[last][1].leaves[0].amount
    assert again["cumulative"] == each
    assert again["amount"] == each - run.params.pot // 3
    who = run.trainers[0].address
    with reverts("Escrow_NothingToClaim", run.task, who, each, each):
        run.claim(last, 0)
    assert run.member(who)[1:3] == (each, each)
    run.claim(last, 1)
    run.claim(last, 2)
    assert world.escrow.call("account", run.task)[1] == sum(x.amount for x in run.seals[last][1].leaves)


def test_finality_is_half_open(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(1)
    final_at = run.seals[0][0].sealed_at + WINDOWS.challenge
    world.wait(final_at - 1)
    with reverts("RoundLedger_NotFinal", run.task, 0, final_at):
        run.claim(0, 0)
    assert world.views.call("roundState", run.task, 0, run.seals[0][0]) == 3
    world.wait(final_at)
    run.claim(0, 0)
    assert world.views.call("roundState", run.task, 0, run.seals[0][0]) == 5


@pytest.mark.parametrize("field", ["content", "claim_root", "claim_total", "claim_count", "final_at", "slot"])
def test_a_claim_needs_the_sealed_record(world: World, field: str) -> None:
    run = Run.start(world).play(1)
    run.finalize()
    good, tree = run.claim_record(0), run.seals[0][1]
    old = getattr(good, field)
    changed = replace(good, **{field: digest("other") if isinstance(old, bytes) else old + 1})
    with pytest.raises(Exception, match="RoundLedger_RecordMismatch"):
        world.ledger.send(run.trainers[0], "claim", run.task, 0, changed, tree.leaf(0), tree.path(0))
    with pytest.raises(Exception, match="RoundLedger_RecordMismatch"):
        world.ledger.send(run.trainers[0], "claim", run.task, 3, good, tree.leaf(0), tree.path(0))
    with pytest.raises(Exception, match="RoundLedger_RecordMismatch"):
        world.ledger.send(run.trainers[0], "claim", run.task + 1, 0, good, tree.leaf(0), tree.path(0))


def test_a_slot_outside_the_ring_holds_nothing(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(1)
    run.finalize()
    tree = run.seals[0][1]
    for slot in (64, 255):
        with reverts("Panic", 0x32):
            record = replace(run.claim_record(0), slot=slot)
            world.ledger.send(run.trainers[0], "claim", run.task, 0, record, tree.leaf(0), tree.path(0))


def test_claims_beyond_the_sealed_total_are_refused_across_trees(world: World, reverts: Reverts) -> None:
    """A dishonest aggregator moves money between rounds; the pot is never overdrawn."""
    run = Run.start(world, rounds=2, trainers=2)
    run.roster()
    run.seal(run.claims(run.params.pot, [1, 0]))
    run.roster()
    run.seal(run.claims(2 * run.params.pot, [0, 1]))
    run.finalize(0)
    run.claim(0, 0)
    run.finalize(1)
    with reverts("Escrow_ClaimAboveTotal", run.task, 3 * run.params.pot, 2 * run.params.pot):
        run.claim(1, 1)


def test_round_states(world: World) -> None:
    run = Run.start(world, rounds=2)
    empty = no_seal()

    def state(number: int) -> int:
        return int(
            world.views.call("roundState", run.task, number, run.seals[number][0] if number in run.seals else empty)
        )

    assert [state(0), state(1), state(2)] == [1, 0, 0]
    run.roster()
    assert state(0) == 2
    run.seal()
    assert [state(0), state(1)] == [3, 1]
    run.challenge(0)
    assert state(0) == 4
    run.judge(0, False)
    run.finalize()
    assert state(0) == 5
    run.play(1)
    run.challenge(1)
    run.judge(1, True)
    assert state(1) == 2
    run.advance()
    run.advance()
    assert state(1) == 7


def no_seal() -> SealRecord:
    """A record that no ring holds."""
    return SealRecord(*(bytes(32),) * 4, 0, 0, bytes(32), 0, 0, 0, bytes(20))
