"""The aggregate against the commitments: honest sums pass, one changed number of anything does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import CommitmentMismatch, ConfigError, PointInvalid, UpdateRangeExceeded
from tests.support.commitments import (
    SMALL,
    CommittedRound,
    committed_round,
    exact_sum,
    fast_generators,
    random_round,
    seed,
    slow_generators,
)
from zk.commitment import merkle
from zk.commitment.aggregate_proof import ChunkEvidence, verify_chunk, verify_opening, verify_sum
from zk.commitment.pedersen import Commitment
from zk.curve.bn254 import ORDER

FAST, SLOW = fast_generators(), slow_generators()


@st.composite
def rounds(draw: st.DrawFn) -> CommittedRound:
    """Random n, d, widths, signs and weights, with the codec's extremes and zeros more often than chance has them."""
    bits = draw(st.sampled_from([4, 8, 16]))
    top = 2 ** (bits - 1) - 1
    length = draw(st.integers(1, 3 * SMALL))
    trainers = draw(st.integers(1, 5))
    value = st.one_of(st.sampled_from([0, top, -top]), st.integers(-top, top))
    vectors = [np.array(draw(st.lists(value, min_size=length, max_size=length))) for _ in range(trainers)]
    largest = (2**62 - 1) // (trainers << (bits - 1))
    weight = st.one_of(st.sampled_from([0, 1, 2**16, -1, largest, -largest]), st.integers(-largest, largest))
    return committed_round(vectors, [draw(weight) for _ in range(trainers)], bits, FAST)


@settings(max_examples=50, deadline=None)
@given(rounds(), st.data())
def test_every_honest_sum_passes_and_no_other(case, data):
    verify_sum(case.claim, case.commitments, FAST)
    place = data.draw(st.integers(0, len(case.claim.aggregate) - 1))
    lied = case.claim.aggregate.copy()
    lied[place] += data.draw(st.sampled_from([1, -1]))
    with pytest.raises(CommitmentMismatch):
        verify_sum(dataclasses.replace(case.claim, aggregate=lied), case.commitments, FAST)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_both_engines_give_one_verdict(bits):
    fast, slow = (random_round(trainers=3, length=37, bits=bits, generators=gens) for gens in (FAST, SLOW))
    assert [c.points for c in fast.commitments] == [c.points for c in slow.commitments]
    verify_sum(fast.claim, fast.commitments, SLOW)
    lied = fast.claim.aggregate.copy()
    lied[-1] -= 1
    for gens in (FAST, SLOW):
        with pytest.raises(CommitmentMismatch, match="weighted sum"):
            verify_sum(dataclasses.replace(fast.claim, aggregate=lied), fast.commitments, gens)


def test_extremes_at_the_bound_do_not_wrap():
    weight = (2**62 - 1) // (2 << 15)
    vectors = [np.full(SMALL + 1, sign * 32767) for sign in (1, 1)]
    case = committed_round(vectors, [weight, weight], 16, FAST)
    assert int(case.claim.aggregate.max()) == 2 * weight * 32767
    verify_sum(case.claim, case.commitments, FAST)
    with pytest.raises(ConfigError, match=r"2\^62"):
        verify_sum(dataclasses.replace(case.claim, weights=(weight + 1, weight)), case.commitments, FAST)


CASE = random_round(trainers=4, length=41, bits=8, generators=FAST)


def changed(**fields):
    return dataclasses.replace(CASE.claim, **fields)


def with_first(values, value):
    return (value, *values[1:])


@pytest.mark.parametrize(
    "claim",
    [
        changed(weights=with_first(CASE.claim.weights, CASE.claim.weights[0] + 1)),
        changed(weights=CASE.claim.weights[::-1]),
        changed(weights=CASE.claim.weights[:3]),
        changed(blindings=with_first(CASE.claim.blindings, (CASE.claim.blindings[0] + 1) % ORDER)),
        changed(blindings=with_first(CASE.claim.blindings, CASE.claim.blindings[0] + ORDER)),
        changed(blindings=with_first(CASE.claim.blindings, -1)),
        changed(blindings=CASE.claim.blindings[:2]),
        changed(blindings=CASE.claim.blindings[::-1]),
        changed(aggregate=CASE.claim.aggregate[:40]),
        changed(aggregate=np.append(CASE.claim.aggregate, 0)),
        changed(aggregate=CASE.claim.aggregate[::-1].copy()),
        changed(aggregate=CASE.claim.aggregate.astype(np.float64)),
        changed(aggregate=CASE.claim.aggregate + np.int64(2**40)),
        changed(aggregate=np.zeros((0,), np.int64)),
        changed(bits=4),
    ],
)
def test_one_changed_thing_is_refused(claim):
    with pytest.raises(CommitmentMismatch):
        verify_sum(claim, CASE.commitments, FAST)


def test_other_commitments_are_refused():
    first, second, *rest = CASE.commitments
    swapped = Commitment(points=first.point(1) + first.point(0) + first.point(2), length=first.length)
    for others in ([second, first, *rest], [swapped, second, *rest], [first, second], []):
        with pytest.raises(CommitmentMismatch):
            verify_sum(CASE.claim, others, FAST)
    broken = Commitment(points=first.points[:-1] + bytes([first.points[-1] ^ 1]), length=first.length)
    infinite = Commitment(points=bytes(64) + first.points[64:], length=first.length)
    for bad in (broken, infinite):
        with pytest.raises(PointInvalid):
            verify_sum(CASE.claim, [bad, second, *rest], FAST)


def test_chunk_errors_do_not_cancel():
    # equal and opposite lies in two chunks at one place: adding the chunks up without powers would miss them
    lied = CASE.claim.aggregate.copy()
    lied[0] += 1
    lied[SMALL] -= 1
    with pytest.raises(CommitmentMismatch):
        verify_sum(changed(aggregate=lied), CASE.commitments, FAST)


def evidence(chunk):
    return [
        ChunkEvidence(root=c.root, point=c.point(chunk), path=merkle.path(c.points, chunk)) for c in CASE.commitments
    ]


def test_a_dispute_about_one_chunk_finds_that_chunk_only():
    lied = CASE.claim.aggregate.copy()
    lied[SMALL] += 1
    for gens in (FAST, SLOW):
        assert [verify_chunk(CASE.claim, k, evidence(k), gens) for k in range(3)] == [True, True, True]
        assert [verify_chunk(changed(aggregate=lied), k, evidence(k), gens) for k in range(3)] == [True, False, True]


def test_false_evidence_is_void():
    good = evidence(1)
    bad = [
        evidence(0),
        good[:3],
        [dataclasses.replace(good[0], path=good[0].path[:1]), *good[1:]],
        [dataclasses.replace(good[0], point=good[1].point), *good[1:]],
        [dataclasses.replace(good[0], path=good[0].path[::-1]), *good[1:]],
    ]
    for entries in bad:
        with pytest.raises(CommitmentMismatch):
            verify_chunk(CASE.claim, 1, entries, FAST)
    with pytest.raises(CommitmentMismatch):
        verify_chunk(CASE.claim, 3, good, FAST)


def test_holders_open_a_commitment():
    place = CASE.claim.binding
    fields = {"commitment": CASE.commitments[1], "bits": 8, "binding": place, "generators": FAST}
    vector = CASE.vectors[1]
    verify_opening(vector, seed(1), **fields)
    verify_opening(vector.astype(np.int8), seed(1), **fields)
    other = vector.copy()
    other[40] = 1 if vector[40] != 1 else 2
    for wrong, with_seed in ((other, seed(1)), (vector, seed(2)), (CASE.vectors[0], seed(0))):
        with pytest.raises(CommitmentMismatch):
            verify_opening(wrong, with_seed, **fields)
    outside = vector.copy()
    outside[0] = 128
    with pytest.raises(UpdateRangeExceeded):
        verify_opening(outside, seed(1), **fields)


def test_the_reference_sum_is_exact():
    assert exact_sum([np.array([3, -4]), np.array([5, 6])], [10, -1]).tolist() == [25, -46]
