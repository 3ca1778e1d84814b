"""A sealed round is proved from chain and store, for one claimant, once; where it cannot be, the reason is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fl_platform.chain.proofs import Accepted, Proofs
from fl_platform.cli.demo.federation import Cast
from fl_platform.errors import AuditDifference, ConfigError, DocumentInvalid, TransactionReverted
from fl_platform.roles import proving
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.workspace import Workspace
from tests.support.rehearsal import rehearsal
from zk.proof_file import ProofFile
from zk.settlement_inputs import claims_of


@dataclass(frozen=True)
class Played:
    """A task of two honest rounds."""

    workspace: Workspace
    cast: Cast

    def proofs(self, name: str | None = None) -> Proofs:
        """The gate, for a wallet by name."""
        signer = None if name is None else self.cast.wallets[name]
        return Proofs(self.workspace.contracts(signer), signer)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with rehearsal(tmp_path_factory.mktemp("task")) as (workspace, cast):
        cast.aggregator.run(LocalTransport(cast.everybody))
        yield Played(workspace, cast)


def test_a_sealed_round_is_proved_submitted_and_known(played: Played) -> None:
    reader = played.workspace.reader(played.cast.task)
    found = proving.settlement_of(reader, proving.last_sealed(reader))
    assert (found.round, found.slots, found.scores_proved) == (1, 16, True)
    bundle = reader.bundle(1)
    assert claims_of(found.values) == tuple(
        (int.from_bytes(s.trainer, "big"), s.earned) for s in bundle.after.standings
    )
    said: list[str] = []
    owner = played.cast.wallets["owner"]
    made = proving.prove(played.proofs(), reader.task, found, claimant=owner.address, watch=said.append)
    assert said == ["proving round 1 with 16 slots", "verifying the proof"]
    assert ProofFile.from_bytes(made.to_bytes()) == made
    assert proving.accepted_proof(played.proofs(), reader.task, found) is None
    with pytest.raises(TransactionReverted, match="Refused"):  # somebody else's proof
        played.proofs("aggregator").submit(reader.task, 1, made.claimed)
    assert played.proofs("owner").submit(reader.task, 1, made.claimed) is not None
    accepted = proving.accepted_proof(played.proofs(), reader.task, found)
    assert accepted is not None
    assert accepted.claimant == owner.address
    seal = reader.history().rounds[1].seal
    assert seal is not None
    root = played.proofs().claim_root(found.values)
    assert root == (seal.claim_root, seal.claim_total, seal.claim_count)


def test_what_is_not_sealed_has_nothing_to_prove(played: Played) -> None:
    reader = played.workspace.reader(played.cast.task)
    with pytest.raises(ConfigError, match="round 2 is not sealed"):
        proving.settlement_of(reader, 2)


def test_a_round_without_a_circuit_says_why(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = played.workspace.reader(played.cast.task)
    many = dataclasses.replace(reader.spec.aggregation, name="multi-krum", byzantine=1)
    reader.__dict__["spec"] = dataclasses.replace(reader.spec, aggregation=many)
    bundle = reader.bundle(1)
    crowd = [
        dataclasses.replace(bundle.before.standings[0], trainer=number.to_bytes(20, "big")) for number in range(1, 30)
    ]
    standings = tuple(sorted((*bundle.before.standings, *crowd), key=lambda s: s.trainer))
    before = dataclasses.replace(bundle.before, standings=standings)
    with pytest.raises(DocumentInvalid, match=r"no settlement circuit has .* slots under this rule"):
        proving.settled(dataclasses.replace(bundle, before=before), reader)


def test_another_list_for_this_commitment_means_forged_keys(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = played.workspace.reader(played.cast.task)
    found = proving.settlement_of(reader, 0)
    proofs = played.proofs()
    forged = Accepted(reader.task, 0, found.commitment, bytes(32), bytes(20))
    other = Accepted(reader.task, 0, found.commitment + 1, bytes(32), bytes(20))
    monkeypatch.setattr(proofs, "accepted", lambda *_: (other,))
    assert proving.accepted_proof(proofs, reader.task, found) is None
    monkeypatch.setattr(proofs, "accepted", lambda *_: (other, forged))
    with pytest.raises(AuditDifference, match="keys are forged"):
        proving.accepted_proof(proofs, reader.task, found)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    proving.demand_prover()
    monkeypatch.setattr(proving, "FAST", ("numba", "no_such_module"))
    with pytest.raises(ConfigError, match=r"no_such_module: pip install 'fl-platform\[fast\]'"):
        proving.demand_prover()
