"""Standard models."""

from __future__ import annotations

import pytest
import torch

from fl_platform.errors import ConfigError
from fl_platform.learning.models import MODELS, build_model
from fl_platform.learning.parameters import model_spec

IMAGES, PEOPLE = (1, 8, 8), (17,)
LARGE = (1, 28, 28)
SIZES = {
    "digits-mlp": (4_810, IMAGES, 10),
    "digits-cnn": (9_258, IMAGES, 10),
    "mnist-mlp": (199_210, LARGE, 10),
    "mnist-cnn": (1_663_370, LARGE, 10),
    "randhie-logistic": (36, PEOPLE, 2),
    "randhie-mlp": (642, PEOPLE, 2),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_parameter_counts_and_shapes(name: str) -> None:
    size, row, classes = SIZES[name]
    module = build_model(name)
    assert model_spec(module, name).size == size
    assert module(torch.zeros(2, *row)).shape == (2, classes)


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="mnist-cnn"):
        build_model("resnet")
