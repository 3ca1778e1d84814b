"""A08: an aggregator that seals other scores or payouts than it found is challenged by the watcher and slashed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.attacks.lying import BEND_PRODUCT, BEND_SUMS, LIES
from fl_platform.chain.types import Phase
from fl_platform.cli.demo.federation import BOND, POT, STAKE
from fl_platform.cli.demo.lying import ask_bond, lying_aggregator, pursue, watcher_of
from fl_platform.cli.demo.outcomes import compensated_of, slashed_of
from fl_platform.round.kept_entries import KeptEntries
from fl_platform.round.transport import LocalTransport
from tests.support.rehearsal import rehearsal, small_settings


@pytest.mark.parametrize("name", LIES)
def test_the_watcher_has_a_lying_aggregator_slashed_and_the_trainers_compensated(tmp_path: Path, name: str) -> None:
    with rehearsal(tmp_path, small_settings()) as (workspace, parties):
        liar = lying_aggregator(workspace, parties, lie=name, when=1)
        watcher = watcher_of(workspace, parties)
        transport = LocalTransport(parties.everybody)
        liar.run(transport, rounds=1)
        assert watcher.step(workspace.chain.now()) == []
        liar.run(transport, rounds=1)
        (found,) = watcher.step(workspace.chain.now())
        finding = pursue(workspace, parties, watcher, found)
        assert finding.upheld
        assert finding.round == 1
        contracts = workspace.contracts(parties.wallets["owner"])
        assert contracts.head(parties.task).phase is Phase.COMPENSATED
        assert contracts.member(parties.task, parties.wallets["aggregator"].address).stake == 0
        # what the liar showed it was paid for; no partial sums lead to what was bent, so the last bond comes back
        returned = ask_bond(workspace, parties) if name in (BEND_PRODUCT, BEND_SUMS) else 0
        assert contracts.member(parties.task, parties.wallets["auditor"].address).credit == BOND * 3 // 10 + returned
        assert watcher.step(workspace.chain.now()) == []
        workspace.chain.wait_until(contracts.history(parties.task).closes_at())
        contracts.close_task(parties.task)
        kept = KeptEntries.of(workspace.role_folder("aggregator"), parties.task).load(1)
        leaves = tuple(entry.leaf for entry in kept if not entry.forced)
        for leaf in leaves:
            if leaf.amount:
                contracts.claim_compensation(parties.task, leaves, leaf.owner)
        history = contracts.history(parties.task)
        (slash,) = slashed_of(history, why=str(finding))
        assert (slash.role, slash.amount_wei) == ("aggregator", BOND)
        assert len(compensated_of(history)) == len(parties.members)
        trainers = [member.trainer.address for member in parties.members]
        for address in trainers:
            member = contracts.member(parties.task, address)
            assert member.stake == STAKE
            assert member.credit >= POT // len(trainers)
