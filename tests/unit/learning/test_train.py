"""Local training: same bytes on one and two threads, settings put back, counts exact."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

from fl_platform.errors import ConfigError, DocumentInvalid, UpdateHeaderMismatch, UpdateNotFinite
from fl_platform.learning.base import encode_base
from fl_platform.learning.datasets import Labelled, load_digits_split
from fl_platform.learning.evaluation import correct_rows, evaluate, measure
from fl_platform.learning.machine import CPU, choose_device, deterministic, seeded
from fl_platform.learning.models import MODELS
from fl_platform.learning.parameters import initial_state, load_state, model_spec, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.learning.train import Bench, Past, train_locally
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.updates.codec import encode_update

ROOT = Path(__file__).resolve().parents[3]
PLAN = TrainPlan(epochs=1, batch_size=16, learning_rate=0.1)


def digits(model: str, rows: int = 200) -> DataTask:
    split = load_digits_split()
    return DataTask(MODELS[model], split.train.take(slice(0, rows)), split.test)


def fingerprint(model: str, seed: int = 3) -> str:
    task = digits(model)
    update = train_locally(task, initial_state(task.model, seed=1), plan=PLAN, seed=seed)
    return hashlib.sha256(b"".join(array.tobytes() for array in update.delta.values())).hexdigest()


@pytest.mark.slow
def test_one_and_two_threads_give_the_same_bytes() -> None:
    here, models = Path(__file__), ("digits-mlp", "digits-cnn")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; from test_train import fingerprint;"
        "print(*[fingerprint(model) for model in sys.argv[3:]])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, str(here.parent), str(ROOT), *models],
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for threads in ("1", "2")
    }
    assert answers == {" ".join(fingerprint(model) for model in models)}


def test_the_threads_torch_was_given_do_not_matter_and_come_back() -> None:
    before = torch.get_num_threads()
    try:
        seen = set()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen.add(fingerprint("digits-cnn"))
            assert torch.get_num_threads() == threads
        assert len(seen) == 1
    finally:
        torch.set_num_threads(before)


def test_settings_come_back_even_after_an_error() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()

    def work() -> None:
        with deterministic(torch.device("cpu")):
            assert torch.get_num_threads() == 1
            assert torch.are_deterministic_algorithms_enabled()
            torch.rand(3)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        work()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(state, torch.get_rng_state())


def test_settings_of_the_caller_are_kept() -> None:
    torch.set_deterministic_debug_mode("warn")
    try:
        with deterministic(torch.device("cpu")):
            assert torch.get_deterministic_debug_mode() == 2
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode("default")


def test_a_training_imports_neither_the_inductor_nor_sklearn() -> None:
    """Two seconds of CPU in every process that trains."""
    code = (
        "import sys; from fl_platform.learning.datasets import load_digits_split as load;"
        "from fl_platform.learning.models import MODELS;"
        "from fl_platform.learning.parameters import initial_state as state;"
        "from fl_platform.learning.task import DataTask;"
        "from fl_platform.learning.plan import TrainPlan;"
        "from fl_platform.learning.train import Bench, Past, train_locally;"
        "split = load(); model = MODELS['digits-mlp']; task = DataTask(model, split.train, split.test);"
        "train_locally(task, state(model, seed=1), plan=TrainPlan(1, 512, 0.1), seed=1);"
        "print({'sklearn', 'scipy', 'torch._inductor', 'torch._dynamo'} & sys.modules.keys())"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == ("set()\n", "")


class _Stream(IterableDataset[Any]):
    def __init__(self, rows: Labelled) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return zip(self.rows.x, self.rows.y, strict=True)


def test_any_form_of_the_same_rows_trains_the_same_model() -> None:
    rows = digits("digits-mlp", 33).train
    order = np.random.Generator(np.random.Philox(3)).permutation(33)
    forms: list[Any] = [
        rows,
        (rows.x.astype(np.float64), rows.y.astype(np.int8)),
        (torch.tensor(rows.x), torch.tensor(rows.y)),
        list(zip(rows.x, rows.y.tolist(), strict=True)),
        _Stream(rows.take(order)),
    ]
    parent, updates = initial_state(MODELS["digits-mlp"], seed=1), []
    for form in forms:
        task = DataTask(MODELS["digits-mlp"], form, form)
        updates.append(train_locally(task, parent, plan=TrainPlan(1, 8, 0.1), seed=3))
    for update in updates:
        assert (update.samples, update.steps) == (33, 4)  # the last row goes with the batch before
        assert all(np.array_equal(update.delta[name], updates[0].delta[name]) for name in parent)


class _Endless(IterableDataset[Any]):
    """Rows that never end, others in each epoch."""

    def __init__(self) -> None:
        self.epochs, self.read = list[int](), 0

    def set_epoch(self, number: int) -> None:
        self.epochs.append(number)

    def __iter__(self) -> Iterator[Any]:
        rows, rng = load_digits_split().train, np.random.default_rng(self.epochs[-1])
        while True:
            self.read += 1
            row = rng.integers(len(rows))
            yield rows.x[row], int(rows.y[row])


def test_no_round_of_a_stream_reads_the_rows_of_the_round_before() -> None:
    plan, stream = TrainPlan(epochs=2, batch_size=16, learning_rate=0.1, max_steps=3), _Endless()
    task = DataTask(MODELS["digits-mlp"], stream, load_digits_split().test)  # type: ignore[arg-type]
    parent = initial_state(task.model, seed=1)
    first, next_one, again = (
        train_locally(task, parent, plan=plan, seed=3, past=Past(number, 3)).delta["1.bias"] for number in (0, 1, 0)
    )
    assert stream.epochs == [0, 2, 0]
    assert 3 * 3 * 16 <= stream.read <= 3 * (3 * 16 + 2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, next_one)


def test_a_stream_without_an_end_in_sight_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fl_platform.learning.train.LONG_STREAM", 2)
    rows = digits("digits-mlp", 64)
    for data, steps in ((rows.train, 0), (_Endless(), 2), (_Endless(), 3)):
        assert not caplog.records
        task = DataTask(MODELS["digits-mlp"], data, rows.validation)  # type: ignore[arg-type]
        plan = TrainPlan(epochs=1, batch_size=16, learning_rate=0.1, max_steps=steps)
        train_locally(task, initial_state(task.model, seed=1), plan=plan, seed=3)
    assert "DataTask.train_data: 2 batches and no end; a round of a stream that never ends needs --max" in caplog.text



def test_the_seed_orders_the_rows() -> None:
    assert fingerprint("digits-mlp", seed=3) != fingerprint("digits-mlp", seed=4)


def test_dropout_is_seeded_too() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))

    task = DataTask(factory, digits("digits-mlp").train, digits("digits-mlp").validation)
    parent = initial_state(factory, seed=1)
    first, again = (train_locally(task, parent, plan=PLAN, seed=9) for _ in range(2))
    assert all(np.array_equal(first.delta[n], again.delta[n]) for n in parent)


def test_one_step_is_the_gradient_times_the_learning_rate() -> None:
    """Slow reference: softmax regression by hand in float64."""
    data = digits("digits-mlp", rows=20).train

    def factory() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    parent = initial_state(factory, seed=2)
    update = train_locally(DataTask(factory, data, data), parent, plan=TrainPlan(1, 20, 0.5), seed=0)
    x = data.x.reshape(20, 64).astype(np.float64)
    logits = x @ parent["1.weight"].T.astype(np.float64) + parent["1.bias"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True) - np.eye(10)[data.y]
    np.testing.assert_allclose(update.delta["1.weight"], -0.5 * error.T @ x / 20, atol=1e-6)
    np.testing.assert_allclose(update.delta["1.bias"], -0.5 * error.mean(axis=0), atol=1e-6)
    assert (update.samples, update.steps) == (20, 1)
    right = -np.log((odds / odds.sum(axis=1, keepdims=True))[np.arange(20), data.y]).mean()
    assert update.mean_loss == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.9, 0.01)])
def test_steps_are_those_of_torchs_own_optimizer(momentum: float, weight_decay: float) -> None:
    """One parameter never gets a gradient: torch leaves it alone, whatever the decay."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(64, 10), nn.Linear(3, 2)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.used(rows.flatten(1))

    task = DataTask(Half, digits("digits-mlp", rows=50).train, digits("digits-mlp").validation)
    parent = initial_state(Half, seed=2)
    update = train_locally(task, parent, plan=TrainPlan(2, 16, 0.3, momentum, weight_decay), seed=5)
    module = Half()
    load_state(module, parent)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.3, momentum=momentum, weight_decay=weight_decay)
    generator = np.random.Generator(np.random.Philox(5))
    with seeded(5, CPU):
        for _ in range(2):
            for rows in np.split(generator.permutation(50), (16, 32, 48)):
                optimizer.zero_grad()
                batch = task.train_data().take(rows)
                nn.functional.cross_entropy(module(torch.tensor(batch.x)), torch.tensor(batch.y)).backward()
                optimizer.step()
    wanted = state_arrays(module)
    assert all(np.array_equal(update.delta[name], wanted[name] - parent[name]) for name in parent)


def test_batch_norm_statistics_are_no_part_of_the_delta() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))

    parent = initial_state(factory, seed=1)
    update = train_locally(
        DataTask(factory, digits("digits-mlp").train, digits("digits-mlp").train), parent, plan=PLAN, seed=1
    )
    assert list(update.delta) == [name for name, _ in factory().named_parameters()]
    assert update.delta["2.weight"].any()


def test_a_diverged_training_is_refused_by_the_codec_by_name() -> None:
    task = digits("digits-mlp")
    parent = initial_state(task.model, seed=1)
    update = train_locally(task, parent, plan=TrainPlan(2, 10, 1e30), seed=1)
    model = model_spec(task.model(), "digits-mlp")
    with pytest.raises(UpdateNotFinite, match=r"1\.weight"):
        encode_update(update.delta, model=model, scale=ScaleSpec((-13,) * 4), bits=8, seed=bytes(32))


def test_evaluation_counts_rows() -> None:
    task = digits("digits-mlp")
    state = initial_state(task.model, seed=1)
    whole = evaluate(task.model(), state, task.validation)
    rows = correct_rows(task.model(), state, task.validation)
    assert whole.total == 360
    assert whole.correct == int(rows.sum())
    assert rows.shape == (360,)
    parts = [evaluate(task.model(), state, task.validation.take(slice(s, s + 120))).correct for s in (0, 120, 240)]
    assert sum(parts) == whole.correct
    empty = evaluate(task.model(), state, task.validation.take(slice(0, 0)))
    assert (empty.correct, empty.accuracy) == (0, 0.0)


def test_ties_go_to_the_lowest_class() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    zero = {"1.weight": np.zeros((3, 4), np.float32), "1.bias": np.zeros(3, np.float32)}
    data = Labelled(np.ones((3, 4), np.float32), np.array([0, 1, 2]))
    assert correct_rows(factory(), zero, data).tolist() == [True, False, False]


def test_impossible_plans_and_foreign_parents_are_refused() -> None:
    task = digits("digits-mlp")
    parent = initial_state(task.model, seed=1)
    with pytest.raises(ConfigError, match="0 rows"):
        train_locally(DataTask(task.factory, task.train.take(slice(0, 0)), task.train), parent, plan=PLAN, seed=1)
    with pytest.raises(ConfigError, match="batches of 0"):
        train_locally(task, parent, plan=TrainPlan(1, 0, 0.1), seed=1)
    with pytest.raises(UpdateHeaderMismatch):
        train_locally(task, initial_state(MODELS["digits-cnn"], seed=1), plan=PLAN, seed=1)


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="CUDA devices"):
        choose_device(f"cuda:{torch.cuda.device_count()}")
    for wish in ("warp", "meta"):
        with pytest.raises(ConfigError, match=wish):
            choose_device(wish)


def over_frozen() -> nn.Module:
    """Return a model whose first layer is nobody's to learn, and at each party another before the base is loaded."""
    first = nn.Linear(64, 16)
    first.requires_grad_(False)
    return nn.Sequential(nn.Flatten(), first, nn.Linear(16, 10))


def test_a_base_that_was_refused_once_is_not_forgotten_the_next_time() -> None:
    task, bench = DataTask(over_frozen, load_digits_split().test, load_digits_split().test), Bench()
    owners = over_frozen()
    base = encode_base(owners)
    assert base is not None
    with pytest.raises(DocumentInvalid, match="frozen base"):
        train_locally(task, state_arrays(owners), plan=PLAN, seed=1, bench=bench, base=base[:-1])
    again = train_locally(task, state_arrays(owners), plan=PLAN, seed=1, bench=bench, base=base)
    fresh = train_locally(task, state_arrays(owners), plan=PLAN, seed=1, base=base)
    assert all(np.array_equal(fresh.delta[name], array) for name, array in again.delta.items())


class Turned(nn.Module):
    """Keeps a table that it makes at its first batch, as rotary embeddings do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 16), nn.Linear(16, 10)
        self.angles: torch.Tensor | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.angles is None:
            self.angles = torch.cos(torch.arange(16.0))
        scores: torch.Tensor = self.last(self.first(images.flatten(1)) * self.angles)
        return scores


def test_a_model_that_keeps_what_it_computed_is_trained_after_it_was_measured() -> None:
    task, bench = DataTask(Turned, load_digits_split().test, load_digits_split().test), Bench()
    parent = initial_state(Turned, seed=1)
    measure(task, parent, bench=bench)
    kept = train_locally(task, parent, plan=PLAN, seed=1, bench=bench)
    fresh = train_locally(task, parent, plan=PLAN, seed=1)
    assert all(np.array_equal(fresh.delta[name], array) for name, array in kept.delta.items())


def of_many_states() -> nn.Module:
    """Return a model with singular vectors, running statistics and dropout."""
    return nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(64, 16)), nn.BatchNorm1d(16), nn.Dropout(0.2),
        nn.utils.parametrizations.weight_norm(nn.Linear(16, 10)),
    )  # fmt: skip


def test_what_a_model_went_through_before_does_not_matter() -> None:
    task, bench = DataTask(of_many_states, load_digits_split().test, load_digits_split().test), Bench()
    parent = initial_state(of_many_states, seed=1)
    fresh = train_locally(task, parent, plan=PLAN, seed=3).delta
    for before in (1, 2):
        other = train_locally(task, parent, plan=PLAN, seed=before, bench=bench).delta
        assert not np.array_equal(fresh["4.bias"], other["4.bias"])
        measure(task, parent, bench=bench)
        kept = train_locally(task, parent, plan=PLAN, seed=3, bench=bench).delta
        assert all(np.array_equal(fresh[name], array) for name, array in kept.items())


@pytest.mark.slow
def test_a_compiled_model_learns_the_same() -> None:
    """Compiled once a Bench; in a process of its own, because the compiler leaves threads and workers behind."""
    code = (
        "import numpy as np, torch; from fl_platform.learning import *; from fl_platform.learning.train import Bench;"
        "rows = load_digits_split().train.take(slice(0, 200)); model = __import__('fl_platform.learning.models',"
        "fromlist=['x']).digits_mlp; task = DataTask(model, rows, rows); parent = initial_state(model, seed=1);"
        "bench, plan = Bench(), TrainPlan(1, 16, 0.1); machine = choose_machine('cpu', compiled=True);"
        "runs = [train_locally(task, parent, plan=plan, seed=1, machine=machine, bench=bench) for _ in range(2)];"
        "plain = train_locally(task, parent, plan=plan, seed=1);"
        "print(all(np.allclose(run.delta[n], plain.delta[n], atol=1e-5) for run in runs for n in parent),"
        "'torch._inductor' in __import__('sys').modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "True True\n", done.stderr
