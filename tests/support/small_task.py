"""A whole small task on any chain: digits, real roles, real contracts; only what carries the orders is left open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.flower.keys import NodeKeyFiles, create_node_key, load_node_key
from fl_platform.learning.machine import CPU
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.tasks import federate, load_split
from fl_platform.ledger.binding import bind
from fl_platform.ledger.complaints import Complaints
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.spec import BASIS, Money, TaskSpec, WorthRule
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.conduct import AggregatorConduct
from fl_platform.round.membership import bond
from fl_platform.round.owner import Objects, Owner, default_terms, draft_spec
from fl_platform.round.trainer import Trainer
from fl_platform.round.witness import Witness
from fl_platform.store.disk import DiskStore
from fl_platform.store.interface import Store
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import party, reveal_key
from tests.support.chain import AGGREGATOR, ETHER, OWNER, SUCCESSOR, Stage

ZERO = bytes(20)


PLAN = TrainPlan(epochs=1, batch_size=32, learning_rate=0.1)


@dataclass(frozen=True)
class SmallTask:
    """An open task, its trainers joined, its aggregator bonded."""

    reader: TaskReader
    aggregator: Aggregator
    trainers: tuple[Trainer, ...]
    node_keys: tuple[NodeKeyFiles, ...]  # of the trainers, bound to their wallets


def trainer_key(number: int) -> bytes:
    """Return the private key of a test trainer."""
    return keccak256(b"small task trainer %d" % number)


def open_small_task(
    stage: Stage,
    folder: Path,
    *,
    trainers: int,
    rounds: int = 1,
    strictness: str = "standard",
    aggregators: Sequence[Signer] = (AGGREGATOR,),
    commitments: str = "none",
    bits: int = 8,
    byzantine: int = 0,
    learning: Sequence[LearningTask] = (),
    plan: TrainPlan = PLAN,
) -> SmallTask:
    """Open a task whose worth is paid equally (so that it needs no reference) and let everybody join.

    `learning`: what each trainer does, and the owner with the first one's rows; digits unless said.
    """
    store = DiskStore(folder / "store")
    parties = learning or federate(
        load_split("digits"), model="digits-mlp", parties=trainers, root_rows=100, seed=1
    ).parties
    spec, objects = _spec(
        stage, parties[0], rounds=rounds, strictness=strictness, trainers=trainers, aggregators=aggregators,
        commitments=commitments, bits=bits, byzantine=byzantine, plan=plan,
    )  # fmt: skip
    stage.owner.mint(OWNER.address, spec.money.pot * spec.money.rounds)
    task = Owner(contracts=stage.owner, store=store).open(spec, objects)
    reader = TaskReader(stage.owner, store, task)
    joined, keys = [], []
    for number in range(trainers):
        signer = Signer(trainer_key(number))
        contracts = stage.as_(signer)
        contracts.mint(signer.address, spec.money.stake)
        trainer = Trainer(
            reader=TaskReader(contracts, store, task),
            contracts=contracts,
            signer=signer,
            learning=parties[number],
            workdir=folder / f"trainer-{number}",
            machine=CPU,
        )
        key = create_node_key(folder, f"node-{number}")
        binding = bind(signer, load_node_key(key.private), domain=reader.domain, task=task)
        store.put(binding.to_bytes())
        trainer.join(binding=binding.digest)
        joined.append(trainer)
        keys.append(key)
    return SmallTask(reader, _aggregator(stage, folder, store, task), tuple(joined), tuple(keys))


def sealer_of(
    stage: Stage, folder: Path, task: SmallTask, kind: type[Aggregator] = Aggregator, *, wallet: Signer = AGGREGATOR,
    conduct: AggregatorConduct | None = None,
) -> Aggregator:  # fmt: skip
    """Return an aggregator of a task, of a kind or conduct of one's own, with a folder of its own; it is bonded."""
    sealer = _sealer(stage, folder / "sealer", task.reader.store, task.reader.task, wallet, kind, conduct)
    stage.as_(wallet).mint(wallet.address, sealer.reader.spec.money.bond)
    bond(sealer.reader, stage.as_(wallet))
    return sealer


def successor_of(stage: Stage, folder: Path, task: SmallTask) -> Aggregator:
    """Return the second aggregator of a task, bonded, once the first one was late."""
    successor = sealer_of(stage, folder, task, wallet=SUCCESSOR)
    stage.chain.wait_until(stage.owner.window(task.reader.task)[1])
    stage.owner.advance(task.reader.task)
    return successor


def _spec(
    stage: Stage,
    learning: LearningTask,
    *,
    rounds: int,
    strictness: str,
    trainers: int,
    aggregators: Sequence[Signer],
    commitments: str,
    bits: int,
    byzantine: int,
    plan: TrainPlan,
) -> tuple[TaskSpec, Objects]:
    money = Money(stage.owner.faucet.address, pot=ETHER, rounds=rounds, stake=2 * ETHER, bond=2 * ETHER, fee_bps=100)
    terms = default_terms(
        title="small", model_name="digits-mlp", money=money, trainers=trainers, byzantine=byzantine, seed=1, plan=plan
    )
    equal = WorthRule("equal", 0, 1, 0, BASIS, bytes(32), 0)
    terms = dataclasses.replace(terms, worth=equal, strictness=strictness, commitments=commitments, bits=bits)
    nobody = dataclasses.replace(party(AGGREGATOR), address=ZERO, wrap_key=bytes(64))
    return draft_spec(
        terms,
        learning,
        owner=OWNER.address,
        aggregators=[party(signer) for signer in aggregators],
        auditors=[],
        reference=nobody,
    )


def _aggregator(stage: Stage, folder: Path, store: DiskStore, task: int) -> Aggregator:
    aggregator = _sealer(stage, folder / "aggregator", store, task)
    stage.as_(AGGREGATOR).mint(AGGREGATOR.address, aggregator.reader.spec.money.bond)
    bond(aggregator.reader, stage.as_(AGGREGATOR))
    return aggregator


def _sealer(
    stage: Stage, workdir: Path, store: Store, task: int, wallet: Signer = AGGREGATOR,
    kind: type[Aggregator] = Aggregator, conduct: AggregatorConduct | None = None,
) -> Aggregator:  # fmt: skip
    contracts = stage.as_(wallet)
    return kind(
        reader=TaskReader(contracts, store, task), contracts=contracts, reveal_key=reveal_key(wallet),
        workdir=workdir, wait_until=stage.chain.wait_until, witnesses=owner_as_witness(stage, store, task),
        conduct=conduct,
    )  # fmt: skip


def owner_as_witness(stage: Stage, store: Store, task: int) -> Callable[[], object]:
    """Return what lets the task's witness, its owner, take a look at what is asked."""
    if not Complaints.there(stage.owner):
        return lambda: None
    reader = TaskReader(stage.owner, store, task)
    witness = Witness(reader, stage.owner, OWNER, patience_s=0.0)
    return lambda: witness.step(stage.chain.now())
