"""Standard federations."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.parameters import model_spec
from fl_platform.learning.tasks import deal, federate, load_split


@pytest.mark.parametrize("partition", ["iid", "2-shard", "dirichlet:0.3"])
def test_root_and_parties_share_no_row_and_miss_none(partition: str) -> None:
    split = load_digits_split()
    federation = federate(split, model="digits-mlp", parties=8, partition=partition, root_rows=100, seed=2)
    assert len(federation.parties) == 8
    assert len(federation.root) == 100
    together = np.concatenate([federation.root.x, *(p.train_data().x for p in federation.parties)])
    assert sorted(row.tobytes() for row in together) == sorted(row.tobytes() for row in split.train.x)
    assert model_spec(federation.factory(), federation.model_name).size == 4_810


@pytest.mark.parametrize("partition", ["", "dirichlet", "dirichlet:x", "dirichlet:0", "3-shard"])
def test_an_unknown_partition_is_a_configuration_error(partition: str) -> None:
    with pytest.raises(ConfigError):
        deal(load_digits_split().train, 4, partition=partition, seed=0)


def test_unknown_data_and_too_many_root_rows_are_configuration_errors() -> None:
    with pytest.raises(ConfigError, match="digits or mnist"):
        load_split("cifar")
    with pytest.raises(ConfigError, match="root rows"):
        federate(load_digits_split(), model="digits-mlp", parties=2, root_rows=1437)
