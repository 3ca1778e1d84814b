"""SIGKILL between any two steps of a role, on the chain that lives on disk: started again, nothing happens twice.

A child process (a fork of this one) opens the chain's folder, plays the script and is killed at its k-th chain call, or
in the middle of a write to the journal. Then the script runs to its end here. Chain, nonces and balances must come out
as if nothing had happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Journal
from fl_platform.ledger.deploy import Deployment
from tests.support.faults import FaultyBackend
from tests.support.script import Outcome, outcome, play, prepare


class Deadly(FaultyBackend):
    """Ends this process like `kill -9` does, before or after its k-th call."""

    def _do(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self._fail_at and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call()
        if self.calls == self._fail_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


@dataclass(frozen=True)
class Ready:
    """A prepared chain on disk, and what the script makes of it."""

    folder: Path
    deployment: Deployment
    expected: Outcome
    calls: int


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """Prepare once, play once undisturbed on a copy."""
    base = tmp_path_factory.mktemp("ready")
    with EmbeddedBackend(base / "chain") as backend:
        deployment = prepare(backend)
    shutil.copytree(base / "chain", base / "undisturbed")
    with EmbeddedBackend(base / "undisturbed") as backend:
        counting = FaultyBackend(backend)
        play(counting, deployment, None, to_the_end=True)
        return Ready(base / "chain", deployment, outcome(backend, deployment), counting.calls)


def in_child(act: Callable[[], None]) -> int:
    """Run `act` in a fork and return the signal that ended it (0: none)."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def finish(folder: Path, ready: Ready, journal: Path) -> Outcome:
    """Start again, to the end."""
    with EmbeddedBackend(folder) as backend:
        play(backend, ready.deployment, journal, to_the_end=True)
        return outcome(backend, ready.deployment)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_a_chain_call(ready: Ready, tmp_path: Path, after: bool) -> None:
    for k in range(2 + after, ready.calls + 1, 9):
        folder, journal = tmp_path / f"{k}", tmp_path / f"{k}.journal"
        shutil.copytree(ready.folder, folder)

        def act(folder: Path = folder, journal: Path = journal, k: int = k) -> None:
            with EmbeddedBackend(folder) as backend:
                deadly = Deadly(backend, fail_at=k, after=after)
                play(deadly, ready.deployment, journal, to_the_end=True)

        assert in_child(act) == signal.SIGKILL
        assert finish(folder, ready, journal) == ready.expected, f"call {k}"


@pytest.mark.parametrize("written", [0, 1, 40, None], ids=["nothing", "a-byte", "a-piece", "whole"])
def test_killed_while_writing_the_journal(
    ready: Ready, tmp_path: Path, written: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal._append
    for entry in range(1, 11, 2):
        folder, journal = tmp_path / f"{entry}", tmp_path / f"{entry}.journal"
        shutil.copytree(ready.folder, folder)

        def act(folder: Path = folder, journal: Path = journal, entry: int = entry) -> None:
            seen = 0

            def dying(self: Journal, line: bytes) -> None:
                nonlocal seen
                seen += 1
                if seen < entry:
                    return real(self, line)
                os.write(self._handle, line if written is None else line[:written])
                os.kill(os.getpid(), signal.SIGKILL)
                return None

            monkeypatch.setattr(Journal, "_append", dying)
            with EmbeddedBackend(folder) as backend:
                play(backend, ready.deployment, journal, to_the_end=True)

        assert in_child(act) == signal.SIGKILL
        assert finish(folder, ready, journal) == ready.expected, f"entry {entry}"
