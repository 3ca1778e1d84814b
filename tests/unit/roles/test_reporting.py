"""What roles say of a round: counted from the seal and from what happened on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from fl_platform.cli.demo.federation import aggregator_of
from fl_platform.protocol.messages import RoundOrder
from fl_platform.roles.reporting import RoundsSealed
from fl_platform.roles.transport import LocalTransport
from tests.support.rehearsal import rehearsal, small_settings


class Noisy(LocalTransport):
    """Answers of some trainers, the first of them twice, and one of nobody."""

    def exchange(self, order: RoundOrder) -> Iterable[bytes]:
        answers = list(super().exchange(order))
        return [b"not a message", *answers, answers[0]]


def test_an_aggregator_counts_who_answered_who_did_not_and_what_was_refused(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(byzantine=0)) as (workspace, cast):
        watched = RoundsSealed(workspace.reader(cast.task), who="bob", clock=itertools.count(0.0, 2.0).__next__)
        aggregator = aggregator_of(workspace, cast, "aggregator", watched.step)
        away = cast.members[1].trainer
        first = aggregator.run(Noisy([one for one in cast.everybody if one is not away]), rounds=1)[0]
        record = watched.record(first)
        second = watched.record(aggregator.run(LocalTransport(cast.everybody), rounds=1)[0])
    model, codes = cast.spec.model, [verdict.code for verdict in first.bundle.verdicts]
    refused = {f"refused[{code}]": codes.count(code) for code in codes if code not in ("admitted", "reference")}
    length = first.bundle.entries[0].receipt.length
    assert (record.role, record.task, record.round, record.who) == ("aggregator", cast.task, 0, "bob")
    assert record.values == {
        "members": 5, "answered": 4, "absent": 1, f"absent_member[0x{away.address.hex()}]": 1,
        "refused[DocumentInvalid]": 1, "refused[ReceiptDuplicate]": 1, **refused,
        "in_sum": codes.count("admitted"), "worth_measured": 1, "update_bytes": 5 * length,
        "sealed_bytes": len(first.judgement.model_bytes) + 8 * model.size,
        "model": "0x" + first.bundle.after.model.hex(),
        "step_seconds[train]": 2.0, "step_seconds[roster]": 2.0, "step_seconds[judge]": 2.0,
    }  # fmt: skip
    # The next round starts counting anew.
    assert (second.round, second.values["absent"], second.values["step_seconds[train]"]) == (1, 0, 2.0)
    assert not {"refused[DocumentInvalid]", "refused[ReceiptDuplicate]"} & second.values.keys()
