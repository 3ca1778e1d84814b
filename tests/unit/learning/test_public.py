"""The table of public data sets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.models import MODELS
from fl_platform.learning.public import PUBLIC, public_data
from fl_platform.learning.tasks import federate_public


@pytest.mark.parametrize("name", list(PUBLIC))
def test_usual_models_are_known_and_named_for_their_data(name: str) -> None:
    data = public_data(name)
    assert data.name == name
    assert data.model in MODELS
    assert data.model.startswith(f"{name}-")
    assert data.metric().larger_is_better


def test_every_standard_model_is_of_a_public_data_set() -> None:
    assert {model.partition("-")[0] for model in MODELS} == set(PUBLIC)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="digits or mnist or randhie"):
        public_data("cifar")


@pytest.mark.parametrize("name", ["digits", "randhie"])
def test_what_is_written_of_classes_and_parts_is_so(name: str) -> None:
    data = public_data(name)
    split = data.load(1, None)
    assert set(split.train.y.tolist()) == set(split.test.y.tolist()) == set(range(data.classes))
    assert len(data.parts) == (0 if split.origin is None else int(split.origin.part.max()) + 1)
    federation = federate_public(data, parties=len(data.parts) or 3, seed=1)
    assert federation.root is federation.owner.train_data()
    assert data.root_rows <= len(federation.root) <= data.root_rows + 5  # whole people are drawn
    assert type(federation.parties[0].metric()) is type(data.metric())


def test_the_table_is_read_without_numpy_and_torch() -> None:
    code = "import fl_platform.learning.public, sys; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
