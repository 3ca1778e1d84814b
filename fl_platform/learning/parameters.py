"""What of a torch module is learned, by name: the way between a module and float32 arrays in canonical order.

Learned is what `requires_grad`. Frozen parameters are the base (`learning.base`); buffers stay with their party, so no
running statistic and no constant mask is ever part of an update. A parameter that stands in two places counts once, at
its first. Wrappers (torch.compile, DataParallel) leave no trace in a name, wherever in the module they are. Canonical
order is the order of `named_parameters`; parameters without elements are left out, there is nothing of them to send.

Arrays are float32 whatever the module computes in. Where anything learned is of half precision, `load_state` turns the
module into float32, the master weights: a step of 1e-3 of a weight is lost in bfloat16. float64 stays float64 inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from fl_platform.errors import ConfigError, UpdateHeaderMismatch
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec

State = Mapping[str, npt.NDArray[np.float32]]

_INNER = ("_orig_mod", "_checkpoint_wrapped_module")  # where torch.compile and activation checkpointing keep the module


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile, DataParallel, DistributedDataParallel and checkpoint wrappers."""
    while True:
        children = dict(module.named_children())
        inner = next((children[name] for name in _INNER if name in children), None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = children["module"]
        if inner is None:
            return module
        module = inner


def modules_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield a module and all below it, each once and before those below it, with the prefix of its tensors' names."""
    seen: set[int] = set()

    def walk(part: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
        part = unwrap(part)
        if id(part) in seen:
            return
        seen.add(id(part))
        yield prefix, part
        for name, child in part.named_children():
            yield from walk(child, f"{prefix}{name}.")

    return walk(module, "")


def learned(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, in canonical order, each once.

    Raises ConfigError, naming the parameter and the remedy, where one is lazy, complex, sparse, without values or
    shares memory with another, where a module is scripted, and where nothing is to be learned.
    """
    found = {name: parameter for name, parameter in _checked(module).items() if parameter.requires_grad}
    if not found:
        raise ConfigError(
            "the model has no parameter with requires_grad, so there is nothing to learn; unfreeze a layer or add an "
            "adapter in model()"
        )
    return found


def frozen(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return what training leaves alone and every party needs alike, of any dtype, in canonical order, each once.

    These are the parameters without requires_grad, and the kept buffers of layers that have such parameters and learn
    nothing: a pretrained BatchNorm is its statistics as much as its weights. Raises ConfigError as `learned` does, but
    may be empty.
    """
    checked, found = _checked(module), dict[str, torch.Tensor]()
    for prefix, part in modules_of(module):
        own = [f"{prefix}{name}" for name, _ in part.named_parameters(recurse=False)]
        still = {name: checked[name] for name in own if name in checked and not checked[name].requires_grad}
        found.update(still)
        if still and not any(parameter.requires_grad for parameter in part.parameters(recurse=False)):
            found.update({f"{prefix}{name}": buffer for name, buffer in _kept_buffers(part)})
    return found


def model_spec(module: nn.Module, name: str) -> ModelSpec:
    """Names and shapes of what is learned, in canonical order. Raises ConfigError as `learned` does."""
    return ModelSpec(name, tuple(TensorSpec(key, tuple(value.shape)) for key, value in learned(module).items()))


def check_model(module: nn.Module, model: ModelSpec) -> None:
    """Refuse a module that learns other tensors than the task's.

    Raises UpdateHeaderMismatch naming the first tensor that differs, ConfigError as `learned` does.
    """
    _check_same({tensor.name: tensor.shape for tensor in model.tensors}, learned(module))


def initial_module(factory: Callable[[], nn.Module], *, seed: int) -> nn.Module:
    """Build a model with weights that follow from a seed, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def initial_state(factory: Callable[[], nn.Module], *, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Return what is learned of a model that was built from a seed. Raises ConfigError as `learned` does."""
    return state_arrays(initial_module(factory, seed=seed))


def state_arrays(module: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Copy what is learned to C-ordered float32 arrays of the parameters' shapes, `()` included."""
    return {name: _array(parameter) for name, parameter in learned(module).items()}


def load_state(module: nn.Module, state: State) -> None:
    """Copy arrays into a module's learned parameters in place; a half-precision module becomes float32 first.

    `state`: float32 of any strides. Raises UpdateHeaderMismatch naming the first tensor that differs, ConfigError.
    """
    parameters = learned(module)
    _check_same({name: tuple(array.shape) for name, array in state.items()}, parameters)
    if any(_is_half(parameter) for parameter in parameters.values()):
        # Parameters are changed in place: a tied one stays tied, and `parameters` still holds them.
        unwrap(module)._apply(_at_least_float32)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(state[name], dtype=np.float32, order="C")))


def input_dtype(module: nn.Module) -> torch.dtype:
    """Return what floating inputs are cast to: the dtype of the first floating matrix, learned or not, if there is one.

    It stands in the first layer of most models; of one without a matrix, the first floating parameter decides.
    """
    floats = [value for value in _checked(module).values() if value.is_floating_point()]
    first = next((value for value in floats if value.dim() > 1), floats[0] if floats else None)
    return torch.float32 if first is None else first.dtype


def _array(parameter: torch.Tensor) -> npt.NDArray[np.float32]:
    return np.array(parameter.detach().to(device="cpu", dtype=torch.float32).numpy(), order="C")


def _is_half(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype.itemsize < torch.float32.itemsize


def _at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if _is_half(tensor) else tensor


def _check_same(shapes: Mapping[str, tuple[int, ...]], parameters: Mapping[str, nn.Parameter]) -> None:
    for name in (*shapes, *parameters):
        ours = tuple(parameters[name].shape) if name in parameters else None
        if shapes.get(name) != ours:
            raise UpdateHeaderMismatch(
                f"tensor {name!r} has {_shape(shapes.get(name))} in the task's model and {_shape(ours)} in this "
                "party's; is model() that of the task, with the same layers frozen?"
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "no place" if shape is None else f"shape {shape}"


def _checked(module: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter with elements under its first name. Raises ConfigError for what cannot be read as numbers."""
    found: dict[str, nn.Parameter] = {}
    places: dict[tuple[torch.device, int], str] = {}
    for name, parameter in _named(module):
        trouble = _trouble(parameter)
        if trouble:
            raise ConfigError(f"parameter {name!r} {trouble}")
        if not parameter.numel():
            continue
        found[name] = parameter
        other = places.setdefault((parameter.device, parameter.data_ptr()), name)
        if other != name:
            raise ConfigError(
                f"parameters {other!r} and {name!r} share their memory, so each step would count twice; assign one "
                "nn.Parameter to both places in model()"
            )
    return found


def _named(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Like `named_parameters`, but below every wrapper."""
    seen: set[int] = set()
    for prefix, part in modules_of(module):
        if isinstance(part, torch.jit.ScriptModule):
            raise ConfigError(
                f"module {prefix.removesuffix('.') or 'model()'!r} is scripted, which hides its layers; "
                "return the module itself, and torch.jit.script it after training"
            )
        for name, parameter in part.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield prefix + name, parameter
        for name, buffer in part.named_buffers(recurse=False):
            if is_lazy(buffer):
                raise ConfigError(f"buffer {prefix + name!r} {_LAZY}")


def _kept_buffers(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a layer's own buffers that its state dict keeps and a file can hold."""
    passing = getattr(module, "_non_persistent_buffers_set", ())
    for name, buffer in module.named_buffers(recurse=False):
        if name not in passing and buffer.numel() and buffer.layout is torch.strided and not buffer.is_complex():
            yield name, buffer


_LAZY = "has no shape yet (a lazy layer); give the layer its sizes, or run one batch through the model in model()"


def _trouble(parameter: torch.Tensor) -> str | None:
    """Say why a parameter cannot be read as numbers, and what helps."""
    if is_lazy(parameter):
        return _LAZY
    if parameter.is_meta:
        return "is on the meta device and has no values; initialise it on the CPU in model()"
    if parameter.is_inference() and not torch.is_inference_mode_enabled():
        return "was made under torch.inference_mode and cannot be changed; build the model outside of it"
    if parameter.layout is not torch.strided:
        return f"is {parameter.layout}; use a dense parameter"
    if parameter.is_complex():
        return "is complex; keep real and imaginary part as two float parameters and join them in forward()"
    if any(step == 0 and side > 1 for side, step in zip(parameter.shape, parameter.stride(), strict=True)):
        return "repeats one number (an expanded tensor); use .expand(...).clone() in model()"
    return None
