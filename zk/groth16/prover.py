"""Groth16 proofs from a witness and a .zkey (Groth 2016; the key's layout is snarkjs').

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fl_platform.errors import DocumentInvalid
from zk.curve import mcl
from zk.curve.bn254 import FIELD, ORDER, Point
from zk.groth16 import arithmetic, points
from zk.groth16.files import ProvingKey, Words
from zk.groth16.verifier import Point2, Proof, VerifyingKey

ROOT_OF_2_28 = pow(5, (ORDER - 1) >> 28, ORDER)  # 5 is the smallest non-residue: circom's and snarkjs' choice


@dataclass(frozen=True)
class Proved:
    """A proof and the public inputs it is for."""

    proof: Proof
    public: tuple[int, ...]


def root_of_unity(order: int) -> int:
    """Return the root of unity of a power of two."""
    return pow(ROOT_OF_2_28, (1 << 28) // order, ORDER)


@functools.lru_cache(maxsize=4)
def _roots(size: int, inverse: bool) -> Words:
    root = root_of_unity(size)
    out = np.empty((size // 2, 4), np.uint64)
    arithmetic.powers(_one(1), _one(pow(root, -1, ORDER) if inverse else root), out)
    return out


def _one(value: int) -> Words:
    return mcl.scalars_from_ints([value])


@functools.lru_cache(maxsize=2)
def _shift(size: int) -> Words:
    """Powers of the root of unity of twice the size, divided by the size: to the odd points, and the inverse's 1/n."""
    out = np.empty((size, 4), np.uint64)
    arithmetic.powers(_one(pow(size, -1, ORDER)), _one(root_of_unity(2 * size)), out)
    return out


def _to_odd_points(values: Words) -> None:
    """From values at the n-th roots of unity to those at the odd 2n-th roots, in place."""
    size = len(values)
    arithmetic.transform(values, _roots(size, True))
    arithmetic.multiply(values, _shift(size), values)
    arithmetic.transform(values, _roots(size, False))


def quotient(key: ProvingKey, witness: Words) -> Words:
    """Return A B - C at the odd points, Montgomery (domain, 4): the scalars of the key's H points."""
    a, b = np.zeros((key.domain, 4), np.uint64), np.zeros((key.domain, 4), np.uint64)
    entries = key.entries
    arithmetic.evaluate(entries.matrix, entries.constraint, entries.signal, entries.value, witness, a, b)
    c = np.empty_like(a)
    arithmetic.multiply(a, b, c)
    for values in (a, b, c):
        _to_odd_points(values)
    arithmetic.multiply_subtract(a, b, c)
    return a


def prove(
    key: ProvingKey, witness: Words, *, randomness: Callable[[], int] = lambda: secrets.randbelow(ORDER)
) -> Proved:
    """Prove that `witness` (plain scalars, all signals) satisfies the circuit of `key`.

    Raises DocumentInvalid when the witness has another length. A witness that does not satisfy the circuit gives a
    proof that no verifier takes.
    """
    if len(witness) != key.signals:
        raise DocumentInvalid(f"the key's circuit has {key.signals} signals, the witness {len(witness)}")
    engine, second = mcl.load(), points.g2()
    r, s = randomness(), randomness()
    cost = points.sort_witness(witness)

    def first(*terms: tuple[Words, int]) -> Words:
        return engine.mul_vec(np.stack([point.reshape(12) for point, _ in terms]),
                              mcl.scalars_from_ints([factor for _, factor in terms]))  # fmt: skip

    a = first((points.sum_g1(key.a, cost), 1), (key.alpha1, 1), (key.delta1, r))
    b1 = first((points.sum_g1(key.b1, cost), 1), (key.beta1, 1), (key.delta1, s))
    b2 = second.mul_vec(
        np.stack([points.sum_g2(key.b2, cost), key.beta2[0], key.delta2[0]]), mcl.scalars_from_ints([1, 1, s])
    )
    h = engine.mul_vec(key.h, quotient(key, witness))
    c = first((points.sum_g1(key.c, cost, skip=key.public + 1), 1), (h, 1), (a, s), (b1, r), (key.delta1, -r * s))
    public = tuple(_plain(witness[i]) for i in range(1, key.public + 1))
    return Proved(Proof(engine.to_point(a), to_point2(b2), engine.to_point(c)), public)


def _plain(words: Words) -> int:
    return int.from_bytes(np.ascontiguousarray(words).tobytes(), "little")


def to_point2(point: Words) -> Point2:
    """Return a (24,) point as integers."""
    affine = points.g2().normalize(point)
    inverse = pow(1 << 256, -1, FIELD)
    values = [_plain(affine[i : i + 4]) * inverse % FIELD for i in range(0, 16, 4)]
    return Point2((values[0], values[1]), (values[2], values[3]))


def verifying_key(key: ProvingKey, ceremony: bytes = bytes(32)) -> VerifyingKey:
    """Return what a verifier needs of a proving key; `ceremony`: zero for a development key."""

    def one(point: Words) -> Point:
        return mcl.load().to_point(point.reshape(12))

    return VerifyingKey(
        one(key.alpha1), to_point2(key.beta2[0]), to_point2(key.gamma2[0]), to_point2(key.delta2[0]),
        tuple(one(point) for point in key.ic), ceremony,
    )  # fmt: skip
