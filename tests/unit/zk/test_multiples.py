"""One multiple by libmcl is the one by py_ecc, at the extremes too."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zk import curve, mcl, multiples
from zk.curve import GENERATOR, INFINITY, ORDER


@settings(max_examples=20, deadline=None)
@given(scalar=st.integers(-(2**256), 2**256), start=st.integers(1, ORDER - 1))
def test_both_ways_agree(scalar: int, start: int) -> None:
    mcl.load()
    point = curve.multiply(GENERATOR, start)
    assert multiples.multiply(point, scalar) == curve.multiply(point, scalar)


@pytest.mark.parametrize("scalar", [0, 1, -1, ORDER - 1, ORDER, ORDER + 1, 2])
def test_extremes(scalar: int) -> None:
    mcl.load()
    assert multiples.multiply(GENERATOR, scalar) == curve.multiply(GENERATOR, scalar)
    assert multiples.multiply(INFINITY, scalar) == INFINITY


def test_a_process_without_the_library_uses_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "zk.mcl")
    assert multiples.multiply(GENERATOR, 5) == curve.multiply(GENERATOR, 5)
