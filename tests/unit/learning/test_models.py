"""Standard models and their specs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError, UpdateHeaderMismatch
from fl_platform.learning.models import MODELS, build_model, initial_state, load_state, model_spec, state_arrays


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [("digits-mlp", 4_810, 8), ("digits-cnn", 9_258, 8), ("mnist-mlp", 199_210, 28), ("mnist-cnn", 1_663_370, 28)],
)
def test_parameter_counts_and_shapes(name: str, size: int, side: int) -> None:
    module = build_model(name)
    assert model_spec(module, name).size == size
    assert module(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_every_standard_model_is_covered_above() -> None:
    assert set(MODELS) == {"digits-mlp", "digits-cnn", "mnist-mlp", "mnist-cnn"}
    with pytest.raises(ConfigError, match="mnist-cnn"):
        build_model("resnet")


def test_the_spec_is_in_the_order_of_the_state_dict_and_floats_only() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    names = [tensor.name for tensor in model_spec(module, "bn").tensors]
    assert names == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    with pytest.raises(ConfigError, match="nothing to learn"):
        model_spec(nn.ReLU(), "empty")


def test_initial_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (initial_state(MODELS["digits-mlp"], seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(np.array_equal(one[n], again[n]) for n in one)
    assert not np.array_equal(one["1.weight"], other["1.weight"])


def test_state_goes_in_and_out_unchanged() -> None:
    state = initial_state(MODELS["digits-cnn"], seed=1)
    module = build_model("digits-cnn").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    load_state(module, state)
    back = state_arrays(module)
    assert list(back) == list(state)
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].flags.c_contiguous
        assert back[name].dtype == np.float32


def test_arrays_are_copies() -> None:
    module = build_model("digits-mlp")
    arrays = state_arrays(module)
    arrays["1.bias"][:] = 9
    assert not (state_arrays(module)["1.bias"] == 9).any()


def test_a_foreign_state_is_refused() -> None:
    state = initial_state(MODELS["digits-mlp"], seed=1)
    module = build_model("digits-mlp")
    with pytest.raises(UpdateHeaderMismatch, match=r"1\.bias"):
        load_state(module, {n: a for n, a in state.items() if n != "1.bias"})
    with pytest.raises(UpdateHeaderMismatch, match="shape"):
        load_state(module, {**state, "1.bias": state["1.bias"][:5]})


def test_half_precision_models_go_through_float32() -> None:
    arrays = state_arrays(build_model("digits-mlp").to(torch.bfloat16))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
