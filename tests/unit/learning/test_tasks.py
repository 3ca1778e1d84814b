"""Standard federations."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import Labelled, Origin, Split, load_digits_split
from fl_platform.learning.parameters import model_spec
from fl_platform.learning.tasks import deal, federate, load_split, set_aside


@pytest.mark.parametrize("partition", ["iid", "2-shard", "dirichlet:0.3"])
def test_root_and_parties_share_no_row_and_miss_none(partition: str) -> None:
    split = load_digits_split()
    federation = federate(split, model="digits-mlp", parties=8, partition=partition, root_rows=100, seed=2)
    assert len(federation.parties) == 8
    assert len(federation.root) == 100
    together = np.concatenate([federation.root.x, *(p.train_data().x for p in federation.parties)])
    assert sorted(row.tobytes() for row in together) == sorted(row.tobytes() for row in split.train.x)
    assert model_spec(federation.factory(), federation.model_name).size == 4_810


@pytest.mark.parametrize("partition", ["", "dirichlet", "dirichlet:x", "dirichlet:0", "3-shard", "natural"])
def test_an_unknown_partition_is_a_configuration_error(partition: str) -> None:
    with pytest.raises(ConfigError):
        deal(load_digits_split().train, 4, partition=partition, seed=0)


def test_unknown_data_and_too_many_root_rows_are_configuration_errors() -> None:
    with pytest.raises(ConfigError, match="digits or mnist"):
        load_split("cifar")
    with pytest.raises(ConfigError, match="root rows"):
        federate(load_digits_split(), model="digits-mlp", parties=2, root_rows=1437)


def natural_split() -> Split:
    """30 rows of ten people at two places; row i is of person i % 10, and the first four people are of place 0."""
    person = np.arange(30, dtype=np.int64) % 10
    rows = Labelled(np.arange(30, dtype=np.float32).reshape(30, 1), np.zeros(30, dtype=np.int64))
    return Split(rows, rows.take(slice(0, 2)), Origin((person >= 4).astype(np.int64), person))


def test_rows_that_come_in_parts_stay_there_and_people_stay_whole() -> None:
    split = natural_split()
    federation = federate(split, model="randhie-logistic", parties=2, partition="natural", root_rows=7, seed=3)
    root, first, second = (set(rows.x.ravel().astype(int)) for rows in (
        federation.root, *(party.train for party in federation.parties)))  # fmt: skip
    assert sorted([*root, *first, *second]) == list(range(30))
    assert len(root) == 9  # three people, the fewest that have seven rows
    assert not {row % 10 for row in root} & {row % 10 for row in first | second}
    assert {row % 10 for row in first} <= {0, 1, 2, 3}
    assert {row % 10 for row in second} <= {4, 5, 6, 7, 8, 9}
    assert federate(split, model="randhie-logistic", parties=3, partition="iid", seed=3).parties[2].train


@pytest.mark.parametrize(("rows", "drawn"), [(0, 0), (1, 3), (3, 3), (4, 6), (27, 27)])
def test_whole_people_are_set_aside_until_there_are_rows_enough(rows: int, drawn: int) -> None:
    root, rest = set_aside(natural_split(), rows, seed=1)
    assert (len(root), len(rest)) == (drawn, 30 - drawn)


def test_parts_cannot_be_more_or_fewer_and_root_rows_not_everybody() -> None:
    with pytest.raises(ConfigError, match="come in 2 parts, not 3"):
        federate(natural_split(), model="randhie-logistic", parties=3, partition="natural")
    for rows in (28, 30):
        with pytest.raises(ConfigError, match="leave some"):
            set_aside(natural_split(), rows, seed=1)
