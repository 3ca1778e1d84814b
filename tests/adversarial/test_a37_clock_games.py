"""A37: clock games. Every limit is [from, to): one second before, at, and at the end, for every timed call.

Roster, seal, force-include, challenge and claim limits are in test_round_ledger.py and test_overturn.py;
here are the neighbours: what opens in the very second in which the other closes.
"""

from __future__ import annotations

import pytest

from tests.support.contracts import Run, Windows, World, fresh_world
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


def works(world: World, call: object) -> bool:
    """Try a call and take it back."""
    mark = world.evm.snapshot()
    try:
        call()  # type: ignore[operator]
    except Reverted:
        return False
    finally:
        world.evm.restore(mark)
    return True


@pytest.mark.parametrize("phase", ["open", "rostered", "open after takeover", "rostered after takeover"])
def test_exactly_one_of_step_and_advance_is_possible(world: World, phase: str) -> None:
    run = Run.start(world, bonded=3)
    if "rostered" in phase:
        run.roster()
    if "takeover" in phase:
        run.advance()
    first, last = run.window()
    for at in (first, last - 1, last, last + 1):
        world.evm.now = at
        step = works(world, lambda: (run.roster if "open" in phase else run.seal)(at=world.evm.now))
        advance = works(world, lambda: run.advance(at=world.evm.now))
        assert (step, advance) == (at < last, at >= last), at


def test_exactly_one_of_challenge_and_claim_is_possible(world: World) -> None:
    run = Run.start(world).play(1)
    final_at = run.claim_record(0).final_at
    for at in (final_at - 1, final_at, final_at + 1):
        world.evm.now = at
        challenge = works(world, lambda: run.challenge(0))
        claim = works(world, lambda: run.claim(0, 0))
        assert (challenge, claim) == (at < final_at, at >= final_at), at


def test_exactly_one_of_compensation_and_sweep_is_possible(world: World) -> None:
    run = Run.start(world, aggregators=world.params().aggregators[:1])
    run.roster()
    run.advance()
    run.close()
    end = world.evm.now + run.params.windows.unbonding
    for at in (end - 1, end, end + 1):
        world.evm.now = at
        compensation = works(world, lambda: run.compensate(0))
        sweep = works(world, lambda: world.settlement.send(account("x"), "sweepCompensation", run.task))
        assert (compensation, sweep) == (at < end, at >= end), at


def test_empty_windows_are_empty(world: World) -> None:
    """Without a force-include and reveal window a seal may follow its roster in a second, and nothing can be forced."""
    run = Run.start(world, windows=Windows(force=0, reveal=0))
    run.roster()
    receipt = run.receipt(run.trainers[0])
    with pytest.raises(Reverted, match="RoundLedger_TooLate"):
        world.ledger.send(account("x"), "forceInclude", receipt, run.sign(run.trainers[0], receipt))
    run.seal(at=world.evm.now + 1)


def test_the_shortest_round_never_outruns_the_ring(world: World) -> None:
    """Rounds at the minimum interval: a slot is reused only when its round is final."""
    windows = Windows(min_round=1, roster=2, force=0, reveal=0, seal=2, challenge=7, takeover=2, unbonding=100)
    run = Run.start(world, rounds=30, windows=windows, trainers=1)
    for number in range(30):
        run.roster()
        run.seal()
        displaced = number - 8  # ring = 8
        if displaced >= 0:
            assert run.seals[displaced][0].sealed_at + windows.challenge <= run.rosters[number][0].rostered_at
            assert run.seals[displaced + 1][0].sealed_at + windows.challenge <= run.rosters[number][0].rostered_at
            run.claim(displaced + 1, 0)
