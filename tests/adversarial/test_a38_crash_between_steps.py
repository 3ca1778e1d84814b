"""A38: kill the processes of a round between any two of its effects, start them again: nothing happens twice.

An effect is a write to the store, a journal file of a role, or a transaction. A run that is killed before or after its
k-th effect and then started afresh must end with the same seals, to the byte, as a run that nobody killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.client import Chain
from fl_platform.cli.demo import federation
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.config import resolve
from fl_platform.round import kept_entries
from fl_platform.round import trainer as trainer_module
from fl_platform.round.transport import LocalTransport
from fl_platform.store.disk import DiskStore
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import rehearsal, small_settings

SETTINGS = small_settings(rounds=1)


class Killed(BaseException):
    """Not an Exception: no handler of ours may swallow it, as none could swallow a SIGKILL."""


class Reaper:
    """Counts effects and kills at one of them."""

    def __init__(self, at: int | None, *, after: bool) -> None:
        self.at, self.after, self.count = at, after, 0

    def around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if number == self.at and not self.after:
                raise Killed
            result = effect(*arguments, **named)
            if number == self.at:
                raise Killed
            return result

        return wrapped


@contextmanager
def reaping(reaper: Reaper) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskStore, "put", reaper.around(DiskStore.put))
        patch.setattr(kept_entries, "write_atomically", reaper.around(kept_entries.write_atomically))
        patch.setattr(trainer_module, "write_atomically", reaper.around(trainer_module.write_atomically))
        patch.setattr(Chain, "send", reaper.around(Chain.send))
        yield


def play(folder: Path, prepared: DemoParties, reaper: Reaper) -> list[bytes]:
    """Open the folder as new processes would and run the task to its end; return the seals on chain."""
    with Workspace(folder, resolve("embedded", {}), password="test", light=True) as workspace:
        parties = federation.reopen(workspace, SETTINGS, prepared)
        with reaping(reaper):
            parties.aggregator.run(LocalTransport(parties.everybody))
        history = workspace.reader(parties.task).history()
        return [record.seal.bundle for record in history.rounds if record.seal is not None]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoParties]:
    """A workspace on disk in which everybody has joined."""
    folder = tmp_path_factory.mktemp("prepared")
    with rehearsal(folder, SETTINGS) as (_, parties):
        pass
    return folder, parties


@pytest.fixture(scope="module")
def undisturbed(
    prepared: tuple[Path, DemoParties], tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, list[bytes]]:
    """How many effects a run has, and its seals."""
    folder = tmp_path_factory.mktemp("undisturbed") / "copy"
    shutil.copytree(prepared[0], folder)
    reaper = Reaper(None, after=False)
    seals = play(folder, prepared[1], reaper)
    assert len(seals) == 1
    return reaper.count, seals


# Ten places spread over all effects, in thousandths of the run, and both ends.
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", [0, 150, 400, 640, 720, 800, 880, 940, 999])
def test_a_killed_round_ends_like_any_other(
    prepared: tuple[Path, DemoParties], undisturbed: tuple[int, list[bytes]], tmp_path: Path, place: int, after: bool
) -> None:
    effects, seals = undisturbed
    shutil.copytree(prepared[0], tmp_path / "copy")
    with pytest.raises(Killed):
        play(tmp_path / "copy", prepared[1], Reaper(place * effects // 1000, after=after))
    assert play(tmp_path / "copy", prepared[1], Reaper(None, after=False)) == seals
