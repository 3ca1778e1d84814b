"""A benchmark's round is the product's: the integers make the same model and scale as the judge's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.models import MODELS
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask
from fl_platform.protocol.model_spec import FARTHEST_DOWN, FARTHEST_UP, ModelSpec, ScaleSpec, TensorSpec
from fl_platform.updates import measured_scale, rounding_seed, step_of
from fl_platform.updates.scale import SPREAD, largest_integer
from scripts.bench.averaging import Arm, average, next_scale
from tests.support.model_rounds import play_rounds

MODEL = ModelSpec("three", (TensorSpec("a", (100, 10)), TensorSpec("b", (10,)), TensorSpec("c", (5, 5, 5))))
SIZES = [t.size for t in MODEL.tensors]
BITS = (4, 8, 16)


def test_two_rounds_are_those_of_the_judge() -> None:
    split = load_digits_split()
    tasks = [DataTask(MODELS["digits-mlp"], split.train.take(slice(i, 300, 3)), split.test) for i in range(3)]
    played = play_rounds(tasks, plan=TrainPlan(epochs=1, batch_size=16, learning_rate=0.1), rounds=2)
    scale = played.scales[0]
    for number in range(2):
        averaged = average(
            played.models[number], played.deltas[number], model=played.spec.model, scale=scale, arm=Arm("int8", 8),
            seeds=[rounding_seed(f"secret of {w}".ljust(16).encode(), task=7, round_number=number) for w in (1, 2, 3)],
            first=played.scales[0],
        )  # fmt: skip
        for name, array in played.models[number + 1].items():
            np.testing.assert_allclose(averaged.state[name], array, rtol=0, atol=1e-7)
        assert averaged.scale == played.judged[number].after.scale
        assert (averaged.halvings, averaged.clipped) == (0, 0)
        scale = played.judged[number].after.scale


def test_float_deltas_are_averaged_as_they_are() -> None:
    state = {"t": np.array(1.0, np.float32), "w": np.zeros(3, np.float32)}
    deltas = [{"t": np.array(x, np.float32), "w": np.full(3, x, np.float32)} for x in (0.5, 1.0, -3.0)]
    model = ModelSpec("m", (TensorSpec("t", ()), TensorSpec("w", (3,))))
    averaged = average(state, deltas, model=model, scale=None, arm=Arm("float32", None), seeds=[])
    assert averaged.state["t"] == 0.5
    assert averaged.state["w"].tolist() == [-0.5] * 3


def slow_exponent(old: int, first: int, *, bits: int, median: int, size: int) -> int:
    """The exponent whose step is nearest to the wanted one, by comparing steps one by one, as fractions."""
    wanted = Fraction(SPREAD[bits] ** 2 * median, largest_integer(bits) ** 2 * size)  # squared, in old steps
    wanted = Fraction(wanted.numerator * 2**32 // wanted.denominator, 2**32)
    best = old - 16
    while Fraction(2) ** (2 * (best - old) + 1) <= wanted:
        best += 1
    moved = min(max(best, old - 1), old + 1)
    return min(max(moved, first - FARTHEST_DOWN), first + FARTHEST_UP)


def following(scale: ScaleSpec, medians: list[int], *, bits: int, first: ScaleSpec, model: ModelSpec) -> ScaleSpec:
    return next_scale(scale, first=first, model=model, bits=bits, medians=medians, spread=SPREAD[bits])


@settings(max_examples=300, deadline=None)
@given(
    old=st.lists(st.integers(-60, 10), min_size=3, max_size=3),
    moved=st.lists(st.integers(-FARTHEST_UP, FARTHEST_DOWN), min_size=3, max_size=3),
    bits=st.sampled_from(BITS),
    medians=st.lists(st.integers(0, 2**60) | st.integers(0, 2**14), min_size=3, max_size=3),
)
def test_the_next_scale_follows_the_formula(old: list[int], moved: list[int], bits: int, medians: list[int]) -> None:
    first = [e + m for e, m in zip(old, moved, strict=True)]
    result = following(ScaleSpec(tuple(old)), medians, bits=bits, first=ScaleSpec(tuple(first)), model=MODEL)
    assert list(result.exponents) == [
        slow_exponent(e, f, bits=bits, median=m, size=d)
        for e, f, m, d in zip(old, first, medians, SIZES, strict=True)
    ]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("part", "moves"), [((1, 2), 0), ((1, 1), 0), ((2, 1), 1), ((4, 1), 1), ((1, 4), -1)])
def test_a_step_that_is_as_wanted_stays(bits: int, part: tuple[int, int], moves: int) -> None:
    """`part`: the wanted step over this one, squared. From 1/2 up to 2 nothing moves."""
    model = ModelSpec("one", (TensorSpec("a", (2 * SPREAD[bits] ** 2,)),))
    median = largest_integer(bits) ** 2 * 2 * part[0] // part[1]
    scale = ScaleSpec((-9,))
    assert following(scale, [median], bits=bits, first=scale, model=model).exponents == (-9 + moves,)
    below = following(scale, [median - 1], bits=bits, first=scale, model=model)
    if part == (1, 2):
        assert below.exponents == (-10,)
    if part == (2, 1):
        assert below == scale


def test_the_scale_goes_no_farther_than_its_bounds() -> None:
    first = scale = ScaleSpec((0, 0, 0))
    for _ in range(40):
        scale = following(scale, [2**90, 0, 2**90], bits=8, first=first, model=MODEL)
    assert scale.exponents == (FARTHEST_UP, -FARTHEST_DOWN, FARTHEST_UP)


def test_a_measured_scale_is_a_fixed_point_of_a_steady_task() -> None:
    rng = np.random.default_rng(1)
    delta = {
        t.name: (rng.standard_normal(t.shape) * s).astype(np.float32)
        for t, s in zip(MODEL.tensors, [0.004, 0.03, 0.001], strict=True)
    }
    scale = measured_scale(delta, model=MODEL, bits=16)
    steps = [delta[t.name].astype(np.float64) / step_of(scale, k) for k, t in enumerate(MODEL.tensors)]
    medians = [int((np.rint(part) ** 2).sum()) for part in steps]
    assert following(scale, medians, bits=16, first=scale, model=MODEL) == scale
