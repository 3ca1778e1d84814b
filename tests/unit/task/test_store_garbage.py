"""What `store gc` removes of a real task, and that what it leaves is enough: audits, claims, accounts, other tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.audit.audit_report import ACCOUNTS_BEFORE
from fl_platform.audit.auditor import Auditor
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.cli.main import run
from fl_platform.errors import StoreMissing
from fl_platform.round import rewards
from fl_platform.round.transport import LocalTransport
from fl_platform.store import DiskStore
from fl_platform.store.cid import Cid
from fl_platform.store.unixfs import root_codec
from fl_platform.task.reading import TaskReader
from fl_platform.task.store_garbage import collect, find_garbage
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import opener_for, rehearsal, small_settings

ROUNDS = 6
LAST = ROUNDS - 1


def updates(reader: TaskReader, number: int) -> set[Cid]:
    """Return a round's updates."""
    receipts = [entry.receipt for entry in reader.bundle(number).entries]
    return {Cid(root_codec(receipt.length), receipt.update) for receipt in receipts}


def audited(workspace: Workspace, parties: DemoParties, first: int) -> tuple[bool, tuple[str, ...]]:
    """Audit with a key from a round on."""
    reader = workspace.reader(parties.task)
    report = Auditor(reader, opener=opener_for(workspace, parties, reader, "auditor")).audit(first=first)
    return report.ok, report.unchecked


@pytest.mark.slow
def test_old_rounds_go_and_what_the_others_need_stays(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    with rehearsal(folder, small_settings(rounds=ROUNDS)) as (workspace, parties):
        parties.aggregator.run(LocalTransport(parties.everybody), rounds=ROUNDS)
        disk, reader = workspace.store, workspace.reader(parties.task)
        assert isinstance(disk, DiskStore)
        before = set(disk.cids())

        (early,) = find_garbage([reader], [parties.task], disk, now=workspace.chain.now(), keep=LAST)
        assert (early.rounds, early.objects, early.kept_from) == ((), (), 0)  # fewer windows are over

        workspace.chain.wait_until(rewards.all_final_at(reader))
        now = workspace.chain.now()
        (found,) = find_garbage([reader], [parties.task], disk, now=now)
        assert (found.rounds, found.kept_from) == ((0, 1, 2, 3), 4)
        gone = set[Cid]().union(*(updates(reader, number) for number in found.rounds))
        assert set(found.objects) == gone  # the rounds that stay look back at four sums and models
        assert found.size == sum(disk.path_of(cid).stat().st_size for cid in found.objects)
        assert set(disk.cids()) == before  # nothing was removed yet

        with pytest.raises(ValueError, match="always kept"):
            find_garbage([reader], [parties.task], disk, now=now, keep=0)

        assert collect(found, disk) == found.size
        assert collect(found, disk) == 0  # again: nothing happens twice
        assert before - set(disk.cids()) == set(found.objects)
        assert audited(workspace, parties, 4) == (True, (ACCOUNTS_BEFORE,))
        assert not audited(workspace, parties, 0)[0]
        opener, lost = opener_for(workspace, parties, reader, "auditor"), reader.bundle(0).entries[0].receipt
        assert opener is not None
        with pytest.raises(StoreMissing, match="the trainer"):
            opener.sealed(lost)
        payable = rewards.final_bundle(workspace.reader(parties.task), now=now)
        assert payable.round == LAST

    arguments = [
        "--workdir",
        str(folder),
        "store",
        "gc",
        str(parties.task),
        "--keep",
        "1",
        "--json",
        str(tmp_path / "gc"),
    ]
    assert run(arguments) == 0
    (listed,) = json.loads((tmp_path / "gc").read_text())
    assert (listed["rounds"], listed["freed_bytes"], listed["kept_from"]) == ([0, 1, 2, 3, 4], 0, LAST)
    assert set(listed["objects"]) == {str(cid) for cid in updates(reader, 4)} | {
        str(Cid(root_codec(4 * reader.spec.model.size), reader.bundle(0).aggregate))
    }
    assert run([*arguments, "--delete"]) == 0
    (removed,) = json.loads((tmp_path / "gc").read_text())
    assert removed["freed_bytes"] == listed["bytes"] > 0
    password = tmp_path / "password"
    password.write_text("test\n")
    audit = ["--workdir", str(folder), "--password-file", str(password), "audit", str(parties.task), "--key", "auditor"]
    assert run([*audit, "--since", "5"]) == 3
    assert run([*audit, "--since", "4"]) == 4


def test_a_task_that_is_not_collected_keeps_what_it_shares(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "w", small_settings(rounds=3)) as (workspace, parties):
        parties.aggregator.run(LocalTransport(parties.everybody), rounds=3)
        disk, reader = workspace.store, workspace.reader(parties.task)
        assert isinstance(disk, DiskStore)
        workspace.chain.wait_until(rewards.all_final_at(reader))
        now = workspace.chain.now()
        (alone,) = find_garbage([reader], [parties.task], disk, now=now)
        assert alone.objects
        twin = workspace.reader(parties.task)  # a second task of the same objects, which is not to be collected
        assert twin.spec == reader.spec
        twin.history, twin.task = reader.history, 77  # type: ignore[method-assign]
        (beside,) = find_garbage([reader, twin], [parties.task], disk, now=now)
        assert beside.objects == ()
