"""Gas of every call of the contracts, with 4 to 512 trainers, against the bars.

The shipped bytecode runs in py-evm under Shanghai's rules, the engine of the embedded chain and of eth-tester; a figure
is what a mined transaction is charged, intrinsic gas and refunds included. `round n=N` is all transactions of an
undisputed round, in steady state; in the first lap of the ring a roster also pays for a slot that was never written.
scripts/bench/gas_snapshot.py keeps the same figures in git.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fl_platform.chain.artifacts import load
from fl_platform.ledger.deploy import CONTRACTS, DISPUTES, SHARED, WIRES
from fl_platform.protocol.sources import MOST_ROSTERED
from scripts.bench.harness import Row, at_most
from tests.support.bound_rounds import referee_world
from tests.support.contracts import TOKENS, Run, Tree, Windows, fresh_world
from tests.support.evm import Evm, account, created_at
from tests.support.rosters import rostered

TRAINERS = (4, 16, 64, 256, 512)
BARS = {
    "roster n=": 40_000,
    "seal n=": 42_000,
    "round n=": 80_000,
    "claim depth=": 56_000,
    "withdraw": 46_000,
    "deployment": 24_000_000,  # all but the faucet, the hash, and the gate of settlement proofs
    "hash of eight": 450_000,
    "join": 110_000,
    "join, very first": 110_000,
    "reputation a trainer n=20": 8_200,  # the claims of nine seats of aggregators and owner are hashed with them
}
FLAT = 1.02  # a round's gas may vary by so much over the number of trainers


def measure() -> dict[str, int]:
    """Return gas by case; the same figures on every machine."""
    found: dict[str, int] = {}
    for count in TRAINERS:
        found.update(_rounds(count))
    found.update(_members())
    found["reputation a trainer n=20"] = _reputation(20)
    found.update(_other())
    found.update(_rosters())
    created = deployment()
    found["deployment"] = sum(gas for name, gas in created.items() if name not in SHARED)
    found |= {f"deployment of {name}": created[name] for name in SHARED}
    found["hash of eight"] = _hash()
    return found


def deployment() -> dict[str, int]:
    """Return what the creation of each contract costs that a task needs, disputes included."""
    evm, deployer = Evm(), account("deployer").address
    names = (*CONTRACTS, *DISPUTES)
    planned = {name: created_at(deployer, nonce) for nonce, name in enumerate(names)}
    wires = {parameter: planned[name] for parameter, name in WIRES.items()}
    wires |= {"disputes_": planned[DISPUTES[-1]], "guardian": deployer, "guardian_": deployer}
    return {
        name: evm.create_counted(deployer, name, *(wires[wanted] for wanted in load(name).abi.constructor_names))[0]
        for name in names
    }


def _rounds(count: int) -> dict[str, int]:
    run = Run.start(fresh_world(), trainers=count, rounds=8)
    # a roster names so many at most; the others have their claims all the same
    trees = (Tree(run.roster_tree().leaves[:MOST_ROSTERED]) for _ in range(5))
    steps = [(run.roster(tree).gas, run.seal().gas) for tree in trees]
    (first_roster, first_seal), (roster, seal) = steps[0], steps[-1]
    last = run.finalize()
    depth = (count - 1).bit_length()
    run.claim(last, 1)  # the first claim of a task writes into a fresh half of the pot's slot
    claim = run.claim(last, 2).gas
    return {
        f"roster n={count}": roster,
        f"seal n={count}": seal,
        f"round n={count}": roster + seal,
        f"round n={count}, first lap of the ring": first_roster + first_seal,
        f"claim depth={depth}": claim,
    }


def _members() -> dict[str, int]:
    world = fresh_world()
    run = Run.start(world, trainers=0, rounds=2)
    first = run.join(account("trainer 0")).gas
    joins = [run.join(account(f"trainer {i}")).gas for i in range(1, 5)]
    run.play()
    last = run.finalize()
    for index in range(5):
        run.claim(last, index)
    run.withdraw(run.trainers[0])
    own = world.escrow.send(run.trainers[1], "withdraw", run.task).gas
    other = world.escrow.send(account("anyone"), "withdraw", run.task, run.trainers[2].address).gas
    leave = world.registry.send(run.trainers[3], "leaveTask", run.task).gas
    world.wait(world.evm.now + run.params.windows.unbonding)
    left = world.escrow.send(run.trainers[3], "exit", run.task).gas
    return {
        "join": max(joins), "join, very first": first, "withdraw": own, "withdraw for another": other,
        "leaveTask": leave, "exit": left,
    }  # fmt: skip


def pack_leaves(tree: Tree) -> bytes:
    """Return a claim tree as IReputation.record takes it."""
    return b"".join(leaf.owner + leaf.amount.to_bytes(16, "big") + leaf.data[16:] for leaf in tree.leaves)


def _reputation(count: int) -> int:
    world = fresh_world()
    run = Run.start(world, trainers=count, rounds=3)
    gas = 0
    for _ in range(2):  # the second time the slots are there
        run.play(1, by_seat=True)
        last = run.finalize()
        leaves = pack_leaves(run.seals[last][1])
        gas = world.reputation.send(account("anyone"), "record", run.task, last, run.claim_record(last), leaves).gas
    return -(-gas // count)


def _other() -> dict[str, int]:
    world = fresh_world()
    found = {"openTask": world.registry.send(world.owner, "openTask", world.params()).gas}
    run = Run.start(world, trainers=5, rounds=4, bonded=0, windows=Windows(unbonding=9_000))
    found["bondAggregator"] = run.bond(0).gas
    run.bond(1)
    run.roster()
    trainer = run.trainers[0]
    receipt = run.receipt(trainer)
    found["forceInclude"] = world.ledger.send(trainer, "forceInclude", receipt, run.sign(trainer, receipt)).gas
    found["advance"] = run.advance().gas
    found["seal after a takeover"] = run.seal().gas
    run.play(1)
    found["markChallenged (mock disputes)"] = run.challenge(1, bond=TOKENS).gas
    found["markUnchallenged (mock disputes)"] = run.judge(1, False, bond=TOKENS).gas
    found["markChallenged again (mock disputes)"] = run.challenge(1, bond=TOKENS).gas
    found["overturnSeal, marked before (mock disputes)"] = run.judge(1, True, bond=TOKENS).gas
    run.advance()
    found["closeTask, compensated"] = run.close().gas
    found["claimCompensation"] = run.compensate(1).gas
    caught = Run.start(world, trainers=3, rounds=4, bonded=2).play(2)
    found["overturnSeal at once (mock disputes)"] = caught.judge(1, True).gas
    finished = Run.start(world, trainers=3, rounds=2).play()
    found["closeTask, done"] = finished.close().gas
    passed = Run.start(world, trainers=3, rounds=2, bonded=2)
    passed.roster()
    found["passRound"] = passed.pass_().gas
    return found


def _rosters() -> dict[str, int]:
    """What it costs to ask for a leaf of a roster, to show it, and to fell one; of four leaves."""
    world = referee_world()
    mark = world.evm.snapshot()
    listed = rostered(world)
    found = {"askRoster": listed.ask(0).gas, "showRoster": listed.show(0).gas}
    listed.ask(1)
    world.wait(world.evm.now + listed.run.params.windows.takeover)
    found["lapseRoster"] = listed.lapse(1).gas
    world.evm.restore(mark)
    sealed = rostered(world)
    sealed.ask(0)
    sealed.run.seal()
    found["reclaimRoster"] = sealed.reclaim(0).gas
    world.evm.restore(mark)
    found["refuteRoster"] = rostered(world, order=(1, 0, 2, 3)).refute(0, commit=True).gas
    return found


def _hash() -> int:
    evm = Evm()
    return evm.create(account("deployer").address, "Poseidon").send(account("anyone"), "hash", [-1] * 8).gas


def _row(case: str, gas: int) -> Row:
    fits = [name for name in BARS if case == name or (name.endswith("=") and case.startswith(name))]
    if not fits or "first lap" in case:
        return Row(case=case, value=gas, unit="gas")
    return at_most(case, gas, BARS[fits[0]], unit="gas")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure everything; the last row says how flat a round is in the number of trainers."""
    del args
    gas = measure()
    rounds = [gas[f"round n={count}"] for count in TRAINERS]
    flat = Row(
        case="round, most over least", value=max(rounds), unit="gas", reference="least over n",
        reference_value=min(rounds), ratio=max(rounds) / min(rounds), bar=f"<= {FLAT}",
        holds=max(rounds) <= FLAT * min(rounds),
    )  # fmt: skip
    yield from (_row(case, value) for case, value in gas.items())
    yield flat
