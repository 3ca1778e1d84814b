"""Screening and multi-Krum on exact distances, against slow direct computations and at their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation import rules
from fl_platform.aggregation.gram import Gram
from fl_platform.errors import NotEnoughTrainers
from fl_platform.protocol.spec import AggregationRule

RULE = AggregationRule(
    name="fedavg", byzantine=1, clip_bps=20_000, reject_bps=100_000, floor_bps=1_000, duplicate_bps=9_800,
    server_lr_num=1, server_lr_den=1,
)  # fmt: skip
KRUM = replace(RULE, name="multi-krum")
FREE = rules.Bounds(longest=10**30, rounding=0, directions=(), reference=None)
Vectors = list[list[int]]


def gram_of(vectors: Vectors) -> Gram:
    values = tuple(tuple(sum(a * b for a, b in zip(x, y, strict=True)) for y in vectors) for x in vectors)
    return Gram(tuple(map(str, range(len(vectors)))), values)


def candidates(count: int, *, first: int = 0, stake: int = 10**18) -> list[rules.Candidate]:
    return [rules.Candidate(first + i, bytes([i + 1]) * 20, stake) for i in range(count)]


def decide(
    vectors: Vectors, rule: AggregationRule = RULE, bounds: rules.Bounds = FREE, *, first: int = 0
) -> rules.Decision:
    people = candidates(len(vectors) - first, first=first)
    return rules.decide(people, gram_of(vectors), rule=rule, stake_cap_bps=10_000, bounds=bounds)


def codes(decision: rules.Decision) -> list[str]:
    return [item.code for item in decision.screened]


def test_lengths_at_each_limit() -> None:
    """The median is 1000: floor 100, clip 2000, reject 10000. Each limit itself is still good."""
    decision = decide([[1000], [1000], [1000], [99], [100], [0], [2000], [2001], [10_000], [10_001], [1000]])
    assert codes(decision) == [
        "admitted", "admitted", "admitted", "NoWork", "admitted", "NoWork", "admitted", "admitted", "admitted",
        "UpdateNormExceeded", "admitted",
    ]  # fmt: skip
    full = decision.screened[0].full_weight
    assert [decision.screened[i].weight for i in (0, 4, 6)] == [full] * 3
    assert decision.screened[7].weight == 65536 * 2000 // (8 * 2001)
    assert decision.screened[8].weight == 65536 * 2000 // (8 * 10_000)
    assert decision.divisor == 8 * full


def test_longer_than_any_honest_encoder_is_refused_whatever_the_median() -> None:
    bounds = replace(FREE, longest=100)
    assert codes(decide([[10], [11], [11], [11]], bounds=bounds)) == ["admitted", *["UpdateNormExceeded"] * 3]


def test_replays_in_the_span_of_public_directions() -> None:
    first, second = [100, 0, 0, 0], [0, 100, 0, 0]
    honest = [[50, 50, 90, 0], [60, 40, 0, 95], [90, 0, 30, 0]]
    mix, diluted = [70, 70, 5, 0], [70, 70, 15, 0]
    decision = rules.decide(
        candidates(5, first=2), gram_of([first, second, *honest, mix, diluted]), rule=RULE, stake_cap_bps=10_000,
        bounds=replace(FREE, directions=(0, 1)),
    )  # fmt: skip
    # diluted: 9800 of 10025 in the span is 9775 bps, under the bound of 9800; mix: 9800 of 9825
    assert codes(decision) == ["admitted"] * 3 + ["Replay", "admitted"]
    assert "9974 bps" in decision.screened[3].evidence


def test_too_little_the_references_way() -> None:
    """Cosines 0.9, 0.8 (three times), 0.24, 0.23 and -0.5 of the reference's axis: 30 % of the median 0.8 is 0.24."""
    vectors = [[1000, 0]]
    for cosine in (900, 800, 800, 800, 241, 230, -500):
        vectors.append([cosine, round((10**6 - cosine**2) ** 0.5)])
    decision = decide(vectors, bounds=replace(FREE, reference=0), first=1)
    assert codes(decision) == ["admitted"] * 5 + ["OffReference"] * 2
    assert "2875 bps" in decision.screened[5].evidence
    assert decision.screened[6].evidence.startswith("its cosine with the reference is -6251 bps")


def test_without_a_reference_no_direction_is_preferred() -> None:
    assert codes(decide([[10, 0], [-10, 0], [0, 10]])) == ["admitted"] * 3


vectors_of_seven = st.lists(st.lists(st.integers(-100, 100), min_size=4, max_size=4), min_size=5, max_size=9)


@settings(max_examples=60)
@given(vectors_of_seven, st.integers(0, 3))
def test_multi_krum_is_the_direct_computation(vectors: Vectors, byzantine: int) -> None:
    n = len(vectors)
    gram = gram_of(vectors)
    names = [bytes([i]) * 20 for i in range(n)]
    if n < 2 * byzantine + 3:
        with pytest.raises(NotEnoughTrainers):
            rules.multi_krum(range(n), names, gram, byzantine=byzantine)
        return
    points = np.array(vectors, dtype=object)
    scores = []
    for i in range(n):
        distances = sorted(int(((points[i] - points[j]) ** 2).sum()) for j in range(n) if j != i)
        scores.append(sum(distances[: n - byzantine - 2]))
    expected = sorted(range(n), key=lambda i: (scores[i], names[i]))[: n - byzantine]
    assert rules.multi_krum(range(n), names, gram, byzantine=byzantine) == frozenset(expected)


def test_ties_go_by_address() -> None:
    gram = gram_of([[1], [1], [1], [1], [1]])
    backwards = [bytes([9 - i]) * 20 for i in range(5)]
    assert rules.multi_krum(range(5), backwards, gram, byzantine=1) == frozenset({1, 2, 3, 4})


def test_an_outlier_gets_no_weight_and_the_rest_share() -> None:
    decision = decide([[100, 0], [101, 1], [99, -1], [100, 2], [-100, 50]], KRUM)
    assert codes(decision) == ["admitted"] * 4 + ["NotSelected"]
    assert [item.weight for item in decision.screened] == [65536 // 4] * 4 + [0]


@pytest.mark.parametrize(("vectors", "enough"), [(5, True), (4, False)])
def test_breakdown_point(vectors: int, enough: bool) -> None:
    people = [[100 + i] for i in range(vectors)]
    if enough:
        assert len(decide(people, KRUM).screened) == vectors
        return
    with pytest.raises(NotEnoughTrainers, match="multi-Krum against 1"):
        decide(people, KRUM)


@settings(max_examples=60)
@given(vectors_of_seven, st.integers(1, 10_000))
def test_groups_are_the_components_of_the_near_duplicate_graph(vectors: Vectors, bps: int) -> None:
    gram = gram_of(vectors)
    n = len(vectors)
    near = np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(n):
            inner = gram.at(i, j)
            near[i, j] = inner > 0 and inner**2 * 10_000 > bps * gram.at(i, i) * gram.at(j, j)
    reach = near | np.eye(n, dtype=bool)
    for _ in range(n):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    energies = [gram.at(i, i) for i in range(n)]
    groups = rules.duplicate_groups(range(n), energies, gram, duplicate_bps=bps)
    assert list(groups) == [int(np.flatnonzero(reach[i])[0]) for i in range(n)]
