"""The defender beside the aggregator: two connections of one wallet, both open, on one journal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fl_platform.chain.client import Chain
from fl_platform.chain.contracts import Contracts
from fl_platform.chain.demands import Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.protocol.messages import RoundOrder
from fl_platform.roles.defender import Defender
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.waiting import Waiting
from tests.support.rehearsal import opener_for, rehearsal, small_settings


class Interrupted(LocalTransport):
    """Before the trainers of round 1 are asked, somebody makes the sealer show round 0, and its defender answers."""

    demand_and_answer = staticmethod(lambda: None)

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        if order.round == 1:
            self.demand_and_answer()
        return super().exchange(order, waiting)


def test_run_and_defend_send_from_one_wallet_at_once(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings()) as (workspace, cast):
        own, auditor = cast.wallets["aggregator"], cast.wallets["auditor"]
        journal = tmp_path / "journal" / workspace.network.name
        assert journal.exists()
        beside = Chain(workspace.chain.backend, workspace.network, journal=journal)
        reader = workspace.reader(cast.task)
        defender = Defender(
            reader,
            Disputes(Contracts(beside, workspace.deployment(), own), own),
            opener=opener_for(workspace, cast, reader, "aggregator"),
        )
        demands = Demands(Disputes(workspace.contracts(auditor), auditor))
        answered = []

        def demand_and_answer() -> None:
            workspace.contracts(auditor).mint(auditor.address, Disputes(workspace.contracts(), auditor).bond(cast.task))
            number = demands.demand(cast.task, 0, Subject.TRACE)
            answered.extend(defender.step(workspace.chain.now()))
            demands.expire(number)

        transport = Interrupted(cast.everybody)
        transport.demand_and_answer = demand_and_answer  # type: ignore[method-assign]
        assert len(cast.aggregator.run(transport)) == 2
        assert [answer.problem for answer in answered] == [""]
        history = reader.history()
        assert [record.seal is not None for record in history.rounds] == [True, True]
        beside.release_journal()
