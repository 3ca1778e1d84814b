"""A sealed round is proved from chain and store, for one claimant, once; where it cannot be, the reason is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.audit import proving
from fl_platform.errors import (
    AuditDifference,
    ConfigError,
    DocumentInvalid,
    NoCircuit,
    RpcUnavailable,
    StoreMissing,
    TransactionReverted,
)
from fl_platform.judging import circuits
from fl_platform.judging.tapes import told_numbers, told_tape
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from fl_platform.protocol.spec import ProofRule, TaskSpec
from tests.support.doctored import DoctoredReader
from tests.support.own_keys import forged, own_key
from tests.unit.audit.conftest import TRAINERS, Settled
from zk.settlement.binding import list_hash
from zk.settlement.proof_file import ProofFile


def test_the_commitment_is_a_cell_of_the_sealed_tape(settled: Settled) -> None:
    for found in settled.rounds:
        seal = settled.reader().history().rounds[found.round].seal
        assert seal is not None
        assert found.tape.root == seal.trace
        assert found.commitment == int(found.tape.output(Output.SETTLEMENT))


def test_the_claims_of_the_list_are_the_seals(settled: Settled) -> None:
    for found in settled.rounds:
        seal = settled.reader().history().rounds[found.round].seal
        assert seal is not None
        claims = settled.proofs().claim_root(found.values, found.accounts)
        assert (*claims, len(found.accounts)) == (seal.claim_root, seal.claim_total, seal.claim_count)


def test_the_key_is_what_the_rules_name(settled: Settled) -> None:
    reader = settled.reader()
    assert reader.proof_key().digest == reader.spec.proofs.key == settled.rounds[0].key
    assert reader.proof_key() == circuits.development_key(reader.spec)


def test_a_proof_is_submitted_and_known(settled: Settled) -> None:
    task, found = settled.parties.task, settled.rounds[1]
    assert (found.round, found.trainers) == (1, TRAINERS)
    accepted = proving.accepted_proof(settled.proofs(), task, found)
    assert accepted is not None
    assert accepted.claimant == settled.parties.wallets["owner"].address
    assert (accepted.commitment, accepted.key) == (found.commitment, found.key)
    assert settled.proofs("aggregator").submit(settled.proof) is None  # somebody was first


def test_a_proof_is_its_claimants_alone(settled: Settled) -> None:
    task, (found, last) = settled.parties.task, settled.rounds
    said: list[str] = []
    owner, key = settled.parties.wallets["owner"], settled.reader().proof_key()
    made = proving.prove(settled.proofs(), task, found, key, claimant=owner.address, watch=said.append)
    assert said[1:] == [f"proving round 0, with room for {TRAINERS} trainers", "verifying the proof"]
    assert ProofFile.from_bytes(made.to_bytes()) == made
    assert proving.accepted_proof(settled.proofs(), task, found) is None
    with pytest.raises(TransactionReverted, match="Refused"):
        settled.proofs("aggregator").submit(made)
    proving.check_handed(settled.proofs(), task, found, made, claimant=owner.address)
    with pytest.raises(ConfigError, match="only that wallet can hand it in"):
        proving.check_handed(settled.proofs(), task, found, made, claimant=bytes(20))
    with pytest.raises(DocumentInvalid, match=r"round 0, gate .*; this is task 1 round 1"):
        proving.check_handed(settled.proofs(), task, last, made, claimant=owner.address)
    values = (made.claimed.values[0] + 1, *made.claimed.values[1:])
    changed = replace(made, claimed=replace(made.claimed, values=values))
    with pytest.raises(DocumentInvalid, match="does not hold"):
        proving.check_handed(settled.proofs(), task, found, changed, claimant=owner.address)


def test_a_proof_under_a_key_of_ones_own_counts_for_nothing(settled: Settled) -> None:
    task, found = settled.parties.task, settled.rounds[0]
    gate, thief = settled.proofs("aggregator"), settled.parties.wallets["aggregator"].address
    values = (found.values[0] + 10**18, *found.values[1:])
    made = forged(gate.context(task, 0, thief, found.key), found.commitment, values)
    assert made.holds()  # for that key
    assert gate.submit(made) is not None
    assert gate.accepted_list(task, 0, found.commitment, own_key().digest) == list_hash(values)
    assert gate.accepted_list(task, 0, found.commitment, found.key) is None
    assert proving.accepted_proof(gate, task, found) is None
    with pytest.raises(DocumentInvalid, match=own_key().digest.hex()[:16]):
        proving.check_handed(gate, task, found, made, claimant=thief)
    passed_off = replace(made, context=replace(made.context, key=found.key))
    with pytest.raises(DocumentInvalid, match="the proof is bound to"):
        proving.check_handed(gate, task, found, passed_off, claimant=thief)


def test_only_the_tasks_proving_key_is_used(settled: Settled) -> None:
    task, found, claimant = settled.parties.task, settled.rounds[0], bytes(20)
    with pytest.raises(StoreMissing, match="--proving-key"):
        proving.prove(settled.proofs(), task, found, own_key(), claimant=claimant)
    other = replace(own_key(), ceremony=bytes(32))
    with pytest.raises(DocumentInvalid, match="belongs to the verifying key"):
        proving.prove(settled.proofs(), task, found, other, claimant=claimant)


def test_what_is_not_sealed_has_nothing_to_prove(settled: Settled) -> None:
    reader = settled.reader()
    with pytest.raises(ConfigError, match="round 2 is not sealed"):
        proving.settlement_of(reader, 2)


def stated(spec: TaskSpec, settled: Settled) -> proving.SettlementStatement:
    bundle = settled.reader().bundle(1)
    return proving.statement_of(spec, bundle, told_tape(spec, bundle))


def test_a_task_without_proofs_has_no_circuit_and_says_how_to_get_one(settled: Settled) -> None:
    reader = settled.reader()
    reader.spec = replace(reader.spec, proofs=ProofRule())
    with pytest.raises(NoCircuit, match="`fl-platform task open --proofs N`"):
        proving.settlement_of(reader, 1)
    with pytest.raises(NoCircuit, match="opened without settlement proofs"):
        stated(reader.spec, settled)


def test_a_round_with_more_trainers_than_there_is_room_for(settled: Settled) -> None:
    spec = settled.reader().spec
    small = replace(spec, proofs=ProofRule(TRAINERS - 1, spec.proofs.key))
    with pytest.raises(NoCircuit, match="the circuit has room for"):
        stated(small, settled)


def with_cell(settled: Settled, name: str) -> RoundBundle:
    """The bundle of round 1 with another number in a column that it tells."""
    reader = settled.reader()
    bundle, program = reader.bundle(1), settled.rounds[1].tape.program
    names = [program.columns[number].name for number in told_numbers(program)]
    columns = list(bundle.columns)
    place = names.index(name)
    columns[place] = (columns[place][0] + 1, *columns[place][1:])
    return replace(bundle, columns=tuple(columns))


@pytest.mark.parametrize("name", ["stake", "settlement"])
def test_a_bundle_whose_tape_is_not_the_sealed_one_is_refused(settled: Settled, name: str) -> None:
    honest = settled.reader().history().rounds[1].seal
    assert honest is not None
    lie = DoctoredReader(
        settled.workspace, settled.parties.task, with_cell(settled, name), seal={"trace": honest.trace}
    )
    with pytest.raises(AuditDifference, match="the seal's tape is not the bundle's"):
        proving.settlement_of(lie, 1)
    bundle = settled.reader().bundle(1)
    reader = DoctoredReader(settled.workspace, settled.parties.task, bundle, seal={"trace": bytes(32)})
    with pytest.raises(AuditDifference, match="the seal's tape is not the bundle's"):
        proving.settlement_of(reader, 1)


@pytest.mark.parametrize("name", ["stake", "settlement"])
def test_a_sealed_tape_that_commits_to_something_else_is_refused(settled: Settled, name: str) -> None:
    reader = DoctoredReader(settled.workspace, settled.parties.task, with_cell(settled, name))
    with pytest.raises(AuditDifference, match="settlement cell is not that of what it has as given"):
        proving.settlement_of(reader, 1)


def test_the_list_follows_from_what_is_given_whatever_a_tape_says(settled: Settled) -> None:
    program = settled.rounds[1].tape.program
    earned = program.columns[program.outputs[Output.EARNED]].name
    lie = with_cell(settled, earned)
    found = proving.settlement_of(DoctoredReader(settled.workspace, settled.parties.task, lie), 1)
    assert (found.commitment, found.values) == (settled.rounds[1].commitment, settled.rounds[1].values)


def test_another_list_for_this_commitment_means_forged_keys(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    task, found = settled.parties.task, settled.rounds[0]
    proofs = settled.proofs()
    assert proving.accepted_proof(proofs, task, found) is None
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: bytes(32))
    with pytest.raises(AuditDifference, match="keys are forged"):
        proving.accepted_proof(proofs, task, found)
    monkeypatch.setattr(proofs, "accepted_list", lambda *_: list_hash(found.values))
    with pytest.raises(RpcUnavailable, match="hides its event"):  # kept by the contract, and no event tells of it
        proving.accepted_proof(proofs, task, found)


def test_settling_and_verifying_need_no_compiled_code(tmp_path: Path, settled: Settled) -> None:
    reader = settled.reader()
    names = ("spec", "bundle", "proof")
    parts = reader.spec.to_bytes(), reader.bundle(1).to_bytes(), settled.proof.to_bytes()
    for name, data in zip(names, parts, strict=True):
        (tmp_path / name).write_bytes(data)
    code = """
import sys
from pathlib import Path
for name in ("numba", "llvmlite", "mclbn256"):
    sys.modules[name] = None  # as if it were not installed
from fl_platform.audit.verify_files import Files, Offline
from zk.settlement.proof_file import ProofFile
spec, bundle, proof = (Path(sys.argv[1], name).read_bytes() for name in ("spec", "bundle", "proof"))
lines = Offline(Files(spec, bundle)).proof_lines(ProofFile.from_bytes(proof))
print([line.result.value for line in lines])
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["equal"] * 2 + ["not checked"] + ["equal"] * 5 + ["not checked"])


def test_without_the_extra_the_remedy_is_told(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    circuits.require_prover()
    monkeypatch.setattr(circuits, "FAST", ("numba", "no_such_module"))
    for use in (circuits.require_prover, lambda: circuits.development_key(settled.reader().spec)):
        with pytest.raises(ConfigError, match=r"no_such_module: pip install 'fl-platform\[fast\]'"):
            use()
