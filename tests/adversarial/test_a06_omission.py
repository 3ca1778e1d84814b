"""A06, A07: a seal that leaves out a forced receipt, or hides its trace, is challenged by the watcher and falls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.contracts import Contracts
from fl_platform.chain.demands import Demands
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.chain.records import SealInput
from fl_platform.chain.types import Phase
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Watcher
from fl_platform.roles.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.liars import Liar
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Censor(Liar):
    """Leaves out what trainers forced in."""

    def _forced(self, round_number: int, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return ()


class Hider(Aggregator):
    """Seals the trace root of something that it shows to nobody."""

    def __init__(self, **parts: Any) -> None:
        contracts: Contracts = parts["contracts"]
        honest = contracts.seal_round

        def seal(*arguments: Any, **options: Any) -> Any:
            return honest(*arguments, **(options | {"trace": b"\x77" * 32}))

        contracts.seal_round = seal  # type: ignore[method-assign]
        super().__init__(**parts)


def corrupt(task: SmallTask, stage: Stage, folder: Path, kind: type[Aggregator]) -> Aggregator:
    contracts = stage.as_(AGGREGATOR)
    return kind(
        reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
        reveal_key=reveal_key(AGGREGATOR), workdir=folder / "corrupt", wait_until=stage.chain.wait_until,
    )  # fmt: skip


def watcher_of(task: SmallTask, stage: Stage) -> Watcher:
    """SUCCESSOR's wallet sends; the aggregator's key opens, as an auditor's would."""
    contracts = stage.as_(SUCCESSOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(reader.store, domain=reader.domain, recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR))
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=opener)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_forced_receipt_that_the_seal_leaves_out_takes_the_bond(
    disputed: Stage, tmp_path: Path, victim: int
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3)
    left_out = task.trainers[victim]
    aggregator = corrupt(task, disputed, tmp_path, Censor)
    left_out.commit(aggregator.order())
    others = LocalTransport([t for t in task.trainers if t is not left_out])
    aggregator.roster(aggregator.collect(others))
    left_out.force_include(0)
    aggregator.seal(others)
    (finding,) = watcher_of(task, disputed).step(disputed.chain.now())
    assert finding.upheld
    assert finding.question is Question.FORCED
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0
    assert disputed.owner.head(task.reader.task).phase is Phase.COMPENSATED


def test_a_hidden_trace_is_demanded_and_the_seal_falls_at_the_deadline(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2)
    aggregator = corrupt(task, disputed, tmp_path, Hider)
    aggregator.run(LocalTransport(task.trainers), rounds=1)
    watcher = watcher_of(task, disputed)
    disputed.owner.mint(SUCCESSOR.address, ETHER)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.demands == (1,)
    assert not finding.upheld
    made = Demands(Disputes(disputed.owner)).open_demand(1)
    assert made is not None
    disputed.chain.wait_until(made.deadline)
    assert watcher.follow(finding).upheld
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0
    credit = disputed.owner.member(task.reader.task, SUCCESSOR.address).credit
    assert credit == 2 * ETHER * 3 // 10 + made.bond


class Embezzler(Aggregator):
    """Publishes an honest bundle and trace, and seals claims of which it holds all."""

    claims: tuple[Leaf, ...] = ()

    def __init__(self, **parts: Any) -> None:
        contracts: Contracts = parts["contracts"]
        honest = contracts.seal_with

        def seal(task: int, round_number: int, given: SealInput) -> Any:
            leaves = [Leaf(contracts.address, given.claim_total, bytes(32))]
            leaves += [Leaf(bytes([i]) * 20, 0, bytes(32)) for i in range(1, given.claim_count)]
            Embezzler.claims = tuple(leaves)
            root = merkle_sum.build(Embezzler.claims).digest
            return honest(task, round_number, dataclasses.replace(given, claim_root=root))

        contracts.seal_with = seal  # type: ignore[method-assign]
        super().__init__(**parts)


@pytest.mark.parametrize("answered", [True, False])
def test_claims_that_are_not_the_bundles_must_be_shown_and_then_fall(
    disputed: Stage, tmp_path: Path, *, answered: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2)
    corrupt(task, disputed, tmp_path, Embezzler).run(LocalTransport(task.trainers), rounds=1)
    watcher = watcher_of(task, disputed)
    disputed.owner.mint(SUCCESSOR.address, ETHER)
    (finding,) = watcher.step(disputed.chain.now())
    assert finding.demands == (1,)
    liar = Demands(Disputes(disputed.as_(AGGREGATOR), AGGREGATOR))
    assert not watcher.follow(finding).upheld
    if answered:
        liar.answer_claims(1, Embezzler.claims)
    else:
        made = liar.open_demand(1)
        assert made is not None
        disputed.chain.wait_until(made.deadline)
    assert watcher.follow(finding).upheld
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0
    assert disputed.owner.head(task.reader.task).phase is Phase.COMPENSATED
