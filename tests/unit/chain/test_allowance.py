"""Two locks of one wallet at once: the first uses up what the second approved, and both are locked in the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from fl_platform.chain.journal import Step
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.keccak import keccak256
from tests.support.chain import ETHER, stage, wallet

TRAINER = wallet(50)


@dataclass
class Raced:
    """Joins another task of the same wallet right after each of the first approvals."""

    tasks: list[int]
    joined: list[int] = field(default_factory=list)

    def contracts(self, own: Contracts) -> Contracts:
        """Return contracts whose approvals are used up by the other process."""
        race = self

        class Slow(Contracts):
            def approve(self, token: bytes, amount: int, step: Step, *, once: bool = False) -> None:
                super().approve(token, amount, step, once=once)
                if race.tasks:
                    race.joined.append(race.tasks.pop())
                    own.join(race.joined[-1], ETHER, keccak256(b"binding"))

        return Slow(own.chain, own.deployment, TRAINER)


def test_an_allowance_that_is_used_up_in_between_is_given_again() -> None:
    with stage() as scene:
        tasks = [scene.open(scene.spec(title=title)) for title in ("first", "second", "third")]
        own = scene.as_(TRAINER)
        own.mint(TRAINER.address, 3 * ETHER)
        race = Raced(tasks[1:])
        race.contracts(own).join(tasks[0], ETHER, keccak256(b"binding"))
        assert sorted(race.joined) == tasks[1:]
        assert [own.member(task, TRAINER.address).stake for task in tasks] == [ETHER] * 3
        assert own.token_balance(own.faucet.address, TRAINER.address) == 0


def test_a_step_that_another_process_has_just_done_is_done() -> None:
    """The other one joins the very task between the look at the chain and the sending."""
    with stage() as scene:
        task = scene.open(scene.spec())
        own = scene.as_(TRAINER)
        own.mint(TRAINER.address, 2 * ETHER)
        Raced([task]).contracts(own).join(task, ETHER, keccak256(b"binding"))
        assert own.member(task, TRAINER.address).stake == ETHER
        assert own.token_balance(own.faucet.address, TRAINER.address) == ETHER
