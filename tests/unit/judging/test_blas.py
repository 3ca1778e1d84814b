"""Products on one thread, and the process's threads as they were afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from fl_platform.judging import blas, round_rows, sums


def threads() -> set[int]:
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


@pytest.mark.parametrize("part", ["products", "sum"])
def test_one_thread_for_a_product_and_as_many_as_before_afterwards(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    blas._controller.cache_clear()  # another test may have loaded a second BLAS since

    def watched(function: Any) -> Any:
        def call(*args: Any, **fields: Any) -> Any:
            seen.append(threads())
            return function(*args, **fields)

        return call

    monkeypatch.setattr(round_rows, "_load", watched(round_rows._load))
    monkeypatch.setattr(sums, "_add_products", watched(sums._add_products))
    rows = [np.arange(-60, 60, dtype=np.int8), np.arange(120, dtype=np.int8)]
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = threads()
        if part == "sum":
            total = sums.weighted_sum(range(2), [3, 5], rows.__getitem__, size=120, bits=8)
            assert total.tolist() == [3 * a + 5 * b for a, b in zip(range(-60, 60), range(120), strict=True)]
        else:
            found = round_rows.products(rows, rows, bits=8, places=[slice(0, 120)])
            assert found[0, 0, 1] == sum(a * b for a, b in zip(range(-60, 60), range(120), strict=True))
        assert threads() == before == {2}
    assert seen == [{1}]
