"""Standard models, one logit a class: images (n, 1, side, side) -> (n, 10), people (n, 17) -> (n, 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from fl_platform.errors import ConfigError
from fl_platform.learning.randhie import FEATURES


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


def randhie_logistic() -> nn.Module:
    """Logistic regression for the health insurance experiment, as two logits: 36 parameters."""
    return nn.Linear(FEATURES, 2)


def randhie_mlp() -> nn.Module:
    """17-32-2 for the health insurance experiment: 642 parameters."""
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 2))


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "digits-mlp": digits_mlp,
    "digits-cnn": digits_cnn,
    "mnist-mlp": mnist_mlp,
    "mnist-cnn": mnist_cnn,
    "randhie-logistic": randhie_logistic,
    "randhie-mlp": randhie_mlp,
}


def build_model(name: str) -> nn.Module:
    """Build a standard model by name; its weights are torch's defaults. Raises ConfigError."""
    if name not in MODELS:
        raise ConfigError(f"model {name!r} is unknown; use one of {', '.join(sorted(MODELS))}")
    return MODELS[name]()
