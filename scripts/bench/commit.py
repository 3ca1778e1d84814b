"""Commit to updates, check their weighted sum without them, prove knowledge: speed in CPU-seconds, and memory.

All of it as rounds do it: with as many generators as `count_for` gives for the model's size, 2^13 at 1.66M parameters.
What a trainer of a standard round pays is the commitment and the proof of knowledge, of a strict round the former.
References, in the same run: libmcl's own mulVec on the same points (scalars shifted to be positive), and py_ecc.
The reading of the sum's bar: what the check of the sum costs beyond opening the aggregate, in parts of one commitment.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scripts.bench.harness import Row, at_most, cpu_time, peak_memory_bytes
from zk.commitment import aggregate_proof, generators, knowledge, pedersen
from zk.commitment.aggregate_proof import SumClaim
from zk.commitment.generators import Generators, count_for
from zk.commitment.integer_bounds import check_aggregate, check_weights
from zk.commitment.pedersen import Commitment
from zk.commitment.transcript import Binding
from zk.curve import bn254, fast_engine, mcl
from zk.curve.engine import SlowEngine
from zk.keccak import keccak256_many

PARAMETERS = 1_663_370
TRAINERS = 16
BARS = {16: 0.9e6, 8: 1.5e6}
ROOT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where the generators are kept; --memory-only is what the memory row's own process runs."""
    parser.add_argument("--cache", type=Path, default=None, help="folder of cached generators (default: none, derive)")
    parser.add_argument("--memory-only", action="store_true", help=argparse.SUPPRESS)


def _binding(party: int) -> Binding:
    return Binding(chain_id=1, contract=bytes(20), task=0, round=0, party=party.to_bytes(20, "big"))


def _vector(parameters: int, bits: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.signedinteger]]:
    """Return uniform integers over the codec's whole range: real updates are smaller and never dearer."""
    largest = 2 ** (bits - 1) - 1
    values = np.random.default_rng(seed).integers(-largest, largest + 1, parameters)
    return values.astype(np.int16 if bits > 8 else np.int8)


def _seed(party: int) -> bytes:
    return pedersen.blinding_seed(bytes(32), _binding(party))


def _commit(parameters: int, bits: int, gens: Generators, party: int = 0) -> Commitment:
    return pedersen.commit(_vector(parameters, bits, party), bits=bits, seed=_seed(party), generators=gens)


def _commit_rows(parameters: int, bits: int, gens: Generators, repeats: int) -> list[Row]:
    vector = _vector(parameters, bits, 0)
    seed = _seed(0)
    seconds = cpu_time(lambda: pedersen.commit(vector, bits=bits, seed=seed, generators=gens), repeats=repeats)
    size = min(parameters, gens.count)
    scalars = mcl.scalars_from_ints([int(value) + 2 ** (bits - 1) for value in vector[:size]])
    library = mcl.load()
    plain = size / cpu_time(lambda: library.mul_vec(gens.points[:size], scalars), repeats=repeats)
    speed = parameters / seconds
    return [
        Row(
            f"commit int{bits}", speed, "parameters/CPU-s", "libmcl mulVec alone", plain, speed / plain,
            f">= {BARS[bits]:g}", speed >= BARS[bits],
        ),
        Row(f"commit int{bits}, one update", seconds, "CPU-s"),
    ]  # fmt: skip


def _sum_rows(parameters: int, bits: int, gens: Generators, repeats: int, *, has_bar: bool) -> list[Row]:
    chunks = pedersen.chunk_count(parameters, gens.count)
    commitments = [_commit(parameters, bits, gens, party) for party in range(TRAINERS)]
    weights = [65_536 - 1_000 * party for party in range(TRAINERS)]
    aggregate = np.zeros(parameters, np.int64)
    for party, weight in enumerate(weights):
        aggregate += weight * _vector(parameters, bits, party).astype(np.int64)
    rhos = [pedersen.blindings(_seed(party), chunks) for party in range(TRAINERS)]
    claim = SumClaim(
        binding=_binding(TRAINERS), bits=bits, weights=tuple(weights), aggregate=aggregate,
        blindings=tuple(pedersen.combine_blindings(weights, rhos)),
    )  # fmt: skip
    aggregate_proof.verify_sum(claim, commitments, gens)
    factors = aggregate_proof.powers(bn254.ORDER - 12345, chunks)
    shown = [(commitment.points, commitment.length) for commitment in commitments]

    def beyond_the_opening() -> None:
        fresh = [Commitment(points, length) for points, length in shown]
        if len({commitment.root for commitment in fresh}) != TRAINERS:  # each root is compared with the roster's
            raise AssertionError("two trainers committed to one thing")
        drawn = aggregate_proof.batch_challenge(claim, fresh, gens, bytes(32))
        aggregate_proof.committed_side(weights, fresh, aggregate_proof.powers(drawn, chunks), gens)

    def the_opening() -> None:
        check_aggregate(claim.aggregate, check_weights(claim.weights, bits))
        aggregate_proof.digest_of(claim.aggregate)
        aggregate_proof.opened_side(claim, factors, gens)

    commit = cpu_time(lambda: _commit(parameters, bits, gens), repeats=repeats)
    opening = cpu_time(the_opening, repeats=repeats)
    beyond = cpu_time(beyond_the_opening, repeats=3 * repeats)
    whole = cpu_time(lambda: aggregate_proof.verify_sum(claim, commitments, gens), repeats=repeats)
    name = f"check the sum of {TRAINERS}, int{bits}"
    part = beyond / commit
    return [
        Row(
            f"{name}: beyond the opening", beyond, "CPU-s", "one commitment", commit, part,
            "< 0.01" if has_bar else None, part < 0.01 if has_bar else None,
        ),
        Row(f"{name}: the aggregate's opening", opening, "CPU-s", "one commitment", commit, opening / commit),
        Row(f"{name}: all", whole, "CPU-s", "one commitment", commit, whole / commit),
    ]  # fmt: skip


def _knowledge_rows(parameters: int, gens: Generators, repeats: int) -> list[Row]:
    vector, seed, binding = _vector(parameters, 8, 0), _seed(0), _binding(0)
    commitment = pedersen.commit(vector, bits=8, seed=seed, generators=gens)

    def prove() -> knowledge.KnowledgeProof:
        return knowledge.prove_knowledge(vector, seed, commitment=commitment, binding=binding, generators=gens)

    proof = prove()
    entries = [(proof, commitment, binding)] * TRAINERS
    one = cpu_time(lambda: knowledge.verify_knowledge_many(entries[:1], gens), repeats=repeats)
    many = cpu_time(lambda: knowledge.verify_knowledge_many(entries, gens), repeats=repeats)
    commit = cpu_time(lambda: _commit(parameters, 8, gens), repeats=repeats)
    made = cpu_time(prove, repeats=repeats)
    return [
        Row("proof of knowledge: prove", made, "CPU-s", "one commitment, int8", commit, made / commit),
        Row("proof of knowledge: verify", one, "CPU-s"),
        Row(f"proof of knowledge: verify {TRAINERS} together", many, "CPU-s", "one by one", TRAINERS * one,
            many / (TRAINERS * one)),
        Row("proof of knowledge: size", len(proof.encode()), "bytes"),
    ]  # fmt: skip


def _slow_row(gens: Generators) -> Row:
    count = 2_000
    slow = SlowEngine()
    encoded = generators.derive(gens.engine, count=count)
    points = slow.bases(encoded)
    row = _vector(count, 16, 0)
    seconds = cpu_time(
        lambda: slow.commit_row(points[:count], row, 16, blinding=1, blinding_base=points[count:]), repeats=1
    )
    return Row("commit int16, py_ecc fallback", count / seconds, "parameters/CPU-s")


def _everything_once(parameters: int, gens: Generators) -> None:
    _sum_rows(parameters, 16, gens, 1, has_bar=False)
    _knowledge_rows(parameters, gens, 1)


def _memory_row(args: argparse.Namespace) -> Row:
    """Measure in a process of its own, started while this one is small."""
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "commit", "--memory-only"]
    command += ["--quick"] if args.quick else []
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    peak = next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak "))
    return at_most(f"peak memory: {TRAINERS} commitments, sum, knowledge", peak / 1e6, 600.0, unit="MB")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure; --quick: a small model, one repeat."""
    parameters = 98_304 if args.quick else PARAMETERS
    count = count_for(parameters)
    repeats = 1 if args.quick else 3
    if not args.memory_only:
        yield _memory_row(args)
    gens = generators.load_generators(fast_engine.load(), cache=args.cache, count=count)
    if args.memory_only:
        _everything_once(parameters, gens)
        print(f"peak {peak_memory_bytes()}")
        return
    _commit(count, 16, gens)  # compiled and warm
    keccak256_many(np.zeros((1 << 13, 65), np.uint8))  # this, too: a round has hashed content trees before
    for bits in BARS:
        yield from _commit_rows(parameters, bits, gens, repeats)
    # the bar is that of int16 at full size: fewer or cheaper chunks make the commitment cheap, not the check dear
    yield from _sum_rows(parameters, 16, gens, repeats, has_bar=not args.quick)
    yield from _sum_rows(parameters, 8, gens, repeats, has_bar=False)
    yield from _knowledge_rows(parameters, gens, repeats)
    derive = cpu_time(lambda: generators.derive(gens.engine, count=count), repeats=1)
    yield Row(f"derive {count} generators", count / derive, "points/CPU-s")
    yield _slow_row(gens)
