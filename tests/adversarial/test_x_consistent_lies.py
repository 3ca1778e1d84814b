"""Lies that are told in the inputs and then computed through honestly: every number of the bundle fits the others.

Recomputing alone finds none of them. What an honest aggregator can never put on a roster must itself be a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fl_platform.audit.audit_report import AuditReport
from fl_platform.audit.auditor import Auditor
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.judging.bundling import judged_again
from fl_platform.judging.judge import judge_round
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import RosterRecord
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.transport import LocalTransport
from fl_platform.task.reading import TaskReader, roster_root
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import opener_for, rehearsal


@dataclass(frozen=True)
class Played:
    """A task of two rounds, sealed honestly."""

    workspace: Workspace
    parties: DemoParties
    sealed: tuple[SealedRound, ...]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with rehearsal(tmp_path_factory.mktemp("task")) as (workspace, parties):
        yield Played(workspace, parties, tuple(parties.aggregator.run(LocalTransport(parties.everybody))))


class RewrittenReader(TaskReader):
    """Reads a chain on which round 1 was rostered and sealed with other entries, judged by the honest rules."""

    def __init__(
        self, played: Played, entries: tuple[Entry, ...], change: Callable[[RoundBundle], RoundBundle]
    ) -> None:
        workspace, parties = played.workspace, played.parties
        super().__init__(workspace.contracts(), workspace.store, parties.task)
        bundle = change(self._judged(played, entries))
        honest = super().history()
        before = honest.rounds[1]
        assert before.seal is not None
        assert before.roster is not None
        root = roster_root(tuple(e for e in entries if not e.forced))
        roster = RosterRecord(
            root.digest, len(entries), root.total, before.roster.seats, before.roster.rostered_at,
            before.roster.aggregator, before.roster.life,
        )
        seal = replace(
            before.seal,
            bundle=workspace.store.put(bundle.to_bytes()).digest,
            model=bundle.after.model_root,
            claim_root=bundle.claims.digest,
            claim_total=bundle.claims.total,
            claim_count=len(bundle.after.standings),
            trace=bundle.tape,
        )
        self._told = replace(honest, rounds=(honest.rounds[0], replace(before, roster=roster, seal=seal)))

    def _judged(self, played: Played, entries: tuple[Entry, ...]) -> RoundBundle:
        workspace, parties = played.workspace, played.parties
        reader = workspace.reader(parties.task)
        opener = opener_for(workspace, parties, reader, "aggregator")
        assert opener is not None
        judged = judge_round(
            reader.spec,
            reader.round_context(1, parties.wallets["aggregator"].address),
            reader.state_before(1),
            entries,
            updates=opener.source(entries),
            models=reader.parent_row,
            sums=reader.sums_of,
            keys=opener.keys(entries),
        )
        workspace.store.put(judged.model_bytes)
        workspace.store.put(judged.aggregate_bytes)
        return judged_again(replace(played.sealed[1].bundle, entries=entries), judged)

    def history(self) -> TaskHistory:
        return self._told if hasattr(self, "_told") else super().history()


def audit_rewritten(
    played: Played,
    entries: tuple[Entry, ...],
    *,
    key: str | None = "auditor",
    change: Callable[[RoundBundle], RoundBundle] = lambda bundle: bundle,
) -> AuditReport:
    reader = RewrittenReader(played, entries, change)
    return Auditor(reader, opener=opener_for(played.workspace, played.parties, reader, key)).audit()


def _victim(played: Played) -> int:
    """Place of an honest trainer that earned by score in round 1."""
    bundle = played.sealed[1].bundle
    return next(i for i, verdict in enumerate(bundle.verdicts) if verdict.score > 0)


def _with(entries: tuple[Entry, ...], place: int, entry: Entry) -> tuple[Entry, ...]:
    return (*entries[:place], entry, *entries[place + 1 :])


def test_the_harness_itself_passes_an_honest_round(played: Played) -> None:
    assert audit_rewritten(played, played.sealed[1].bundle.entries).exit_code == 0


@pytest.mark.parametrize("key", ["auditor", None])
def test_a_trainers_old_receipt_on_the_roster_in_place_of_its_new_one_is_a_difference(
    played: Played, key: str | None
) -> None:
    entries, place = played.sealed[1].bundle.entries, _victim(played)
    old = next(e for e in played.sealed[0].bundle.entries if e.receipt.trainer == entries[place].receipt.trainer)
    report = audit_rewritten(played, _with(entries, place, old), key=key)
    assert report.exit_code == 4, report
    assert "receipt" in str(report.first_difference)


@pytest.mark.parametrize("stake", [1, 2**100])
@pytest.mark.parametrize("key", ["auditor", None])
def test_a_trainer_rostered_with_another_stake_than_it_locked_is_a_difference(
    played: Played, key: str | None, stake: int
) -> None:
    entries, place = played.sealed[1].bundle.entries, _victim(played)
    report = audit_rewritten(played, _with(entries, place, replace(entries[place], stake=stake)), key=key)
    assert report.exit_code == 4, report
    assert "stake" in str(report.first_difference)


def test_a_reference_rostered_with_a_stake_so_that_worth_is_not_measured_is_a_difference(played: Played) -> None:
    bundle = played.sealed[1].bundle
    place = next(i for i, verdict in enumerate(bundle.verdicts) if verdict.code == "reference")
    report = audit_rewritten(played, _with(bundle.entries, place, replace(bundle.entries[place], stake=1)))
    assert report.exit_code == 4, report
    assert "stake" in str(report.first_difference)


def test_a_trainer_rostered_twice_is_a_difference(played: Played) -> None:
    entries, place = played.sealed[1].bundle.entries, _victim(played)
    twice = (*entries[: place + 1], entries[place], *entries[place + 1 :])
    report = audit_rewritten(played, twice)
    assert report.exit_code == 4, report


def test_the_sums_that_strangers_need_are_in_the_store(played: Played, tmp_path: Path) -> None:
    """An aggregator that keeps the sums back leaves strangers blind: an audit with a key says so, too."""
    workspace, entries = played.workspace, played.sealed[1].bundle.entries
    reader = RewrittenReader(played, entries, lambda bundle: bundle)
    hidden = workspace.store.locate(reader.bundle(1).aggregate)
    path = workspace.store.path_of(hidden)  # type: ignore[attr-defined]
    kept = path.rename(tmp_path / "kept")
    try:
        report = Auditor(reader, opener=opener_for(workspace, played.parties, reader, "auditor")).audit()
    finally:
        kept.rename(path)
    assert report.exit_code == 4, report
