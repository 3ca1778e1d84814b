"""A round's rows against Python integers: every width, sums with updates and with sums, block by block and as one."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.judging import round_rows as module
from fl_platform.judging.round_rows import RoundRows, cell_of, products, root_of
from fl_platform.protocol.model_spec import ModelSpec, TensorSpec
from fl_platform.updates.model_row import row_root

MODEL = ModelSpec("m", (TensorSpec("a", (300,)), TensorSpec("b", (7, 9)), TensorSpec("c", (5,), counted=False)))


def drawn(bits: int, seed: int, count: int = 4) -> tuple[RoundRows, dict[int, list[int]]]:
    """Return updates 1, 2, ... and two sums, roots -1 and -2, at the extremes of their ranges here and there."""
    rng, limit = np.random.default_rng(seed), 2 ** (bits - 1) - 1
    kind = np.int16 if bits == 16 else np.int8
    updates = [rng.integers(-limit, limit + 1, MODEL.size).astype(kind) for _ in range(count)]
    updates[0][:] = limit
    updates[1][:] = -limit
    past = {-1 - k: rng.integers(-(2**31) + 1, 2**31, MODEL.size).astype(np.int32) for k in range(2)}
    past[-1][: MODEL.size // 2] = 2**31 - 1
    rows = RoundRows(
        MODEL, bits, updates={k + 1: k for k in range(count)}, read=updates.__getitem__, past=past
    )  # fmt: skip
    integers = {k + 1: [int(q) for q in row] for k, row in enumerate(updates)}
    return rows, integers | {root: [int(q) for q in row] for root, row in past.items()}


def slow(one: list[int], other: list[int], block: int | None) -> int:
    place = slice(0, 363) if block is None else (slice(0, 300), slice(300, 363), slice(363, 368))[block]
    return sum(a * b for a, b in zip(one[place], other[place], strict=True))


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("block", [None, 0, 1, 2])
@pytest.mark.parametrize("sides", [((1, 2, 3, 4), (1, 2, 3, 4)), ((3,), (3,)), ((1, 2, 4), (3,)), ((1, 2, 3), (-1, -2)),
                                   ((-1, -2), (-1, -2)), ((-2,), (-1,))])  # fmt: skip
def test_products_are_those_of_python_integers(
    bits: int, block: int | None, sides: tuple[tuple[int, ...], tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [[slow(drawn(bits, 1)[1][a], drawn(bits, 1)[1][b], block) for b in sides[1]] for a in sides[0]]
    rows, _ = drawn(bits, 1)
    assert rows.dots(list(sides[0]), list(sides[1]), block).tolist() == wanted
    monkeypatch.setattr(module, "GROUP", 2)
    monkeypatch.setattr(module, "_STRIP", 64)
    assert drawn(bits, 1)[0].dots(list(sides[0]), list(sides[1]), block).tolist() == wanted


def test_extremes_are_exact_over_many_chunks() -> None:
    size = 70_001
    sums, update = np.full(size, 2**31 - 1, np.int32), np.full(size, 127, np.int8)
    assert int(products([sums], [sums], bits=8, places=[slice(0, size)])[0, 0, 0]) == size * (2**31 - 1) ** 2
    assert int(products([update], [-sums], bits=8, places=[slice(0, size)])[0, 0, 0]) == -size * (2**31 - 1) * 127


def test_a_combination_is_the_root_of_the_sum() -> None:
    rows, integers = drawn(8, 2)
    root = rows.combine([1, 0, 3, 4], [5, 9, 0, 7])
    wanted = np.array([5 * a + 7 * b for a, b in zip(integers[1], integers[4], strict=True)], np.int32)
    assert np.array_equal(rows.made[root], wanted)
    assert root_of(root) == row_root(wanted, MODEL)
    assert cell_of(root_of(root)) == root
