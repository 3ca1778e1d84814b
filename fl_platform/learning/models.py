"""Standard models, and the way between a torch module and named float32 arrays in canonical order.

Every model takes images (n, 1, side, side) and returns 10 logits (n, 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_platform.errors import ConfigError, UpdateHeaderMismatch
from fl_platform.protocol.spec import ModelSpec, TensorSpec

State = Mapping[str, npt.NDArray[np.float32]]


def digits_mlp() -> nn.Module:
    """64-64-10 for 8 x 8 digits: 4,810 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def digits_cnn() -> nn.Module:
    """Two 3 x 3 convolutions for 8 x 8 digits: 9,258 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def mnist_mlp() -> nn.Module:
    """McMahan's 2NN for MNIST, 784-200-200-10: 199,210 parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
    )


def mnist_cnn() -> nn.Module:
    """McMahan's CNN for MNIST: 1,663,370 parameters ("same" padding is what makes the count right)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "digits-mlp": digits_mlp,
    "digits-cnn": digits_cnn,
    "mnist-mlp": mnist_mlp,
    "mnist-cnn": mnist_cnn,
}


def build_model(name: str) -> nn.Module:
    """Build a standard model by name; its weights are torch's defaults. Raises ConfigError."""
    if name not in MODELS:
        raise ConfigError(f"model {name!r} is unknown; use one of {', '.join(sorted(MODELS))}")
    return MODELS[name]()


def model_spec(module: nn.Module, name: str) -> ModelSpec:
    """Names and shapes of a module's float tensors in the order of its state dict: the canonical order."""
    floats = _float_tensors(module)
    if not floats:
        raise ConfigError(f"model {name!r} has no float tensors; there is nothing to learn")
    return ModelSpec(name, tuple(TensorSpec(key, tuple(tensor.shape)) for key, tensor in floats.items()))


def initial_state(factory: Callable[[], nn.Module], *, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Initialise a model's weights from a seed, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return state_arrays(factory())


def state_arrays(module: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Copy a module's float tensors to contiguous float32 arrays (bf16, fp16 and float64 are converted)."""
    return {
        key: np.ascontiguousarray(tensor.detach().to(device="cpu", dtype=torch.float32).numpy()).copy()
        for key, tensor in _float_tensors(module).items()
    }


def load_state(module: nn.Module, state: State) -> None:
    """Copy arrays into a module's float tensors in place. Raises UpdateHeaderMismatch when names or shapes differ."""
    floats = _float_tensors(module)
    if set(floats) != set(state):
        raise UpdateHeaderMismatch(f"tensors {sorted(set(floats) ^ set(state))[:4]} are not in both model and state")
    with torch.no_grad():
        for key, tensor in floats.items():
            if tuple(tensor.shape) != tuple(state[key].shape):
                raise UpdateHeaderMismatch(
                    f"tensor {key!r} has shape {tuple(state[key].shape)}, the model's is {tuple(tensor.shape)}"
                )
            tensor.copy_(torch.tensor(state[key]))


def _float_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    state: Mapping[str, torch.Tensor] = module.state_dict()
    return {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
