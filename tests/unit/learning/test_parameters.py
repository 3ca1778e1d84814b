"""What of a module is learned: names, order, shapes, dtypes; and what is refused, in which words."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError, UpdateHeaderMismatch
from fl_platform.learning.models import MODELS, build_model
from fl_platform.learning.parameters import (
    frozen,
    initial_module,
    initial_state,
    input_dtype,
    learned,
    load_state,
    model_spec,
    state_arrays,
    unwrap,
)


def compiled(module: nn.Module) -> nn.Module:
    """Wrap as torch.compile does, without the inductor's two seconds."""
    wrapped: nn.Module = torch.compile(module, backend="eager")  # type: ignore[assignment]
    return wrapped


class Tied(nn.Module):
    """An embedding whose weights are also the head's; the head's own stand first where `head_first`."""

    def __init__(self, *, head_first: bool = False) -> None:
        super().__init__()
        if head_first:
            self.head = nn.Linear(4, 9, bias=False)
        self.embed = nn.Embedding(9, 4)
        self.norm = nn.LayerNorm(4)
        if not head_first:
            self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.norm(self.embed(tokens)))
        return scores


class Odd(nn.Module):
    """A scalar, two empty parameters, a transposed one, and buffers of which one holds -inf."""

    def __init__(self) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(1.5))
        self.none, self.rows = nn.Parameter(torch.empty(0)), nn.Parameter(torch.empty(0, 4))
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("mask", torch.triu(torch.full((3, 3), float("-inf")), 1))
        self.register_buffer("count", torch.tensor(0))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_order_of_standard_models_is_that_of_their_state_dict(name: str) -> None:
    module = build_model(name)
    assert [tensor.name for tensor in model_spec(module, name).tensors] == list(module.state_dict())


def test_buffers_and_frozen_parameters_are_no_part_of_the_spec() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    module[0].requires_grad_(requires_grad=False)
    spec = model_spec(module, "bn")
    assert [tensor.name for tensor in spec.tensors] == ["1.weight", "1.bias", "2.weight", "2.bias"]
    assert list(frozen(module)) == ["0.weight", "0.bias"]
    assert spec.size == 4 + 4 + 8 + 2


def test_a_frozen_layers_kept_buffers_are_frozen_with_it() -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.BatchNorm1d(2, affine=False))
    module[0].requires_grad_(requires_grad=False)
    module[0].register_buffer("passing", torch.zeros(1), persistent=False)
    module[0].register_buffer("turn", torch.zeros(1, dtype=torch.complex64))
    module[1].weight.requires_grad_(requires_grad=False)
    names = ["0.weight", "0.bias", "0.running_mean", "0.running_var", "0.num_batches_tracked", "1.weight"]
    assert list(frozen(module)) == names
    assert list(learned(module)) == ["1.bias"]


@pytest.mark.parametrize("head_first", [False, True])
def test_tied_weights_count_once_at_their_first_place(*, head_first: bool) -> None:
    module = Tied(head_first=head_first)
    names = [name for name, _ in module.named_parameters()]
    assert list(learned(module)) == names
    assert len(names) == 3
    assert model_spec(module, "tied").size == 9 * 4 + 4 + 4
    load_state(module, {name: np.full(value.shape, 2, np.float32) for name, value in state_arrays(module).items()})
    assert module.head.weight is module.embed.weight
    assert bool((module.head.weight == 2).all())


def test_a_module_that_stands_twice_counts_once_even_where_one_place_is_compiled() -> None:
    shared = nn.Linear(2, 2)
    assert list(learned(nn.Sequential(shared, shared))) == ["0.weight", "0.bias"]
    assert list(learned(nn.Sequential(shared, compiled(shared)))) == ["0.weight", "0.bias"]
    assert list(learned(nn.Sequential(compiled(shared), shared))) == ["0.weight", "0.bias"]


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compile": compiled,
    "parallel": nn.DataParallel,
    "compile of parallel": lambda module: compiled(nn.DataParallel(module)),
    "parallel of compile": lambda module: nn.DataParallel(compiled(module)),
    "twice parallel": lambda module: nn.DataParallel(nn.DataParallel(module)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_leave_no_trace(wrap: Callable[[nn.Module], nn.Module]) -> None:
    plain = initial_module(MODELS["digits-cnn"], seed=3)
    wrapped = wrap(copy.deepcopy(plain))
    assert unwrap(wrapped).__class__ is nn.Sequential
    assert model_spec(wrapped, "cnn") == model_spec(plain, "cnn")
    state = {name: array + np.float32(1) for name, array in state_arrays(plain).items()}
    load_state(wrapped, state)
    assert all(np.array_equal(array, state[name]) for name, array in state_arrays(wrapped).items())


def test_wrappers_inside_a_module_leave_no_trace_either() -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    plain = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3)), nn.Linear(3, 1))
    wrapped = copy.deepcopy(plain)
    wrapped[1][0] = compiled(wrapped[1][0])
    wrapped[1] = nn.DataParallel(wrapped[1])
    wrapped[2] = checkpoint_wrapper(wrapped[2])  # type: ignore[no-untyped-call]
    assert model_spec(wrapped, "m") == model_spec(plain, "m")


def test_a_submodule_that_is_called_module_keeps_its_name() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)

    assert list(learned(Holder())) == ["module.weight", "module.bias"]


def test_scalars_stay_scalars_and_empty_parameters_are_left_out() -> None:
    module = Odd()
    spec = model_spec(module, "odd")
    assert [(tensor.name, tensor.shape) for tensor in spec.tensors] == [("t", ()), ("turned", (3, 2))]
    state = state_arrays(module)
    assert [array.shape for array in state.values()] == [(), (3, 2)]
    assert all(array.flags.c_contiguous and array.dtype == np.float32 for array in state.values())
    np.testing.assert_array_equal(state["turned"], [[0, 3], [1, 4], [2, 5]])


def test_arrays_of_any_strides_are_loaded() -> None:
    module = Odd()
    turned = np.arange(12, dtype=np.float32).reshape(3, 4)[::-1, ::-2]
    assert turned.strides[0] < 0
    turned.flags.writeable = False
    load_state(module, {"t": np.float32(4.0), "turned": turned})  # type: ignore[dict-item]
    np.testing.assert_array_equal(state_arrays(module)["turned"], turned)
    assert module.t.shape == ()
    assert module.t.item() == 4.0


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_modules_are_trained_in_float32(dtype: torch.dtype) -> None:
    module = Tied().to(dtype)
    module.register_buffer("table", torch.ones(2, dtype=dtype))
    module.register_buffer("ids", torch.ones(2, dtype=torch.int32))
    arrays = state_arrays(module)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    fine = {name: array + np.float32(2**-20) for name, array in arrays.items()}
    load_state(module, fine)
    assert {value.dtype for value in module.parameters()} == {torch.float32}
    assert (module.table.dtype, module.ids.dtype) == (torch.float32, torch.int32)
    assert module.head.weight is module.embed.weight
    assert all(np.array_equal(array, fine[name]) for name, array in state_arrays(module).items())


def test_a_frozen_half_precision_base_stays_so_under_float32_adapters() -> None:
    module = nn.Sequential(nn.Linear(2, 2).to(torch.bfloat16), nn.Linear(2, 2))
    module[0].requires_grad_(requires_grad=False)
    load_state(module, state_arrays(module))
    assert module[0].weight.dtype == torch.bfloat16
    assert input_dtype(module) == torch.bfloat16


def test_inputs_have_the_dtype_of_the_first_matrix() -> None:
    module = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), nn.Linear(2, 2))
    module.scale = nn.Parameter(torch.ones(1))
    assert next(iter(learned(module))) == "scale"
    assert input_dtype(module) == torch.float64
    assert input_dtype(nn.BatchNorm1d(2, dtype=torch.float64)) == torch.float64
    assert input_dtype(nn.ReLU()) == torch.float32


def test_float64_stays_float64_inside_and_travels_as_float32() -> None:
    module = nn.Linear(2, 1).double()
    load_state(module, state_arrays(module))
    assert module.weight.dtype == input_dtype(module) == torch.float64
    assert state_arrays(module)["weight"].dtype == np.float32


def refused(module: nn.Module, *words: str) -> None:
    """Demand one line that names all of it, wherever the module is read."""
    for read in (learned, frozen, state_arrays, lambda m: model_spec(m, "m"), lambda m: load_state(m, {})):
        with pytest.raises(ConfigError) as caught:
            read(module)
        assert all(word in str(caught.value) for word in words)
        assert "\n" not in str(caught.value)


def test_lazy_models_are_refused() -> None:
    refused(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3)), "'1.weight'", "one batch")
    refused(nn.Sequential(nn.Linear(2, 2), nn.LazyBatchNorm1d(affine=False)), "'1.running_mean'", "one batch")


def test_complex_sparse_and_valueless_parameters_are_refused() -> None:
    module = nn.Linear(2, 2)
    module.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    refused(module, "'phase'", "complex", "two float parameters")
    refused(nn.Linear(2, 2, device="meta"), "'weight'", "meta")
    module = nn.Linear(2, 2)
    module.table = nn.Parameter(torch.eye(3).to_sparse(), requires_grad=False)
    refused(module, "'table'", "dense")


def test_scripted_modules_and_inference_tensors_are_refused() -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        scripted = torch.jit.script(nn.BatchNorm1d(2))
    refused(nn.Sequential(nn.Linear(2, 2), scripted), "'1'", "scripted", "the module itself")
    refused(scripted, "'model()'", "scripted")
    with torch.inference_mode():
        module = nn.Linear(2, 2)
    refused(module, "'weight'", "inference_mode")
    with torch.inference_mode():
        load_state(module, state_arrays(module))


def test_a_complex_buffer_is_nobodys_business() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("turn", torch.zeros(2, dtype=torch.complex64))
    assert list(learned(module)) == ["weight", "bias"]


def test_weights_that_share_memory_without_being_one_parameter_are_refused() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight.data = module[0].weight.data
    refused(module, "'0.weight'", "'1.weight'", "one nn.Parameter")
    module = nn.Linear(3, 3)
    module.bias = nn.Parameter(torch.zeros(1).expand(3))
    refused(module, "'bias'", "clone()")


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Linear(2, 2).requires_grad_(requires_grad=False)])
def test_a_model_without_anything_to_learn_is_refused(module: nn.Module) -> None:
    for read in (learned, state_arrays, lambda m: model_spec(m, "m")):
        with pytest.raises(ConfigError, match="nothing to learn; unfreeze"):
            read(module)


def test_anothers_architecture_is_refused_by_its_first_tensor() -> None:
    state = initial_state(MODELS["digits-mlp"], seed=1)
    module = build_model("digits-mlp")
    without = {n: a for n, a in state.items() if n != "1.bias"}
    for wrong, words in (
        (without, r"'1\.bias' has no place in the task's model and shape \(64,\)"),
        ({**state, "9.bias": state["1.bias"]}, r"'9\.bias' has shape \(64,\) .* no place in this"),
        ({**state, "1.bias": state["1.bias"][:5]}, r"'1\.bias' has shape \(5,\) .* shape \(64,\)"),
    ):
        with pytest.raises(UpdateHeaderMismatch, match=words):
            load_state(module, wrong)
