"""Settlement: how the books of an ended task are closed.

closeTask          reverts while the task runs, while the last round is not final, while a compensated one's roster can
                   fall, with another record or roster,
  Done             the owner gets the bonus that no seal allotted
  Refunded         the owner gets all that is left: pots that never had a roster
  Compensated      the owner gets pots that never had a roster; the rest waits for the rostered trainers, or goes to
                   the shares when receipts were forced into the failed round
claimCompensation  total * min(leaf, stake) / total stake, once, for trainers on the roster, inside the window
sweepCompensation  after the window, once: the rest into equal residual shares, or to the owner where there is none
claimResidual      once a trainer
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.protocol.merkle_sum import Leaf
from tests.contracts.conftest import Reverts
from tests.support.contracts import (
    COMPENSATED,
    NO_CLAIMS,
    NO_ROSTER,
    REFUNDED,
    TOKENS,
    Run,
    Tree,
    Windows,
    World,
    digest,
    escrow_balance,
    holdings,
)
from tests.support.evm import account

WINDOWS = Windows()


def people(run: Run) -> list[bytes]:
    """Everyone with money in a run."""
    accounts = (run.world.owner, *run.world.aggregators, *run.trainers, account("challenger"))
    return [a.address for a in accounts]


def compensated(world: World, tree: Tree | None = None, rounds: int = 3, sealed: int = 1, **changes: object) -> Run:
    """A task whose only aggregator left a roster unsealed."""
    changes.setdefault("trainers", 3)
    run = Run.start(world, rounds=rounds, aggregators=world.params().aggregators[:1], **changes)  # type: ignore[arg-type]
    run.play(sealed)
    run.roster(tree)
    run.advance()
    return run


def test_done_gives_the_owner_what_no_seal_can_allot(world: World) -> None:
    run = Run.start(world, pot=10 * TOKENS, rounds=2, trainers=3).play()
    world.disputes.send(account("x"), "slash", run.task, run.trainers[0].address, 7, bytes(20), 0)
    closed = run.close().event("TaskClosed")
    assert (closed["toOwner"], closed["toTrainers"]) == (7, 0)
    assert run.member(world.owner)[1] == 7
    for index in range(3):
        run.claim(1, index)  # claims go on
    assert world.escrow.call("account", run.task) == (run.params.bounty,) * 2


def test_close_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=2)
    x = account("x")
    with reverts("RoundLedger_WrongPhase", run.task, 1, 3):
        world.settlement.send(x, "closeTask", run.task, NO_CLAIMS, NO_ROSTER)
    with reverts("RoundLedger_WrongPhase", 99, 0, 3):
        world.settlement.send(x, "closeTask", 99, NO_CLAIMS, NO_ROSTER)
    run.play()
    record = run.claim_record(1)
    with reverts("RoundLedger_NotFinal", run.task, 1, record.final_at):
        world.settlement.send(x, "closeTask", run.task, record, NO_ROSTER)
    run.challenge(1)
    with reverts("RoundLedger_TaskChallenged", run.task, 1):
        world.settlement.send(x, "closeTask", run.task, record, NO_ROSTER)
    run.judge(1, False)
    run.finalize()
    with pytest.raises(Exception, match="RoundLedger_RecordMismatch"):
        world.settlement.send(x, "closeTask", run.task, replace(record, claim_total=0), NO_ROSTER)
    with pytest.raises(Exception, match="RoundLedger_RecordMismatch"):
        world.settlement.send(x, "closeTask", run.task, run.claim_record(0), NO_ROSTER)
    with reverts("RoundLedger_NotSettlement", x.address):
        world.ledger.send(x, "markClosed", run.task)
    run.close()
    with reverts("RoundLedger_AlreadyClosed", run.task):
        run.close()


def test_a_compensated_task_is_closed_once_its_roster_cannot_fall_any_more(world: World, reverts: Reverts) -> None:
    run = compensated(world)
    first = world.evm.now + WINDOWS.takeover
    run.finalize()
    assert world.evm.now < first
    for at in (world.evm.now, first - 1):
        with reverts("RoundLedger_TooEarly", run.task, first):
            run.close(at=at)
    run.close(at=first)


def test_a_dispute_gives_the_roster_of_an_ended_task_its_time_back(world: World, reverts: Reverts) -> None:
    run = compensated(world, windows=Windows(challenge=600))
    first = world.evm.now + WINDOWS.takeover
    run.challenge(0)
    world.wait(first + 5)
    with reverts("RoundLedger_TaskChallenged", run.task, 0):
        run.close(at=world.evm.now)
    run.judge(0, False)
    assert run.closable_at > first
    run.close()
    assert world.evm.now >= run.closable_at


def test_refunded_gives_back_pots_without_a_roster(world: World) -> None:
    run = Run.start(world, rounds=4, aggregators=world.params().aggregators[:1]).play(1)
    fine = run.advance().event("AggregatorReplaced")["slashed"]
    closed = run.close().event("TaskClosed")
    assert (closed["phase"], closed["toOwner"], closed["toTrainers"]) == (REFUNDED, 3 * run.params.pot + fine, 0)
    assert run.phase == REFUNDED
    run.claim(0, 0)


def test_a_pot_that_had_a_roster_never_returns_to_the_owner(world: World, reverts: Reverts) -> None:
    """Rounds 0 and 1 were rostered, 0 was voided and sealed again, then nobody rostered round 1 a second time."""
    windows = Windows(min_round=60, force=0, reveal=0, challenge=300)
    run = Run.start(world, rounds=4, windows=windows, bonded=2, aggregators=world.params().aggregators[:2]).play(1)
    run.roster()
    run.challenge(0)
    run.judge(0, True)
    run.seal()
    run.advance()
    assert run.phase == COMPENSATED
    assert world.views.call("everRostered", run.task) == 2
    closed = run.close().event("TaskClosed")
    assert closed["toTrainers"] == run.params.pot + run.params.pot // 10  # the second one was late
    world.wait(world.evm.now + windows.unbonding)
    world.settlement.send(account("x"), "sweepCompensation", run.task)
    per_share = closed["toTrainers"] // 3
    for trainer in run.trainers:
        paid = world.settlement.send(account("x"), "claimResidual", run.task, trainer.address)
        assert paid.event("ResidualClaimed")["amount"] == per_share
    assert run.member(world.owner)[1] < 2 * run.params.pot + run.params.bond + 10
    with reverts("Settlement_AlreadyPaid", run.task, run.trainers[0].address):
        world.settlement.send(account("x"), "claimResidual", run.task, run.trainers[0].address)
    with reverts("Settlement_NotMember", run.task, world.owner.address):
        world.settlement.send(account("x"), "claimResidual", run.task, world.owner.address)
    for index in range(3):
        run.claim(0, index)
    assert world.escrow.call("account", run.task)[0] == world.escrow.call("account", run.task)[1]
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_compensation_is_pot_and_bond_by_stake(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=3, trainers=1, aggregators=world.params().aggregators[:1])
    run.join(account("trainer 1"), stake=2 * run.params.stake)
    run.join(account("trainer 2"), stake=3 * run.params.stake)
    run.play(1)
    run.roster()
    run.advance()
    x = account("x")
    record, tree = run.rosters[1]
    with reverts("Settlement_NotClosed", run.task):
        run.compensate(0)
    closed = run.close().event("TaskClosed")
    total = run.params.pot + run.params.bond
    assert (closed["toOwner"], closed["toTrainers"]) == (run.params.pot, total)
    with reverts("Settlement_WrongRound", run.task, 0, 1):
        world.settlement.send(x, "claimCompensation", run.task, 0, record, tree.leaf(0), tree.path(0))
    other = replace(record, count=2)
    mine = world.views.call("rosterDigest", run.task, 1, other)
    with reverts("Settlement_RecordMismatch", run.task, 1, mine, world.views.call("ringDigest", run.task, 1)):
        world.settlement.send(x, "claimCompensation", run.task, 1, other, tree.leaf(0), tree.path(0))
    for index, leaf in enumerate(tree.leaves):
        paid = run.compensate(index).event("CompensationClaimed")
        assert paid["amount"] == total * leaf.amount // tree.root.total
    with reverts("Settlement_AlreadyPaid", run.task, tree.leaves[0].owner):
        run.compensate(0)
    world.wait(world.evm.now + WINDOWS.unbonding)
    world.settlement.send(x, "sweepCompensation", run.task)
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_an_inflated_leaf_weighs_no_more_than_its_stake(world: World) -> None:
    friend = account("trainer 0")
    honest = [account(f"trainer {i}") for i in (1, 2)]
    stake = 20 * TOKENS
    leaves = [(friend, 10**27), *((h, stake) for h in honest)]
    tree = Tree(tuple(Leaf(a.address, s, digest(a)) for a, s in sorted(leaves, key=lambda x: x[0].address)))
    run = compensated(world, tree)
    run.close()
    index = [leaf.owner for leaf in tree.leaves].index(friend.address)
    paid = run.compensate(index).event("CompensationClaimed")["amount"]
    assert paid < (run.params.pot + run.params.bond) // 10**6
    world.wait(world.evm.now + WINDOWS.unbonding)
    world.settlement.send(friend, "sweepCompensation", run.task)  # the rest is divided into residual shares
    per_share = world.settlement.call("settlement", run.task)[3]
    assert abs(3 * per_share - (run.params.pot + run.params.bond)) < 10**15


def test_a_roster_of_random_hashes_strands_nothing(world: World, reverts: Reverts) -> None:
    tree = Tree((Leaf(account("nobody").address, 1, digest(1)), Leaf(account("nobody 2").address, 2, digest(2))))
    run = compensated(world, tree)
    with reverts("Settlement_NotClosed", run.task):
        world.settlement.send(account("x"), "sweepCompensation", run.task)
    run.close()
    for index in range(2):
        with reverts("Settlement_NotMember", run.task, tree.leaves[index].owner):
            run.compensate(index)
    end = world.evm.now + WINDOWS.unbonding
    with reverts("Settlement_TooEarly", run.task, end):
        world.settlement.send(account("x"), "sweepCompensation", run.task)
    with reverts("Settlement_NothingToPay", run.task, run.trainers[0].address):
        world.settlement.send(account("x"), "claimResidual", run.task, run.trainers[0].address)
    world.wait(end)
    with reverts("Settlement_TooLate", run.task, end):
        run.compensate(0)
    swept = world.settlement.send(account("x"), "sweepCompensation", run.task).event("CompensationSwept")
    assert swept["shares"] == 3
    assert swept["perShare"] == swept["amount"] // 3
    with reverts("Settlement_NothingToPay", run.task, bytes(20)):
        world.settlement.send(account("x"), "sweepCompensation", run.task)
    for trainer in run.trainers:
        world.settlement.send(account("x"), "claimResidual", run.task, trainer.address)
    for index in range(3):
        run.claim(0, index)
    account_ = world.escrow.call("account", run.task)
    assert account_[0] == account_[1]
    assert holdings(world, [run.task], people(run)) == escrow_balance(world)


def test_without_residual_shares_the_rest_is_the_owners(world: World) -> None:
    tree = Tree((Leaf(account("nobody").address, 1, digest(1)),))
    run = compensated(world, tree, trainers=0, sealed=0)
    run.close()
    world.wait(world.evm.now + WINDOWS.unbonding)
    world.settlement.send(account("x"), "sweepCompensation", run.task)
    assert run.member(world.owner)[1] == run.params.bounty + run.params.bond


def test_residual_shares_are_frozen_at_the_end(world: World, reverts: Reverts) -> None:
    tree = Tree((Leaf(account("nobody").address, 1, digest(1)),))
    run = Run.start(world, rounds=2, aggregators=world.params().aggregators[:1], trainers=3)
    early, late = run.trainers[:2]
    world.registry.send(early, "leaveTask", run.task)
    run.roster(tree)
    run.advance()
    world.registry.send(late, "leaveTask", run.task)
    run.close()
    world.wait(world.evm.now + WINDOWS.unbonding)
    for who in (early, late):
        world.escrow.send(who, "exit", run.task)
    assert world.settlement.send(late, "sweepCompensation", run.task).event("CompensationSwept")["shares"] == 2
    world.settlement.send(late, "claimResidual", run.task, late.address)
    with reverts("Settlement_NotMember", run.task, early.address):
        world.settlement.send(early, "claimResidual", run.task, early.address)


def test_only_compensated_tasks_compensate(world: World, reverts: Reverts) -> None:
    run = Run.start(world, rounds=1).play()
    run.close()
    record, tree = run.rosters[0]
    with reverts("Settlement_WrongPhase", run.task, 3, 5):
        world.settlement.send(account("x"), "claimCompensation", run.task, 0, record, tree.leaf(0), tree.path(0))
    with reverts("Settlement_WrongPhase", run.task, 3, 5):
        world.settlement.send(account("x"), "sweepCompensation", run.task)


def test_a_weight_of_nothing_is_paid_nothing(world: World, reverts: Reverts) -> None:
    run = compensated(world)
    who = run.rosters[1][1].leaves[0].owner
    world.disputes.send(account("x"), "slash", run.task, who, 10**30, bytes(20), 0)
    run.close()
    with reverts("Settlement_NothingToPay", run.task, who):
        run.compensate(0)


def test_a_roster_that_left_trainers_out_does_not_share_the_pot(world: World, reverts: Reverts) -> None:
    """A sole aggregator rosters only its Sybil, the others force their receipts in, and it never seals."""
    run = Run.start(world, rounds=1, trainers=4, aggregators=world.params().aggregators[:1])
    sybil, *left_out = [account(f"trainer {index}") for index in range(4)]
    leaf = Leaf(sybil.address, run.params.stake, b"x" * 32)
    run.roster(Tree((leaf,)))
    for who in left_out:
        receipt = run.receipt(who)
        world.ledger.send(who, "forceInclude", receipt, run.sign(who, receipt))
    run.advance()
    total = run.params.pot + run.params.bond
    closed = run.close()
    assert closed.event("TaskClosed")["toTrainers"] == total
    with reverts("Settlement_NothingToPay", run.task, sybil.address):
        run.compensate(0)
    for who in (sybil, *left_out):
        paid = world.settlement.send(account("x"), "claimResidual", run.task, who.address).event("ResidualClaimed")
        assert paid["amount"] == total // 4
    with reverts("Settlement_NothingToPay", run.task, bytes(20)):
        world.settlement.send(account("x"), "sweepCompensation", run.task)
