"""What the ledger lets a dispute do: the one trusted address, and nobody else.

markChallenged    only disputes; only sealed rounds inside their window, with their record, once
markUnchallenged  only disputes, only marked rounds: the frozen time is given back; claims go on
overturnSeal      only disputes; marked rounds, and others inside their window: the sealer loses its bond, the round is
                  ROSTERED with the successor, later rounds are void
While a dispute is open: no roster, seal, advance, force-include, exit or closing, no claim at or past the round.
"""

from __future__ import annotations

from typing import Any

import pytest

from fl_platform.protocol.keccak import keccak256
from tests.contracts.conftest import Reverts
from tests.support.contracts import (
    CHALLENGER_BPS,
    COMPENSATED,
    REFUNDED,
    TOKENS,
    Run,
    SealRecord,
    Windows,
    World,
    escrow_balance,
    holdings,
)
from tests.support.evm import account

WINDOWS = Windows()
ROSTERED = 2
NO_SEAL = SealRecord(*[bytes(32)] * 4, 0, 0, bytes(32), 0, 0, 0, bytes(20))


def people(run: Run) -> list[bytes]:
    """Everyone with money in a run."""
    accounts = (run.world.owner, *run.world.aggregators, *run.trainers, account("challenger"))
    return [a.address for a in accounts]


def test_only_disputes(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(1)
    seal, listed = run.seals[0][0], run.params.aggregators
    for who in (world.owner, world.guardian, world.aggregators[0], account("x")):
        with reverts("RoundLedger_NotDisputes", who.address):
            world.ledger.send(who, "markChallenged", run.task, 0, seal)
        with reverts("RoundLedger_NotDisputes", who.address):
            world.ledger.send(who, "markUnchallenged", run.task, 0, seal)
        with reverts("RoundLedger_NotDisputes", who.address):
            world.ledger.send(who, "overturnSeal", run.task, 0, seal, who.address, listed)
        with reverts("RoundLedger_NotDisputes", who.address):
            world.ledger.send(who, "slashMember", run.task, run.trainers[0].address, 1, who.address, 10_000)


def test_the_challenge_window_is_half_open(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(1)
    mark = world.evm.snapshot()
    end = run.seals[0][0].sealed_at + WINDOWS.challenge
    world.wait(end)
    with reverts("RoundLedger_TooLate", run.task, end):
        run.challenge(0)
    world.evm.restore(mark)
    world.wait(end - 1)
    run.challenge(0)


def test_mark_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(2)
    with reverts("RoundLedger_WrongRound", run.task, 2, 2):
        world.disputes.send(account("x"), "challenge", run.task, 2, run.seals[1][0], 0)
    held = world.views.call("ringDigest", run.task, 0)
    stated = Run(world, run.task, run.params, seals={0: run.seals[1]}).claim_record(0)
    with reverts("RoundLedger_RecordMismatch", run.task, 0, _digest(run.task, 0, stated), held):
        world.disputes.send(account("x"), "challenge", run.task, 0, run.seals[1][0], 0)
    run.challenge(1)
    with reverts("RoundLedger_ChallengeState", run.task, 1, True):
        run.challenge(1)
    with reverts("RoundLedger_ChallengeState", run.task, 0, False):
        run.judge(0, False)


def _digest(task: int, number: int, record: Any) -> bytes:
    fields = (task, number, record.content, record.claim_root, record.claim_total, record.claim_count)
    words = (*fields, record.final_at, record.slot)
    return keccak256(b"".join(w if isinstance(w, bytes) else w.to_bytes(32, "big") for w in words))


def test_a_disputed_task_stands_still(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=4).play(2)
    leaver = run.trainers[0]
    world.registry.send(leaver, "leaveTask", run.task)
    run.finalize(0)
    run.challenge(1)
    assert world.views.call("challenged", run.task) == (True, 1)
    stopped = ("RoundLedger_TaskChallenged", run.task, 1)
    run.claim(0, 0)  # rounds below the dispute pay
    world.wait(world.evm.now + 10_000)
    with reverts(*stopped):
        run.claim(1, 0)
    with reverts(*stopped):
        world.ledger.send(run.aggregator, "rosterRound", run.task, 2, b"\1" * 32, 1, 1)
    with reverts(*stopped):
        run.advance()
    with reverts("Escrow_TaskChallenged", run.task):
        world.escrow.send(leaver, "exit", run.task)
    run.judge(1, False)
    assert run.window()[1] > world.evm.now  # the dispute's time was given back
    run.claim(1, 1)
    world.escrow.send(leaver, "exit", run.task)


def test_a_rejected_dispute_gives_back_exactly_its_time(world: World) -> None:
    run = Run.start(world).play(1)
    before, started = run.window(), world.evm.now
    run.challenge(0)
    world.wait(started + 777)
    run.judge(0, False)
    assert run.window() == (before[0] + 777, before[1] + 777)
    run.play()
    run.close()


def test_a_false_accuser_loses_its_bond(world: World) -> None:
    run = Run.start(world).play(1)
    accuser = account("challenger")
    run.challenge(0, bond=5 * TOKENS)
    assert (run.member(accuser), run.bond_of(accuser)) == ((0, 0, 0, 0), 5 * TOKENS)
    run.judge(0, False, bond=5 * TOKENS)
    assert (run.member(accuser), run.bond_of(accuser)) == ((0, 0, 0, 0), 0)
    assert run.member(run.aggregator)[1] == 5 * TOKENS  # the accused's
    assert world.views.call("bonus", run.task) == 0
    run.play()
    run.close()
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_an_upheld_dispute_voids_the_round_and_its_descendants(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=5, bonded=2).play(3)
    run.roster()
    sealer, successor = run.params.aggregators[:2]
    old = dict(run.seals)
    accuser = account("challenger")
    run.challenge(2, bond=TOKENS)
    run.finalize(1)
    world.wait(world.evm.now + 50)
    done = run.judge(2, True, bond=TOKENS)
    share = run.params.bond * CHALLENGER_BPS // 10_000
    assert done.event("ChallengeResolved") == {
        "task": run.task, "round": 2, "upheld": True, "voidedTo": 4, "slashed": run.params.bond,
    }  # fmt: skip
    assert run.member(accuser)[:2] == (0, TOKENS + share)
    assert run.member(sealer)[0] == 0
    assert (run.round, run.phase, run.aggregator) == (2, ROSTERED, successor)
    assert world.views.call("ringDigest", run.task, 2) == old[2][0].roster_digest
    assert world.views.call("challenged", run.task) == (False, 0)
    run.claim(1, 0)  # final rounds are untouched
    run.seals[2] = old[2]
    with reverts(
        "RoundLedger_RecordMismatch", run.task, 2, _digest(run.task, 2, run.claim_record(2)), old[2][0].roster_digest
    ):
        run.claim(2, 0)
    del run.seals[2]
    assert world.views.call("allotted", run.task, 2) == 3 * run.params.pot + run.params.bond - share
    run.seal()
    run.play()
    run.close()
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_overturn_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world).play(2)
    x, listed = account("x"), run.params.aggregators
    with reverts("RoundLedger_WrongRound", run.task, 2, 2):
        world.disputes.send(x, "judge", run.task, 2, run.seals[1][0], True, x.address, 0, listed)
    held = world.views.call("ringDigest", run.task, 0)
    stated = Run(world, run.task, run.params, seals={0: run.seals[1]}).claim_record(0)
    with reverts("RoundLedger_RecordMismatch", run.task, 0, _digest(run.task, 0, stated), held):
        world.disputes.send(x, "judge", run.task, 0, run.seals[1][0], True, x.address, 0, listed)
    with reverts("RoundLedger_AggregatorsMismatch", run.task):
        world.disputes.send(x, "judge", run.task, 0, run.seals[0][0], True, x.address, 0, listed[:1])


def test_without_a_mark_overturning_ends_with_the_window(world: World, reverts: Reverts) -> None:
    run = Run.start(world, bonded=2).play(1)
    end = run.seals[0][0].sealed_at + WINDOWS.challenge
    mark = world.evm.snapshot()
    world.wait(end)
    with reverts("RoundLedger_TooLate", run.task, end):
        run.judge(0, True)
    world.evm.restore(mark)
    run.challenge(0)
    world.wait(end)
    sealed = dict(run.seals)
    run.judge(0, True)
    world.evm.restore(mark)
    run.seals = sealed
    world.wait(end - 1)
    run.judge(0, True)
    assert (run.round, run.phase, run.aggregator) == (0, ROSTERED, run.params.aggregators[1])


@pytest.mark.parametrize("others", [(), (0,), (2,), (3,), (0, 3), (0, 2)])
def test_a_mark_before_makes_no_difference(world: World, others: tuple[int, ...]) -> None:
    """Overturned at once, or marked and overturned in the same second: the same state, also among other disputes."""
    windows = Windows(min_round=60, force=0, reveal=0, challenge=300)
    run = Run.start(world, rounds=8, windows=windows, bonded=2).play(4)
    for number in others:
        run.challenge(number)
    world.wait(world.evm.now + 3)
    start, seals, rosters = world.evm.snapshot(), dict(run.seals), dict(run.rosters)

    def state() -> list[Any]:
        names = ("bonus", "everRostered", "challenged")
        told = [run.head, world.ledger.call("forcedCount", run.task), *(world.views.call(n, run.task) for n in names)]
        rounds = [(world.views.call("ringDigest", run.task, n), _state(run, n)) for n in range(5)]
        return [*told, rounds, [run.member(p) for p in people(run)]]

    at_once = run.judge(1, True)
    assert "RoundChallenged" not in [name for name, _ in at_once.events]
    expected = state()
    world.evm.restore(start)
    run.seals, run.rosters = seals, rosters
    run.challenge(1)
    marked = run.judge(1, True)
    assert state() == expected
    assert marked.events == at_once.events
    if 0 in others:
        world.wait(world.evm.now + 50)
        run.judge(0, False)
    run.seal()
    run.play()
    run.close()
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def _state(run: Run, number: int) -> Any:
    record = run.seals[number][0] if number in run.seals else NO_SEAL
    return run.world.views.call("roundState", run.task, number, record)


def force(run: Run, who: Any) -> Any:
    receipt = run.receipt(who)
    return run.world.ledger.send(who, "forceInclude", receipt, run.sign(who, receipt)).event("ReceiptForced")


def test_a_forced_list_survives_a_void(world: World) -> None:
    run = Run.start(world, bonded=2)
    run.roster()
    first, second = run.trainers[:2]
    force(run, first)
    force(run, second)
    run.seal()
    kept = [world.ledger.call("forced", run.task, 0, 0, k) for k in range(2)]
    run.roster()
    force(run, first)  # another round's list is there now
    world.wait(run.seals[0][0].sealed_at + WINDOWS.challenge - 1)
    run.challenge(0)
    run.judge(0, True)
    assert world.ledger.call("forcedCount", run.task) == 2
    run.seal()
    assert run.seals[0][0].forced == 2
    assert [world.ledger.call("forced", run.task, 0, 0, k) for k in range(2)] == kept


def test_a_seal_that_falls_starts_a_life(world: World, reverts: Reverts) -> None:
    """The reopened round keeps its own; rounds that open later, the void ones again among them, have the new one."""
    run = Run.start(world, bonded=2).play(1)
    run.roster()
    force(run, run.trainers[0])
    assert (run.head[12], run.rosters[0][0].life, run.rosters[1][0].life) == (0, 0, 0)
    old = run.rosters[0][0]
    run.judge(0, True)
    assert run.head[12] == 1
    run.seal()
    assert run.seals[0][0].roster_digest == world.views.call("rosterDigest", run.task, 0, old)
    run.roster()
    assert run.rosters[1][0].life == 1
    done = force(run, run.trainers[1])  # the list of the void life is another one
    assert (done["life"], done["index"]) == (1, 0)
    assert force(run, run.trainers[0])["index"] == 1  # once a round and life
    with reverts("RoundLedger_AlreadyForced", run.task, 1, run.trainers[0].address):
        force(run, run.trainers[0])
    assert world.ledger.call("forced", run.task, 1, 0, 0) != world.ledger.call("forced", run.task, 1, 1, 0)


def test_disputes_about_several_rounds(world: World, reverts: Reverts) -> None:
    """challenge > minRound keeps three rounds in the window at once."""
    windows = Windows(min_round=60, force=0, reveal=0, challenge=300)
    run = Run.start(world, rounds=8, windows=windows, bonded=2).play(4)
    start = world.evm.now
    run.challenge(3)
    assert world.views.call("challenged", run.task) == (True, 3)
    run.challenge(1)
    run.challenge(2)
    assert world.views.call("challenged", run.task) == (True, 1)
    world.wait(start + 1_000)
    with reverts("RoundLedger_TaskChallenged", run.task, 1):
        run.claim(1, 0)
    run.claim(0, 0)
    run.judge(1, False)
    assert world.views.call("challenged", run.task) == (True, 2)
    run.claim(1, 0)
    for number in (2, 3):
        with reverts("RoundLedger_TaskChallenged", run.task, 2):
            run.claim(number, 1)
    run.judge(3, False)
    assert [world.views.call("isChallenged", run.task, n) for n in range(5)] == [False, False, True, False, False]
    run.judge(2, True)
    assert world.views.call("challenged", run.task) == (False, 0)
    assert run.round == 2
    run.seal()
    run.play()
    run.close()
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_an_upheld_dispute_keeps_lower_ones_open(world: World) -> None:
    windows = Windows(min_round=60, force=0, reveal=0, challenge=300)
    run = Run.start(world, rounds=8, windows=windows, bonded=3).play(4)
    run.challenge(1)
    run.challenge(3)
    run.challenge(2)
    run.judge(2, True)
    assert world.views.call("challenged", run.task) == (True, 1)
    assert [world.views.call("isChallenged", run.task, n) for n in range(5)] == [False, True, False, False, False]
    world.wait(world.evm.now + 500)
    run.judge(1, False)
    assert run.window()[1] > world.evm.now
    run.claim(1, 0)
    run.seal()
    run.play()
    run.close()
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_the_successor_that_already_took_over_keeps_its_turn(world: World) -> None:
    run = Run.start(world, rounds=4, bonded=2).play(1)
    run.roster(at=run.seals[0][0].sealed_at + 100)
    mark_end = run.seals[0][0].sealed_at + WINDOWS.challenge
    world.wait(mark_end - 1)
    run.challenge(0)
    run.judge(0, True)
    assert run.aggregator == run.params.aggregators[1]
    run.seal()
    run.roster(at=world.evm.now + 100)
    world.wait(run.seals[0][0].sealed_at + WINDOWS.challenge - 1)
    run.challenge(0)
    run.judge(0, True)
    assert run.aggregator == run.params.aggregators[2]
    assert not run.head[6]


def test_with_nobody_left_an_upheld_dispute_compensates(world: World) -> None:
    run = Run.start(world, rounds=4, aggregators=world.params().aggregators[:1]).play(2)
    run.challenge(1)
    done = run.judge(1, True)
    assert done.event("RoundCompensated") == {"task": run.task, "round": 1}
    assert run.phase == COMPENSATED
    assert world.registry.call("task", run.task)[6]


def test_an_ended_task_can_still_lose_a_sealed_round(world: World) -> None:
    windows = Windows(min_round=60, roster=61, takeover=2, challenge=300)
    run = Run.start(world, rounds=4, windows=windows, aggregators=world.params().aggregators[:1]).play(1)
    run.advance()
    assert run.phase == REFUNDED
    run.challenge(0)
    run.judge(0, True)
    assert (run.phase, run.round) == (COMPENSATED, 0)
    run.close()
    for index in range(3):
        run.compensate(index)
    world.wait(world.evm.now + windows.unbonding)
    world.settlement.send(account("x"), "sweepCompensation", run.task)
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_slashing_a_member_stops_with_the_books_closed(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=1)
    who, x = run.trainers[0].address, account("x")
    world.disputes.send(x, "slash", run.task, who, 10**30, x.address, 5_000)  # more than there is: all of it
    assert run.member(who)[0] == 0
    assert run.member(x)[1] == run.params.stake // 2 == world.views.call("bonus", run.task)
    run.play()
    run.close()
    with reverts("RoundLedger_AlreadyClosed", run.task):
        world.disputes.send(x, "slash", run.task, who, 1, x.address, 0)
