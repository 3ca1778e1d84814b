"""Running statistics from rows at hand: the averages themselves, everything else as it was, never NaN or negative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.parameters import load_state, state_arrays
from fl_platform.learning.statistics import has_batch_statistics, reestimate_statistics


@dataclass(frozen=True)
class Rows:
    """A batch without targets."""

    inputs: torch.Tensor


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batches(data: torch.Tensor, cuts: Sequence[int]) -> Iterator[Rows]:
    yield from (Rows(part) for part in torch.split(data, list(cuts)))


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (nn.BatchNorm1d(3), True),
        (nn.SyncBatchNorm(3), True),
        (nn.BatchNorm2d(3, affine=False), True),
        (nn.InstanceNorm1d(3, track_running_stats=True), True),
        (nn.BatchNorm1d(3, track_running_stats=False), False),
        (nn.InstanceNorm1d(3), False),
        (nn.LayerNorm(3), False),
        (nn.GroupNorm(1, 3), False),
    ],
)
def test_which_models_keep_statistics(layer: nn.Module, *, found: bool) -> None:
    assert has_batch_statistics(nn.Sequential(nn.Linear(3, 3), nn.Sequential(layer))) is found
    assert has_batch_statistics(nn.DataParallel(layer)) is found


def test_one_batch_gives_its_own_mean_and_unbiased_variance() -> None:
    layer, data = nn.BatchNorm2d(3), 5 + 2 * rows(1, 10, 3, 4, 4)
    reestimate_statistics(layer, [Rows(data)])
    values = data.double().transpose(0, 1).reshape(3, -1)
    torch.testing.assert_close(layer.running_mean.double(), values.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.running_var.double(), values.var(1), rtol=1e-5, atol=1e-5)
    assert int(layer.num_batches_tracked) == 1


def test_batches_weigh_what_they_hold() -> None:
    layer, data = nn.BatchNorm1d(4), rows(2, 60, 4) * torch.arange(1.0, 5.0)
    reestimate_statistics(layer, batches(data, (30, 28, 2)))
    parts = torch.split(data, [30, 28, 2])
    torch.testing.assert_close(layer.running_mean, data.mean(0), rtol=1e-5, atol=1e-6)
    wanted = sum(len(part) * part.var(0) for part in parts) / 60
    torch.testing.assert_close(layer.running_var, wanted, rtol=1e-5, atol=1e-6)
    assert int(layer.num_batches_tracked) == 3


def test_a_layer_that_is_called_twice_averages_over_both_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            self.norm(values + 10)
            out: torch.Tensor = self.norm(values)
            return out

    module, data = Twice(), rows(3, 20, 2)
    reestimate_statistics(module, batches(data, (10, 10)))
    torch.testing.assert_close(module.norm.running_mean, data.mean(0) + 5, rtol=1e-5, atol=1e-5)


def test_what_was_there_before_leaves_no_trace() -> None:
    layer, data = nn.BatchNorm1d(2), rows(4, 8, 2)
    with torch.no_grad():
        layer.running_mean.fill_(float("nan"))
        layer.running_var.fill_(-3)
        layer.num_batches_tracked.fill_(10**6)
    reestimate_statistics(layer, [Rows(data)])
    torch.testing.assert_close(layer.running_var, data.var(0))
    assert int(layer.num_batches_tracked) == 1


@pytest.mark.parametrize("momentum", [0.1, None])
def test_modes_momentum_hooks_and_parameters_are_put_back(momentum: float | None) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=momentum), nn.Dropout(0.5), nn.Linear(4, 2))
    module.train()
    module[0].eval()
    modes, before = [part.training for part in module.modules()], state_arrays(module)
    reestimate_statistics(module, [Rows(rows(5, 6, 4))])
    assert [part.training for part in module.modules()] == modes
    assert module[1].momentum == momentum
    assert not module[1]._forward_pre_hooks
    assert all(np.array_equal(array, before[name]) for name, array in state_arrays(module).items())
    with pytest.raises(RuntimeError, match="shapes"):
        reestimate_statistics(module, [Rows(rows(5, 6, 7))])
    assert ([part.training for part in module.modules()], module[1].momentum) == (modes, momentum)
    assert not module[1]._forward_pre_hooks


def test_dropout_is_off() -> None:
    module = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(3))
    module.train()
    data = rows(6, 50, 3)
    reestimate_statistics(module, [Rows(data)])
    torch.testing.assert_close(module[1].running_mean, data.mean(0))


def test_nothing_that_is_not_finite_or_negative_stays() -> None:
    layer = nn.BatchNorm1d(4)
    data = rows(7, 6, 4)
    data[0, 1], data[2, 2], data[:, 3] = float("nan"), float("inf"), 7.0
    reestimate_statistics(layer, [Rows(data)])
    assert bool(torch.isfinite(layer.running_mean).all())
    assert bool((layer.running_var >= 0).all())
    assert layer.running_var.tolist()[1:] == [1.0, 1.0, 0.0]
    torch.testing.assert_close(layer.running_var[0], data[:, 0].var())


def test_a_layer_that_stays_in_evaluation_mode_is_a_constant() -> None:
    class Pretrained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.old, self.new = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
            self.old.running_mean.fill_(3)

        def train(self, mode: bool = True) -> Pretrained:
            super().train(mode)
            self.old.eval()
            return self

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.new(self.old(values))
            return out

    module, data = Pretrained(), rows(9, 30, 2)
    reestimate_statistics(module, [Rows(data)])
    assert module.old.running_mean.tolist() == [3, 3]
    torch.testing.assert_close(module.new.running_mean, ((data - 3) / (1 + 1e-5) ** 0.5).mean(0))
    reestimate_statistics(module.old.eval(), [Rows(data)])
    assert module.old.running_mean.tolist() != [3, 3]


def test_spectral_norms_follow_weights_that_were_replaced() -> None:
    torch.manual_seed(0)
    module = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 30))
    assert has_batch_statistics(module)
    weight = rows(10, 30, 20)
    load_state(module, {**state_arrays(module), "parametrizations.weight.original": weight.numpy()})
    module.eval()
    assert abs(float(torch.linalg.matrix_norm(module.weight.detach(), 2)) - 1) > 0.02
    reestimate_statistics(module, [])
    assert abs(float(torch.linalg.matrix_norm(module.weight.detach(), 2)) - 1) < 0.005
    assert not module.training


def test_rows_there_must_be() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module[1].running_mean.fill_(3)
    with pytest.raises(ConfigError, match="not one row"):
        reestimate_statistics(module, [])
    assert module[1].running_mean.tolist() == [3, 3]
    with pytest.raises(ConfigError, match="at least 2 rows"):
        reestimate_statistics(module, [Rows(torch.zeros(1, 2))])


def test_a_model_without_statistics_is_not_even_run() -> None:
    def unread() -> Iterator[Rows]:
        raise AssertionError("nothing asks for rows")
        yield

    reestimate_statistics(nn.Linear(2, 2), unread())


def test_outputs_are_those_of_the_definition() -> None:
    """Slow reference: the layer after it, evaluated, normalises these rows to mean 0, variance (n - 1) / n."""
    module = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5, eps=1e-30)).double()
    data = rows(8, 40, 3).double()
    reestimate_statistics(module, [Rows(data)])
    module.eval()
    out = module(data)
    torch.testing.assert_close(out.mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(out.var(0), torch.ones(5, dtype=torch.float64), rtol=1e-12, atol=0)
