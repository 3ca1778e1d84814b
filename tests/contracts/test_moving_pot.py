"""Slashes in a seal's window keep nobody from sealing: the seal may leave them to the next one.

A trainer that signs many receipts and answers no demand is slashed a fifth of what is left each time, by its friend,
when it likes: here once in each block of the seal's window, before the seal.
"""

from __future__ import annotations

from tests.support.contracts import digest
from tests.support.reveals import CHALLENGER, Scene

BLOCK = 12  # seconds


def test_an_honest_aggregator_can_seal_while_somebody_is_slashed() -> None:
    scene = Scene.start()
    run, world = scene.run, scene.world
    first = run.window()[0]
    receipts = [scene.receipt(salt=digest("receipt", number)) for number in range(3)]
    demands = [scene.demand_key(1, signed=scene.signed(receipt)) for receipt in receipts]
    world.wait(max(first, demands[-1].deadline))
    told = int(world.views.call("allotted", run.task, 0))  # of the newest block
    given = run.seal_input(run.claims(told))
    for demand in demands:
        world.evm.now += BLOCK
        world.reveals.send(CHALLENGER, "expire", demand)
    assert world.views.call("allotted", run.task, 0) > told
    world.ledger.send(run.aggregator, "sealRound", run.task, 0, given)
    run.roster()
    late = run.params.stake - scene.stake
    run.seal(run.claims(2 * run.params.pot + late - late * 3_000 // 10_000))
    assert world.views.call("allotted", run.task, 1) == run.seals[1][0].claim_total  # what was left came with the next
