"""One multiple by libmcl is the one by py_ecc, at the extremes too."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CurveEngineBroken
from zk import curve, mcl, multiples
from zk.curve import GENERATOR, INFINITY, ORDER, Point


@settings(max_examples=20, deadline=None)
@given(scalar=st.integers(-(2**256), 2**256), start=st.integers(1, ORDER - 1))
def test_both_ways_agree(scalar: int, start: int) -> None:
    mcl.bound()
    point = curve.multiply(GENERATOR, start)
    assert multiples.multiply(point, scalar) == curve.multiply(point, scalar)


@pytest.mark.parametrize("scalar", [0, 1, -1, ORDER - 1, ORDER, ORDER + 1, 2])
def test_extremes(scalar: int) -> None:
    mcl.bound()
    assert multiples.multiply(GENERATOR, scalar) == curve.multiply(GENERATOR, scalar)
    assert multiples.multiply(INFINITY, scalar) == INFINITY


def python(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_a_process_loads_the_library_after_a_few_and_never_the_compiled_loops() -> None:
    program = """
import subprocess
import sys
from zk import curve, multiples
for count in (multiples.FEW, 1):
    for i in range(count):
        found = multiples.multiply(curve.GENERATOR, i + 5)
    assert found == curve.multiply(curve.GENERATOR, i + 5)
    print("mclbn256" in sys.modules, "numba" in sys.modules)
"""
    assert python(program) == ["False", "False", "True", "False"]


def test_without_the_extra_py_ecc_goes_on() -> None:
    program = """
import subprocess
import sys
sys.modules["mclbn256.mclbn256"] = None
from zk import curve, multiples
multiples.FEW = 1
print([multiples.multiply(curve.GENERATOR, 7) == curve.multiply(curve.GENERATOR, 7) for _ in range(3)].count(True))
"""
    assert python(program) == ["3"]


def test_a_library_that_multiplies_wrongly_is_refused() -> None:
    class Lying:
        def multiply(self, point: Point, scalar: int) -> Point:
            return point if scalar == ORDER - 1 else curve.multiply(point, scalar)

    with pytest.raises(CurveEngineBroken, match="py_ecc says"):
        mcl.check_multiple(Lying())
