"""Rounds in Flower's simulation engine, real roles and contracts: the bytes of rounds without Flower. Extra `sim`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fl_platform.errors import RejectedInput
from fl_platform.flower.simulation import simulation_transport
from fl_platform.flower.trainer_server import Answering
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Transport
from tests.support.chain import stage
from tests.support.small_task import SmallTask, open_small_task

pytestmark = pytest.mark.node

TRAINERS = 3
ROUNDS = 2


class Moody:
    """A trainer that refuses every order."""

    def __init__(self) -> None:
        self.asked = 0

    def handle(self, message: bytes) -> bytes:
        """Refuse."""
        self.asked += 1
        raise RejectedInput("not today")


def run(task: SmallTask, transport: Transport) -> list[SealedRound]:
    """Work until the task is done."""
    sealed = task.aggregator.run(transport)
    assert len(sealed) == ROUNDS
    return sealed


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_simulated_rounds_equal_local_ones(tmp_path: Path, strictness: str) -> None:
    def opened(name: str) -> SmallTask:
        return open_small_task(own, tmp_path / name, trainers=TRAINERS, rounds=ROUNDS, strictness=strictness)

    with stage() as own:
        task = opened("local")
        local = run(task, LocalTransport(task.trainers))
    with stage() as own:
        task = opened("flower")
        moody = Moody()
        everybody: list[Answering] = [*task.trainers, moody]
        with simulation_transport(everybody, timeout_s=120) as transport:
            simulated = run(task, transport)
    assert [r.bundle.after.model for r in simulated] == [r.bundle.after.model for r in local]
    assert [r.bundle.verdicts for r in simulated] == [r.bundle.verdicts for r in local]
    assert [v.code for r in simulated for v in r.bundle.verdicts] == ["admitted"] * TRAINERS * ROUNDS
    assert moody.asked == ROUNDS * (2 if strictness == "strict" else 1)


def test_nothing_of_the_engine_stays_behind(tmp_path: Path) -> None:
    """Flower and Ray start a dozen processes; all belong to sessions that end with the block."""

    def children() -> set[str]:
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                ours = (process / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"STARTED_BY_TEST={tmp_path}" in ours and int(process.name) != os.getpid():
                found.add(command)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STARTED_BY_TEST", str(tmp_path))
        with simulation_transport([Moody()], timeout_s=60):
            assert any("flower-superlink" in command for command in children())
    assert children() == set()
