"""Commitments: the definition, blindings, hash-then-show, bad shapes and values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from eth_hash.auto import keccak

from fl_platform.errors import CommitmentMismatch, ConfigError, UpdateRangeExceeded
from tests.support.commitments import SMALL, binding, fast_generators, seed, slow_generators
from zk.commitment import pedersen
from zk.commitment.integer_bounds import check_aggregate, check_row, check_weights
from zk.curve import bn254
from zk.curve.bn254 import ORDER

FAST, SLOW = fast_generators(), slow_generators()


def commit(vector, *, bits=8, generators=FAST, threads=2):
    return pedersen.commit(np.array(vector), bits=bits, seed=seed(1), generators=generators, threads=threads)


@pytest.mark.parametrize("length", [1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL])
def test_definition(length):
    vector = [(-1) ** i * (i * 5 % 128) for i in range(length)]
    found = commit(vector)
    assert found.chunks == -(-length // SMALL)
    rhos = pedersen.blindings(seed(1), found.chunks)
    for k, rho in enumerate(rhos):
        total = bn254.multiply(SLOW.blinding[0], rho)
        for point, value in zip(SLOW.points, vector[k * SMALL : (k + 1) * SMALL], strict=False):
            total = bn254.add(total, bn254.multiply(point, value))
        assert found.point(k) == bn254.encode(total)


def test_threads_engines_and_dtypes_do_not_matter():
    vector = [3, -127, 127, 0] * 12
    wanted = commit(vector).points
    assert commit(vector, threads=1).points == commit(vector, generators=SLOW).points == wanted
    assert commit(np.array(vector, np.int8)).points == commit(np.array(vector, np.int16)).points == wanted


def test_a_zero_update_is_hidden_and_blindings_belong_to_one_place():
    assert len({commit([0] * 3).point(0), pedersen.commit(
        np.zeros(3, np.int8), bits=8, seed=seed(2), generators=FAST).point(0)}) == 2  # fmt: skip
    secret = b"s" * 32
    places = [binding(1), binding(2), binding(1, round=4), binding(1, task=8), binding(1, chain_id=1),
              binding(1, contract=bytes(20))]  # fmt: skip
    assert len({pedersen.blinding_seed(secret, place) for place in places}) == len(places)
    rhos = pedersen.blindings(seed(1), 50)
    assert len(set(rhos)) == 50
    assert all(0 < rho < ORDER for rho in rhos)


@pytest.mark.parametrize(("bits", "value"), [(8, 128), (8, -128), (4, 8), (4, -8), (16, 32768), (16, -32768)])
def test_values_outside_the_codec(bits, value):
    with pytest.raises(UpdateRangeExceeded, match=str(abs(value))):
        commit([1] * 20 + [value], bits=bits)
    commit([1] * 20 + [value - np.sign(value)], bits=bits)


def test_floats_are_not_committed():
    with pytest.raises(UpdateRangeExceeded, match="float64"):
        check_row(np.zeros(3), 8)


def test_shapes_and_lengths():
    with pytest.raises(ValueError, match="at least one"):
        commit([])
    with pytest.raises(ValueError, match="seed"):
        pedersen.blindings(b"short", 1)
    with pytest.raises(ValueError, match="secret"):
        pedersen.blinding_seed(b"short", binding(1))


def test_hash_then_show():
    commitment, salt = commit([5] * 20), b"\x07" * 32
    hidden = pedersen.roster_commitment(commitment.root, salt)
    assert hidden == keccak(commitment.root + salt)
    pedersen.check_reveal(hidden, commitment, salt)
    swapped = dataclasses.replace(commitment, points=commitment.point(1) + commitment.point(0))
    for shown, told in ((commit([5] * 19 + [6]), salt), (swapped, salt), (commitment, bytes(32)), (commitment, b"")):
        with pytest.raises(CommitmentMismatch, match="roster"):
            pedersen.check_reveal(hidden, shown, told)


@pytest.mark.parametrize(("count", "bits"), [(1, 16), (64, 16), (3, 8), (16, 4)])
def test_the_bound_on_weights_is_exact(count, bits):
    limit = 2**62 // (count * 2 ** (bits - 1))
    largest = limit - 1 if limit * count * 2 ** (bits - 1) == 2**62 else limit
    assert check_weights([largest] * count, bits) < 2**62
    for weight in (largest + 1, -largest - 1):
        with pytest.raises(ConfigError, match=r"2\^62"):
            check_weights([weight] + [1] * (count - 1), bits)


@pytest.mark.parametrize("bits", [1, 17, 0])
def test_impossible_widths(bits):
    with pytest.raises(ConfigError, match="possible"):
        check_weights([1], bits)


def test_aggregates_out_of_reach():
    check_aggregate(np.array([5, -5]), 5)
    for entry in (6, -6, np.iinfo(np.int64).min):
        with pytest.raises(CommitmentMismatch, match="reach 5"):
            check_aggregate(np.array([0, entry]), 5)
    with pytest.raises(CommitmentMismatch, match="int64"):
        check_aggregate(np.zeros(2), 5)
