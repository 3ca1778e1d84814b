"""A sealed model as a file for others: the sealed bytes alone, or a whole module with one's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_numpy
from safetensors.torch import load
from torch import nn

from fl_platform.audit.model_card import model_card
from fl_platform.audit.releasing import release
from fl_platform.chain.types import RoundState
from fl_platform.cli.demo.run import flip_byte
from fl_platform.errors import CidMismatch, ConfigError, RejectedInput
from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.models import digits_cnn, digits_mlp
from fl_platform.learning.task import DataTask
from fl_platform.protocol.bundle import sha256
from fl_platform.round.transport import LocalTransport
from fl_platform.store.disk import DiskStore
from fl_platform.updates import encode_model, floats_of
from tests.support.chain import Stage, stage
from tests.support.small_task import SmallTask, open_small_task
from tests.unit.audit.conftest import Settled


def test_the_file_has_the_sealed_integers_as_floats_and_loads_into_the_module(settled: Settled) -> None:
    reader, now = settled.reader(), settled.workspace.chain.now()
    found = release(reader, now=now)
    bundle = reader.bundle(1)
    assert (found.round, found.model, found.own) == (1, bundle.after.model, None)
    row = reader.require_model(bundle.after.model, found.root)
    assert found.sha256 == sha256(found.data)
    assert settled.workspace.store.get(found.cid, max_bytes=10**6) == encode_model(row, reader.spec.model)
    floats = load_numpy(found.data)
    assert all(np.array_equal(floats[name], array) for name, array in floats_of(row, reader.spec.model).items())
    module = digits_mlp()
    module.load_state_dict(load(found.data))
    np.testing.assert_array_equal(module[1].weight.detach().numpy(), reader.model(found.model)["1.weight"])
    assert release(reader, 0, now=now).model == reader.bundle(0).after.model != found.model


def test_who_took_part_is_counted_over_the_rounds_so_far(settled: Settled) -> None:
    reader, now = settled.reader(), settled.workspace.chain.now()
    both, first = release(reader, now=now), release(reader, 0, now=now)
    all_of = (verdict for number in (0, 1) for verdict in reader.bundle(number).verdicts)
    verdicts = [verdict for verdict in all_of if verdict.code != "reference"]
    assert {part.address for part in both.parts} == {verdict.trainer for verdict in verdicts}
    assert sum(part.in_sum for part in both.parts) == sum(verdict.weight > 0 for verdict in verdicts)
    assert sum(both.refused.values()) == sum(verdict.weight == 0 for verdict in verdicts)
    assert sum(part.in_sum for part in first.parts) == sum(v.weight > 0 for v in reader.bundle(0).verdicts)
    assert both.aggregators == {reader.bundle(1).aggregator: 2}
    assert both.unread == ()


def test_a_model_is_challengeable_until_its_window_ends(settled: Settled) -> None:
    reader = settled.reader()
    final = reader.history().final_at(1)
    assert final is not None
    assert release(reader, now=final - 1).state is RoundState.SEALED
    assert (release(reader, now=final).state, release(reader, now=final).final_at) == (RoundState.FINAL, final)


def test_a_round_that_is_not_sealed_has_no_model(settled: Settled, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="round 2 is not sealed; the last sealed round is 1"):
        release(settled.reader(), 2, now=0)
    with stage() as own, pytest.raises(ConfigError, match="no round is sealed yet"):
        release(open_small_task(own, tmp_path, trainers=1).reader, now=0)


def test_what_the_store_changed_is_not_released(settled: Settled, tmp_path: Path) -> None:
    reader = settled.reader()
    store = DiskStore(tmp_path)
    for digest in (reader.bundle(0).after.model, reader.bundle(1).after.model):
        store.put(reader.object(digest))
    damaged = reader.reading(store)
    assert release(damaged, now=0).model == reader.bundle(1).after.model
    flip_byte(store.path_of(store.locate(reader.bundle(1).after.model)))
    with pytest.raises(CidMismatch):
        release(damaged, now=0)
    assert release(damaged, 0, now=0).model == reader.bundle(0).after.model


def test_rounds_whose_bundle_is_gone_are_said(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = settled.reader()
    seal = reader.history().rounds[0].seal
    assert seal is not None
    store = settled.workspace.store
    assert isinstance(store, DiskStore)
    path = store.path_of(store.locate(seal.bundle))
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        found = release(settled.reader(), now=0)
    finally:
        aside.rename(path)
    assert [text.split(":")[0] for text in found.unread] == ["round 0"]
    assert sum(part.in_sum for part in found.parts) == sum(v.weight > 0 for v in reader.bundle(1).verdicts)


class Odd(nn.Module):
    """A frozen first layer, running statistics, two layers with one weight, and a constant buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(64, 16).requires_grad_(requires_grad=False)
        self.norm = nn.BatchNorm1d(16)
        self.inner, self.outer = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
        self.outer.weight = self.inner.weight
        self.head = nn.Linear(16, 10)
        self.register_buffer("mask", torch.full((16,), float("-inf")))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.base(rows.flatten(1)))
        return self.head(torch.maximum(self.outer(torch.relu(self.inner(hidden))), self.mask))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, SmallTask, DataTask]]:
    split = load_digits_split()
    rows = DataTask(Odd, split.train.take(slice(0, 300)), split.test)
    with stage() as own:
        task = open_small_task(own, tmp_path_factory.mktemp("odd"), trainers=1, learning=[rows])
        task.aggregator.run(LocalTransport(task.trainers))
        yield own, task, rows


def test_with_rows_of_ones_own_the_file_is_a_whole_module(odd: tuple[Stage, SmallTask, DataTask]) -> None:
    _, task, rows = odd
    found = release(task.reader, now=0, own=rows)
    assert found.own is not None
    assert (found.own.statistics, found.own.base, found.own.measured.metric) == (True, True, "accuracy")
    state, sealed = load(found.data), load(release(task.reader, now=0).data)
    module = Odd()
    module.load_state_dict(state)  # strict: every parameter under each of its names, and every buffer
    assert sealed.keys() < state.keys()
    assert all(torch.equal(state[name], value) for name, value in sealed.items())
    frozen = load(task.reader.object(task.reader.spec.base_model))
    assert torch.equal(state["base.weight"], frozen["base.weight"])
    hidden = module.base(torch.tensor(rows.train.x).flatten(1))
    assert torch.allclose(state["norm.running_mean"], hidden.mean(0), atol=1e-5)
    assert torch.allclose(state["norm.running_var"], hidden.var(0), rtol=1e-2)
    with torch.inference_mode():
        answers = module.eval()(torch.tensor(rows.validation.x)).argmax(1).numpy()
    assert found.own.measured.value == pytest.approx(float(np.mean(answers == rows.validation.y)))
    assert found.own.measured.rows == len(rows.validation)
    card = model_card(found, file="model.safetensors", network="embedded")
    assert "Running statistics were estimated" in card
    assert "The frozen base is merged in" in card
    assert f"accuracy {found.own.measured.value:.4g}" in card


def test_without_rows_the_file_holds_no_buffer_and_no_base(odd: tuple[Stage, SmallTask, DataTask]) -> None:
    _, task, _ = odd
    assert set(load(release(task.reader, now=0).data)) == {
        "norm.weight", "norm.bias", "inner.weight", "head.weight", "head.bias",
    }  # fmt: skip


def test_rows_of_another_model_are_refused(odd: tuple[Stage, SmallTask, DataTask]) -> None:
    _, task, rows = odd
    with pytest.raises(RejectedInput, match=r"is model\(\) that of the task"):  # by its base, or by what it learns
        release(task.reader, now=0, own=DataTask(digits_cnn, rows.train, rows.validation))


class Extra(Odd):
    """Keeps something in its state that is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}

    def set_extra_state(self, state: object) -> None:
        """Nothing is kept."""


def test_a_state_that_no_safetensors_file_holds_is_refused(odd: tuple[Stage, SmallTask, DataTask]) -> None:
    _, task, rows = odd
    with pytest.raises(ConfigError, match="'_extra_state', which is no tensor"):
        release(task.reader, now=0, own=DataTask(Extra, rows.train, rows.validation))
