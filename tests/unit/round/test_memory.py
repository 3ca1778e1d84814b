"""What an algorithm remembers counts once its round is signed, and no crash or voided round mixes rounds up."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.machine import CPU
from fl_platform.learning.plan import TrainPlan
from fl_platform.protocol.messages import Submission, decode_message, encode_message
from fl_platform.round import trainer as trainer_module
from fl_platform.round.memory import keep_memory, memory_before
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from tests.support.chain import Stage, stage
from tests.support.small_task import SmallTask, open_small_task

SCAFFOLD = TrainPlan(epochs=1, batch_size=32, learning_rate=0.1, algorithm="scaffold")


def memory(value: float) -> dict[str, np.ndarray]:
    return {"weight": np.full((2, 3), value, np.float32), "scale": np.array(value, np.float32)}


@dataclasses.dataclass(frozen=True)
class Played:
    """Three of four rounds of SCAFFOLD on chain."""

    stage: Stage
    task: SmallTask
    home: Path  # of trainer 0

    @property
    def folder(self) -> Path:
        """Where trainer 0 keeps what it signed."""
        return self.home / f"task-{self.task.reader.task}"

    def again(self) -> Trainer:
        """Start trainer 0 again."""
        first = self.task.trainers[0]
        return Trainer(
            reader=first.reader, contracts=self.stage.as_(first._signer), signer=first._signer,
            learning=first._learning, workdir=self.home, machine=CPU,
        )  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    place = tmp_path_factory.mktemp("scaffold")
    with stage(with_disputes=True) as embedded:
        task = open_small_task(embedded, place, trainers=3, rounds=4, plan=SCAFFOLD)
        task.aggregator.run(LocalTransport(task.trainers), rounds=3)
        yield Played(embedded, task, place / "trainer-0")


@pytest.fixture
def folder(played: Played, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(played.folder, tmp_path / "folder"))


def test_only_the_last_two_rounds_are_kept_and_the_last_signed_one_counts(played: Played, folder: Path) -> None:
    assert {path.name.split("-")[1] for path in folder.glob("memory-*")} == {"1", "2"}
    assert set(memory_before(folder, 3)) == {*(t.name for t in played.task.reader.spec.model.tensors), ".steps"}
    assert memory_before(folder, 0) == {}


def test_a_memory_of_an_unsigned_round_does_not_count(folder: Path) -> None:
    before = memory_before(folder, 4)
    keep_memory(folder, 3, bytes(32), memory(7.0))  # killed before it signed
    after = memory_before(folder, 4)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_voided_round_brings_its_own_memory_back(folder: Path) -> None:
    """The receipt on file says from which parent the memory is."""
    receipt = folder / "round-2.json"
    signed = decode_message(receipt.read_bytes(), expected=Submission)
    assert isinstance(signed, Submission)
    other = dataclasses.replace(signed, receipt=dataclasses.replace(signed.receipt, parent=b"\x07" * 32))
    receipt.write_bytes(encode_message(other))
    assert memory_before(folder, 3) == {}
    keep_memory(folder, 2, b"\x07" * 32, memory(3.0))
    assert float(memory_before(folder, 3)["scale"]) == 3.0


def test_a_trainer_that_is_killed_before_it_signs_repeats_its_update(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = played.task.aggregator.order()
    with monkeypatch.context() as broken:
        broken.setattr(trainer_module, "write_atomically", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            played.task.trainers[0].commit(order)
    repeated = played.again().commit(order)
    (played.folder / f"round-{order.round}.json").unlink()
    assert played.again().commit(order) == repeated


def test_a_damaged_file_is_named_with_its_remedy(folder: Path) -> None:
    for path in folder.glob("memory-2-*"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ConfigError, match=r"memory-2-.*is damaged.*remove it"):
        memory_before(folder, 3)
