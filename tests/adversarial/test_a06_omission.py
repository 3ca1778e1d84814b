"""A06: a seal that leaves out what a trainer forced in falls by the number of its entries; claims that are not the
tape's fall, shown or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.types import Phase
from fl_platform.dispute.disputed_round import target_of
from fl_platform.dispute.outputs import answer_claims
from fl_platform.dispute.questions import Node
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Watcher
from fl_platform.judging.program import ASKS
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import SealInput
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.transport import LocalTransport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task, sealer_of

BOND = 2 * ETHER


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Censor(Aggregator):
    """Leaves out what trainers forced in."""

    def _forced(self, *_: Any) -> tuple[Entry, ...]:
        return ()


def watcher_of(task: SmallTask, stage: Stage, *, key: bool = True) -> Watcher:
    """SUCCESSOR's wallet sends; the aggregator's key opens, as an auditor's would."""
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, ETHER)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec,
        recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR),
    )  # fmt: skip
    return Watcher(reader, Referee(contracts, SUCCESSOR), opener=opener if key else None)


@pytest.mark.parametrize(("victim", "key"), [(0, True), (1, False), (2, True)])
def test_a_forced_receipt_that_the_seal_leaves_out_takes_the_bond(
    disputed: Stage, tmp_path: Path, victim: int, *, key: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=3)
    left_out = task.trainers[victim]
    aggregator = sealer_of(disputed, tmp_path, task, Censor)
    left_out.commit(aggregator.order())
    others = LocalTransport([t for t in task.trainers if t is not left_out])
    aggregator.roster(aggregator.collect(others))
    left_out.force_include(0)
    aggregator.seal(others)
    (finding,) = watcher_of(task, disputed, key=key).step(disputed.chain.now())
    assert (finding.upheld, finding.asked) == (True, ())
    assert finding.move == "refuted count"
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0
    assert disputed.owner.member(task.reader.task, SUCCESSOR.address).credit == BOND * 3 // 10
    assert disputed.owner.head(task.reader.task).phase is Phase.COMPENSATED


def test_a_forced_receipt_that_the_seal_has_is_counted_and_the_seal_stands(disputed: Stage, tmp_path: Path) -> None:
    """The honest twin."""
    task = open_small_task(disputed, tmp_path, trainers=3)
    left_out, transport = task.trainers[1], LocalTransport(task.trainers)
    aggregator = sealer_of(disputed, tmp_path, task)
    left_out.commit(aggregator.order())
    aggregator.roster(aggregator.collect(LocalTransport([t for t in task.trainers if t is not left_out])))
    left_out.force_include(0)
    sealed = aggregator.seal(transport)
    assert int(sealed.judgement.tape.named("count")) == 3
    assert sealed.bundle.after.earned_by(left_out.address) > 0
    assert watcher_of(task, disputed).step(disputed.chain.now()) == []
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == BOND


class Embezzler(Aggregator):
    """Publishes an honest bundle and tape, and seals claims of which it holds all."""

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
def test_claims_that_are_not_the_tapes_must_be_shown_and_then_fall(
    disputed: Stage, tmp_path: Path, *, answered: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2)
    sealer_of(disputed, tmp_path, task, Embezzler).run(LocalTransport(task.trainers), rounds=1)
    watcher = watcher_of(task, disputed)
    (finding,) = watcher.step(disputed.chain.now())
    assert {question.node for question in finding.asked} == {Node.CLAIMS}
    contracts = disputed.as_(AGGREGATOR)
    liar, reader = Referee(contracts, AGGREGATOR), task.reader
    target = target_of(reader, reader.history().rounds[0])
    assert not watcher.follow(finding).upheld
    shown = 0
    while answered and not finding.upheld:
        for question in finding.asked:
            liar.show(target, question, answer_claims(Embezzler.claims, question))
            shown += 1
        finding = watcher.follow(finding)
    if not answered:
        disputed.chain.wait_until(max(asked.deadline for asked in liar.record(target).waiting))
        finding = watcher.follow(finding)
    assert finding.upheld
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0
    assert disputed.owner.head(task.reader.task).phase is Phase.COMPENSATED
    member = disputed.owner.member(task.reader.task, SUCCESSOR.address)
    asked = shown or len(finding.asked) or 1
    assert member.credit == BOND * 3 // 10 + (0 if answered else asked * ASKS)
    assert member.stake == 0
