"""A whole honest task of two rounds with settlement proofs, played once for all tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fl_platform.audit import proving
from fl_platform.audit.proving import SettlementStatement
from fl_platform.chain.types import ZERO_ADDRESS
from fl_platform.cli.demo.federation import BOND, FEE_BPS, POT, STAKE, DemoParties
from fl_platform.ledger.proofs import Proofs
from fl_platform.protocol.spec import Money
from fl_platform.round.offer import Offer
from fl_platform.round.transport import LocalTransport
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import QUICK, rehearsal, small_settings
from zk.settlement.proof_file import ProofFile

TRAINERS, ROUNDS = 5, 2


@dataclass(frozen=True)
class Settled:
    """A task with what its rounds settle. Round 1 has a proof on chain, which the owner made; round 0 has none."""

    workspace: Workspace
    parties: DemoParties
    rounds: tuple[SettlementStatement, SettlementStatement]
    proof: ProofFile

    def reader(self) -> TaskReader:
        """A reader of its own."""
        return self.workspace.reader(self.parties.task)

    def proofs(self, name: str | None = None) -> Proofs:
        """The gate, for a wallet by name."""
        signer = None if name is None else self.parties.wallets[name]
        return Proofs(self.workspace.contracts(signer), signer)


def with_proofs(trainers: int) -> Offer:
    """The rehearsal's rules, with proofs that have room for so many trainers."""
    money = Money(ZERO_ADDRESS, POT, ROUNDS, STAKE, BOND, FEE_BPS)
    return Offer("proved", "digits-mlp", money, TRAINERS, QUICK, seed=7, byzantine=1, proved=trainers)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    """The task."""
    settings = small_settings(trainers=TRAINERS, rounds=ROUNDS, offer=with_proofs(TRAINERS))
    with rehearsal(tmp_path_factory.mktemp("settled"), settings) as (workspace, parties):
        parties.aggregator.run(LocalTransport(parties.everybody))
        owner, reader = parties.wallets["owner"], workspace.reader(parties.task)
        proofs = Proofs(workspace.contracts(owner), owner)
        reader.history()
        first, last = (proving.settlement_of(reader, number) for number in range(ROUNDS))
        proof = proving.prove(proofs, parties.task, last, reader.proof_key(), claimant=owner.address)
        proofs.submit(proof)
        yield Settled(workspace, parties, (first, last), proof)
