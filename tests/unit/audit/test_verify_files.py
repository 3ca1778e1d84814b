"""From files alone: what a bundle shows without chain and store, what it leaves open, and every change is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.audit.exporting import export
from fl_platform.audit.verify import Line, Result, Verification
from fl_platform.audit.verify_files import Files, Offline, models_by_digest
from fl_platform.errors import ConfigError, DocumentInvalid, StoreMissing
from fl_platform.protocol.bundle import RoundBundle, sha256
from fl_platform.protocol.spec import ProofRule, TaskSpec
from fl_platform.store.unixfs import cid_of
from fl_platform.task.reading import TaskReader
from tests.support.doctored import change_pay
from tests.support.own_keys import forged
from tests.unit.audit.conftest import Settled


@pytest.fixture(scope="module")
def folder(settled: Settled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("exported")
    written = export(settled.reader(), made)
    assert {item.name for item in written} == {path.name for path in made.iterdir()}
    for item in written:
        data = (made / item.name).read_bytes()
        assert (item.digest, item.sha256, item.why) == (cid_of(data).digest, sha256(data), "")
    return made


def files(folder: Path, number: int = 1, *, sums: bool = True, models: bool = True) -> Files:
    there = {path.name: path.read_bytes() for path in folder.glob("model-*.bin")}
    return Files(
        (folder / "spec.json").read_bytes(),
        (folder / f"round-{number}.bundle.json").read_bytes(),
        (folder / f"round-{number}.sums").read_bytes() if sums else None,
        models_by_digest(there) if models else {},
    )


def differing(lines: tuple[Line, ...]) -> list[Line]:
    return [line for line in lines if line.result is Result.DIFFERS]


@pytest.mark.parametrize("number", [0, 1])
def test_all_that_a_bundle_can_show(settled: Settled, folder: Path, number: int) -> None:
    lines = Offline(files(folder, number)).lines()
    assert Verification(lines).exit_code == 3
    assert not differing(lines)
    rule = next(line for line in lines if "the new model from the sums" in line.what)
    assert rule.result is Result.EQUAL
    open_ = [line for line in lines if line.result is Result.UNCHECKED]
    assert all(line.why for line in open_)
    said = "\n".join(map(str, open_))
    bundle = RoundBundle.from_bytes((folder / f"round-{number}.bundle.json").read_bytes())
    assert bundle.claims.digest.hex() in said
    seal = settled.reader().history().rounds[number].seal
    assert seal is not None
    for digest in (seal.bundle, seal.trace, seal.model, seal.claim_root):
        assert digest.hex() in said
    assert bundle.roster.digest.hex() in said
    assert ("accounts before the round" in said) == (number > 0)


def test_without_sums_or_models_the_settlement_is_still_recomputed(folder: Path) -> None:
    for given, missing in (({"sums": False}, "--sums"), ({"models": False}, "--models with")):
        lines = Offline(files(folder, **given)).lines()
        follow = next(line for line in lines if line.what.startswith("verdicts, weights, scores"))
        assert follow.result is Result.EQUAL
        model = next(line for line in lines if "new model follows" in line.what)
        assert model.result is Result.UNCHECKED
        assert missing in model.why


def change_verdict(bundle: RoundBundle) -> RoundBundle:
    place = next(i for i, v in enumerate(bundle.verdicts) if v.weight)
    verdict = replace(bundle.verdicts[place], score=bundle.verdicts[place].score + 1)
    return replace(bundle, verdicts=(*bundle.verdicts[:place], verdict, *bundle.verdicts[place + 1 :]))


def change_signature(bundle: RoundBundle) -> RoundBundle:
    entry = bundle.entries[0]
    forged = replace(entry, receipt=replace(entry.receipt, samples=entry.receipt.samples + 1))
    return replace(bundle, entries=(forged, *bundle.entries[1:]))


def change_model(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, after=replace(bundle.after, model=bytes(32)))


Change = Callable[[RoundBundle], RoundBundle]


@pytest.mark.parametrize(
    ("change", "says"),
    [(change_verdict, "score of verdicts["), (change_pay, "cells of state of state after["),
     (change_signature, "signature"), (change_model, "model of state after"),
     (lambda b: replace(b, spec=bytes(32)), "names these rules"),
     (lambda b: replace(b, aggregate=bytes(32)), "names these sums"),
     (lambda b: replace(b, task=b.task + 1), "follow by the rule"),
     (lambda b: replace(b, sums_root=bytes(32)), "content root of the sums"),
     (lambda b: replace(b, before=replace(b.before, sums=(bytes(32), *b.before.sums[1:]))), "sums"),
     (lambda b: replace(b, blindings=(b.blindings[0] + 1, *b.blindings[1:])), "P  DIFFERENCE: round 1: the sums are")],
    ids=["score", "pay", "receipt", "model", "rules", "sums", "task", "sums root", "direction root", "blindings"],
)  # fmt: skip
def test_every_change_of_a_bundle_is_named(folder: Path, change: Change, says: str) -> None:
    honest = files(folder)
    bundle = change(RoundBundle.from_bytes(honest.bundle))
    found = differing(Offline(replace(honest, bundle=bundle.to_bytes())).lines())
    assert found
    assert says in "\n".join(map(str, found))


def test_changed_pay_is_named_without_sums(folder: Path) -> None:
    honest = files(folder, sums=False, models=False)
    bundle = change_pay(RoundBundle.from_bytes(honest.bundle))
    (line,) = differing(Offline(replace(honest, bundle=bundle.to_bytes())).lines())
    assert "state of the state after" in line.why


def test_changed_sums_are_named(folder: Path) -> None:
    honest = files(folder)
    assert honest.sums is not None
    for sums in (bytes([honest.sums[0] ^ 1]) + honest.sums[1:], honest.sums[:-8], b""):
        found = differing(Offline(replace(honest, sums=sums)).lines())
        assert "names these sums" in found[0].what
        assert len(found) >= 2  # the model does not follow from them, either


def test_the_sums_are_held_against_the_commitments(folder: Path) -> None:
    """Sums and models alone could be of anything: a lie that all numbers follow from is left to layer P."""
    honest = files(folder, models=False)
    (line,) = [line for line in Offline(honest).lines() if line.layer == "P"]
    assert line.result is Result.EQUAL
    assert honest.sums is not None
    lie = bytes([honest.sums[0] ^ 1]) + honest.sums[1:]
    bundle = replace(RoundBundle.from_bytes(honest.bundle), aggregate=cid_of(lie).digest)
    found = differing(Offline(replace(honest, sums=lie, bundle=bundle.to_bytes())).lines())
    assert [line.layer for line in found] == ["P"]
    assert not [line for line in Offline(files(folder, sums=False)).lines() if line.layer == "P"]


def test_changed_blinding_sums_or_commitments_are_named(folder: Path) -> None:
    honest = files(folder)
    bundle = RoundBundle.from_bytes(honest.bundle)
    entry = next(e for e in bundle.entries if e.shown.proof)
    for told in (
        replace(bundle, blindings=(bundle.blindings[0] + 1, *bundle.blindings[1:])),
        replace(bundle, blindings=()),
        replace(
            bundle,
            entries=tuple(
                replace(e, shown=replace(e.shown, proof=entry.shown.proof)) if e.shown.proof else e
                for e in bundle.entries
            ),
        ),
    ):
        found = differing(Offline(replace(honest, bundle=told.to_bytes())).lines())
        assert "P" in {line.layer for line in found}


def test_what_is_no_document_is_refused(folder: Path) -> None:
    honest = files(folder)
    for changes in ({"bundle": b"{}"}, {"bundle": honest.spec}, {"spec": honest.bundle}, {"spec": b""}):
        with pytest.raises(DocumentInvalid):
            Offline(replace(honest, **changes))
    with pytest.raises(ConfigError, match="--export"):
        models_by_digest({})


def test_a_proof_is_of_the_bundle_or_of_something_else(settled: Settled, folder: Path) -> None:
    lines = Offline(files(folder)).proof_lines(settled.proof)
    assert not differing(lines)
    open_ = [line.what for line in lines if line.result is Result.UNCHECKED]
    assert open_ == ["the gate of the proof", "that the proof was not forged"]
    assert {"the round of the proof", "the key of the proof", "the list of claims and weights"} < {
        line.what for line in lines if line.result is Result.EQUAL
    }
    other = Offline(files(folder, 0)).proof_lines(settled.proof)
    assert other[0].result is Result.EQUAL  # it is a proof, of something else
    assert [line.what.split()[1] for line in differing(other)] == ["round", "commitment", "list"]


def test_a_proof_under_a_key_of_ones_own_is_of_another_task(settled: Settled, folder: Path) -> None:
    claimed = settled.proof.claimed
    made = forged(settled.proof.context, claimed.commitment, (claimed.values[0] + 1, *claimed.values[1:]))
    lines = Offline(files(folder)).proof_lines(made)
    assert lines[0].result is Result.EQUAL  # for that key
    assert [line.what.split()[1] for line in differing(lines)] == ["key", "list"]


def test_rules_without_proofs_say_that_no_proof_is_about_them(settled: Settled, folder: Path) -> None:
    honest = files(folder)
    spec = replace(TaskSpec.from_bytes(honest.spec), proofs=ProofRule())
    lines = Offline(replace(honest, spec=spec.to_bytes())).proof_lines(settled.proof)
    assert (lines[-1].what, lines[-1].result) == ("what the proof should be about", Result.UNCHECKED)
    assert "opened without settlement proofs" in lines[-1].why


def test_what_the_store_has_lost_is_listed(settled: Settled, tmp_path: Path) -> None:
    class Lost(TaskReader):
        def object(self, digest: bytes, *, max_bytes: int = 1 << 28) -> bytes:
            if digest == lost:
                raise StoreMissing("it is gone")
            return super().object(digest, max_bytes=max_bytes)

    reader = Lost(settled.workspace.contracts(), settled.workspace.store, settled.parties.task)
    seal = settled.reader().history().rounds[0].seal
    assert seal is not None
    lost = seal.bundle
    written = {item.name: item for item in export(reader, tmp_path)}
    assert (written["round-0.bundle.json"].sha256, written["round-0.bundle.json"].why) == (None, "it is gone")
    assert "round-0.sums" not in written
    assert (tmp_path / "round-1.sums").exists()
