"""A30: gas griefing. What a call costs does not depend on how many others there are."""

from __future__ import annotations

import pytest

from tests.support.contracts import Run, fresh_world
from tests.support.evm import Contract, Evm, account
from tests.support.settlement_vectors import CLAIMANT, ROUND, TASK, context, deploy, vector
from zk.settlement.proof import public_inputs

TOLERANCE = 1.02


def costs(members: int) -> dict[str, int]:
    """Gas of every call of a round with so many members."""
    world = fresh_world()
    run = Run.start(world, trainers=members, rounds=5)
    run.play(3)
    found = {"roster": run.roster().gas}
    receipt = run.receipt(run.trainers[0])
    found["force"] = world.ledger.send(account("x"), "forceInclude", receipt, run.sign(run.trainers[0], receipt)).gas
    found["seal"] = run.seal().gas
    found["join"] = run.join(account("late")).gas
    found["leave"] = world.registry.send(run.trainers[1], "leaveTask", run.task).gas
    run.advance()
    return found


def test_every_call_is_flat_in_the_number_of_members() -> None:
    few, many = costs(2), costs(120)
    for call in few:
        assert many[call] <= TOLERANCE * few[call], call


def test_a_claim_grows_only_with_the_depth_of_its_tree() -> None:
    gas = {}
    for members in (2, 16, 128):
        run = Run.start(fresh_world(), trainers=members, rounds=1).play()
        last = run.finalize()
        run.claim(last, 0)
        gas[(members - 1).bit_length()] = run.claim(last, 1).gas
    steps = [(gas[4] - gas[1]) / 3, (gas[7] - gas[4]) / 3]
    assert max(steps) < 1_300  # one level: 48 bytes of calldata and one hash


@pytest.mark.parametrize("forced", [1, 40])
def test_a_long_forced_list_does_not_make_the_seal_dearer(forced: int) -> None:
    run = Run.start(fresh_world(), trainers=40, rounds=5)
    run.play(3)
    run.roster()
    for trainer in run.trainers[:forced]:
        receipt = run.receipt(trainer)
        run.world.ledger.send(account("x"), "forceInclude", receipt, run.sign(trainer, receipt))
    assert run.seal().gas < 46_000


def test_the_check_of_a_settlement_proof_is_flat_in_the_number_of_trainers() -> None:
    """Only the list grows, and it is its sender who pays for it: 32 bytes of calldata and one step of a polynomial."""
    gate = deploy(Evm())
    checks, wholes = {}, {}
    for slots in (4, 16, 64):
        claimed = vector(slots).claimed
        words, values = list(claimed.proof.words()), list(claimed.values)
        public = list(public_inputs(claimed.commitment, claimed.values, context()))
        verifier = Contract(gate.evm, f"SettlementVerifier{slots}", gate.call("verifierOf", len(values)))
        checks[slots] = verifier.send(CLAIMANT, "verify", words, public).gas
        wholes[slots] = gate.send(CLAIMANT, "submit", TASK, ROUND, claimed.commitment, values, words).gas
    assert max(checks.values()) <= TOLERANCE * min(checks.values())
    assert max(checks.values()) <= 240_000
    slope = (wholes[64] - wholes[4]) / (64 - 4)
    assert slope < 1_000  # gas a slot: two numbers of the list
