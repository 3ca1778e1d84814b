"""The Gram matrix against Python integers, in every width and grouping; the energies of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation import gram as module
from fl_platform.aggregation.gram import Gram, GramRow, from_triangle, gram_matrix, reference_gram
from fl_platform.protocol.spec import ModelSpec, TensorSpec
from fl_platform.updates.tensors import Integers


def rows_of(bits: list[int], size: int, seed: int, *, extreme: bool = False) -> list[Integers]:
    rng = np.random.default_rng(seed)
    rows: list[Integers] = []
    for b in bits:
        limit = 2 ** (b - 1) - 1
        values = rng.choice([-limit, limit], size) if extreme else rng.integers(-limit, limit + 1, size)
        rows.append(values.astype(np.int16 if b == 16 else np.int8))
    return rows


def compute(rows: list[Integers], bits: list[int], model: ModelSpec) -> Gram:
    listed = [GramRow(f"r{i}", i, b) for i, b in enumerate(bits)]
    return gram_matrix(listed, rows.__getitem__, model=model)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([4, 8, 16]), min_size=1, max_size=6),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.integers(0, 2**32), st.booleans(),
)  # fmt: skip
def test_equals_python_integers(bits: list[int], sizes: list[int], seed: int, extreme: bool) -> None:
    model = ModelSpec("m", tuple(TensorSpec(f"t{i}", (size,)) for i, size in enumerate(sizes)))
    rows = rows_of(bits, model.size, seed, extreme=extreme)
    gram = compute(rows, bits, model)
    assert [list(line) for line in gram.values] == reference_gram(rows)
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    for row, energies in zip(rows, gram.energies, strict=True):
        squares = [int(q) ** 2 for q in row]
        assert list(energies) == [sum(squares[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


@pytest.mark.parametrize("bits", [8, 16])
def test_extremes_are_exact_over_many_chunks(bits: int) -> None:
    """All-largest vectors reach the bound of every chunk; one missing unit would show."""
    size = 70_001
    model = ModelSpec("m", (TensorSpec("a", (size,)),))
    limit = 2 ** (bits - 1) - 1
    kind = np.int16 if bits == 16 else np.int8
    ones, odd = np.full(size, limit, dtype=kind), np.full(size, limit, dtype=kind)
    odd[::2] = -limit
    gram = compute([ones, odd], [bits, bits], model)
    assert gram.at(0, 0) == gram.at(1, 1) == size * limit * limit
    assert gram.energies == ((size * limit * limit,),) * 2
    assert gram.at(0, 1) == gram.at(1, 0) == -limit * limit  # one more negative than positive


def test_groups_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = [8, 8, 8, 8, 8, 16, 16]
    model = ModelSpec("m", (TensorSpec("a", (50,)), TensorSpec("b", (9,))))
    rows = rows_of(bits, 59, 1)
    whole = compute(rows, bits, model)
    monkeypatch.setattr(module, "GROUP", 2)
    monkeypatch.setattr(module, "_STRIP", 16)
    assert compute(rows, bits, model) == whole


def test_int64_is_flushed_before_it_can_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strip of 2^32 columns of int16 would reach 2^62: every strip must go to Python integers at once."""
    model = ModelSpec("m", (TensorSpec("a", (5_000,)),))
    rows = rows_of([16, 16], 5_000, 2, extreme=True)
    whole = compute(rows, [16, 16], model)
    monkeypatch.setattr(module, "_STRIP", 64)
    assert compute(rows, [16, 16], model) == whole
    assert [list(v) for v in whole.values] == reference_gram(rows)


def test_permuting_rows_permutes_the_matrix() -> None:
    bits = [8] * 4
    model = ModelSpec("m", (TensorSpec("a", (40,)),))
    rows = rows_of(bits, 40, 5)
    straight, turned = compute(rows, bits, model), compute(rows[::-1], bits, model)
    for i in range(4):
        for j in range(4):
            assert straight.at(i, j) == turned.at(3 - i, 3 - j)


def test_directions_have_no_energies() -> None:
    model = ModelSpec("m", (TensorSpec("a", (9,)), TensorSpec("b", (3,))))
    rows = rows_of([8, 16], 12, 3)
    gram = gram_matrix([GramRow("r", 0, 8), GramRow("direction:1", 1, 16)], rows.__getitem__, model=model)
    assert len(gram.energies) == 1
    assert sum(gram.energies[0]) == gram.at(0, 0)


def test_the_triangle_of_a_bundle_gives_the_matrix_back() -> None:
    model = ModelSpec("m", (TensorSpec("a", (12,)),))
    gram = compute(rows_of([8, 8, 8], 12, 7), [8] * 3, model)
    assert from_triangle(gram.names, gram.triangle, gram.energies) == gram
    assert gram.row("r2") == 2
    with pytest.raises(KeyError):
        gram.row("r9")
