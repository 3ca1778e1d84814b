"""The Gram matrix against Python integers, in every width, grouping and exponent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation import gram as module
from fl_platform.aggregation.gram import Gram, GramRow, from_triangle, gram_matrix, reference_gram, segments
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates.tensors import Integers


def rows_of(bits: list[int], size: int, seed: int, *, extreme: bool = False) -> list[Integers]:
    rng = np.random.default_rng(seed)
    rows: list[Integers] = []
    for b in bits:
        limit = 2 ** (b - 1) - 1
        values = rng.choice([-limit, limit], size) if extreme else rng.integers(-limit, limit + 1, size)
        rows.append(values.astype(np.int16 if b == 16 else np.int8))
    return rows


def compute(rows: list[Integers], bits: list[int], model: ModelSpec, scale: ScaleSpec) -> Gram:
    listed = [GramRow(f"r{i}", i, b) for i, b in enumerate(bits)]
    return gram_matrix(listed, rows.__getitem__, model=model, scale=scale)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([4, 8, 16]), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), min_size=1, max_size=5),
    st.integers(0, 2**32), st.booleans(),
)  # fmt: skip
def test_equals_python_integers(
    bits: list[int], tensors: list[tuple[int, int]], seed: int, extreme: bool
) -> None:
    model = ModelSpec("m", tuple(TensorSpec(f"t{i}", (size,)) for i, (size, _) in enumerate(tensors)))
    scale = ScaleSpec(128, 0, tuple(offset for _, offset in tensors))
    rows = rows_of(bits, model.size, seed, extreme=extreme)
    assert [list(line) for line in compute(rows, bits, model, scale).values] == reference_gram(
        rows, model=model, scale=scale
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_extremes_are_exact_over_many_chunks(bits: int) -> None:
    """All-largest vectors reach the bound of every chunk; one missing unit would show."""
    size = 70_001
    model = ModelSpec("m", (TensorSpec("a", (size,)),))
    limit = 2 ** (bits - 1) - 1
    kind = np.int16 if bits == 16 else np.int8
    ones, odd = np.full(size, limit, dtype=kind), np.full(size, limit, dtype=kind)
    odd[::2] = -limit
    gram = compute([ones, odd], [bits, bits], model, ScaleSpec(128, 0, (4,)))
    assert gram.at(0, 0) == gram.at(1, 1) == 256 * size * limit * limit
    assert gram.at(0, 1) == gram.at(1, 0) == -256 * limit * limit  # one more negative than positive


def test_groups_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = [8, 8, 8, 8, 8, 16, 16]
    model = ModelSpec("m", (TensorSpec("a", (50,)), TensorSpec("b", (9,))))
    scale = ScaleSpec(128, 0, (1, 3))
    rows = rows_of(bits, 59, 1)
    whole = compute(rows, bits, model, scale)
    monkeypatch.setattr(module, "GROUP", 2)
    monkeypatch.setattr(module, "_STRIP", 16)
    assert compute(rows, bits, model, scale) == whole


def test_int64_is_flushed_before_it_can_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strip of 2^32 columns of int16 would reach 2^62: every strip must go to Python integers at once."""
    model = ModelSpec("m", (TensorSpec("a", (5_000,)),))
    rows = rows_of([16, 16], 5_000, 2, extreme=True)
    whole = compute(rows, [16, 16], model, ScaleSpec(128, 0, (0,)))
    monkeypatch.setattr(module, "_STRIP", 64)
    assert compute(rows, [16, 16], model, ScaleSpec(128, 0, (0,))) == whole
    assert [list(v) for v in whole.values] == reference_gram(rows, model=model, scale=ScaleSpec(128, 0, (0,)))


def test_permuting_rows_permutes_the_matrix() -> None:
    bits = [8] * 4
    model, scale = ModelSpec("m", (TensorSpec("a", (40,)),)), ScaleSpec(128, 0, (2,))
    rows = rows_of(bits, 40, 5)
    straight, turned = compute(rows, bits, model, scale), compute(rows[::-1], bits, model, scale)
    for i in range(4):
        for j in range(4):
            assert straight.at(i, j) == turned.at(3 - i, 3 - j)


def test_segments_join_neighbours_of_one_exponent() -> None:
    model = ModelSpec("m", tuple(TensorSpec(f"t{i}", (10,)) for i in range(4)))
    found = list(segments(model, ScaleSpec(128, 0, (1, 1, 0, 1))))
    assert found == [(slice(0, 20), 1), (slice(20, 30), 0), (slice(30, 40), 1)]


def test_the_triangle_of_a_bundle_gives_the_matrix_back() -> None:
    model = ModelSpec("m", (TensorSpec("a", (12,)),))
    gram = compute(rows_of([8, 8, 8], 12, 7), [8] * 3, model, ScaleSpec(128, 0, (0,)))
    assert from_triangle(gram.names, gram.triangle) == gram
    assert gram.row("r2") == 2
    with pytest.raises(KeyError):
        gram.row("r9")
