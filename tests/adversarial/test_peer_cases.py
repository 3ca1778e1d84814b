"""The three cases that broke the closest public peer, on the contracts. They stay forever."""

from __future__ import annotations

import pytest

from fl_platform.protocol.merkle_sum import Leaf
from tests.support.contracts import Run, Tree, World, digest, escrow_balance, fresh_world, split
from tests.support.evm import Reverted, account


@pytest.fixture
def world() -> World:
    """A fresh platform."""
    return fresh_world()


def test_random_hashes_earn_nothing(world: World) -> None:
    """A trainer's own say-so moves no money: not by a receipt, not by a leaf, not by a record of its own making."""
    run = Run.start(world, rounds=2, trainers=3)
    cheat = run.trainers[0]
    receipt = run.receipt(cheat, update=digest(1), key_hash=digest(2), leaves_root=digest(3), commitment=digest(4))
    run.roster()
    world.ledger.send(cheat, "forceInclude", receipt, run.sign(cheat, receipt))
    honest = [t.address for t in run.trainers[1:]]
    run.seal(split(run.params.pot, honest))
    run.finalize()
    mine = Tree((Leaf(cheat.address, run.params.pot, digest(5)),))
    with pytest.raises(Reverted, match="MerkleSum_"):
        world.ledger.send(cheat, "claim", run.task, 0, run.claim_record(0), mine.leaf(0), b"")
    forged = run.claim_record(0)
    forged = type(forged)(digest(6), mine.root.digest, run.params.pot, 1, forged.final_at, forged.slot)
    with pytest.raises(Reverted, match="RoundLedger_RecordMismatch"):
        world.ledger.send(cheat, "claim", run.task, 0, forged, mine.leaf(0), b"")
    run.claim(0, 0)
    run.claim(0, 1)
    assert run.member(cheat)[1:3] == (0, 0)
    with pytest.raises(Reverted, match="Escrow_NothingToWithdraw"):
        run.withdraw(cheat)


def test_the_owner_cannot_redirect_a_trainers_pay(world: World) -> None:
    run = Run.start(world, rounds=1).play()
    last = run.finalize()
    tree, record = run.seals[last][1], run.claim_record(last)
    stolen = type(tree.leaf(0))(0, world.owner.address, tree.leaf(0).amount, tree.leaf(0).data)
    for thief in (world.owner, world.aggregators[0], world.guardian):
        with pytest.raises(Reverted, match="MerkleSum_NotInTree"):
            world.ledger.send(thief, "claim", run.task, last, record, stolen, tree.path(0))
    run.claim(last, 0, sender=world.owner)  # the owner may pay the gas; the money is the trainer's
    assert run.member(run.trainers[0])[1] == tree.leaf(0).amount
    with pytest.raises(Reverted, match="Escrow_NothingToWithdraw"):
        world.escrow.send(world.owner, "withdraw", run.task)
    world.escrow.send(world.owner, "withdraw", run.task, run.trainers[0].address)
    assert run.member(run.trainers[0])[1] == 0


def test_no_task_with_an_empty_escrow(world: World) -> None:
    """There is no way to a task without its whole bounty: not without tokens, allowance, a token or the right sum."""
    params = world.params()
    poor = account("poor")
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        world.registry.send(poor, "openTask", params)
    world.token.send(poor, "approve", world.escrow.address, 2**256 - 1)
    with pytest.raises(Reverted, match="ERC20InsufficientBalance"):
        world.registry.send(poor, "openTask", params)
    for changes in ({"bounty": 0}, {"bounty": params.bounty - 1}, {"bounty": 0, "pot": 0}, {"token": b"\3" * 20}):
        with pytest.raises(Reverted):
            world.registry.send(world.owner, "openTask", world.params(**changes))
    assert world.registry.call("taskCount") == 0
    assert escrow_balance(world) == 0
    windows, listed = params.windows, params.aggregators
    with pytest.raises(Reverted, match="RoundLedger_NotRegistry"):
        world.ledger.send(world.owner, "openLedger", 1, windows, params.pot, params.bond, params.rounds, listed)
    world.registry.send(world.owner, "openTask", params)
    assert escrow_balance(world) == params.bounty
