"""The streamed sum against Python integers: every arithmetic it may choose, and the bound it must refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import ConfigError
from fl_platform.judging import sums
from fl_platform.judging.sums import weighted_sum
from fl_platform.updates.tensors import Integers

BITS = st.sampled_from([4, 8, 16])


def random_updates(count: int, size: int, bits: int, seed: int, *, extreme: bool = False) -> list[Integers]:
    limit = 2 ** (bits - 1) - 1
    rng = np.random.default_rng(seed)
    kind = np.int16 if bits == 16 else np.int8
    if extreme:
        return [rng.choice([-limit, limit], size).astype(kind) for _ in range(count)]
    return [rng.integers(-limit, limit + 1, size).astype(kind) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    BITS, st.integers(1, 20), st.integers(1, 70), st.booleans(), st.integers(0, 2**32),
    st.sampled_from([1, 100, 2**16 // 20]), st.booleans(),
)  # fmt: skip
def test_equals_python_integers(
    bits: int, count: int, size: int, extreme: bool, seed: int, top: int, equal: bool
) -> None:
    updates = random_updates(count, size, bits, seed, extreme=extreme)
    rng = np.random.default_rng(seed)
    weights = [top] * count if equal else [int(w) for w in rng.integers(0, top + 1, count)]
    total = weighted_sum(range(count), weights, updates.__getitem__, size=size, bits=bits)
    assert total.dtype == np.int32
    columns = zip(*(update.tolist() for update in updates), strict=True)  # Python integers, whatever the width
    assert total.tolist() == [sum(w * q for w, q in zip(weights, column, strict=True)) for column in columns]


@pytest.mark.parametrize("bits", [8, 16])
def test_strips_meet_at_their_edges(bits: int) -> None:
    for size in (sums.COLUMNS // 2 + 1, sums.COLUMNS - 1, sums.COLUMNS, sums.COLUMNS + 1):
        updates = random_updates(3, size, bits, size)
        for weights in ([7, 7, 7], [5, 2**15, 1]):
            total = weighted_sum(range(3), weights, updates.__getitem__, size=size, bits=bits)
            exact = sum(w * u.astype(np.int64) for w, u in zip(weights, updates, strict=True))
            assert np.array_equal(total, exact)


@pytest.mark.parametrize(("bits", "count"), [(8, sums.NARROW), (8, sums.NARROW + 1), (8, 300), (16, 131), (4, 130)])
def test_equal_weights_do_not_wrap_the_narrow_sum(bits: int, count: int) -> None:
    limit = 2 ** (bits - 1) - 1
    update = np.array([-limit, limit, 1], dtype=np.int16 if bits == 16 else np.int8)
    total = weighted_sum(range(count), [3] * count, lambda _: update, size=3, bits=bits)
    assert total.tolist() == [-limit * count * 3, limit * count * 3, count * 3]


def test_order_of_updates_does_not_matter() -> None:
    updates = random_updates(17, 40, 8, 3)
    weights = [int(w) for w in np.random.default_rng(4).integers(1, 9, 17)]
    there = weighted_sum(range(17), weights, updates.__getitem__, size=40, bits=8)
    back = weighted_sum(range(16, -1, -1), weights[::-1], updates.__getitem__, size=40, bits=8)
    assert np.array_equal(there, back)


def test_at_most_one_batch_is_held_and_weightless_rows_are_not_read() -> None:
    alive: list[int] = []

    class Tracked(np.ndarray):
        def __del__(self) -> None:
            if alive:
                alive.pop()

    most, read = 0, []

    def source(row: int) -> Integers:
        nonlocal most
        read.append(row)
        alive.append(row)
        most = max(most, len(alive))
        return np.ones(4, dtype=np.int8).view(Tracked)

    weighted_sum(range(50), [0, *[2] * 24, *range(3, 28)], source, size=4, bits=8)
    assert 0 not in read
    assert len(read) == 49
    assert most <= 2 * sums.BATCH


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_the_largest_sums_of_a_round_fit(bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    rows = [np.array([-limit, limit], dtype=np.int16 if bits == 16 else np.int8)] * 300
    for count in (1, 2, 7, 300):
        weights = [2**16 // count] * (count - 1)
        weights.append(2**16 - sum(weights))
        total = weighted_sum(range(count), weights, rows.__getitem__, size=2, bits=bits)
        assert total.tolist() == [-limit * 2**16, limit * 2**16]


def test_the_bound_is_exclusive() -> None:
    """sum|a| * q_max < 2^31: at int8, weights of 16,909,320 and not one more."""
    update, most = np.array([-127], dtype=np.int8), (2**31 - 1) // 127
    for weights in ([most], [most - 9, 9], [1] * 3 + [most - 3]):
        total = weighted_sum(range(len(weights)), weights, lambda _: update, size=1, bits=8)
        assert int(total[0]) == -127 * most
    for weights in ([most + 1], [most, 1]):
        with pytest.raises(ConfigError, match="2\\^31"):
            weighted_sum(range(len(weights)), weights, lambda _: update, size=1, bits=8)
