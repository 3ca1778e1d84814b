"""Reputation: values of final rounds, rebuilt from the whole claim tree.

record
├── when the round is not final, or the record another     it reverts
├── when the list has another length or another root       it reverts
├── when a value of this or a later round is written       it reverts
└── else                                                   every leaf's value is written
"""

from __future__ import annotations

import pytest

from fl_platform.protocol.seats import FIRST_SEAT
from tests.contracts.conftest import Reverts
from tests.support.contracts import Run, Tree, World, split
from tests.support.evm import Outcome, account


def packed(tree: Tree) -> bytes:
    """The leaves as the contract takes them."""
    return b"".join(leaf.owner + leaf.amount.to_bytes(16, "big") + leaf.data[16:] for leaf in tree.leaves)


def record(run: Run, number: int, leaves: bytes | None = None) -> Outcome:
    """Write a round's reputation."""
    data = packed(run.seals[number][1]) if leaves is None else leaves
    return run.world.reputation.send(account("x"), "record", run.task, number, run.claim_record(number), data)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 33])
def test_every_value_is_written(world: World, count: int) -> None:
    run = Run.start(world, trainers=count, rounds=2).play(1, by_seat=True)
    run.finalize()
    tree = run.seals[0][1]
    done = record(run, 0).event("ReputationRecorded")
    assert (done["task"], done["round"], done["claimRoot"]) == (run.task, 0, tree.root.digest)
    assert done["count"] == FIRST_SEAT + count
    for index, leaf in enumerate(tree.leaves[FIRST_SEAT:]):
        assert world.reputation.call("reputationOf", run.task, leaf.owner) == (index, 0, True)
    assert world.reputation.call("reputationOf", run.task, world.owner.address) == (0, 0, False)
    assert world.reputation.call("reputationOf", run.task, bytes(20)) == (0, 0, False)


def test_refuses_other_lists(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=3, rounds=2).play(1, by_seat=True)
    final_at = run.claim_record(0).final_at
    with reverts("RoundLedger_NotFinal", run.task, 0, final_at):
        record(run, 0)
    run.finalize()
    good = packed(run.seals[0][1])
    for bad in (good[:-1], good + b"\0", b""):
        with reverts("Reputation_LengthMismatch", len(bad), 52 * (FIRST_SEAT + 3)):
            record(run, 0, bad)
    for position in range(0, len(good), 13):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(Exception, match=r"Reputation_RootMismatch|SumOverflow"):
            record(run, 0, bytes(bad))
    assert world.reputation.call("reputationOf", run.task, run.trainers[0].address) == (0, 0, False)
    record(run, 0)


def test_never_goes_back(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=2, rounds=3).play(2, by_seat=True)
    run.finalize()
    record(run, 1)
    with reverts("Reputation_Stale", run.task, 0, 1):
        record(run, 0)
    with reverts("Reputation_Stale", run.task, 1, 1):
        record(run, 1)
    run.play(1, by_seat=True)
    run.finalize()
    record(run, 2)
    assert world.reputation.call("reputationOf", run.task, run.trainers[1].address) == (1, 2, True)


def test_sums_beyond_128_bits_revert(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=2, rounds=1).play(by_seat=True)
    run.finalize()
    top = 2**128 - 1
    leaves = bytes(52 * FIRST_SEAT) + b"".join(
        t.address + amount.to_bytes(16, "big") + bytes(16) for t, amount in zip(run.trainers, (top, 1), strict=True)
    )
    with reverts("MerkleSum_SumOverflow", top, 1):
        record(run, 0, leaves)


def test_one_owner_twice_is_refused(world: World, reverts: Reverts) -> None:
    """Such a tree can be sealed (it is a matter of disputes), but it writes no reputation."""
    run = Run.start(world, trainers=1, rounds=1)
    who = run.trainers[0].address
    run.roster()
    run.seal(split(run.params.pot, [who] * (FIRST_SEAT + 2)))
    run.finalize()
    with reverts("Reputation_Stale", run.task, 0, 0):
        record(run, 0)
