"""A sealed round is proved from chain and store, for one claimant, once; where it cannot be, the reason is told."""

from __future__ import annotations

import dataclasses

import pytest

from fl_platform.chain.proofs import list_hash
from fl_platform.errors import (
    AuditDifference,
    ConfigError,
    DocumentInvalid,
    NoCircuit,
    RpcUnavailable,
    TransactionReverted,
)
from fl_platform.roles import proving
from tests.unit.roles.conftest import Settled
from zk.proof_file import ProofFile
from zk.settlement_inputs import claims_of


def test_a_sealed_round_is_proved_submitted_and_known(settled: Settled) -> None:
    reader = settled.reader()
    found = proving.settlement_of(reader, proving.last_sealed(reader))
    assert (found.round, found.slots, found.scores_proved) == (1, 16, True)
    bundle = reader.bundle(1)
    assert claims_of(found.values) == tuple(
        (int.from_bytes(s.trainer, "big"), s.earned) for s in bundle.after.standings
    )
    accepted = proving.accepted_proof(settled.proofs(), reader.task, found)
    assert accepted is not None
    assert accepted.claimant == settled.cast.wallets["owner"].address
    seal = reader.history().rounds[1].seal
    assert seal is not None
    root = settled.proofs().claim_root(found.values)
    assert root == (seal.claim_root, seal.claim_total, seal.claim_count)
    assert settled.proofs("aggregator").submit(reader.task, 1, settled.proof.claimed) is None  # somebody was first


def test_a_proof_is_its_claimants_alone(settled: Settled) -> None:
    reader = settled.reader()
    found = proving.settlement_of(reader, 0)
    said: list[str] = []
    owner = settled.cast.wallets["owner"]
    made = proving.prove(settled.proofs(), reader.task, found, claimant=owner.address, watch=said.append)
    assert said == ["proving round 0 with 16 slots", "verifying the proof"]
    assert ProofFile.from_bytes(made.to_bytes()) == made
    assert proving.accepted_proof(settled.proofs(), reader.task, found) is None
    with pytest.raises(TransactionReverted, match="Refused"):
        settled.proofs("aggregator").submit(reader.task, 0, made.claimed)
    proving.check_handed(settled.proofs(), reader.task, found, made, claimant=owner.address)
    with pytest.raises(ConfigError, match="only that wallet can hand it in"):
        proving.check_handed(settled.proofs(), reader.task, found, made, claimant=bytes(20))
    last = proving.settlement_of(reader, 1)
    with pytest.raises(DocumentInvalid, match=r"round 0, gate .*; this is task 1 round 1"):
        proving.check_handed(settled.proofs(), reader.task, last, made, claimant=owner.address)
    values = (made.claimed.values[0] + (1 << 160), *made.claimed.values[1:])
    changed = dataclasses.replace(made, claimed=dataclasses.replace(made.claimed, values=values))
    with pytest.raises(DocumentInvalid, match="does not hold"):
        proving.check_handed(settled.proofs(), reader.task, found, changed, claimant=owner.address)


def test_what_is_not_sealed_has_nothing_to_prove(settled: Settled) -> None:
    reader = settled.reader()
    with pytest.raises(ConfigError, match="round 2 is not sealed"):
        proving.settlement_of(reader, 2)


def test_a_round_without_a_circuit_says_why(settled: Settled) -> None:
    reader = settled.reader()
    many = dataclasses.replace(reader.spec.aggregation, name="multi-krum", byzantine=1)
    reader.__dict__["spec"] = dataclasses.replace(reader.spec, aggregation=many)
    bundle = reader.bundle(1)
    crowd = [
        dataclasses.replace(bundle.before.standings[0], trainer=number.to_bytes(20, "big")) for number in range(1, 30)
    ]
    standings = tuple(sorted((*bundle.before.standings, *crowd), key=lambda s: s.trainer))
    before = dataclasses.replace(bundle.before, standings=standings)
    with pytest.raises(NoCircuit, match=r"no settlement circuit has .* slots under this rule"):
        proving.settled(dataclasses.replace(bundle, before=before), reader)


def test_another_list_for_this_commitment_means_forged_keys(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = settled.reader()
    found = proving.settlement_of(reader, 0)
    proofs = settled.proofs()
    assert proving.accepted_proof(proofs, reader.task, found) is None
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: bytes(32))
    with pytest.raises(AuditDifference, match="keys are forged"):
        proving.accepted_proof(proofs, reader.task, found)
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: list_hash(found.values))
    with pytest.raises(RpcUnavailable, match="hides its event"):  # kept by the contract, and no event tells of it
        proving.accepted_proof(proofs, reader.task, found)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    proving.demand_prover()
    monkeypatch.setattr(proving, "FAST", ("numba", "no_such_module"))
    with pytest.raises(ConfigError, match=r"no_such_module: pip install 'fl-platform\[fast\]'"):
        proving.demand_prover()
