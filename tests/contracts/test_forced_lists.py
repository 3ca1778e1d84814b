"""A round never gets more entries than a tape can have: half of them are the roster's, half can be forced in.

Each trainer forces once, so nobody is shut out by anybody while a task has no more trainers than the list has places.
"""

from __future__ import annotations

from fl_platform.protocol.sources import LONGEST, MOST_FORCED, MOST_ROSTERED, Axis
from tests.contracts.conftest import Reverts
from tests.support.contracts import Run, fresh_world, split
from tests.support.evm import account


def test_a_round_never_gets_more_entries_than_a_tape_can_have(reverts: Reverts) -> None:
    world = fresh_world()
    run = Run.start(world, stake=1, trainers=0)
    crowd = [account(f"one of many {number}") for number in range(MOST_FORCED + 1)]
    for one in crowd:
        run.join(one)
    names = sorted(one.address for one in crowd)
    total = len(crowd)
    world.wait(run.window()[0])
    with reverts("RoundLedger_RosterOutOfBounds", total, MOST_ROSTERED, total):
        run.roster(split(total, names))
    run.roster(split(total, names[:MOST_ROSTERED]))
    *first, last = crowd
    for one in first:
        receipt = run.receipt(one)
        world.ledger.send(one, "forceInclude", receipt, run.sign(one, receipt))
    assert world.ledger.call("forcedCount", run.task) == MOST_FORCED
    assert LONGEST[Axis.ENTRY] == MOST_ROSTERED + MOST_FORCED
    receipt = run.receipt(last)
    with reverts("RoundLedger_ForcedFull", run.task, 0, MOST_FORCED):
        world.ledger.send(last, "forceInclude", receipt, run.sign(last, receipt))
    run.seal()
