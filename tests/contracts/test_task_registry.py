"""TaskRegistry.

openTask
├── when new tasks are stopped                                   it reverts
├── when the bounty is zero or not pot * rounds                  it reverts
├── when stake, bond, fee, spec or allow-list are out of bounds  it reverts
├── when a window is out of bounds                               it reverts, naming it
├── when the aggregator list is empty, long, or repeats          it reverts
├── when the escrow gets less than the bounty                    it reverts: no task with an empty escrow
└── else                                                         the task is open and its money is in the escrow
join
├── when the task is unknown or ended, the stake too small, the binding missing   it reverts
├── when the ticket does not admit the caller                    it reverts
├── when the caller is a member already, or was one              it reverts
└── else                                                         the stake is locked and the next seat taken
leaveTask, pause, ownership: see the tests' names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import sign_digest
from tests.contracts.conftest import Reverts
from tests.support.contracts import (
    LEAVING,
    RESIDUAL,
    TOKENS,
    TRAINER,
    Run,
    Ticket,
    Windows,
    World,
    digest,
    escrow_balance,
)
from tests.support.evm import account

POT = 10 * TOKENS
LIMIT = 2**79 - 1


def test_open_task_escrows_the_whole_bounty(world: World) -> None:
    params = world.params()
    done = world.registry.send(world.owner, "openTask", params)
    assert done.output == (1,)
    assert escrow_balance(world) == params.bounty == world.escrow.call("account", 1)[0]
    opened = done.event("TaskOpened")
    assert (opened["task"], opened["owner"], opened["spec"]) == (1, world.owner.address, params.spec)
    assert done.event("LedgerOpened")["aggregators"] == params.aggregators
    task = world.registry.call("task", 1)
    assert task == (world.owner.address, params.stake, params.bond, 5_000, 0, 0, False, params.spec, *[bytes(32)] * 3)
    assert world.registry.call("ownerOf", 1) == world.owner.address
    assert world.registry.call("taskCount") == 1


@pytest.mark.parametrize(
    ("changes", "error", "arguments"),
    [
        ({"bounty": 0, "pot": 0}, "TaskRegistry_BountyMismatch", (0, 0, 4)),
        ({"bounty": 4 * POT - 1}, "TaskRegistry_BountyMismatch", (4 * POT - 1, POT, 4)),
        ({"bounty": 4 * POT + 1}, "TaskRegistry_BountyMismatch", (4 * POT + 1, POT, 4)),
        ({"bounty": POT, "rounds": 0}, "TaskRegistry_BountyMismatch", (POT, POT, 0)),
        ({"stake": 0}, "TaskRegistry_StakeOutOfBounds", (0, LIMIT)),
        ({"stake": LIMIT + 1}, "TaskRegistry_StakeOutOfBounds", (LIMIT + 1, LIMIT)),
        ({"bond": POT - 1}, "TaskRegistry_BondOutOfBounds", (POT - 1, POT, LIMIT)),
        ({"bond": LIMIT + 1}, "TaskRegistry_BondOutOfBounds", (LIMIT + 1, POT, LIMIT)),
        ({"fee_bps": 10_001}, "TaskRegistry_FeeOutOfBounds", (10_001,)),
        ({"spec": bytes(32)}, "TaskRegistry_SpecMissing", ()),
        ({"admission": 1}, "TaskRegistry_AllowRootMismatch", (1, bytes(32))),
        ({"allow_root": digest(1)}, "TaskRegistry_AllowRootMismatch", (0, digest(1))),
        ({"aggregators": ()}, "RoundLedger_AggregatorsInvalid", (0, 0)),
        ({"aggregators": (b"\x01" * 20, bytes(20))}, "RoundLedger_AggregatorsInvalid", (2, 1)),
        ({"aggregators": (b"\x01" * 20, b"\x02" * 20, b"\x01" * 20)}, "RoundLedger_AggregatorsInvalid", (3, 2)),
        ({"aggregators": tuple(bytes([i]) * 20 for i in range(1, 10))}, "RoundLedger_AggregatorsInvalid", (9, 0)),
    ],
)
def test_open_task_refuses(
    world: World, reverts: Reverts, changes: dict[str, Any], error: str, arguments: tuple[Any, ...]
) -> None:
    with reverts(error, *arguments):
        world.registry.send(world.owner, "openTask", world.params(**changes))


def test_the_bounty_has_an_upper_limit(world: World, reverts: Reverts) -> None:
    params = world.params(pot=LIMIT + 1, rounds=1, bond=LIMIT)
    with reverts("TaskRegistry_BondOutOfBounds", LIMIT, LIMIT + 1, LIMIT):
        world.registry.send(world.owner, "openTask", params)
    params = world.params(pot=LIMIT // 2 + 1, rounds=2, bond=LIMIT)
    with reverts("Escrow_AmountOutOfBounds", LIMIT + 1, LIMIT):
        world.registry.send(world.owner, "openTask", params)
    world.registry.send(world.owner, "openTask", world.params(pot=LIMIT, rounds=1, bond=LIMIT))


MAX = 2**24 - 1


@pytest.mark.parametrize(
    ("name", "field", "bad", "good", "limits"),
    [
        ("minRound", "min_round", 0, 2, (1, MAX)),
        ("roster", "roster", 60, 61, (61, MAX)),
        ("roster", "roster", MAX + 1, 61, (61, MAX)),
        ("forceInclude", "force", MAX + 1, 0, (0, MAX)),
        ("reveal", "reveal", MAX + 1, 0, (0, MAX)),
        ("seal", "seal", 1, 2, (2, MAX)),
        ("challenge", "challenge", 0, 1, (1, 60 * 63)),
        ("challenge", "challenge", 60 * 63 + 1, 60 * 63, (1, 60 * 63)),
        ("takeover", "takeover", 1, 2, (2, MAX)),
        ("unbonding", "unbonding", 1_770, 1_771, (1_771, 2**32 - 1)),
    ],
)
def test_windows_have_bounds(
    world: World, reverts: Reverts, name: str, field: str, bad: int, good: int, limits: tuple[int, int]
) -> None:
    long = 9_000 if field != "unbonding" else 0
    windows = replace(Windows(), **{"unbonding": long or good, field: bad})
    with reverts("RoundLedger_WindowOutOfBounds", name.encode().ljust(32, b"\0"), bad, *limits):
        world.registry.send(world.owner, "openTask", world.params(windows=windows))
    world.registry.send(world.owner, "openTask", world.params(windows=replace(windows, **{field: good})))
    seen = world.views.call("config", 1)
    fields = ["min_round", "roster", "force", "reveal", "seal", "challenge", "takeover", "unbonding"]
    assert seen[fields.index(field)] == good


def test_config_tells_what_was_fixed(world: World) -> None:
    run = Run.start(world, trainers=0, bonded=0)
    ring = -(-120 // 60) + 1
    listed = b"".join(a.rjust(32, b"\0") for a in run.params.aggregators)
    hashed = keccak256((32).to_bytes(32, "big") + (3).to_bytes(32, "big") + listed)
    expected = (60, 600, 100, 50, 300, 120, 200, 5_000, POT, POT, ring, hashed)
    assert world.views.call("config", run.task) == expected


def test_a_tasks_program_and_rules_are_frozen_and_readable(world: World) -> None:
    roots = digest("program"), digest("rules")
    world.registry.send(world.owner, "openTask", world.params())
    done = world.registry.send(world.owner, "openTask", world.params(program=roots[0], rules=roots[1]))
    assert world.registry.call("task", 1)[9:] == (bytes(32), bytes(32))
    assert world.registry.call("task", 2)[9:] == roots
    assert done.event("TaskOpened")["params"][10:12] == roots


def test_join_locks_the_stake(world: World) -> None:
    run = Run.start(world, trainers=0)
    who = account("trainer 0")
    done = run.join(who, stake=run.params.stake + 1)
    assert done.event("TrainerJoined") == {
        "task": run.task, "trainer": who.address, "stake": run.params.stake + 1, "binding": digest("binding", who),
        "seat": 9,
    }  # fmt: skip
    assert run.member(who) == (run.params.stake + 1, 0, 0, TRAINER | RESIDUAL)
    assert run.tenure(who) == (run.params.stake + 1, world.evm.now, 0, 9)
    assert world.registry.call("task", run.task)[4] == 1


def test_seats_are_counted_by_task_in_the_order_of_joining(world: World) -> None:
    runs = [Run.start(world, trainers=0) for _ in range(2)]
    assert [world.views.call("seats", run.task) for run in runs] == [9, 9]
    order = [account(f"trainer {i}") for i in (2, 0, 1)]
    for place, who in enumerate(order):
        for run in runs:
            run.join(who)
            assert run.tenure(who)[3] == 9 + place
    assert [world.views.call("seats", run.task) for run in runs] == [12, 12]
    world.registry.send(order[0], "leaveTask", runs[0].task)
    assert world.views.call("seats", runs[0].task) == 12  # a seat is never free again
    runs[0].join(account("trainer 3"))
    assert runs[0].tenure(account("trainer 3"))[3] == 12
    assert world.views.call("seats", 99) == 0


def test_a_task_has_65536_seats(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=1)
    slot = int.from_bytes(keccak256(run.task.to_bytes(32, "big") + (2).to_bytes(32, "big")), "big") + 1  # windows
    word = world.evm.storage(world.ledger.address, slot)
    assert (word >> 224) % 2**24 == 10
    world.evm.store(world.ledger.address, slot, word + ((65_535 - 10) << 224))
    run.join(account("last"))
    assert run.tenure(account("last"))[3] == 65_535
    with reverts("RoundLedger_SeatsTaken", run.task, 65_536):
        run.join(account("too late"))


def test_only_the_registry_gives_seats(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0)
    for who in (world.owner, world.aggregators[0]):
        with reverts("RoundLedger_NotRegistry", who.address):
            world.ledger.send(who, "takeSeat", run.task)


def test_join_refuses(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=1)
    who, task, stake = account("late"), run.task, run.params.stake
    world.fill(who)
    with reverts("TaskRegistry_UnknownTask", task + 1):
        world.registry.send(who, "join", task + 1, stake, digest(1), Ticket())
    with reverts("TaskRegistry_StakeTooSmall", task, stake - 1, stake):
        world.registry.send(who, "join", task, stake - 1, digest(1), Ticket())
    with reverts("TaskRegistry_BindingMissing", task, who.address):
        world.registry.send(who, "join", task, stake, bytes(32), Ticket())
    with reverts("Escrow_RoleConflict", task, run.trainers[0].address, TRAINER | RESIDUAL):
        world.registry.send(run.trainers[0], "join", task, stake, digest(1), Ticket())
    with reverts("Escrow_RoleConflict", task, world.aggregators[0].address, 2):
        world.registry.send(world.aggregators[0], "join", task, stake, digest(1), Ticket())
    poor = account("poor")
    with reverts("ERC20InsufficientAllowance", world.escrow.address, 0, stake):
        world.registry.send(poor, "join", task, stake, digest(1), Ticket())


def test_join_refuses_after_the_end(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=1, aggregators=world.params().aggregators[:1])
    run.advance()
    who = account("late")
    world.fill(who)
    with reverts("TaskRegistry_TaskEnded", run.task):
        world.registry.send(who, "join", run.task, run.params.stake, digest(1), Ticket())


def allow_list(members: list[bytes]) -> tuple[bytes, dict[bytes, tuple[bytes, ...]]]:
    """OpenZeppelin's standard tree over two addresses."""
    leaves = [keccak256(keccak256(who.rjust(32, b"\0"))) for who in members]
    assert len(leaves) == 2
    return keccak256(b"".join(sorted(leaves))), {members[0]: (leaves[1],), members[1]: (leaves[0],)}


def test_allow_list_admits_only_its_members(world: World, reverts: Reverts) -> None:
    friends = [account("friend 0"), account("friend 1")]
    root, proofs = allow_list([f.address for f in friends])
    run = Run.start(world, trainers=0, admission=1, allow_root=root)
    stranger = account("stranger")
    world.fill(stranger)
    for proof in ((), *proofs.values()):
        with reverts("TaskRegistry_NotAdmitted", run.task, stranger.address):
            run.join(stranger, ticket=Ticket(proof=proof))
    for friend in friends:
        run.join(friend, ticket=Ticket(proof=proofs[friend.address]))
    assert world.registry.call("task", run.task)[4] == 2


def test_consent_admits_until_its_deadline(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0, admission=2)
    other = Run.start(world, trainers=0, admission=2)
    who, deadline = account("friend"), world.evm.now + 10

    def consent(task: int, trainer: bytes, until: int, signer: bytes) -> Ticket:
        digest_ = world.registry.call("consentDigest", task, trainer, until)
        return Ticket(deadline=until, signature=sign_digest(digest_, signer))

    good = consent(run.task, who.address, deadline, world.owner.key)
    bad = [
        consent(other.task, who.address, deadline, world.owner.key),
        consent(run.task, account("x").address, deadline, world.owner.key),
        consent(run.task, who.address, deadline, who.key),
        replace(consent(run.task, who.address, deadline + 1, world.owner.key), deadline=deadline + 2),
        replace(good, signature=good.signature[:64]),
        replace(good, signature=b""),
    ]
    for ticket in bad:
        with reverts("TaskRegistry_NotAdmitted", run.task, who.address):
            run.join(who, ticket=ticket)
    world.wait(deadline)
    with reverts("TaskRegistry_ConsentExpired", run.task, deadline):
        run.join(who, ticket=good)
    world.evm.now = deadline - 1  # nothing was mined in between
    run.join(who, ticket=good)


def test_leaving_keeps_the_stake_slashable_until_unbonding_is_over(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=2)
    who = run.trainers[0]
    with reverts("Escrow_NotUnbonding", run.task, who.address):
        world.escrow.send(who, "exit", run.task)
    with reverts("TaskRegistry_NotTrainer", run.task, account("x").address):
        world.registry.send(account("x"), "leaveTask", run.task)
    done = world.registry.send(who, "leaveTask", run.task)
    left = world.evm.now
    assert run.tenure(who)[2] == left
    ready = world.evm.now + run.params.windows.unbonding
    assert done.event("TrainerLeft") == {"task": run.task, "trainer": who.address, "readyAt": ready}
    assert run.member(who) == (run.params.stake, 0, 0, TRAINER | LEAVING)
    assert world.registry.call("task", run.task)[4] == 1
    with reverts("Escrow_AlreadyUnbonding", run.task, who.address):
        world.registry.send(who, "leaveTask", run.task)
    world.wait(ready - 1)
    with reverts("Escrow_StillUnbonding", run.task, who.address, ready):
        world.escrow.send(who, "exit", run.task)
    assert (
        world.disputes.send(who, "slash", run.task, who.address, 1, bytes(20), 0).event("StakeSlashed")["amount"] == 1
    )
    world.wait(ready)
    assert world.escrow.send(who, "exit", run.task).output == (run.params.stake - 1,)
    assert run.member(who) == (0, run.params.stake - 1, 0, 0)
    with reverts("Escrow_AlreadyLeft", run.task, who.address, left):
        run.join(who)


def test_a_slash_below_the_stake_of_the_task_ends_a_tenure(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0)
    who, stake = account("trainer 0"), run.params.stake
    run.join(who, stake=stake + 5)
    joined = world.evm.now
    for amount, left in ((5, 0), (1, joined + 20), (1, joined + 20)):
        world.wait(world.evm.now + 10)
        world.disputes.send(account("x"), "slash", run.task, who.address, amount, bytes(20), 0)
        assert run.tenure(who) == (stake + 5, joined, left, 9)
    world.wait(world.evm.now + 10)
    world.registry.send(who, "leaveTask", run.task)
    assert run.tenure(who)[2] == joined + 20  # when it fell short, not when it asked
    world.wait(world.evm.now + run.params.windows.unbonding)
    world.escrow.send(who, "exit", run.task)
    with reverts("Escrow_AlreadyLeft", run.task, who.address, joined + 20):
        run.join(who)


def test_an_aggregator_has_no_tenure(world: World) -> None:
    run = Run.start(world, trainers=1)
    run.play()
    world.ledger.send(world.aggregators[0], "unbondAggregator", run.task)
    assert run.tenure(world.aggregators[0]) == (0, 0, 0, 0)
    assert run.tenure(account("nobody")) == (0, 0, 0, 0)


def test_pause_stops_new_tasks_and_nothing_else(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=2)
    with reverts("OwnableUnauthorizedAccount", world.owner.address):
        world.registry.send(world.owner, "pause")
    world.registry.send(world.guardian, "pause")
    with reverts("EnforcedPause"):
        world.registry.send(world.owner, "openTask", world.params())
    run.join(account("trainer 9"))
    run.play()
    run.claim(run.finalize(), 0)
    run.close()
    with reverts("OwnableUnauthorizedAccount", world.owner.address):
        world.registry.send(world.owner, "unpause")
    world.registry.send(world.guardian, "unpause")
    world.registry.send(world.owner, "openTask", world.params())


def test_guardianship_moves_in_two_steps(world: World, reverts: Reverts) -> None:
    heir = account("heir")
    world.registry.send(world.guardian, "transferOwnership", heir.address)
    assert world.registry.call("owner") == world.guardian.address
    with reverts("OwnableUnauthorizedAccount", heir.address):
        world.registry.send(heir, "pause")
    world.registry.send(heir, "acceptOwnership")
    world.registry.send(heir, "pause")


def test_only_the_ledger_ends_a_task(world: World, reverts: Reverts) -> None:
    run = Run.start(world, trainers=0)
    for who in (world.owner, world.guardian):
        with reverts("TaskRegistry_NotLedger", who.address):
            world.registry.send(who, "endTask", run.task)
