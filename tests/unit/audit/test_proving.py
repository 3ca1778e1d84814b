"""A sealed round is proved from chain and store, for one claimant, once; where it cannot be, the reason is told."""

from __future__ import annotations

import dataclasses

import pytest

from fl_platform.audit import proving
from fl_platform.errors import (
    AuditDifference,
    ConfigError,
    DocumentInvalid,
    NoCircuit,
    RpcUnavailable,
    TransactionReverted,
)
from fl_platform.ledger.proofs import list_hash
from tests.unit.audit.conftest import Settled
from zk.settlement.proof_file import ProofFile


def test_a_round_of_a_program_has_no_circuit_yet(settled: Settled) -> None:
    reader = settled.reader()
    with pytest.raises(NoCircuit, match="round 1 was judged by its program: the circuit of programs comes with"):
        proving.settlement_of(reader, proving.last_sealed(reader))


def test_a_proof_is_submitted_and_known(settled: Settled) -> None:
    task, found = settled.parties.task, settled.kept[1]
    assert (found.round, found.slots, found.scores_proved) == (1, 16, True)
    accepted = proving.accepted_proof(settled.proofs(), task, found)
    assert accepted is not None
    assert accepted.claimant == settled.parties.wallets["owner"].address
    assert settled.proofs("aggregator").submit(task, 1, settled.proof.claimed) is None  # somebody was first


def test_a_proof_is_its_claimants_alone(settled: Settled) -> None:
    task, (found, last) = settled.parties.task, settled.kept
    said: list[str] = []
    owner = settled.parties.wallets["owner"]
    made = proving.prove(settled.proofs(), task, found, claimant=owner.address, watch=said.append)
    assert said == ["proving round 0 with 16 slots", "verifying the proof"]
    assert ProofFile.from_bytes(made.to_bytes()) == made
    assert proving.accepted_proof(settled.proofs(), task, found) is None
    with pytest.raises(TransactionReverted, match="Refused"):
        settled.proofs("aggregator").submit(task, 0, made.claimed)
    proving.check_handed(settled.proofs(), task, found, made, claimant=owner.address)
    with pytest.raises(ConfigError, match="only that wallet can hand it in"):
        proving.check_handed(settled.proofs(), task, found, made, claimant=bytes(20))
    with pytest.raises(DocumentInvalid, match=r"round 0, gate .*; this is task 1 round 1"):
        proving.check_handed(settled.proofs(), task, last, made, claimant=owner.address)
    values = (made.claimed.values[0] + (1 << 160), *made.claimed.values[1:])
    changed = dataclasses.replace(made, claimed=dataclasses.replace(made.claimed, values=values))
    with pytest.raises(DocumentInvalid, match="does not hold"):
        proving.check_handed(settled.proofs(), task, found, changed, claimant=owner.address)


def test_what_is_not_sealed_has_nothing_to_prove(settled: Settled) -> None:
    reader = settled.reader()
    with pytest.raises(ConfigError, match="round 2 is not sealed"):
        proving.settlement_of(reader, 2)


def test_another_list_for_this_commitment_means_forged_keys(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    task, found = settled.parties.task, settled.kept[0]
    proofs = settled.proofs()
    assert proving.accepted_proof(proofs, task, found) is None
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: bytes(32))
    with pytest.raises(AuditDifference, match="keys are forged"):
        proving.accepted_proof(proofs, task, found)
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: list_hash(found.values))
    with pytest.raises(RpcUnavailable, match="hides its event"):  # kept by the contract, and no event tells of it
        proving.accepted_proof(proofs, task, found)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    proving.require_prover()
    monkeypatch.setattr(proving, "FAST", ("numba", "no_such_module"))
    with pytest.raises(ConfigError, match=r"no_such_module: pip install 'fl-platform\[fast\]'"):
        proving.require_prover()
