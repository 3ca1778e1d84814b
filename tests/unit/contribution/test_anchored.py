"""The anchored score against exact fractions and against geometry; what it must and must not depend on."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fl_platform.aggregation.gram import Gram
from fl_platform.contribution.anchored import NOISE_SIGMAS, SCORE_ONE, Anchor, Scored, anchored_scores

Vector = list[int]
VECTOR = st.lists(st.integers(-1000, 1000), min_size=8, max_size=8)
STAKE = 10**18


def gram_of(vectors: list[Vector]) -> Gram:
    values = tuple(tuple(sum(a * b for a, b in zip(x, y, strict=True)) for y in vectors) for x in vectors)
    return Gram(tuple(map(str, range(len(vectors)))), values)


def play(
    reference: Vector, directions: list[Vector], updates: list[Vector], *, alpha: Fraction = Fraction(1),
    stakes: list[int] | None = None, groups: list[int] | None = None, size: int = 10**9,
) -> list[int]:  # fmt: skip
    """Score `updates`. A large `size` makes the noise bound small, so that it does not hide what is tested."""
    gram = gram_of([reference, *directions, *updates])
    first = 1 + len(directions)
    norms = sorted(isqrt(gram.at(first + i, first + i) << 32) for i in range(len(updates)))
    anchor = Anchor(
        0, tuple(range(1, first)), alpha.numerator, alpha.denominator, norms[(len(norms) - 1) // 2], size
    )
    trainers = [
        Scored(first + i, (stakes or [STAKE] * len(updates))[i], gram.at(first + i, first + i),
               (groups or list(range(len(updates))))[i])
        for i in range(len(updates))
    ]  # fmt: skip
    return list(anchored_scores(trainers, gram, anchor))


def direct(reference: Vector, directions: list[Vector], updates: list[Vector], alpha: float) -> list[float]:
    """The formula in floats, from the vectors themselves: Gram-Schmidt instead of determinants."""
    r = np.array(reference, dtype=float)
    public: list[np.ndarray] = []
    for direction in directions:
        rest = np.array(direction, dtype=float)
        for unit in public:
            rest -= (rest @ unit) * unit
        if np.linalg.norm(rest) > 1e-6:
            public.append(rest / np.linalg.norm(rest))
    perpendicular = r - alpha * sum(((r @ unit) * unit for unit in public), np.zeros_like(r))
    lengths = sorted(float(np.linalg.norm(u)) for u in updates)
    tau = lengths[(len(lengths) - 1) // 2]
    scores = []
    for update in updates:
        u = np.array(update, dtype=float)
        value = float(u @ perpendicular) if u @ r > 0 else 0.0
        scores.append(value / (max(float(np.linalg.norm(u)), tau / 8) * float(np.linalg.norm(r))) / len(updates))
    return scores


@settings(max_examples=80, deadline=None)
@given(
    VECTOR, st.lists(VECTOR, max_size=3), st.lists(VECTOR, min_size=1, max_size=4),
    st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1)]),
)  # fmt: skip
def test_equals_the_formula(
    reference: Vector, directions: list[Vector], updates: list[Vector], alpha: Fraction
) -> None:
    assume(any(reference) and all(any(u) for u in updates))
    # Nearly dependent directions make the float side wrong, not the exact one.
    stacked = np.array(directions, dtype=float)
    if directions:
        assume(np.linalg.matrix_rank(stacked) == len(directions) and np.linalg.cond(stacked) < 1e4)
    got = [score / SCORE_ONE for score in play(reference, directions, updates, alpha=alpha)]
    for mine, expected in zip(got, direct(reference, directions, updates, float(alpha)), strict=True):
        # 1e-4: cosines under the noise bound count as 0, and tau / 8 is cut to 2^-16
        assert abs(mine - expected) < 2e-4


def test_scaling_changes_nothing() -> None:
    base = play([100, 50, 0, 0], [[10, 0, 30, 0]], [[90, 60, 5, 0], [80, 20, 0, 9]])
    for factor in (2, 5, 1000):
        scaled = play([100, 50, 0, 0], [[10, 0, 30, 0]], [[90 * factor, 60 * factor, 5 * factor, 0], [80, 20, 0, 9]])
        assert abs(scaled[0] - base[0]) * 10**5 <= base[0]
        assert scaled[1] == base[1]


def test_scaling_the_reference_or_the_public_directions_changes_nothing() -> None:
    updates = [[90, 60, 5, 0], [80, 20, 0, 9]]
    base = play([100, 50, 0, 0], [[10, 0, 30, 0]], updates)
    for mine, other in zip(base, play([700, 350, 0, 0], [[-90, 0, -270, 0]], updates), strict=True):
        assert abs(mine - other) * 10**5 <= abs(mine)


def test_whispering_is_worth_less_below_an_eighth_of_the_median() -> None:
    loud = [[800, 0], [801, 1], [799, -1]]
    whole = play([100, 0], [], loud)[0]
    tenth = play([100, 0], [], [*loud[:2], [50, 0]])[2]
    assert 0 < tenth < whole * 51 // 100  # tau / 8 is 100, so a length of 50 counts by half


def test_replays_and_their_mixes_earn_nothing_at_alpha_one() -> None:
    first, second = [50, 20, -7, 3], [4, -9, 30, 1]
    mix = [3 * a + 2 * b for a, b in zip(first, second, strict=True)]
    scores = play([40, 10, 25, 60], [first, second], [first, second, mix, [30, 8, 20, 70]])
    assert scores[:3] == [0, 0, 0]
    assert scores[3] > 0


def test_against_the_reference_earns_nothing_even_where_the_rest_agrees() -> None:
    """<u, r> < 0 but <u, r_perp> > 0: what is taken out must not turn an attack into work."""
    reference, direction, update = [-100, 10, 0], [1, 0, 0], [50, 10, 0]
    assert play(reference, [direction], [update]) == [0]


def test_noise_is_cut_at_its_own_size() -> None:
    """In d dimensions a random vector's cosine is about 1 / sqrt(d): three of them count as nothing."""
    size = 10_000
    rng = np.random.default_rng(2)
    reference = [int(v) for v in rng.normal(0, 100, size)]
    noises = [[int(v) for v in rng.normal(0, 100, size)] for _ in range(20)]
    r = np.array(reference, dtype=float)

    def along(cosine: float) -> Vector:
        noise = np.array(noises[0], dtype=float)
        noise -= (noise @ r) / (r @ r) * r
        unit, other = r / np.linalg.norm(r), noise / np.linalg.norm(noise)
        return [int(v) for v in 10_000 * (cosine * unit + (1 - cosine**2) ** 0.5 * other)]

    bound = NOISE_SIGMAS / size**0.5
    scores = play(reference, [], [*noises, along(0.95 * bound), along(1.05 * bound)], size=size)
    assert scores[:21] == [0] * 21
    assert scores[21] > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(VECTOR, min_size=2, max_size=4), st.integers(2, 6), st.integers(1, 10**6))
def test_splitting_a_stake_over_clones_never_pays(updates: list[Vector], parts: int, unit: int) -> None:
    assume(all(any(u) for u in updates))
    reference = [500, 400, 300, 200, 100, 0, 0, 0]
    stakes = [unit * parts * (i + 1) for i in range(len(updates))]
    whole = play(reference, [], updates, stakes=stakes, groups=list(range(len(updates))))
    clones = [updates[0]] * parts
    divided_stakes = [stakes[0] // parts] * parts + stakes[1:]
    found = play(reference, [], clones + updates[1:], stakes=divided_stakes, groups=[0] * parts + list(
        range(parts, parts + len(updates) - 1)))  # fmt: skip
    assert sum(found[:parts]) <= whole[0] + parts


def test_a_copier_shares_and_never_adds_and_harms_by_its_stake_only() -> None:
    honest, other = [90, 60, 5, 0], [10, 95, 0, 20]
    reference = [100, 80, 0, 0]
    alone = play(reference, [], [honest, other])
    even = play(reference, [], [honest, honest, other], stakes=[STAKE] * 3, groups=[0, 0, 1])
    assert even[0] == even[1]
    # shares of three stakes instead of two, then one score for the group
    assert abs((even[0] + even[1]) * 3 - alone[0] * 2) <= 12
    small = play(reference, [], [honest, honest, other], stakes=[STAKE, STAKE // 100, STAKE], groups=[0, 0, 1])
    assert small[0] > 98 * small[2] * alone[0] // alone[1] // 100
    assert small[1] * 99 < small[0] + 99


def test_permuting_trainers_permutes_scores() -> None:
    updates = [[90, 60, 5, 0], [10, 95, 0, 20], [70, 0, 0, 1]]
    there = play([100, 80, 0, 0], [[1, 0, 0, 5]], updates)
    back = play([100, 80, 0, 0], [[1, 0, 0, 5]], updates[::-1])
    assert there == back[::-1]


def test_a_zero_reference_measures_nothing() -> None:
    assert play([0, 0], [], [[1, 2], [3, 4]]) == [0, 0]
