"""A whole task by its roles: sealed, paid, audited; the same bytes twice; and every single lie of a seal is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fl_platform.audit.audit_report import AuditReport
from fl_platform.audit.auditor import Auditor
from fl_platform.cli.demo.federation import POT, DemoParties
from fl_platform.judging.tapes import told_numbers
from fl_platform.ledger.records import SealRecord
from fl_platform.protocol.bundle import RoundBundle, Standing, by_account, claim_leaves
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.transport import LocalTransport
from fl_platform.rules.compose import Rule, compose
from fl_platform.task.workspace import Workspace
from tests.support.doctored import DoctoredReader
from tests.support.rehearsal import addresses, audit, opener_for, rehearsal, small_settings

PROGRAM = compose(Rule(selection="multi-krum"))


@dataclass(frozen=True)
class Played:
    """A task of two rounds, sealed honestly and final."""

    workspace: Workspace
    parties: DemoParties
    sealed: SealedRound  # round 1


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with rehearsal(tmp_path_factory.mktemp("task")) as (workspace, parties):
        sealed = parties.aggregator.run(LocalTransport(parties.everybody))
        yield Played(workspace, parties, sealed[-1])


def audit_lie(played: Played, name: str, *, key: str | None) -> AuditReport:
    return audit_seal(played, LIES[name][0](played.sealed.bundle), key=key)


def audit_seal(
    played: Played, told: RoundBundle, *, key: str | None, seal: Mapping[str, object] | None = None
) -> AuditReport:
    reader = DoctoredReader(played.workspace, played.parties.task, told, number=1, seal=seal)
    return Auditor(reader, opener=opener_for(played.workspace, played.parties, reader, key)).audit()


def change_verdict(bundle: RoundBundle, **changes: object) -> RoundBundle:
    index = next(i for i, v in enumerate(bundle.verdicts) if v.weight > 0)
    verdict = bundle.verdicts[index]
    values = {name: change(getattr(verdict, name)) for name, change in changes.items()}  # type: ignore[operator]
    verdicts = (*bundle.verdicts[:index], replace(verdict, **values), *bundle.verdicts[index + 1 :])
    return replace(bundle, verdicts=verdicts)


def change_cell(bundle: RoundBundle, name: str, by: int) -> RoundBundle:
    """Change the first cell, not 0, of a column that the bundle tells."""
    numbers = [PROGRAM.columns[number].name for number in told_numbers(PROGRAM)]
    place = numbers.index(name)
    cells = list(bundle.columns[place])
    cells[next(i for i, cell in enumerate(cells) if cell)] += by
    return replace(bundle, columns=(*bundle.columns[:place], tuple(cells), *bundle.columns[place + 1 :]))


def change_after(bundle: RoundBundle, **changes: object) -> RoundBundle:
    return replace(bundle, after=replace(bundle.after, **changes))  # type: ignore[arg-type]


def change_account(bundle: RoundBundle, name: str, *changes: int) -> RoundBundle:
    """Add to what the richest seats have in a column that is handed on."""
    told = next(column for column in bundle.after.state if column.name == name)
    cells = list(told.cells)
    richest = sorted(range(len(cells)), key=cells.__getitem__, reverse=True)
    for seat, by in zip(richest, changes, strict=False):
        cells[seat] += by
    state = tuple(replace(told, cells=tuple(cells)) if c.name == name else c for c in bundle.after.state)
    return change_after(bundle, state=state)


def forget(bundle: RoundBundle, name: str) -> RoundBundle:
    """Say that a number before the round was 0."""
    state = tuple(replace(c, cells=(0,) * len(c.cells)) if c.name == name else c for c in bundle.before.state)
    return replace(bundle, before=replace(bundle.before, state=state))


def other_sums(bundle: RoundBundle) -> RoundBundle:
    return replace(bundle, aggregate=bundle.before.model)


def _coarser(scale: ScaleSpec) -> ScaleSpec:
    return ScaleSpec((scale.exponents[0] + 1, *scale.exponents[1:]))


LIES: dict[str, tuple[Callable[[RoundBundle], RoundBundle], str]] = {
    "score + 1": (lambda b: change_verdict(b, score=lambda s: s + 1), "score in the verdict"),
    "score + 1 %": (lambda b: change_verdict(b, score=lambda s: s + max(1, abs(s) // 100)), "score in the verdict"),
    "score of all": (lambda b: change_verdict(b, score=lambda s: s + 2**62), "score in the verdict"),
    "weight + 1": (lambda b: change_verdict(b, weight=lambda w: w + 1), "weight in the verdict"),
    "verdict": (lambda b: change_verdict(b, code=lambda _: "NoWork", weight=lambda _: 0), "verdict"),
    "evidence": (lambda b: change_verdict(b, evidence=lambda _: "because"), "evidence in the verdict"),
    "a product of two updates": (lambda b: change_cell(b, "pairs", 1), "pairs of 0x"),
    "a squared length": (lambda b: change_cell(b, "energy", 1), "energy of 0x"),
    "a weight": (lambda b: change_cell(b, "weight", 1), "weight (weight in the sum, 2^-16) of 0x"),
    "a median": (lambda b: change_cell(b, "median_length", -1), "median_length"),
    "the root of the tape": (lambda b: replace(b, tape=bytes(32)), "root of the tape"),
    "divisor": (lambda b: replace(b, divisor=b.divisor + 1), "divisor"),
    "sums": (other_sums, "sums"),
    "model": (lambda b: change_after(b, model=b.before.model), "model in the state after"),
    "content root of the model": (lambda b: change_after(b, model_root=b.before.model_root), "model"),
    "a cell of the model": (lambda b: change_cell(b, "model", 1), "model"),
    "scale": (lambda b: change_after(b, scale=_coarser(b.after.scale)), "scale"),
    "one wei of pay": (lambda b: change_account(b, "paid_scored", -1, 1), "paid_scored in the state after"),
    "half of the pay": (
        lambda b: change_account(b, "paid_scored", -POT // 20, POT // 20),
        "paid_scored in the state after",
    ),
    "score sum": (lambda b: change_account(b, "score_sum", 1), "score_sum in the state after"),
    "reputation": (lambda b: change_account(b, "reputation", 1), "reputation in the state after"),
    "state before": (lambda b: forget(b, "scored_pots"), "scored_pots in the state before"),
    "an entry's keys": (
        lambda b: replace(b, entries=(replace(b.entries[0], keys=()), *b.entries[1:])),
        "refused of",
    ),
    "a forced entry": (
        lambda b: replace(
            b,
            entries=(*b.entries, replace(b.entries[0], forced=True)),
            verdicts=(*b.verdicts, b.verdicts[0]),
        ),
        "a bundle of 7 entries",
    ),
    "round": (lambda b: replace(b, round=b.round + 1), "round"),
    "rules": (lambda b: replace(b, spec=bytes(32)), "rules"),
}


@pytest.mark.parametrize("name", LIES)
def test_each_lie_of_a_seal_is_named(played: Played, name: str) -> None:
    report = audit_lie(played, name, key="auditor")
    assert report.exit_code == 4
    assert report.first_difference is not None
    assert report.first_difference.round == 1
    assert LIES[name][1] in report.first_difference.what + str(report.first_difference)


SEAL_FIELDS: dict[str, tuple[object, str]] = {
    "roster_digest": (os.urandom(32), "roster on chain"),
    "bundle": (os.urandom(32), "bundle on chain"),
    "model": (os.urandom(32), "model on chain"),
    "trace": (os.urandom(32), "tape on chain"),
    "forced": (1, "forced receipts on chain"),
    "claim_root": (os.urandom(32), "claim root on chain"),
    "claim_total": (1, "claim total on chain"),
    "claim_count": (1, "claim count on chain"),
    "aggregator": (os.urandom(20), "aggregator"),
}


def test_no_field_of_a_seal_is_left_out() -> None:
    """Its times are the chain's and the sealer's: nothing that is published says them again."""
    assert {field.name for field in fields(SealRecord)} - SEAL_FIELDS.keys() == {"as_of", "sealed_at"}


@pytest.mark.parametrize("key", ["auditor", None], ids=["with-key", "public"])
@pytest.mark.parametrize("name", SEAL_FIELDS)
def test_each_field_of_a_seal_is_held_against_its_bundle(played: Played, name: str, key: str | None) -> None:
    value, what = SEAL_FIELDS[name]
    report = audit_seal(played, played.sealed.bundle, key=key, seal={name: value})
    assert report.exit_code == 4
    assert report.first_difference is not None
    assert (report.first_difference.round, report.first_difference.what) == (1, what)


PUBLIC_LIES = [n for n in LIES if n not in ("a product of two updates", "a squared length", "sums")]


@pytest.mark.parametrize("name", PUBLIC_LIES)
def test_a_stranger_without_keys_catches_what_follows_from_public_values(played: Played, name: str) -> None:
    assert audit_lie(played, name, key=None).exit_code == 4


def test_the_honest_twin_passes_is_paid_and_conserved(played: Played) -> None:
    workspace, parties, sealed = played.workspace, played.parties, played.sealed
    report = audit(workspace, parties)
    assert (report.exit_code, report.first_difference, len(report.rounds)) == (0, None, 2)
    stranger = audit(workspace, parties, key=None)
    assert stranger.exit_code == 3
    assert stranger.unchecked
    owner = workspace.contracts(parties.wallets["owner"])
    final = owner.history(parties.task).final_at(1)
    assert final is not None
    workspace.chain.wait_until(final)
    leaves = claim_leaves(sealed.bundle.after)
    for account, standing in by_account(sealed.bundle.after).items():
        if standing.earned:
            owner.claim(parties.task, 1, leaves, account)
            owner.withdraw(parties.task, account)
    owner.record_reputation(parties.task, 1, leaves)
    owner.close_task(parties.task)
    history = owner.history(parties.task)
    assert sum(history.withdrawn.values()) == 2 * POT, "the owner's dust is a claim, too"
    assert not history.released
    assert audit(workspace, parties).claims == sum(1 for s in sealed.bundle.after.standings if s.earned)
    flippers = addresses(parties, ["label-flip"])
    assert all(s.paid_scored == 0 for s in sealed.bundle.after.standings if s.trainer in flippers)


@pytest.mark.slow
def test_one_seed_gives_the_same_bytes_on_one_and_two_threads(tmp_path: Path) -> None:
    def run(folder: Path, threads: int) -> tuple[list[bytes], tuple[Standing, ...]]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with rehearsal(folder, small_settings(rounds=2)) as (_, parties):
                sealed = parties.aggregator.run(LocalTransport(parties.everybody))
                return [item.digest for item in sealed], sealed[-1].bundle.after.standings
        finally:
            torch.set_num_threads(before)

    assert run(tmp_path / "one", 1) == run(tmp_path / "two", 2)


def test_another_seed_gives_other_bytes(tmp_path: Path, played: Played) -> None:
    parties = played.parties
    with rehearsal(tmp_path, small_settings(seed=8)) as (_, other):
        assert other.spec.digest != parties.spec.digest
        assert not np.array_equal(
            list(other.federation.parties[0].train.y), list(parties.federation.parties[0].train.y)
        )
