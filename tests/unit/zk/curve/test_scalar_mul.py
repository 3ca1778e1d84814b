"""One multiple by libmcl is the one by py_ecc, at the extremes too."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CurveEngineBroken
from zk.curve import bn254, mcl, scalar_mul
from zk.curve.bn254 import GENERATOR, INFINITY, ORDER, Point


@settings(max_examples=20, deadline=None)
@given(scalar=st.integers(-(2**256), 2**256), start=st.integers(1, ORDER - 1))
def test_both_ways_agree(scalar: int, start: int) -> None:
    mcl.bound()
    point = bn254.multiply(GENERATOR, start)
    assert scalar_mul.multiply(point, scalar) == bn254.multiply(point, scalar)


@pytest.mark.parametrize("scalar", [0, 1, -1, ORDER - 1, ORDER, ORDER + 1, 2])
def test_extremes(scalar: int) -> None:
    mcl.bound()
    assert scalar_mul.multiply(GENERATOR, scalar) == bn254.multiply(GENERATOR, scalar)
    assert scalar_mul.multiply(INFINITY, scalar) == INFINITY


def python(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_a_process_loads_the_library_after_a_few_and_never_the_compiled_loops() -> None:
    program = """
import subprocess
import sys
from zk.curve import bn254, scalar_mul
for count in (scalar_mul.FEW, 1):
    for i in range(count):
        found = scalar_mul.multiply(bn254.GENERATOR, i + 5)
    assert found == bn254.multiply(bn254.GENERATOR, i + 5)
    print("mclbn256" in sys.modules, "numba" in sys.modules)
"""
    assert python(program) == ["False", "False", "True", "False"]


def test_without_the_extra_py_ecc_goes_on() -> None:
    program = """
import subprocess
import sys
sys.modules["mclbn256.mclbn256"] = None
from zk.curve import bn254, scalar_mul
scalar_mul.FEW = 1
print([scalar_mul.multiply(bn254.GENERATOR, 7) == bn254.multiply(bn254.GENERATOR, 7) for _ in range(3)].count(True))
"""
    assert python(program) == ["3"]


def test_a_library_that_multiplies_wrongly_is_refused() -> None:
    class Lying:
        def multiply(self, point: Point, scalar: int) -> Point:
            return point if scalar == ORDER - 1 else bn254.multiply(point, scalar)

    with pytest.raises(CurveEngineBroken, match="py_ecc says"):
        mcl.check_multiple(Lying())
