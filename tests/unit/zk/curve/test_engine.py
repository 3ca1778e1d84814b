"""Both engines against each other and against multiplication one by one."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CurveEngineBroken, PointInvalid
from tests.support.commitments import fast_generators, slow_generators
from zk.curve import bn254, fast_engine, kernels, mcl
from zk.curve import engine as engine_module
from zk.curve.bn254 import FIELD, GENERATOR, INFINITY, ORDER
from zk.curve.engine import SlowEngine, default_engine

FAST = fast_generators()
SLOW = slow_generators()


def one_by_one(points, scalars):
    total = INFINITY
    for point, scalar in zip(points, scalars, strict=True):
        total = bn254.add(total, bn254.multiply(point, int(scalar)))
    return total


edge_scalars = st.one_of(
    st.sampled_from([0, 1, -1, 2**16, ORDER - 1, ORDER, ORDER + 1, 2**255, -(2**62)]), st.integers(-ORDER, ORDER)
)


@settings(max_examples=15, deadline=None)
@given(st.lists(edge_scalars, min_size=1, max_size=6))
def test_general_sums_agree(scalars):
    wanted = one_by_one(SLOW.points[: len(scalars)], scalars)
    for gens in (FAST, SLOW):
        assert gens.engine.msm(gens.points[: len(scalars)], gens.engine.scalars(scalars)) == wanted


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 63).flatmap(lambda b: st.tuples(st.just(b), st.lists(
    st.one_of(st.integers(-(2 ** (b - 1)) + 1, 2 ** (b - 1) - 1),
              st.sampled_from([0, 2 ** (b - 1) - 1, -(2 ** (b - 1)) + 1])), min_size=1, max_size=16))))  # fmt: skip
def test_small_sums_agree(case):
    bits, values = case
    row = np.array(values, np.int64)
    found = [
        gens.engine.commit_row(gens.points, row, bits, blinding=11, blinding_base=gens.blinding)
        for gens in (FAST, SLOW)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_long_rows_of_extremes(bits):
    count = 2_100  # more than one batch of shared inversions in the first pass
    gens = fast_generators(count)
    top = 2 ** (bits - 1) - 1
    row = np.array(list(itertools.islice(itertools.cycle([top, -top, 0, 1, -1, top]), count)), np.int64)
    small = gens.engine.commit_row(gens.points, row, bits, blinding=1, blinding_base=gens.blinding)
    general = gens.engine.msm(gens.points, gens.engine.scalars([int(v) for v in row]))
    assert small == bn254.add(general, gens.engine.msm(gens.blinding, gens.engine.scalars([1])))


def test_repeated_and_opposite_bases_are_added_too():
    point = bn254.multiply(GENERATOR, 5)
    encoded = bn254.encode(point) * 3 + bn254.encode(bn254.negate(point))
    bases = FAST.engine.bases(encoded)
    row = np.array([3, 3, 3, 3], np.int64)
    digits = row.astype(np.int32)
    assert not kernels.bucket_sums(bases, digits, np.empty((4, 12), np.uint64))
    found = FAST.engine.commit_row(bases, row, 8, blinding=0, blinding_base=bases)
    assert found == bn254.multiply(point, 6)


def test_a_value_outside_the_width_is_refused():
    row = np.array([2**20], np.int64)
    with pytest.raises(ValueError, match="does not fit"):
        FAST.engine.commit_row(FAST.points, row, 8, blinding=1, blinding_base=FAST.blinding)
    with pytest.raises(ValueError, match="64 bits"):
        FAST.engine.commit_row(FAST.points, row, 64, blinding=1, blinding_base=FAST.blinding)


def test_vectors_and_folding_agree():
    values = [pow(3, 100 + i, ORDER) for i in range(8)]
    results = []
    for gens in (FAST, SLOW):
        engine = gens.engine
        vector = engine.scalars(values)
        engine.add_row(vector, -7, np.array([5, -6, 0, 2**61, -(2**61)], np.int64))
        engine.add_scaled(vector, ORDER - 2, engine.scalars(values[::-1]))
        outer = engine.outer(engine.scalars([2, -3]), vector[:4])
        combined = engine.combine(gens.points, engine.scalars([1, -2, 3, 4]))
        blocks = [engine.blocks(gens.points, 4, parity) for parity in (0, 1)]
        points = [engine.msm(bases, engine.scalars([1, 2, 3, 4])) for bases in (combined, *(b[:4] for b in blocks))]
        results.append((engine.to_ints(vector), engine.to_ints(outer), points))
    assert results[0] == results[1]


def test_random_scalars_are_reduced_and_differ():
    for gens in (FAST, SLOW):
        drawn = gens.engine.to_ints(gens.engine.random_scalars(50))
        assert len(set(drawn)) == 50
        assert all(0 <= value < ORDER for value in drawn)


@pytest.mark.parametrize("gens", [FAST, SLOW], ids=["mcl", "py_ecc"])
@pytest.mark.parametrize(
    "bad",
    [
        bytes(64),  # infinity
        (1).to_bytes(32, "big") + (3).to_bytes(32, "big"),  # off the curve
        (1 + FIELD).to_bytes(32, "big") + (2).to_bytes(32, "big"),  # not reduced
        (1).to_bytes(32, "big") + (2 + FIELD).to_bytes(32, "big"),
        bn254.encode(GENERATOR)[:63],
    ],
    ids=["infinity", "off-curve", "x-unreduced", "y-unreduced", "truncated"],
)
def test_bad_points_are_refused(gens, bad):
    with pytest.raises(PointInvalid):
        gens.engine.bases(bn254.encode(GENERATOR) + bad)


def test_lifting_agrees():
    xs = [pow(11, i + 5, FIELD) for i in range(30)]
    odd = [bool(i & 1) for i in range(30)]
    found = FAST.engine.lift(xs, odd)
    assert found == SLOW.engine.lift(xs, odd)
    assert 5 < sum(point is None for point in found) < 25


def test_a_wrong_library_is_found_out():
    class Lying:
        def __init__(self, honest):
            self._honest = honest

        def __getattr__(self, name):
            return getattr(self._honest, name)

        def mul_vec(self, points, scalars):
            return self._honest.mul_vec(points[1:], scalars[1:])

    with pytest.raises(CurveEngineBroken, match="py_ecc says"):
        mcl.check(Lying(mcl.load()))


def test_the_library_on_its_default_curve_is_found_out(monkeypatch):
    # the package starts up on another curve (number 0): libmcl is global, so it is put back at once
    honest = mcl.load()
    try:
        monkeypatch.setattr(mcl, "CURVE_SNARK1", 0)
        wrong = mcl.Mcl()
        with pytest.raises(CurveEngineBroken):
            mcl.check(wrong)
    finally:
        monkeypatch.setattr(mcl, "CURVE_SNARK1", 4)
        mcl.Mcl()
    mcl.check(honest)


def test_sums_longer_than_one_call(monkeypatch):
    monkeypatch.setattr(mcl, "MAX_TERMS", 5)
    scalars = list(range(1, 17))
    assert FAST.engine.msm(FAST.points, FAST.engine.scalars(scalars)) == SLOW.engine.msm(SLOW.points, scalars)


def test_without_the_library_the_slow_engine_says_so(monkeypatch, caplog):
    def missing():
        raise ImportError("no build for this platform")

    monkeypatch.setattr(fast_engine, "load", missing)
    default_engine.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, logger=engine_module.__name__):
            assert isinstance(default_engine(), SlowEngine)
        assert "slower" in caplog.text
    finally:
        default_engine.cache_clear()
