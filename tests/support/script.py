"""A piece of a task's life for crash and fault tests: what comes out must not depend on how often it broke."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain.backend import Backend
from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.types import Phase
from fl_platform.config import NETWORKS, Policy
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import Deployment, deploy
from fl_platform.protocol.keccak import keccak256
from tests.support.chain import AGGREGATOR, ETHER, OWNER, Stage, claim_leaves, roster, seal, wallet

IMPATIENT = Policy(attempts=1, backoff=0.0, poll=0.0, bump_after=60.0, give_up_after=60.0)
TRAINER = wallet(10)
TASK = 1


@dataclass(frozen=True)
class Outcome:
    """What the chain and the wallets look like in the end."""

    sent: tuple[int, ...]  # transactions of owner, aggregator, trainer
    tokens: int  # of the trainer, wei
    sealed: int  # rounds


def prepare(backend: EmbeddedBackend) -> Deployment:
    """Deploy, open a task with a bonded aggregator, and give the trainer coin and tokens."""
    chain = Chain(backend, NETWORKS["embedded"], policy=IMPATIENT)
    for signer in (OWNER, AGGREGATOR, TRAINER):
        chain.fund(signer.address, 100 * ETHER)
    stage = Stage(chain, Contracts(chain, deploy(chain, OWNER, with_token=True), OWNER))
    stage.bond(stage.open(stage.spec(rounds=1, aggregators=(AGGREGATOR,))), AGGREGATOR)
    stage.owner.mint(TRAINER.address, 10 * ETHER)
    return stage.owner.deployment


def play(backend: Backend, deployment: Deployment, journal: Path | None, *, to_the_end: bool = False) -> None:
    """Join, roster and seal (and claim and withdraw): started anew as often as needed, it goes on where it stopped."""
    chain = Chain(backend, NETWORKS["embedded"], policy=IMPATIENT, journal=journal, sleep=lambda _: None)
    try:
        trainer = Contracts(chain, deployment, TRAINER)
        own = trainer.with_signer(AGGREGATOR)
        trainer.join(TASK, ETHER, keccak256(b"binding"))
        head = own.head(TASK)
        if head.round == 0:
            if head.phase is Phase.OPEN:
                roster(own, TASK, 0, [TRAINER])
            seal(own, TASK, 0, [TRAINER])
        if to_the_end:
            final = own.history(TASK).final_at(0)
            assert final is not None
            chain.wait_until(final)
            trainer.claim(TASK, 0, claim_leaves([TRAINER], own.allotted(TASK, 0)), TRAINER.address)
            trainer.withdraw(TASK)
    finally:
        chain.release_journal()


def outcome(backend: EmbeddedBackend, deployment: Deployment) -> Outcome:
    """Return what came out."""
    chain = Chain(backend, NETWORKS["embedded"], policy=IMPATIENT)
    views = Contracts(chain, deployment)
    return Outcome(
        sent=tuple(backend.nonce(signer.address) for signer in (OWNER, AGGREGATOR, TRAINER)),
        tokens=views.token_balance(views.faucet.address, TRAINER.address),
        sealed=views.head(TASK).round,
    )
