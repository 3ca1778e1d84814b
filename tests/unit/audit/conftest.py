"""A whole honest task of two rounds, played once for all tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fl_platform.audit import proving
from fl_platform.audit.proving import SettlementStatement
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.ledger.proofs import Proofs
from fl_platform.round.transport import LocalTransport
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import rehearsal
from tests.support.settlements import Shape, made_round
from zk.settlement.inputs import commitment, payload
from zk.settlement.proof_file import ProofFile
from zk.settlement.statement import settle_round


@dataclass(frozen=True)
class Settled:
    """A task, whose rounds have no circuit yet, and in their places settlements of the rule whose circuit ships.

    That of round 1 has a proof on chain, made and handed in by the owner; that of round 0 has none.
    """

    workspace: Workspace
    parties: DemoParties
    kept: tuple[SettlementStatement, SettlementStatement]
    proof: ProofFile

    def reader(self) -> TaskReader:
        """A reader of its own."""
        return self.workspace.reader(self.parties.task)

    def proofs(self, name: str | None = None) -> Proofs:
        """The gate, for a wallet by name."""
        signer = None if name is None else self.parties.wallets[name]
        return Proofs(self.workspace.contracts(signer), signer)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    """The task."""
    with rehearsal(tmp_path_factory.mktemp("settled")) as (workspace, parties):
        parties.aggregator.run(LocalTransport(parties.everybody))
        owner = parties.wallets["owner"]
        proofs = Proofs(workspace.contracts(owner), owner)
        kept = kept_settlement(0), kept_settlement(1)
        proof = proving.prove(proofs, parties.task, kept[1], claimant=owner.address)
        proofs.submit(parties.task, 1, proof.claimed)
        yield Settled(workspace, parties, kept, proof)


def kept_settlement(number: int) -> SettlementStatement:
    """Return a settlement of the rule whose circuit ships, for a round of this number."""
    made = made_round(Shape(6), seed=number)
    return SettlementStatement(number, made, commitment(made), payload(made, settle_round(made)))
