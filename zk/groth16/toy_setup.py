"""Development keys: a Groth16 set-up whose secrets everyone can compute, made in seconds, the same on every machine.

The secrets (tau, alpha, beta, delta) are hashes of the constraints, so the key is rebuilt bit for bit from the circuit
and compared by hash. Whoever knows them forges proofs: the verifying key names no ceremony, and `verifier` and the
chain side refuse such a one off local networks. On a real network a key comes from a public powers-of-tau file and a
phase 2 with more than one party (docs/PROOF_KEYS.md).

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import hashlib

import numpy as np

from zk.curve import bn254, mcl
from zk.curve.bn254 import ORDER
from zk.groth16 import arithmetic, points
from zk.groth16.files import Entries, ProvingKey, R1cs, Words
from zk.groth16.prover import root_of_unity

_LABEL = b"fl-platform development key, not secret:"
_GENERATOR_2 = (
    (0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
     0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2),
    (0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
     0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B),
)  # fmt: skip


def development_key(r1cs: R1cs, digest: bytes) -> ProvingKey:
    """Return the development key of constraints whose file has this sha256."""
    tau, alpha, beta, delta = (
        int.from_bytes(hashlib.sha512(_LABEL + name + digest).digest(), "big") % ORDER
        for name in (b"tau", b"alpha", b"beta", b"delta")
    )
    inverse_delta = pow(delta, -1, ORDER)
    entries = _with_public_rows(r1cs)
    sums = np.zeros((3, r1cs.signals, 4), np.uint64)
    arithmetic.gather(
        entries.matrix, entries.constraint, entries.signal, entries.value, _lagrange(r1cs.domain, tau), sums
    )
    u, v, w = sums
    mixed = np.empty_like(u)
    arithmetic.combine(u, _one(beta), v, _one(alpha), w, mixed)
    first = r1cs.public + 1
    c = _scaled(mixed[first:], inverse_delta)
    h = _scaled(np.ascontiguousarray(_lagrange(2 * r1cs.domain, tau)[1::2]), inverse_delta)
    fixed = _multiples(mcl.scalars_from_ints([alpha, beta, delta]))
    generator = _second_generator()
    second = points.g2().multiples(generator, mcl.scalars_from_ints([beta, 1, delta]))
    ab = entries.matrix < 2
    value = np.ascontiguousarray(entries.value[ab])
    arithmetic.to_montgomery(value)
    return ProvingKey(
        r1cs.signals, r1cs.public, r1cs.domain, fixed[:1], fixed[1:2], second[:1], second[1:2], fixed[2:], second[2:],
        _multiples(mixed[:first]),
        Entries(entries.matrix[ab], entries.constraint[ab], entries.signal[ab], value),
        _multiples(u), _multiples(v), _second_multiples(generator, v), _multiples(c), _multiples(h),
    )  # fmt: skip


def _one(value: int) -> Words:
    return mcl.scalars_from_ints([value])


def _scaled(values: Words, factor: int) -> Words:
    out = np.ascontiguousarray(values).copy()
    arithmetic.multiply(out, np.repeat(_one(factor), len(out), axis=0), out)
    return out


def _with_public_rows(r1cs: R1cs) -> Entries:
    """Add a row for the one and each public signal, so that none of their points is infinity."""
    extra = np.arange(r1cs.public + 1, dtype=np.uint32)
    entries = r1cs.entries
    return Entries(
        np.concatenate([entries.matrix, np.zeros_like(extra)]),
        np.concatenate([entries.constraint, extra + np.uint32(r1cs.constraints)]),
        np.concatenate([entries.signal, extra]),
        np.concatenate([entries.value, np.repeat(_one(1), len(extra), axis=0)]),
    )


def _lagrange(size: int, tau: int) -> Words:
    """Return L_i(tau) = (tau^n - 1) / n * w^i / (tau - w^i), Montgomery (size, 4)."""
    roots = np.empty((size, 4), np.uint64)
    arithmetic.powers(_one(1), _one(root_of_unity(size)), roots)
    below = np.empty_like(roots)
    arithmetic.combine(roots, _one(-1), np.repeat(_one(1), size, axis=0), _one(tau), np.zeros_like(roots), below)
    arithmetic.invert(below)
    arithmetic.multiply(below, roots, below)
    return _scaled(below, (pow(tau, size, ORDER) - 1) * pow(size, -1, ORDER))


def _window_table(windows: int) -> Words:
    """(windows, 256, 8): j * 256^w * generator, affine Montgomery."""
    scalars = [j << (8 * w) for w in range(windows) for j in range(256)]
    engine = mcl.load()
    base = mcl.points_from_bytes(bn254.encode(bn254.GENERATOR))
    out = np.zeros((len(scalars), 8), np.uint64)
    step = base[0]
    for w in range(windows):
        total = np.zeros(12, np.uint64)
        for j in range(1, 256):
            total = engine.add(total, step)
            out[256 * w + j] = _affine(total)
        step = engine.add(total, step)
    return out.reshape(windows, 256, 8)


def _affine(point: Words) -> Words:
    encoded = bn254.encode(mcl.load().to_point(point))
    return np.asarray(mcl.points_from_bytes(encoded)[0, :8])


def _multiples(scalars: Words) -> Words:
    """Return scalars[i] * generator of G1, (n, 12) affine; Montgomery (n, 4)."""
    plain = np.ascontiguousarray(scalars).copy()
    arithmetic.to_plain(plain)
    digits = plain.view(np.uint8).reshape(-1, 32)
    out = np.empty((len(plain), 12), np.uint64)
    if not arithmetic.fixed_base(_table(), digits, out):
        raise ArithmeticError("two equal points met in the set-up: the scalars are not what hashes give")
    return out


_tables: list[Words] = []


def _table() -> Words:
    if not _tables:
        _tables.append(_window_table(32))
    return _tables[0]


def _second_generator() -> Words:
    """Return G2's generator, (24,) Montgomery."""
    out = np.zeros(24, np.uint64)
    for k, value in enumerate((*_GENERATOR_2[0], *_GENERATOR_2[1], 1)):
        lifted = (value << 256) % bn254.FIELD
        out[4 * k : 4 * k + 4] = np.frombuffer(lifted.to_bytes(32, "little"), np.uint64)
    return out


def _second_multiples(generator: Words, scalars: Words) -> Words:
    """Multiples in G2; most signals are in no B, so zeros are left out."""
    out = np.zeros((len(scalars), 24), np.uint64)
    used = scalars.any(axis=1)
    out[used] = points.g2().multiples(generator, np.ascontiguousarray(scalars[used]))
    return out
