"""A30: gas griefing. What a call costs does not depend on how many others there are."""

from __future__ import annotations

import pytest

from tests.support.contracts import Run, fresh_world
from tests.support.evm import Evm, account
from tests.support.own_keys import forged, own_key
from tests.support.settlements import CLAIMANT, ROUND, TASK, context, deploy

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
    number = (1 << 249) - 1  # as wide as one of the list may be
    gas = {}
    for length in (0, 14, 79, 287):  # no list, and those of 4, 64 and 256 trainers
        claimed = forged(context(), commitment=length, values=(number,) * length).claimed
        gas[length] = gate.send(
            CLAIMANT, "submit", TASK, ROUND, length, list(claimed.values), list(claimed.proof.words()),
            own_key().words(),
        ).gas
    numbers = [(gas[length] - gas[0]) / length for length in gas if length]
    assert max(numbers) <= TOLERANCE * min(numbers)
    assert max(numbers) < 700  # gas a number of the list: 32 bytes, a step of the polynomial and of the hash
    assert gas[0] <= 275_000  # the check of a proof under a key of 23 words, and what is kept of it
