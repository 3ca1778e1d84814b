"""What an owner's earlier tasks paid is read from final rounds alone, without the aggregators' fees."""

from __future__ import annotations

from pathlib import Path

from fl_platform.audit.track_record import track_record
from fl_platform.errors import StoreMissing
from fl_platform.round.transport import LocalTransport
from fl_platform.task.reading import TaskReader
from tests.support.rehearsal import rehearsal, small_settings


def test_ranges_are_those_of_the_accounts(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(rounds=2)) as (workspace, parties):
        reader, views = workspace.reader(parties.task), workspace.contracts()
        owner = reader.spec.owner
        parties.aggregator.run(LocalTransport(parties.everybody))
        bundle = reader.bundle(1)
        sealed = reader.history().final_at(1)
        assert sealed is not None
        found = track_record(views, workspace.reader, owner=owner, before=99, now=sealed)
        earned = {one.trainer: one.earned for one in bundle.after.standings}
        wanted = sorted(earned[member.trainer.address] // 2 for member in parties.members)
        assert (found.tasks, found.unread, found.rounds, list(found.pay)) == (1, 0, 2, wanted)
        assert found.median == wanted[2]
        early = track_record(views, workspace.reader, owner=owner, before=99, now=0)
        other = track_record(views, workspace.reader, owner=b"\x01" * 20, before=99, now=sealed)
        itself = track_record(views, workspace.reader, owner=owner, before=parties.task, now=sealed)
        assert (early.tasks, other.tasks, itself.tasks) == (0, 0, 0)

        def lost(task: int) -> TaskReader:
            raise StoreMissing(f"task {task} is nowhere")

        unread = track_record(views, lost, owner=owner, before=99, now=sealed)
        assert (unread.tasks, unread.unread, unread.pay) == (1, 1, ())
