"""Orders are permutations of the seed, in memory or computed; batches cover every place once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fl_platform.learning.orders import ComputedPermutation, Orders, count, epoch_seed, spans


def test_epochs_are_a_philox_generators_permutations_one_after_another() -> None:
    orders = Orders(50, seed=7, shuffle=True)
    generator = np.random.Generator(np.random.Philox(7))
    wanted = [generator.permutation(50) for _ in range(3)]
    for number in (0, 1, 2, 2, 0, 1, 2):  # asked again, or back, the answer is the same
        assert np.array_equal(orders.epoch(number)[:], wanted[number])
    assert np.array_equal(Orders(50, seed=7, shuffle=True).epoch(2)[:], wanted[2])


def test_unshuffled_rows_come_as_they_stand() -> None:
    order = Orders(7, seed=1, shuffle=False).epoch(3)
    assert [order[span].tolist() for span in spans(7, 3)] == [[0, 1, 2], [3, 4, 5, 6]]
    assert order[:].dtype == np.int64


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097, 100_003])
def test_a_computed_permutation_has_every_row_once(rows: int) -> None:
    order = ComputedPermutation.draw(rows, 3)
    numbers = np.concatenate([order[span] for span in spans(rows, 777)])
    assert numbers.dtype == np.int64
    assert np.array_equal(np.sort(numbers), np.arange(rows))


def test_a_computed_permutation_looks_random() -> None:
    """Places and rows are uncorrelated, neighbours land anywhere, and every epoch and seed has its own."""
    rows = 200_000
    orders = Orders(rows, seed=5, shuffle=True, most_in_memory=1000)
    first, second = orders.epoch(0)[:], orders.epoch(1)[:]
    assert np.array_equal(first, Orders(rows, seed=5, shuffle=True, most_in_memory=1000).epoch(0)[:])
    noise = 5 / np.sqrt(rows)  # five standard errors
    places = np.arange(rows)
    pairs = [(places, first), (places, second), (first, second), (first[1:], first[:-1])]
    pairs.append((first, Orders(rows, seed=6, shuffle=True, most_in_memory=1000).epoch(0)[:]))
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < noise
    # The gaps between neighbours of a random order are triangular: a third of the rows on average.
    assert np.abs(np.diff(first)).mean() == pytest.approx(rows / 3, rel=0.01)
    assert (first == places).sum() < 10  # one is expected


def test_the_order_of_a_billion_rows_takes_the_memory_of_a_batch() -> None:
    tracemalloc.start()
    try:
        order = Orders(10**9, seed=1, shuffle=True).epoch(0)
        batch = order[999_999_000:1_000_000_000]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert len(set(batch.tolist())) == 1000
    assert 0 <= batch.min() < batch.max() < 10**9


@pytest.mark.parametrize(
    ("rows", "size", "lengths"),
    [
        (33, 8, [8, 8, 8, 9]),
        (32, 8, [8, 8, 8, 8]),
        (34, 8, [8, 8, 8, 8, 2]),
        (9, 8, [9]),
        (1, 8, [1]),
        (8, 8, [8]),
        (3, 1, [1, 1, 1]),
        (5, 2, [2, 3]),
        (0, 8, []),
    ],
)
def test_a_last_row_alone_goes_with_the_batch_before(rows: int, size: int, lengths: list[int]) -> None:
    places = [np.arange(rows)[span] for span in spans(rows, size)]
    assert [len(batch) for batch in places] == lengths
    assert [place for batch in places for place in batch] == list(range(rows))
    assert count(rows, size) == len(lengths)


def test_seeds_of_epochs_differ_and_fit_torch() -> None:
    seeds = {epoch_seed(seed, number) for seed in (0, 1, 2**200) for number in range(4)}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
