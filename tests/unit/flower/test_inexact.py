"""Flower's own strategies as the sum of an inexact task, against the same arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedMedian, FedTrimmedAvg, Krum, Strategy
from flwr.supercore.task_identity import TaskIdentity

from fl_platform.errors import ConfigError, NotEnoughTrainers
from fl_platform.flower.inexact import FloatUpdate, combine_floats
from fl_platform.flower.order_queue import OrderQueue
from fl_platform.flower.strategy import ChainStrategy

SHAPES = {"a.weight": (3, 4), "a.bias": (3,), "b.weight": (2, 3)}


def tensors(seed: int, scale: float = 1.0) -> FloatUpdate:
    """Random tensors of a small model."""
    random = np.random.default_rng(seed)
    return {name: (scale * random.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


PARENT = tensors(0)
UPDATES = [tensors(seed, 0.01) for seed in range(1, 6)]
WEIGHTS = [3, 1, 4, 1, 5]


def combine(inner: Strategy, updates: list[FloatUpdate] | None = None, weights: list[int] | None = None) -> FloatUpdate:
    """Combine the updates of this file."""
    return combine_floats(inner, 1, parent=PARENT, updates=updates or UPDATES, weights=weights or WEIGHTS)


def test_fedavg_is_the_weighted_mean_by_our_weights() -> None:
    model = combine(FedAvg())
    assert list(model) == list(PARENT)
    for name, tensor in model.items():
        expected = PARENT[name] + np.average([u[name] for u in UPDATES], axis=0, weights=WEIGHTS)
        np.testing.assert_allclose(tensor, expected, atol=1e-6)
        assert tensor.dtype == np.float32


def test_fedmedian_is_the_median() -> None:
    for name, tensor in combine(FedMedian()).items():
        np.testing.assert_allclose(tensor, np.median([PARENT[name] + u[name] for u in UPDATES], axis=0), atol=1e-6)


def test_krum_picks_one_and_never_the_outlier() -> None:
    hostile = [*UPDATES[:4], tensors(9, 100.0)]
    model = combine(Krum(num_malicious_nodes=1), hostile)
    assert any(np.allclose(model["a.bias"], PARENT["a.bias"] + u["a.bias"], atol=1e-6) for u in hostile[:4])


def test_adagrad_starts_from_the_parent() -> None:
    """A server optimizer must have seen the parent, or it cannot take the difference."""
    eta, tau = 0.1, 1e-3
    model = combine(FedAdagrad(eta=eta, eta_l=0.1, tau=tau))
    for name, tensor in model.items():
        step = np.average([u[name] for u in UPDATES], axis=0, weights=WEIGHTS)
        np.testing.assert_allclose(tensor, PARENT[name] + eta * step / (np.abs(step) + tau), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("inner", [FedAvgM(), FedAdam(), FedTrimmedAvg(beta=0.2)])
def test_other_strategies_make_a_model_of_the_same_form(inner: Strategy) -> None:
    model = combine(inner)
    assert {name: tensor.shape for name, tensor in model.items()} == SHAPES


def test_chain_strategy_combines_with_its_inner_one() -> None:
    strategy = ChainStrategy(FedMedian(), courier=OrderQueue(timeout_s=1, members=None))
    direct = combine(FedMedian())
    wrapped = strategy.combine(1, PARENT, UPDATES, WEIGHTS)
    assert all(np.array_equal(direct[name], wrapped[name]) for name in PARENT)


@pytest.mark.parametrize(("updates", "weights"), [([], []), (UPDATES, [1]), (UPDATES, [1, 2, 3, 4, 0])])
def test_updates_and_weights_must_fit(updates: list[FloatUpdate], weights: list[int]) -> None:
    with pytest.raises(NotEnoughTrainers, match="cannot be combined"):
        combine_floats(FedAvg(), 1, parent=PARENT, updates=updates, weights=weights)


def test_works_outside_flowers_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The aggregator's process is nobody for Flower, which then refuses to build ordinary messages."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, None)
    with pytest.raises(RuntimeError):
        Message(RecordDict(), 1, "train")
    assert list(combine(FedAdam())) == list(PARENT)


def test_few_trainers_do_not_wait_for_more() -> None:
    """Flower's sampler waits for ever for `min_available_nodes`; here everybody who will answer has answered."""
    assert list(combine(FedAvg(min_available_nodes=50, min_train_nodes=50), UPDATES[:1], [1])) == list(PARENT)


def test_the_wrapped_strategy_is_left_as_it_was() -> None:
    inner = FedAvg(fraction_train=0.5)
    combine(inner)
    assert inner.fraction_train == 0.5


def test_a_strategy_of_another_family_is_refused() -> None:
    class Own(ChainStrategy):
        pass

    with pytest.raises(ConfigError, match="Own has no fraction_train"):
        combine(Own(courier=OrderQueue(timeout_s=1, members=None)))


class Broken(FedAvg):
    """Returns what the test says instead of a model."""

    def __init__(self, arrays: ArrayRecord | None) -> None:
        super().__init__()
        self.arrays = arrays

    def aggregate_train(self, server_round: int, replies: object) -> tuple[ArrayRecord | None, None]:
        """Return the prepared arrays."""
        return self.arrays, None


def record(tensors_of: FloatUpdate) -> ArrayRecord:
    """Tensors as Flower holds them."""
    return ArrayRecord({name: Array(tensor) for name, tensor in tensors_of.items()})


def test_no_model_is_named() -> None:
    with pytest.raises(NotEnoughTrainers, match="Broken made no model of 5 updates"):
        combine(Broken(None))


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"a.weight": np.zeros((4, 3), np.float32)}, "changed the model's tensors"),
        ({"a.bias": np.full(3, np.nan, np.float32)}, "NaN or infinity"),
        ({"more": np.zeros(1, np.float32)}, "changed the model's tensors"),
    ],
)
def test_a_changed_model_is_refused(changed: FloatUpdate, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        combine(Broken(record({**PARENT, **changed})))
