"""A partition is a partition: every row exactly once, whatever the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import ConfigError
from fl_platform.learning.partitions import Rows, dirichlet, iid, natural, shards

labels_of = st.lists(st.integers(0, 9), min_size=40, max_size=200).map(lambda v: np.array(v, dtype=np.int64))


def assert_partition(parts: list[Rows], count: int) -> None:
    together = np.concatenate(parts)
    assert len(together) == count
    assert np.array_equal(np.sort(together), np.arange(count))
    assert all(part.dtype == np.int64 and np.array_equal(part, np.sort(part)) for part in parts)


@settings(max_examples=40, deadline=None)
@given(labels=labels_of, parties=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_iid_deals_every_row_once_in_equal_parts(labels: Rows, parties: int, seed: int) -> None:
    parts = iid(labels, parties, seed=seed)
    assert_partition(parts, len(labels))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(max_examples=40, deadline=None)
@given(labels=labels_of, parties=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_shards_deal_every_row_once(labels: Rows, parties: int, seed: int) -> None:
    parts = shards(labels, parties, seed=seed)
    assert_partition(parts, len(labels))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2


@settings(max_examples=40, deadline=None)
@given(
    labels=labels_of,
    parties=st.integers(1, 8),
    alpha=st.floats(0.01, 100),
    least=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_dirichlet_deals_every_row_once_and_nobody_too_few(
    labels: Rows, parties: int, alpha: float, least: int, seed: int
) -> None:
    parts = dirichlet(labels, parties, alpha=alpha, seed=seed, least=least)
    assert_partition(parts, len(labels))
    assert min(map(len, parts)) >= least


BALANCED = np.repeat(np.arange(10), 600)


def test_two_shards_of_balanced_labels_hold_few_classes() -> None:
    parts = shards(BALANCED, 100, seed=1)
    assert {len(part) for part in parts} == {60}
    assert max(len(np.unique(BALANCED[part])) for part in parts) == 2


def test_alpha_moves_from_one_class_to_iid() -> None:
    def mean_top_share(alpha: float) -> float:
        parts = dirichlet(BALANCED, 10, alpha=alpha, seed=5)
        return float(np.mean([np.bincount(BALANCED[p], minlength=10).max() / len(p) for p in parts]))

    assert mean_top_share(0.05) > 0.5 > mean_top_share(1.0) > mean_top_share(1000.0)
    assert mean_top_share(1000.0) < 0.15


@pytest.mark.parametrize("kind", [iid, shards])
def test_the_seed_decides(kind: object) -> None:
    first, again, other = (kind(BALANCED, 10, seed=s) for s in (1, 1, 2))  # type: ignore[operator]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_impossible_wishes_are_configuration_errors() -> None:
    few = np.zeros(3, dtype=np.int64)
    with pytest.raises(ConfigError, match="3 rows"):
        iid(few, 4, seed=0)
    with pytest.raises(ConfigError, match="3 rows"):
        shards(few, 2, seed=0)
    with pytest.raises(ConfigError, match="alpha"):
        dirichlet(BALANCED, 2, alpha=0.0, seed=0)
    with pytest.raises(ConfigError, match="alpha"):
        dirichlet(BALANCED, 2, alpha=float("nan"), seed=0)


def test_natural_parts_are_whose_they_were() -> None:
    holders = np.array([2, 0, 1, 0, 2, 2])
    assert [part.tolist() for part in natural(holders, 3)] == [[1, 3], [2], [0, 4, 5]]
    for parties in (2, 4):
        with pytest.raises(ConfigError, match="come in 3 parts"):
            natural(holders, parties)
