"""Two receipts of one round cost a trainer its stake, and an aggregator nothing: its bond answers for its seals."""

from __future__ import annotations

from tests.contracts.conftest import Reverts
from tests.support.contracts import CHALLENGER_BPS, digest
from tests.support.evm import Account
from tests.support.reveals import CHALLENGER, Scene


def _shown(scene: Scene, who: Account) -> tuple[object, ...]:
    run = scene.run
    receipts = [run.receipt(who, salt=digest("receipt", number)) for number in range(2)]
    return tuple(part for receipt in receipts for part in (receipt, run.sign(who, receipt)))


def test_a_trainer_loses_its_stake_for_two_receipts(reverts: Reverts) -> None:
    scene = Scene.start()
    stake, calls = scene.stake, _shown(scene, scene.trainer)
    with reverts("Equivocations_NotShown", scene.run.task, scene.trainer.address):
        scene.world.disputes.send(CHALLENGER, "equivocation", *calls[:2], *calls[:2])
    done = scene.world.disputes.show(CHALLENGER, "equivocation", *calls)
    assert done.event("EquivocationProved")["slashed"] == stake
    assert (scene.stake, scene.run.member(CHALLENGER)[1]) == (0, stake * CHALLENGER_BPS // 10_000)
    with reverts("Equivocations_NotShown", scene.run.task, scene.trainer.address):
        scene.world.disputes.send(CHALLENGER, "equivocation", *calls)


def test_a_bond_of_an_aggregator_is_no_stake_of_a_trainer(reverts: Reverts) -> None:
    scene = Scene.start()
    aggregator = scene.world.aggregators[0]
    with reverts("Equivocations_NotShown", scene.run.task, aggregator.address):
        scene.world.disputes.send(CHALLENGER, "equivocation", *_shown(scene, aggregator))
    assert scene.run.member(aggregator)[0] == scene.run.params.bond


def test_what_is_signed_for_another_life_counts_nowhere_and_is_no_second_receipt(reverts: Reverts) -> None:
    """A chain that is reorganised may take the fall back for which a trainer signed anew."""
    scene = Scene.start()
    who, run = scene.trainer, scene.run
    receipts = [run.receipt(who, life=life) for life in (0, 1)]
    calls = tuple(part for receipt in receipts for part in (receipt, run.sign(who, receipt)))
    with reverts("Equivocations_NotShown", run.task, who.address):
        scene.world.disputes.send(CHALLENGER, "equivocation", *calls)
