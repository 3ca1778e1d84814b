"""Batches of rows in memory, map-style and iterable data sets: same rows, seeded order, dtypes, flat memory."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from fl_platform.errors import ConfigError
from fl_platform.learning.batches import Batch, Batches, Resident, open_batches
from fl_platform.learning.datasets import Labelled

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")
NOWHERE = torch.device("meta")  # a device that is not the CPU: shapes and dtypes, no numbers


def opened(data: Any, **options: Any) -> Batches:
    return open_batches(data, **{"batch_size": 4, "seed": 3, "device": CPU, **options})


def everything(batches: Batches, number: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    read = list(batches.epoch(number))
    return torch.cat([batch.inputs for batch in read]), torch.cat([batch.targets for batch in read])


def labelled(rows: int = 33) -> Labelled:
    x = np.random.default_rng(1).standard_normal((rows, 2, 3)).astype(np.float32)
    return Labelled(x, np.arange(rows) % 10)


class Mapped(Dataset[Any]):
    """Rows of `labelled()` by number; odd rows can be replaced."""

    def __init__(self, rows: int = 33, odd: dict[int, Any] | None = None) -> None:
        self.data, self.odd = labelled(rows), odd or {}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> Any:
        return self.odd.get(row, (self.data.x[row], int(self.data.y[row])))


class Streamed(IterableDataset[Any]):
    """The same rows from first to last; `epochs` are the numbers it was told."""

    def __init__(self, rows: int = 33, odd: dict[int, Any] | None = None) -> None:
        self.rows, self.epochs = Mapped(rows, odd), list[int]()

    def set_epoch(self, number: int) -> None:
        self.epochs.append(number)

    def __iter__(self) -> Iterator[Any]:
        return (self.rows[row] for row in range(len(self.rows)))


def test_rows_in_memory_come_in_the_order_of_the_seed() -> None:
    data = labelled()
    generator = np.random.Generator(np.random.Philox(3))
    batches = opened(data)
    assert (batches.rows, batches.batches_an_epoch) == (33, 8)
    for number in range(2):
        order = generator.permutation(33)
        for _ in range(2):  # twice the same
            x, y = everything(batches, number)
            assert torch.equal(x, torch.tensor(data.x[order]))
            assert torch.equal(y, torch.tensor(data.y[order]))
    assert [batch.rows for batch in batches.epoch(0)] == [4] * 7 + [5]


@pytest.mark.parametrize(
    "data",
    [
        (labelled().x, labelled().y),
        (torch.tensor(labelled().x), torch.tensor(labelled().y)),
        (labelled().x.tolist(), labelled().y.tolist()),
        TensorDataset(torch.tensor(labelled().x), torch.tensor(labelled().y)),
        Mapped(),
        [(x, int(y)) for x, y in zip(labelled().x, labelled().y, strict=True)],
    ],
    ids=["arrays", "tensors", "lists", "TensorDataset", "map style", "list of rows"],
)
def test_any_form_of_the_same_rows_gives_the_same_batches(data: Any) -> None:
    wanted, batches = opened(labelled()), opened(data)
    assert (batches.rows, batches.batches_an_epoch) == (33, 8)
    for number in (0, 1, 0):
        for ours, theirs in zip(wanted.epoch(number), batches.epoch(number), strict=True):
            assert ours.rows == theirs.rows
            for a, b in ((ours.inputs, theirs.inputs), (ours.targets, theirs.targets)):
                assert (a.dtype, a.tolist()) == (b.dtype, b.tolist())


def test_worker_processes_read_the_same_rows() -> None:
    read = everything(opened(Mapped(), workers=2))
    assert all(torch.equal(a, b) for a, b in zip(read, everything(opened(labelled())), strict=True))
    streamed = everything(opened(Streamed(), workers=2))  # by one process: two would each read all of it
    assert torch.equal(streamed[1], torch.tensor(labelled().y))


def test_an_iterable_comes_in_its_own_order_and_is_counted() -> None:
    data = Streamed()
    batches = opened(data)
    assert (batches.rows, batches.batches_an_epoch) == (None, None)
    for number in (0, 1):
        x, y = everything(batches, number)
        assert torch.equal(x, torch.tensor(labelled().x))
        assert torch.equal(y, torch.tensor(labelled().y))
        assert (batches.rows, batches.batches_an_epoch) == (33, 8)
    assert data.epochs == [0, 1]


@pytest.mark.parametrize(
    ("rows", "size", "lengths"),
    [(33, 8, [8, 8, 8, 9]), (32, 8, [8] * 4), (34, 8, [8] * 4 + [2]), (1, 8, [1]), (3, 1, [1, 1, 1]), (5, 2, [2, 3])],
)
def test_a_last_row_alone_goes_with_the_batch_before(rows: int, size: int, lengths: list[int]) -> None:
    for data in (labelled(rows), Mapped(rows), Streamed(rows)):
        batches = opened(data, batch_size=size, shuffle=False)
        read = list(batches.epoch(0))
        assert [batch.rows for batch in read] == [len(batch.targets) for batch in read] == lengths
        assert torch.equal(torch.cat([batch.inputs for batch in read]), torch.tensor(labelled(rows).x))
        assert batches.batches_an_epoch == len(lengths)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_floats_take_the_models_dtype_and_whole_numbers_keep_theirs(dtype: torch.dtype) -> None:
    wide, whole = np.ones((6, 2)), np.arange(6, dtype=np.int32)
    mask, image = np.ones((6, 3), np.bool_), np.zeros((6, 1), np.uint8)
    inputs = {"wide": wide, "parts": (whole, mask), "image": image}
    rows = [({"wide": wide[r], "parts": (whole[r], mask[r]), "image": image[r]}, np.int16(whole[r])) for r in range(6)]
    for data in ((inputs, whole.astype(np.int16)), rows):
        batch = next(opened(data, dtype=dtype).epoch(0))
        assert batch.inputs["wide"].dtype == dtype
        assert [part.dtype for part in batch.inputs["parts"]] == [torch.int32, torch.bool]
        assert batch.inputs["image"].dtype == torch.uint8
        assert batch.targets.dtype == torch.int64
    for data in ((wide, wide), [(row, row) for row in wide]):
        assert next(opened(data, dtype=dtype).epoch(0)).targets.dtype == dtype


def test_rows_that_may_not_be_written_to_or_lie_in_a_file_are_read(tmp_path: Path) -> None:
    data = labelled()
    np.save(tmp_path / "x.npy", data.x)
    data.x.flags.writeable = False
    for x in (data.x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        assert torch.equal(everything(opened((x, data.y)))[0], everything(opened(labelled()))[0])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ((np.zeros((2, 3), np.float32), -1), "label -1 in row 17 of the targets is negative"),
        ((np.full((2, 3), np.nan, np.float32), 1), r"inputs hold NaN in row 17 at \[0\]\[0\]"),
        ({"image": 1}, "row 17 of .*: a dict, but a row must be a pair"),
        (
            (np.zeros((2, 4), np.float32), 1),
            r"row 17 of .*\(input \[2, 4\], target int beside input \[2, 3\], target int\); .*pad",
        ),
    ],
)
def test_a_bad_row_is_named(odd: Any, message: str) -> None:
    for workers in (0, 1):
        for data in (Mapped(odd={17: odd}), Streamed(odd={17: odd})):
            with pytest.raises(ConfigError, match=message) as caught:
                list(opened(data, workers=workers).epoch(0))
            assert "\n" not in str(caught.value)
    if isinstance(odd, tuple) and odd[0].shape == (2, 3):
        whole = labelled()
        whole.x[17], whole.y[17] = odd
        with pytest.raises(ConfigError, match=message):
            opened(whole)


def test_a_label_without_an_output_is_found_in_a_later_batch() -> None:
    batches = opened(Streamed(odd={30: (np.zeros((2, 3), np.float32), 12)}))
    reading = batches.epoch(0)
    next(reading)
    batches.require_classes(10)
    with pytest.raises(ConfigError, match="label 12 in row 30 has no output"):
        list(reading)


class _Failing(Mapped):
    def __getitem__(self, row: int) -> Any:
        if row in self.odd:
            raise self.odd[row]
        return super().__getitem__(row)


class _FailingStream(Streamed):
    def __init__(self, odd: dict[int, Any]) -> None:
        super().__init__()
        self.rows = _Failing(odd=odd)


@pytest.mark.parametrize("kind", [_Failing, _FailingStream])
def test_what_a_data_set_raises_comes_as_it_is_or_as_a_line_from_a_worker(kind: Any) -> None:
    with pytest.raises(KeyError, match="color"):
        list(opened(kind(odd={17: KeyError("color")})).epoch(0))
    for error, message in ((KeyError("co\nlor"), r"KeyError: .*, at test_batches.py:\d+$"), (ConfigError("a"), "a$")):
        with pytest.raises(ConfigError, match=f"^row 17 of {kind.__name__}: .*{message}") as caught:
            list(opened(kind(odd={17: error}), workers=1).epoch(0))
        assert "\n" not in str(caught.value)


def test_text_labels_are_refused_in_every_form() -> None:
    names = ["cat"] * 6
    for data in ((np.zeros((6, 1)), names), [(0.0, name) for name in names]):
        with pytest.raises(ConfigError, match="the targets are text: encode"):
            list(opened(data).epoch(0))


def test_labels_without_an_output_are_found_without_asking_the_device() -> None:
    for data in (labelled(), Mapped(), Streamed()):
        batches = opened(data, device=NOWHERE)
        list(batches.epoch(0))
        batches.require_classes(10)
        with pytest.raises(ConfigError, match="label 9 in row 9 has no output: a model of 9 outputs"):
            batches.require_classes(9)


class _Endless(Dataset[Any]):
    def __getitem__(self, row: int) -> Any:
        return row, row


class _ReadOnce(IterableDataset[Any]):
    def __init__(self) -> None:
        self.rows = iter([(1.0, 0), (2.0, 1)])

    def __iter__(self) -> Iterator[Any]:
        return self.rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros(3), np.zeros(3), np.zeros(3)), "a tuple of 3 values is no data set"),
        (DataLoader(Mapped()), "give the data set that it reads"),
        ((row for row in [(1, 2)]), "a generator is no data set that can be read twice"),
        ({"x": 1}, "a dict is no data set"),
        (np.zeros((3, 2)), "a ndarray is no data set"),
        (_Endless(), "_Endless has no __len__"),
        (7, "int is no data set"),
        (None, "NoneType is no data set"),
        ((np.zeros((3, 1)), np.zeros(2)), "not 3 inputs, 2 targets"),
    ],
)
def test_what_is_no_data_set_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(data)


def test_batches_of_no_rows_and_sets_that_are_read_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="batches of 0 rows"):
        opened(labelled(), batch_size=0)
    batches = opened(_ReadOnce())
    list(batches.epoch(0))
    with pytest.raises(ConfigError, match="_ReadOnce gave no rows in epoch 1: its __iter__ must begin anew"):
        list(batches.epoch(1))


def test_reading_leaves_the_trainings_randomness_alone() -> None:
    state = torch.get_rng_state()
    for data in (labelled(), Mapped(), Streamed()):
        everything(opened(data))
    assert torch.equal(state, torch.get_rng_state())


class _Noisy(Mapped):
    def __getitem__(self, row: int) -> Any:
        return torch.rand(()), np.float32(np.random.random())


def test_workers_noise_is_the_seeds() -> None:
    first, again, other = (torch.cat(everything(opened(_Noisy(), workers=1, seed=seed))) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.cat(everything(opened(_Noisy(), workers=1), 1)))


def tensors(batches: Batches) -> Batch:
    """Return the whole rows that an in-memory set keeps on a device."""
    return batches._table  # type: ignore[attr-defined, no-any-return]


def test_rows_stay_on_the_device_while_their_arrays_live() -> None:
    data, resident = labelled(), Resident()
    first = tensors(opened(data, device=NOWHERE, resident=resident))
    same = tensors(opened(Labelled(data.x, data.y), device=NOWHERE, resident=resident, batch_size=7, seed=9))
    assert first.inputs is same.inputs
    assert first.targets is same.targets
    assert first.inputs.device == NOWHERE
    other = tensors(opened(data, device=NOWHERE, resident=resident, dtype=torch.float64))
    assert other.inputs.dtype == torch.float64
    assert tensors(opened(labelled(), device=NOWHERE, resident=resident)).inputs is not first.inputs
    known = len(resident)
    del data
    gc.collect()
    assert len(resident) < known
    del first, same, other
    gc.collect()
    assert len(resident) == 0


def test_rows_in_memory_are_checked_once() -> None:
    data, resident = labelled(), Resident()
    opened(data, resident=resident)
    data.y[5] = -3  # changed in place: not looked at again, as documented
    opened(data, resident=resident)
    with pytest.raises(ConfigError, match="label -3 in row 5"):
        opened(data)


def test_a_residents_cpu_rows_are_the_callers_own() -> None:
    """Nothing is kept of rows that are where they are needed: they die with their owner."""
    data, resident = labelled(), Resident()
    everything(opened(data, resident=resident))
    assert len(resident) == 1
    del data
    gc.collect()
    assert len(resident) == 0


def test_rows_from_a_device_are_those_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's way through the code, with the CPU as the device."""
    data = ({"a": labelled().x, "ids": np.arange(33, dtype=np.uint16)}, labelled().y)
    wanted = list(opened(data).epoch(1))
    monkeypatch.setattr("fl_platform.learning.batches._Form.holds", lambda *_: True)
    monkeypatch.setattr("fl_platform.learning.batches._SENT_BYTES", 700)  # several blocks
    for most in (1 << 24, 5):
        monkeypatch.setattr("fl_platform.learning.orders.MOST_IN_MEMORY", most)
        batches = opened(data)
        assert isinstance(tensors(batches).inputs["a"], torch.Tensor)
        read = list(batches.epoch(1))
        if most > 33:
            for ours, theirs in zip(wanted, read, strict=True):
                assert torch.equal(ours.inputs["a"], theirs.inputs["a"])
                assert torch.equal(ours.inputs["ids"], theirs.inputs["ids"])
                assert torch.equal(ours.targets, theirs.targets)
        ids = torch.cat([batch.inputs["ids"] for batch in read])
        assert torch.equal(torch.cat([batch.targets for batch in read]), ids % 10)
        assert torch.equal(ids.sort().values, torch.arange(33, dtype=torch.int32))


MEMORY = """
import resource, sys
import numpy as np, torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset
from fl_platform.learning import LearningTask, TrainPlan, initial_state, train_locally

ROW, ROWS = 1 << 16, 1 << 11  # float32 numbers, rows: 512 MiB


class Mapped(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        return np.full(ROW, row, np.float32), row % 2


class Streamed(IterableDataset):
    def __init__(self, rows):
        self.rows = Mapped(rows)

    def __iter__(self):
        return (self.rows[row] for row in range(len(self.rows)))


class Task(LearningTask):
    def __init__(self, rows):
        self.data, self.total = {"map": Mapped, "iterable": Streamed}[sys.argv[1]](rows), 0.0

    def model(self):
        return nn.Sequential(nn.AvgPool1d(ROW), nn.Linear(1, 2))

    def train_data(self):
        return self.data

    validation_data = train_data

    def training_step(self, module, batch):
        self.total += float(batch.inputs[:, -1].sum())
        return super().training_step(module, batch)


def train(rows):
    task = Task(rows)
    update = train_locally(task, initial_state(task.model, seed=1), plan=TrainPlan(1, 8, 1e-6), seed=1)
    assert (update.samples, task.total) == (rows, rows * (rows - 1) / 2), (update.samples, task.total)


def allocated():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) << 10


train(16)
resource.setrlimit(resource.RLIMIT_DATA, (allocated() + (32 << 20),) * 2)
train(ROWS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("style", ["map", "iterable"])
def test_a_data_set_of_many_times_the_memory_allowed_is_learned_from(style: str) -> None:
    """512 MiB, with 32 MiB more than a training on two batches of 2 MiB took."""
    command = [sys.executable, "-c", MEMORY, style]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
