"""Whole honest rounds, from local training to the judged model, of every kind of model that people bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import UpdateHeaderMismatch
from fl_platform.learning.datasets import Labelled, Split, load_digits_split
from fl_platform.learning.evaluation import correct_rows, evaluate, measure
from fl_platform.learning.parameters import State, initial_module, load_state, state_arrays
from fl_platform.learning.partitions import shuffled
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask, LearningTask
from fl_platform.learning.train import train_locally
from fl_platform.updates import dequantise, encode_update
from fl_platform.updates.codec import decode_update
from scripts.bench.zoo import Transformer, inputs_of, lora
from tests.support.model_rounds import ModelRounds, play_rounds

Factory = Callable[[], nn.Module]
PLAN = TrainPlan(epochs=2, batch_size=16, learning_rate=0.05, momentum=0.9)
DIGITS = load_digits_split()


def parties(*factories: Factory, rows: int = 300, split: Split = DIGITS) -> list[LearningTask]:
    """Return one task a factory, each with rows of its own; all validate on the test rows."""
    order = shuffled(len(split.train), seed=1)
    hands = [split.train.take(order[i * rows : (i + 1) * rows]) for i in range(len(factories))]
    return [DataTask(factory, hand, split.test) for factory, hand in zip(factories, hands, strict=True)]


def float_rounds(tasks: Sequence[LearningTask], played: ModelRounds, *, plan: TrainPlan) -> State:
    """Return what plain float32 FedAvg makes of as many rounds with the same seeds."""
    state = played.models[0]
    for number in range(len(played.judged)):
        deltas = [
            train_locally(task, state, plan=plan, seed=1000 + 50 * number + who, base=played.base).delta
            for who, task in enumerate(tasks, start=1)
        ]
        state = {name: state[name] + np.mean([delta[name] for delta in deltas], axis=0) for name in state}
    return state


def accuracy(task: LearningTask, state: State, base: bytes | None = None) -> float:
    return measure(task, state, base=base).value


def batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)
    )


def test_batch_norm_at_int8_is_as_good_as_in_float32() -> None:
    tasks = parties(batch_norm, batch_norm, batch_norm, rows=479)
    plan = TrainPlan(epochs=1, batch_size=16, learning_rate=0.1)
    played = play_rounds(tasks, plan=plan, rounds=3)
    reached = accuracy(tasks[0], played.model)
    assert reached >= 0.92
    assert abs(reached - accuracy(tasks[0], float_rounds(tasks, played, plan=plan))) <= 0.015
    assert not any("running" in tensor.name for tensor in played.spec.model.tensors)


def test_constant_features_never_give_nan() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 2))

    plan = TrainPlan(epochs=1, batch_size=16, learning_rate=0.1)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((320, 8)).astype(np.float32)
        x[:, 4:] = 0
        data = Labelled(x, (x[:, 0] > 0).astype(np.int64))
        tasks = [DataTask(factory, data.take(slice(i, None, 2)), data) for i in range(2)]
        played = play_rounds(tasks, plan=plan, rounds=1, seed=seed)
        found = measure(tasks[0], played.model)
        assert np.isfinite(found.loss)
        assert found.value > 0.6


class Odd(nn.Module):
    """A scalar, empty parameters and a causal mask of -inf, all in the way to the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(1.0))
        self.none, self.rows = nn.Parameter(torch.empty(0)), nn.Parameter(torch.empty(0, 4))
        self.query, self.out = nn.Linear(8, 8), nn.Linear(64, 10)
        self.register_buffer("mask", torch.triu(torch.full((8, 8), float("-inf")), 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = images.flatten(0, 1)
        mixed = torch.softmax(self.query(tokens) @ tokens.transpose(1, 2) * self.t + self.mask, dim=-1) @ tokens
        logits: torch.Tensor = self.out((tokens + mixed).flatten(1)) * self.t
        return logits + self.none.sum() + self.rows.sum()


def test_scalars_empty_parameters_and_masks_of_infinity() -> None:
    tasks = parties(Odd, Odd)
    played = play_rounds(tasks, plan=PLAN, rounds=2)
    assert played.spec.model.tensors[0].name == "t"
    assert played.model["t"].shape == ()
    assert played.model["t"] != played.models[0]["t"]
    assert accuracy(tasks[0], played.model) > 0.8
    assert evaluate(Odd(), played.model, DIGITS.test).accuracy == accuracy(tasks[0], played.model)


def as_levels(split: Split) -> Split:
    return Split(*(Labelled(inputs_of("transformer", rows.x), rows.y) for rows in (split.train, split.test)))  # type: ignore[arg-type]


def test_embeddings_of_ids_are_trained_evaluated_and_counted() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.Embedding(17, 4), nn.Flatten(), nn.Linear(256, 10))

    split = as_levels(DIGITS)
    tasks = parties(factory, factory, split=split)
    played = play_rounds(tasks, plan=PLAN, rounds=2)
    found = accuracy(tasks[0], played.model)
    assert found > 0.8
    assert split.test.x.dtype == np.int64
    assert evaluate(factory(), played.model, split.test).accuracy == found
    assert abs(correct_rows(factory(), played.model, split.test).mean() - found) < 0.01


def test_a_last_batch_of_one_row_breaks_no_batch_norm() -> None:
    tasks = parties(batch_norm, batch_norm, rows=33)
    plan = TrainPlan(epochs=3, batch_size=8, learning_rate=0.05)
    played = play_rounds(tasks, plan=plan, rounds=2)
    assert accuracy(tasks[0], played.model) > 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_any_precision(dtype: torch.dtype) -> None:
    def factory() -> nn.Module:
        return batch_norm().to(dtype)

    tasks = parties(factory, factory)
    played = play_rounds(tasks, plan=PLAN, rounds=2)
    assert {array.dtype for array in played.model.values()} == {np.dtype(np.float32)}
    assert accuracy(tasks[0], played.model) > 0.85


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def compiled() -> nn.Module:
    wrapped: nn.Module = torch.compile(mlp(), backend="eager")  # type: ignore[assignment]
    return wrapped


def partly_compiled() -> nn.Module:
    module = mlp()
    assert isinstance(module, nn.Sequential)
    module[1] = torch.compile(module[1], backend="eager")  # type: ignore[assignment]
    return module


def parallel() -> nn.Module:
    return nn.DataParallel(mlp())


@pytest.mark.parametrize("wrapped", [compiled, partly_compiled, parallel])
@pytest.mark.parametrize("owner", [True, False])
def test_a_wrapped_model_at_one_party_changes_nothing(wrapped: Factory, *, owner: bool) -> None:
    plain = play_rounds(parties(mlp, mlp), plan=PLAN, rounds=1)
    other = play_rounds(parties(*((wrapped, mlp) if owner else (mlp, wrapped))), plan=PLAN, rounds=1)
    assert other.spec.model == plain.spec.model
    assert all(np.array_equal(plain.model[name], array) for name, array in other.model.items())


def test_tied_weights_are_one_tensor_all_the_way() -> None:
    tasks = parties(Transformer, Transformer, split=as_levels(DIGITS))
    played = play_rounds(tasks, plan=PLAN, rounds=2)
    names = [tensor.name for tensor in played.spec.model.tensors]
    assert "embed.weight" in names
    assert "head.weight" not in names
    module = Transformer()
    load_state(module, played.model)
    assert module.head.weight is module.embed.weight
    assert accuracy(tasks[0], played.model) > accuracy(tasks[0], played.models[0]) + 0.2


def test_a_rank_4_adapter_sends_its_own_numbers_and_they_arrive() -> None:
    tasks = parties(lora, lora)
    played = play_rounds(tasks, plan=PLAN, rounds=3, bits=16)
    assert played.spec.model.size == 8_488
    assert sum(value.numel() for value in lora().parameters()) == 309_554
    assert played.base is not None
    for number, deltas in enumerate(played.deltas):
        scale = played.scales[number]
        for delta in deltas:
            sent = encode_update(delta, model=played.spec.model, scale=scale, bits=16, seed=bytes(32)).data
            assert len(sent) == 32 + 2 * 8_488
            got = dequantise(
                decode_update(sent, model=played.spec.model, bits=16), model=played.spec.model, scale=scale
            )
            for name, array in delta.items():
                assert np.linalg.norm(got[name] - array) <= 0.05 * np.linalg.norm(array), (number, name)


def test_every_party_of_an_adapter_learns_over_the_owners_base() -> None:
    """The same rows and seeds: what another's own frozen numbers were does not matter."""
    plan = TrainPlan(epochs=4, batch_size=16, learning_rate=0.01, optimizer="adam")
    tasks = parties(lora, lora)
    played = play_rounds(tasks, plan=plan, rounds=3, bits=16)
    again = play_rounds(parties(lora, lambda: initial_module(lora, seed=99)), plan=plan, rounds=3, bits=16)
    assert all(np.array_equal(played.model[name], array) for name, array in again.model.items())
    assert accuracy(tasks[1], played.model, played.base) > accuracy(tasks[1], played.model) + 0.3


def test_anothers_architecture_is_refused_in_one_line_before_it_is_trained() -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 33), nn.ReLU(), nn.Linear(33, 10))
    task = DataTask(lambda: wide, DIGITS.train, DIGITS.test)
    with pytest.raises(UpdateHeaderMismatch, match=r"'1\.weight' has shape \(32, 64\) in the task's") as caught:
        train_locally(task, state_arrays(mlp()), plan=PLAN, seed=1)
    assert "\n" not in str(caught.value)
