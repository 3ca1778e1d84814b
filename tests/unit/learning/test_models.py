"""Standard models."""

from __future__ import annotations

import pytest
import torch

from fl_platform.errors import ConfigError
from fl_platform.learning.models import MODELS, build_model
from fl_platform.learning.parameters import model_spec


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
