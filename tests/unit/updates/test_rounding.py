"""Seeded stochastic rounding: unbiased, reproducible, apart for every trainer, task and round."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import ConfigError
from fl_platform.updates.rounding import WordStream, round_nearest, round_stochastic, rounding_seed
from tests.support.philox import philox_block, philox_words

SECRET = b"s" * 32


def test_the_seed_separates_trainer_task_round_and_context() -> None:
    seeds = {
        rounding_seed(secret, task=task, round_number=number, context=context)
        for secret in (SECRET, b"t" * 32)
        for task in (0, 1)
        for number in (0, 1)
        for context in (b"", b"chain 1")
    }
    assert len(seeds) == 16
    assert all(len(seed) == 32 for seed in seeds)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="16"):
        rounding_seed(b"x" * 15, task=1, round_number=1)


def test_the_generator_is_philox_4x64_10() -> None:
    """A slow Philox written from the paper, itself held against a known answer of Random123."""
    # Random123 kat_vectors: philox4x64 10, counter 0, key 0.
    assert philox_block((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )
    slow = list(islice(philox_words(SECRET), 64))
    assert WordStream(SECRET).take(64).tolist() == slow


def test_each_take_starts_on_a_fresh_64_bit_word() -> None:
    whole = WordStream(SECRET).take(8)
    stream = WordStream(SECRET)
    np.testing.assert_array_equal(stream.take(3), whole[:3])
    np.testing.assert_array_equal(stream.take(4), whole[4:8])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(0, 2**32 - 1))
def test_a_value_goes_to_a_neighbour_and_whole_values_stay(values: list[float], seed: int) -> None:
    scaled = np.array(values)
    words = WordStream(seed.to_bytes(32, "little")).take(scaled.size)
    rounded = round_stochastic(scaled, words)
    assert (np.abs(rounded - scaled) <= 1.0).all()
    assert (rounded == np.round(rounded)).all()
    whole = np.round(scaled)
    np.testing.assert_array_equal(round_stochastic(whole, words), whole)


def test_the_extremes_of_the_random_word_decide_as_integers() -> None:
    words = np.array([0, 2**32 - 1, 2**31 - 1, 2**31], dtype=np.uint32)
    half = np.full(4, 0.5)
    np.testing.assert_array_equal(round_stochastic(half, words), [1, 0, 1, 0])
    np.testing.assert_array_equal(round_stochastic(np.full(4, -1e-300), words), [0, 0, 0, 0])


def test_rounding_is_unbiased() -> None:
    """200,000 draws of each value: the mean is within 5 standard errors of it."""
    count = 200_000
    stream = WordStream(SECRET)
    for value in (-2.75, -0.1, 0.001, 0.5, 0.9, 6.3):
        rounded = round_stochastic(np.full(count, value), stream.take(count))
        fraction = value - np.floor(value)
        assert abs(rounded.mean() - value) < 5 * np.sqrt(fraction * (1 - fraction) / count)


def test_nearest_rounds_half_to_even() -> None:
    np.testing.assert_array_equal(round_nearest(np.array([0.5, 1.5, -0.5, -1.5, 2.4999])), [0, 2, 0, -2, 2])
