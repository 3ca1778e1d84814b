"""Who may upload, by a real task on a real chain; and how often strangers make the server look."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import RpcUnavailable
from fl_platform.store import MemoryStore
from fl_platform.task.store_members import KNOWN_S, LOOK_S, StoreMembers
from tests.support.rehearsal import rehearsal

STRANGER = b"\x05" * 20


class Looking:
    """A clock, and views that count how often they are asked."""

    def __init__(self, histories: tuple[object, ...]) -> None:
        self.now, self.looks, self.found, self.down = 100.0, 0, histories, False

    def histories(self) -> tuple[object, ...]:
        if self.down:
            raise RpcUnavailable("the node is down")
        self.looks += 1
        return self.found

    def pause(self, seconds: float) -> None:
        self.now += seconds


def test_members_of_a_task_may_upload_and_nobody_else(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "w") as (workspace, parties):
        views = workspace.contracts()
        owner = parties.wallets["owner"].address
        asked = StoreMembers(views, workspace.store, allowed=[owner], pause=lambda _: None)
        history = views.history(parties.task)
        everybody = {owner, *history.members, *history.opened.aggregators}
        assert len(everybody) == 7
        reference = workspace.reader(parties.task).spec.reference.address
        assert any(reference)
        assert all(map(asked, everybody | {reference}))
        assert not asked(STRANGER)
        assert not asked(bytes(20))
        by_number = StoreMembers(views, MemoryStore(), allowed=[], tasks=[parties.task], pause=lambda _: None)
        assert all(map(by_number, everybody))
        unwatched = StoreMembers(views, workspace.store, allowed=[STRANGER], tasks=[99], pause=lambda _: None)
        assert unwatched(STRANGER)
        assert not any(map(unwatched, everybody))
        listed = StoreMembers(None, workspace.store, allowed=[STRANGER])
        assert (listed(STRANGER), listed(owner)) == (True, False)

        views_of_then = Looking(views.histories())
        trainer = next(iter(views.history(parties.task).members))
        _counted(views_of_then, owner, trainer)


def _counted(views: Looking, owner: bytes, trainer: bytes) -> None:
    """Members are known for a while; a stranger waits for the next look, and one look answers all who wait."""
    asked = StoreMembers(
        views, MemoryStore(), allowed=[owner], clock=lambda: views.now, pause=views.pause,  # type: ignore[arg-type]
    )  # fmt: skip
    assert asked(trainer)
    views.now += LOOK_S - 1
    assert asked(trainer)
    assert views.looks == 1
    assert not asked(STRANGER)
    assert (views.looks, views.now) == (2, 100.0 + LOOK_S)
    views.now += KNOWN_S
    views.down = True
    with pytest.raises(RpcUnavailable):
        asked(STRANGER)
    assert asked(trainer)  # a round is not lost to a node that is down: nothing says that it has left
    assert asked(owner)  # the list needs no chain
    views.down, views.found = False, ()
    assert not asked(trainer)
