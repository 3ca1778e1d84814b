"""Without a key: every line says what was checked and what was not; a lie, or a proof of something else, is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fl_platform.audit import auditor
from fl_platform.audit.auditor import Auditor
from fl_platform.audit.verify import (
    Expected,
    Line,
    Result,
    Verification,
    gate_of,
    layer_lines,
    proof_lines,
    proof_of_round,
    settlement_line,
    verify_task,
)
from fl_platform.errors import DocumentInvalid, PointInvalid
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.spec import ProofRule
from fl_platform.task.reading import TaskReader
from tests.support.chain import stage
from tests.support.doctored import DoctoredReader, change_pay
from tests.support.own_keys import forged, own_key
from tests.unit.audit.conftest import Settled
from zk.curve.bn254 import ORDER
from zk.settlement.proof import SettlementProof

STEPS = [
    auditor.DOCUMENT,
    auditor.ACCOUNTS,
    auditor.ROSTER,
    auditor.RULE.format(source="the told products"),
    auditor.SEAL,
]


def of(found: Verification, layer: str, result: Result) -> list[Line]:
    return [line for line in found.lines if (line.layer, line.result) == (layer, result)]


def test_an_honest_task_is_equal_where_a_stranger_can_look(settled: Settled) -> None:
    found = verify_task(settled.reader(), settled.proofs())
    assert found.exit_code == 3
    equal = of(found, "M", Result.EQUAL)
    assert [(line.round, line.what) for line in equal] == [
        *((number, step) for number in (0, 1) for step in STEPS), (None, auditor.CLAIMS),
    ]  # fmt: skip
    open_ = of(found, "M", Result.UNCHECKED)
    assert open_
    assert all(line.why for line in open_)
    (none,), (proved,) = of(found, "S", Result.NONE), of(found, "S", Result.EQUAL)
    assert (none.round, proved.round) == (0, 1)
    assert "none is on chain" in none.why


def test_a_proof_on_chain_is_told_with_what_it_is_worth(settled: Settled) -> None:
    none = settlement_line(settled.reader(), settled.proofs(), 0)
    assert (none.result, "none is on chain" in none.why) == (Result.NONE, True)
    accepted = settlement_line(settled.reader(), settled.proofs(), 1)
    assert accepted.result is Result.EQUAL
    owner = settled.parties.wallets["owner"].address.hex()
    assert f"settlement proof: accepted on chain by 0x{owner}, its claims are the sealed ones" in str(accepted)
    assert "(a development key: anybody can forge)" in str(accepted)


def without_proofs(settled: Settled) -> TaskReader:
    """A reader of the task as it were without `--proofs`."""
    reader = settled.reader()
    reader.spec = replace(reader.spec, proofs=ProofRule())
    return reader


def test_a_task_without_proofs_says_so(settled: Settled) -> None:
    line = settlement_line(without_proofs(settled), settled.proofs(), 1)
    assert line.result is Result.NONE
    assert "opened without settlement proofs (`fl-platform task open --proofs N`)" in line.why


def test_a_proof_under_a_key_of_ones_own_changes_nothing(settled: Settled) -> None:
    found, thief = settled.rounds[1], settled.parties.wallets["auditor"].address
    gate = settled.proofs("auditor")
    values = (found.values[0] + 10**18, *found.values[1:])
    made = forged(gate.context(settled.parties.task, 1, thief, found.key), found.commitment, values)
    before = settlement_line(settled.reader(), settled.proofs(), 1)
    assert gate.submit(made) is not None
    assert settlement_line(settled.reader(), settled.proofs(), 1) == before
    lines = proof_of_round(settled.reader(), settled.proofs(), 1, made)
    assert lines[0].result is Result.EQUAL  # for that key
    differing = [line.what for line in lines if line.result is Result.DIFFERS]
    assert [what.split()[1] for what in differing] == ["key", "list"]
    assert own_key().digest.hex() in next(line.why for line in lines if "key of the proof" in line.what)


def test_one_round_says_that_it_starts_from_the_round_before(settled: Settled) -> None:
    found = verify_task(settled.reader(), settled.proofs(), first=1, last=1)
    assert {line.round for line in found.lines if line.round is not None} == {1}
    assert [line.what for line in of(found, "M", Result.EQUAL)] == STEPS
    assert any("accounts before the round" in line.what for line in of(found, "M", Result.UNCHECKED))
    assert found.exit_code == 3


def test_a_lie_is_a_difference_and_what_comes_before_it_is_equal(settled: Settled) -> None:
    bundle = settled.reader().bundle(1)
    lie = replace(bundle, divisor=bundle.divisor + 1)
    reader = DoctoredReader(settled.workspace, settled.parties.task, lie)
    found = verify_task(reader, settled.proofs())
    assert found.exit_code == 4
    (line,) = of(found, "M", Result.DIFFERS)
    assert (line.round, line.what) == (1, "divisor")
    assert str(bundle.divisor + 1) in line.why
    assert [line.what for line in of(found, "M", Result.EQUAL) if line.round == 1] == STEPS[:3]
    report = Auditor(reader, opener=None).audit()
    recomputed, *_ = layer_lines(reader, report, settled.proofs(), with_key=False)
    assert recomputed.result is Result.DIFFERS


def test_sums_that_are_not_of_the_commitments_are_layer_p(settled: Settled) -> None:
    honest = verify_task(settled.reader(), settled.proofs())
    assert [(line.round, line.what) for line in of(honest, "P", Result.EQUAL)] == [(0, auditor.SUM), (1, auditor.SUM)]
    bundle = settled.reader().bundle(1)
    lie = replace(bundle, blindings=(bundle.blindings[0] + 1, *bundle.blindings[1:]))
    reader = DoctoredReader(settled.workspace, settled.parties.task, lie)
    found = verify_task(reader, settled.proofs())
    (line,) = of(found, "P", Result.DIFFERS)
    assert (found.exit_code, line.round, line.what) == (4, 1, auditor.SUM_DIFFERS)
    assert not of(found, "M", Result.DIFFERS)
    report = Auditor(reader, opener=None).audit()
    recomputed, summed, _ = layer_lines(reader, report, settled.proofs(), with_key=False)
    assert (recomputed.result, summed.result) == (Result.EQUAL, Result.DIFFERS)


def test_claims_that_are_not_the_bundle_s(settled: Settled) -> None:
    bundle = settled.reader().bundle(1)
    reader = DoctoredReader(settled.workspace, settled.parties.task, bundle, seal={"claim_root": bytes(32)})
    line = settlement_line(reader, settled.proofs(), 1)
    assert line.result is Result.DIFFERS
    assert "the seal's claims are not the bundle's" in line.why


@pytest.mark.parametrize(
    ("change", "seal"), [(change_pay, {}), (lambda bundle: bundle, {"claim_count": 1})], ids=["pay", "count"]
)
def test_claims_that_are_not_the_proved_ones(
    settled: Settled, change: Callable[[RoundBundle], RoundBundle], seal: dict[str, object]
) -> None:
    bundle = change(settled.reader().bundle(1))
    reader = DoctoredReader(settled.workspace, settled.parties.task, bundle, seal=seal)
    line = settlement_line(reader, settled.proofs(), 1)
    assert line.result is Result.DIFFERS
    assert "its claims are not the sealed ones" in line.why


def test_layers_in_a_line_each(settled: Settled) -> None:
    reader = settled.reader()
    report = Auditor(reader, opener=None).audit()
    recomputed, summed, proved = layer_lines(reader, report, settled.proofs(), with_key=False)
    assert (summed.layer, summed.result) == ("P", Result.EQUAL)
    assert summed.what == f"rounds 0, 1: {auditor.SUM}"
    assert "open to the updates" in layer_lines(reader, report, settled.proofs(), with_key=True)[1].what
    assert "rounds 0, 1 recomputed from public values" in recomputed.what
    assert proved.result is Result.EQUAL
    assert proved.why.startswith("round 0: none is on chain")
    assert "; round 1: accepted on chain by 0x" in proved.why
    nothing = layer_lines(without_proofs(settled), report, settled.proofs(), with_key=False)[-1]
    assert nothing.result is Result.NONE
    assert nothing.why.startswith("rounds 0, 1: the task was opened without")  # said once, of both
    why = "no settlement proofs: they were left out"
    assert layer_lines(reader, report, why, with_key=True)[-1].result is Result.NONE


def test_a_deployment_without_proofs_says_why() -> None:
    with stage() as made:
        told = gate_of(made.owner)
    assert isinstance(told, str)
    assert "has no settlement proofs" in told


# --- proof files ------------------------------------------------------------------------------------------------------


def test_a_proof_file_alone_and_against_its_round(settled: Settled) -> None:
    alone = Verification(proof_lines(settled.proof, None))
    assert alone.exit_code == 3
    assert alone.lines[0].result is Result.EQUAL
    assert "that the commitment is this round's" in str(alone.lines[1])
    assert "convinces only who made it" in alone.lines[-1].why
    *_, last = proof_of_round(without_proofs(settled), settled.proofs(), 1, settled.proof)
    assert (last.what, last.result) == ("what the proof should be about", Result.UNCHECKED)
    assert "opened without settlement proofs" in last.why


def test_a_proof_file_against_what_it_should_be_about(settled: Settled) -> None:
    lines = proof_of_round(settled.reader(), settled.proofs(), 1, settled.proof)
    assert [line.result for line in lines] == [Result.EQUAL] * 8 + [Result.UNCHECKED]
    without_gate = proof_of_round(settled.reader(), "left out", 1, settled.proof)
    assert next(line.what for line in without_gate if line.result is Result.UNCHECKED) == "the gate of the proof"


def expected(settled: Settled, number: int = 1) -> Expected:
    gate, task = settled.proofs().address, settled.parties.task
    return Expected(settled.proof.context.chain_id, gate, task, settled.rounds[number])


def test_a_proof_of_another_round_or_task_is_a_difference(settled: Settled) -> None:
    lines = proof_lines(settled.proof, expected(settled, 0))
    assert lines[0].result is Result.EQUAL  # it is a proof, of something else
    differing = [line.what for line in lines if line.result is Result.DIFFERS]
    assert [what.split()[1] for what in differing] == ["round", "commitment", "list"]
    other_task = replace(expected(settled), task=settled.parties.task + 1)
    found = [line.what for line in proof_lines(settled.proof, other_task) if line.result is Result.DIFFERS]
    assert found == ["the task of the proof"]
    bundle = settled.reader().bundle(1)
    doctored = DoctoredReader(settled.workspace, settled.parties.task, bundle, seal={"claim_total": 1})
    last = proof_of_round(doctored, settled.proofs(), 1, settled.proof)[-1]
    assert (last.what, last.result) == ("what the proof should be about", Result.DIFFERS)


def with_claimed(settled: Settled, claimed: SettlementProof) -> tuple[Line, ...]:
    return proof_lines(replace(settled.proof, claimed=claimed), expected(settled))


def test_what_was_tampered_with_no_longer_holds(settled: Settled) -> None:
    claimed, context = settled.proof.claimed, settled.proof.context
    raised = (claimed.values[0] + 1, *claimed.values[1:])
    lines = with_claimed(settled, replace(claimed, values=raised))
    assert (lines[0].result, lines[-2].result) == (Result.DIFFERS, Result.DIFFERS)
    assert f"number 0 is {raised[0]}" in lines[-2].why
    longer = with_claimed(settled, replace(claimed, values=(*claimed.values, 0)))
    assert (longer[0].result, longer[-2].result) == (Result.DIFFERS, Result.DIFFERS)
    assert f"{len(claimed.values) + 1} numbers" in longer[-2].why
    swapped = replace(settled.proof, context=replace(context, claimant=context.claimant + 1))
    assert proof_lines(swapped, None)[0].result is Result.DIFFERS
    with pytest.raises(DocumentInvalid, match="the proof is bound to"):  # under another key than it names
        proof_lines(replace(settled.proof, key=own_key()), expected(settled))
    alias = (claimed.values[0] + ORDER, *claimed.values[1:])
    with pytest.raises(DocumentInvalid, match="alias"):
        with_claimed(settled, replace(claimed, values=alias))
    zero = replace(claimed.proof, a=replace(claimed.proof.a, x=0, y=0))
    with pytest.raises(PointInvalid):
        with_claimed(settled, replace(claimed, proof=zero))
