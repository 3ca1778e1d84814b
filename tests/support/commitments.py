"""Small committed rounds for the proofs' tests: few generators, so that several chunks cost little."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zk.commitment import pedersen
from zk.commitment.aggregate_proof import SumClaim
from zk.commitment.generators import Generators, load_generators
from zk.commitment.pedersen import Commitment
from zk.commitment.transcript import Binding
from zk.curve.engine import Engine, SlowEngine, default_engine

SMALL = 16  # generators: a chunk of the tests


@functools.cache
def fast_generators(count: int = SMALL) -> Generators:
    """Return generators of the fast engine; the tests need libmcl, so the slow one is no substitute."""
    engine = default_engine()
    assert engine.name == "mcl", "libmcl or numba is missing: install the extra `fast`"
    return load_generators(engine, count=count)


@functools.cache
def slow_generators(count: int = SMALL) -> Generators:
    """Return the same generators in plain Python."""
    slow: Engine = SlowEngine()
    return load_generators(slow, count=count)


def binding(party: int, /, **changes: object) -> Binding:
    """Return a place; `changes` replace single fields."""
    fields = {"chain_id": 31337, "contract": b"\x0c" * 20, "task": 7, "round": 3, "party": party.to_bytes(20, "big")}
    return Binding(**(fields | changes))  # type: ignore[arg-type]


def seed(party: int) -> bytes:
    """Return a trainer's blinding seed."""
    return pedersen.blinding_seed(party.to_bytes(32, "big"), binding(party))


@dataclass(frozen=True)
class CommittedRound:
    """What trainers committed to and what an honest aggregator says of it."""

    vectors: list[npt.NDArray[np.int64]]
    commitments: list[Commitment]
    claim: SumClaim


def exact_sum(vectors: list[npt.NDArray[np.int64]], weights: list[int]) -> npt.NDArray[np.int64]:
    """Add up in Python integers, which cannot wrap; raises OverflowError if the result is no int64."""
    columns = zip(*(map(int, vector) for vector in vectors), strict=True)
    return np.array([sum(a * q for a, q in zip(weights, column, strict=True)) for column in columns], np.int64)


def committed_round(
    vectors: list[npt.NDArray[np.int64]], weights: list[int], bits: int, generators: Generators
) -> CommittedRound:
    """Commit to every vector and claim their sum, honestly."""
    commitments = [
        pedersen.commit(vector, bits=bits, seed=seed(i), generators=generators) for i, vector in enumerate(vectors)
    ]
    rhos = [pedersen.blindings(seed(i), commitments[0].chunks) for i in range(len(vectors))]
    claim = SumClaim(
        binding=binding(999),
        bits=bits,
        weights=tuple(weights),
        aggregate=exact_sum(vectors, weights),
        blindings=tuple(pedersen.combine_blindings(weights, rhos)),
    )
    return CommittedRound(vectors=vectors, commitments=commitments, claim=claim)


def random_round(*, trainers: int = 4, length: int = 41, bits: int = 8, generators: Generators) -> CommittedRound:
    """Return a round of random vectors over the codec's whole range, with positive weights."""
    rng = np.random.default_rng(trainers * 1000 + length * 10 + bits)
    largest = 2 ** (bits - 1) - 1
    vectors = [rng.integers(-largest, largest + 1, length) for _ in range(trainers)]
    return committed_round(vectors, [int(a) for a in rng.integers(1, 2**16, trainers)], bits, generators)
