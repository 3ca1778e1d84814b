"""Without a key: every line says what was checked and what was not; a lie, or a proof of something else, is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.audit import auditor, verify
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
from tests.support.chain import stage
from tests.support.doctored import DoctoredReader
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
    none = of(found, "S", Result.NONE)
    assert [line.round for line in none] == [0, 1]
    assert all("the circuit of programs comes with the next release" in line.why for line in none)


@pytest.fixture
def kept(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> Settled:
    """The rounds' settlements are those whose circuit ships."""
    monkeypatch.setattr(verify, "settlement_of", lambda _, number: settled.kept[number])
    return settled


def sealed_as(kept: Settled, number: int) -> dict[str, object]:
    """The claims that a proved list has, as a seal says them."""
    root, total, count = kept.proofs().claim_root(kept.kept[number].values)
    return {"claim_root": root, "claim_total": total, "claim_count": count}


def test_a_proof_on_chain_is_told_with_what_it_is_worth(kept: Settled) -> None:
    none = settlement_line(kept.reader(), kept.proofs(), 0)
    assert (none.result, "none is on chain" in none.why) == (Result.NONE, True)
    reader = DoctoredReader(kept.workspace, kept.parties.task, kept.reader().bundle(1), seal=sealed_as(kept, 1))
    accepted = settlement_line(reader, kept.proofs(), 1)
    assert accepted.result is Result.EQUAL
    owner = kept.parties.wallets["owner"].address.hex()
    assert f"settlement proof: accepted on chain by 0x{owner}, its claims are the sealed ones" in str(accepted)
    assert "development keys" in str(accepted)


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


@pytest.mark.parametrize("change", [{"claim_root": bytes(32)}, {"claim_total": 1}, {"claim_count": 1}])
def test_claims_that_are_not_the_proved_ones(kept: Settled, change: dict[str, object]) -> None:
    seal = sealed_as(kept, 1) | change
    reader = DoctoredReader(kept.workspace, kept.parties.task, kept.reader().bundle(1), seal=seal)
    line = settlement_line(reader, kept.proofs(), 1)
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
    assert proved.result is Result.NONE
    assert proved.why.startswith("rounds 0, 1: judged by its program: ")  # said once, of both
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
    *_, last = proof_of_round(settled.reader(), settled.proofs(), 1, settled.proof)
    assert (last.what, last.result) == ("what the proof should be about", Result.UNCHECKED)
    assert "the circuit of programs comes with the next release" in last.why


def test_a_proof_file_against_what_it_should_be_about(kept: Settled) -> None:
    lines = proof_of_round(kept.reader(), kept.proofs(), 1, kept.proof)
    assert [line.result for line in lines] == [Result.EQUAL] * 7 + [Result.UNCHECKED]
    without_gate = proof_of_round(kept.reader(), "left out", 1, kept.proof)
    assert next(line.what for line in without_gate if line.result is Result.UNCHECKED) == "the gate of the proof"


def expected(settled: Settled, number: int = 1) -> Expected:
    gate, task = settled.proofs().address, settled.parties.task
    return Expected(settled.proof.context.chain_id, gate, task, settled.kept[number])


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
    raised = (claimed.values[0] + (1 << 160), *claimed.values[1:])
    lines = with_claimed(settled, replace(claimed, values=raised))
    assert (lines[0].result, lines[-2].result) == (Result.DIFFERS, Result.DIFFERS)
    assert f"number 0 is {raised[0]}" in lines[-2].why
    with pytest.raises(DocumentInvalid, match="keys or circuit were replaced"):  # of another circuit's length
        with_claimed(settled, replace(claimed, values=claimed.values + (0,) * 96))
    swapped = replace(settled.proof, context=replace(context, claimant=context.claimant + 1))
    assert proof_lines(swapped, None)[0].result is Result.DIFFERS
    alias = (claimed.values[0] + ORDER, *claimed.values[1:])
    with pytest.raises(DocumentInvalid, match="alias"):
        with_claimed(settled, replace(claimed, values=alias))
    zero = replace(claimed.proof, a=replace(claimed.proof.a, x=0, y=0))
    with pytest.raises(PointInvalid):
        with_claimed(settled, replace(claimed, proof=zero))
