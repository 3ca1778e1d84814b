"""A08: an aggregator that seals other scores or payouts than it found is challenged by the watcher and slashed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fl_platform.attacks.lying import LIES
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.types import Phase
from fl_platform.cli.demo.federation import BOND, POT, STAKE, Cast
from fl_platform.contribution.judge import Judgement
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Watcher
from fl_platform.roles.workspace import Workspace, reveal_key
from tests.support.rehearsal import opener_for, rehearsal, small_settings


class Liar(Aggregator):
    """Judges honestly, seals `lie` of it in one round."""

    lie: Callable[[RoundBundle], RoundBundle]
    when: int

    def _bundle(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, aggregate: bytes,
        validation: tuple[str, ...],
    ) -> RoundBundle:  # fmt: skip
        honest = super()._bundle(round_number, entries, judged, aggregate, validation)
        return self.lie(honest) if round_number == self.when else honest


def liar_for(workspace: Workspace, cast: Cast, name: str, *, when: int) -> Liar:
    signer = cast.wallets["aggregator"]
    liar = Liar(
        reader=workspace.reader(cast.task), contracts=workspace.contracts(signer), reveal_key=reveal_key(signer),
        workdir=workspace.role_folder("aggregator"), wait_until=workspace.chain.wait_until,
    )  # fmt: skip
    liar.lie, liar.when = LIES[name], when
    return liar


def watcher_for(workspace: Workspace, cast: Cast) -> Watcher:
    signer, reader = cast.wallets["auditor"], workspace.reader(cast.task)
    disputes = Disputes(workspace.contracts(signer), signer)
    return Watcher(reader, disputes, opener=opener_for(workspace, cast, reader, "auditor"))


@pytest.mark.parametrize("name", LIES)
def test_the_watcher_has_a_lying_aggregator_slashed_and_the_trainers_compensated(tmp_path: Path, name: str) -> None:
    with rehearsal(tmp_path, small_settings()) as (workspace, cast):
        liar = liar_for(workspace, cast, name, when=1)
        watcher = watcher_for(workspace, cast)
        transport = LocalTransport(cast.everybody)
        liar.run(transport, rounds=1)
        assert watcher.step(workspace.chain.now()) == []
        liar.run(transport, rounds=1)
        (finding,) = watcher.step(workspace.chain.now())
        assert finding.upheld
        assert finding.round == 1
        contracts = workspace.contracts(cast.wallets["owner"])
        assert contracts.head(cast.task).phase is Phase.COMPENSATED
        assert contracts.member(cast.task, cast.wallets["aggregator"].address).stake == 0
        assert contracts.member(cast.task, cast.wallets["auditor"].address).credit == BOND * 3 // 10
        assert watcher.step(workspace.chain.now()) == []
        workspace.chain.wait_until(contracts.history(cast.task).final_at(0) or 0)
        contracts.close_task(cast.task)
        leaves = tuple(e.leaf for e in liar._load_entries(1) if not e.forced)
        for leaf in leaves:
            if leaf.amount:
                contracts.claim_compensation(cast.task, leaves, leaf.owner)
        trainers = [member.trainer.address for member in cast.members]
        for address in trainers:
            member = contracts.member(cast.task, address)
            assert member.stake == STAKE
            assert member.credit >= POT // len(trainers)
