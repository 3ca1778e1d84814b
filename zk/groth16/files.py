"""The two binary files of circom and snarkjs: constraints (.r1cs) and proving keys (.zkey), as numpy arrays.

A file is 4 bytes of type, a version, and sections of (type u32, size u64, bytes). A .zkey's points and coefficients are
in Montgomery form, which is also libmcl's, so they are used as they lie. Files may come from strangers: sizes are
checked before anything is read; that a key belongs to a circuit only its digest says, which a task freezes.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_platform.errors import DocumentInvalid
from zk.circuits.system import Linear
from zk.curve.bn254 import FIELD, ORDER

Words = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.uint32]
ONE = np.array([((1 << 256) % FIELD) >> (64 * i) & (2**64 - 1) for i in range(4)], np.uint64)  # 1 in Montgomery form


@dataclass(frozen=True)
class Entries:
    """Sparse matrix entries: which of A, B, C, row, column, value."""

    matrix: Indices
    constraint: Indices
    signal: Indices
    value: Words  # (m, 4)


@dataclass(frozen=True)
class R1cs:
    """Constraints A z * B z = C z over signals z = (1, public..., private...)."""

    signals: int
    public: int
    constraints: int
    entries: Entries  # values in Montgomery form

    @property
    def domain(self) -> int:
        """Size of the evaluation domain: constraints and one row for each public signal and the one."""
        return 1 << (self.constraints + self.public).bit_length()


@dataclass(frozen=True)
class ProvingKey:
    """A .zkey. G1 points are (n, 12) words x, y, z and G2 points (n, 24); infinity has z = 0."""

    signals: int
    public: int
    domain: int
    alpha1: Words
    beta1: Words
    beta2: Words
    gamma2: Words
    delta1: Words
    delta2: Words
    ic: Words
    entries: Entries  # of A and B; values times 2^512
    a: Words
    b1: Words
    b2: Words
    c: Words  # of the private signals
    h: Words


def sections(data: bytes | memoryview, kind: bytes) -> dict[int, memoryview]:
    """Split a file into its sections. Raises DocumentInvalid."""
    view = memoryview(data)
    if len(view) < 12 or bytes(view[:4]) != kind:
        raise DocumentInvalid(f"this is no {kind.decode()} file: it starts with {bytes(view[:4])!r}")
    count = struct.unpack_from("<I", view, 8)[0]
    found: dict[int, memoryview] = {}
    place = 12
    for _ in range(count):
        if place + 12 > len(view):
            raise DocumentInvalid("the file ends inside a section: fetch it again")
        number, size = struct.unpack_from("<IQ", view, place)
        if place + 12 + size > len(view):
            raise DocumentInvalid("the file ends inside a section: fetch it again")
        found[number] = view[place + 12 : place + 12 + size]
        place += 12 + size
    return found


def _section(found: dict[int, memoryview], number: int, size: int | None = None) -> memoryview:
    if number not in found or (size is not None and len(found[number]) != size):
        raise DocumentInvalid(f"section {number} is missing or has the wrong size: the file is damaged")
    return found[number]


def read_r1cs(data: bytes) -> R1cs:
    """Read circom's constraints. Raises DocumentInvalid."""
    from zk.groth16 import arithmetic  # compiled kernels: not for those who only settle and verify

    found = sections(data, b"r1cs")
    head = _section(found, 1, 64)
    width, prime = struct.unpack_from("<I", head)[0], int.from_bytes(head[4:36], "little")
    if (width, prime) != (32, ORDER):
        raise DocumentInvalid("these constraints are over another field than BN254's")
    signals, outputs, inputs, _private, _labels, count = struct.unpack_from("<IIIIQI", head, 36)
    words = np.frombuffer(_section(found, 2), np.uint32)
    none = np.empty(0, np.uint32)
    total = arithmetic.read_constraints(words, none, none, none, np.empty((0, 8), np.uint32), count)
    if total < 0:
        raise DocumentInvalid("the constraints end too early: compile the circuit again")
    matrix, constraint, signal = (np.empty(total, np.uint32) for _ in range(3))
    value = np.empty((total, 8), np.uint32)
    arithmetic.read_constraints(words, matrix, constraint, signal, value, count)
    scalars = np.ascontiguousarray(value).view(np.uint64)
    arithmetic.to_montgomery(scalars)
    return R1cs(signals, outputs + inputs, count, Entries(matrix, constraint, signal, scalars))


def write_r1cs(
    signals: int, public: int, rows: Sequence[tuple[Linear, Linear, Linear]], booleans: Sequence[int]
) -> bytes:  # fmt: skip
    """Return the bytes of a .r1cs that snarkjs reads too: rows a * b = c, and after them b * (b - 1) = 0."""
    one, minus = (1).to_bytes(32, "little"), (ORDER - 1).to_bytes(32, "little")
    parts: list[bytes] = []
    for row in rows:
        for expression in row:
            terms = sorted((signal, factor % ORDER) for signal, factor in expression.terms.items() if factor % ORDER)
            parts.append(struct.pack("<I", len(terms)))
            parts += [struct.pack("<I", signal) + factor.to_bytes(32, "little") for signal, factor in terms]
    for signal in booleans:
        number = struct.pack("<I", signal)
        parts.append(b"\1\0\0\0" + number + one + b"\2\0\0\0\0\0\0\0" + minus + number + one + bytes(4))
    count = len(rows) + len(booleans)
    head = struct.pack("<I", 32) + ORDER.to_bytes(32, "little")
    head += struct.pack("<IIIIQI", signals, 0, public, signals - 1 - public, signals, count)
    labels = np.arange(signals, dtype=np.uint64).tobytes()
    found = head, b"".join(parts), labels
    body = b"".join(struct.pack("<IQ", k + 1, len(part)) + part for k, part in enumerate(found))
    return b"r1cs" + struct.pack("<II", 1, 3) + body


def _points(raw: memoryview, words: int) -> Words:
    """Read affine points of `words` words and append z."""
    flat = np.frombuffer(raw, np.uint64).reshape(-1, words)
    out = np.zeros((len(flat), words + words // 2), np.uint64)
    out[:, :words] = flat
    out[flat.any(axis=1), words : words + 4] = ONE
    return out


def read_zkey(data: bytes | memoryview) -> ProvingKey:
    """Read a proving key. Raises DocumentInvalid."""
    found = sections(data, b"zkey")
    head = _section(found, 2, 84 + 3 * 64 + 3 * 128)
    if struct.unpack("<I", _section(found, 1, 4))[0] != 1 or int.from_bytes(head[4:36], "little") != FIELD:
        raise DocumentInvalid("this key is not for Groth16 over BN254")
    signals, public, domain = struct.unpack_from("<III", head, 72)
    place = 84
    fixed: list[Words] = []
    for words in (8, 8, 16, 16, 8, 16):
        fixed.append(_points(head[place : place + 8 * words], words))
        place += 8 * words
    alpha1, beta1, beta2, gamma2, delta1, delta2 = fixed
    raw = _section(found, 4)
    total = struct.unpack_from("<I", raw)[0]
    if len(raw) != 4 + 44 * total:
        raise DocumentInvalid("the key's coefficients end too early: fetch it again")
    table = np.frombuffer(raw[4:], np.uint32).reshape(-1, 11)
    value = np.ascontiguousarray(table[:, 3:]).view(np.uint64)
    matrix, constraint, signal = (np.ascontiguousarray(table[:, k]) for k in range(3))
    entries = Entries(matrix, constraint, signal, value)
    if total and (int(entries.constraint.max()) >= domain or int(entries.signal.max()) >= signals):
        raise DocumentInvalid("the key's coefficients point outside its domain: fetch it again")
    lists = [
        _points(_section(found, number, size), words)
        for number, size, words in (
            (3, 64 * (public + 1), 8), (5, 64 * signals, 8), (6, 64 * signals, 8), (7, 128 * signals, 16),
            (8, 64 * (signals - public - 1), 8), (9, 64 * domain, 8),
        )
    ]  # fmt: skip
    ic, a, b1, b2, c, h = lists
    return ProvingKey(
        signals, public, domain, alpha1, beta1, beta2, gamma2, delta1, delta2, ic, entries, a, b1, b2, c, h
    )


def ceremony_of(data: bytes | memoryview) -> bytes:
    """Return the digest of a .zkey's contributions, 32 bytes; zero where there are none. Raises DocumentInvalid."""
    raw = _section(sections(data, b"zkey"), 10)
    if len(raw) < 68 or struct.unpack_from("<I", raw, 64)[0] == 0:
        return bytes(32)
    return hashlib.sha256(raw).digest()


def write_zkey(key: ProvingKey) -> bytes:
    """Return the bytes of a .zkey that snarkjs reads too."""

    def flat(points: Words) -> bytes:
        return np.ascontiguousarray(points[:, : points.shape[1] * 2 // 3]).tobytes()

    head = struct.pack("<I", 32) + FIELD.to_bytes(32, "little") + struct.pack("<I", 32) + ORDER.to_bytes(32, "little")
    head += struct.pack("<III", key.signals, key.public, key.domain)
    head += b"".join(map(flat, (key.alpha1, key.beta1, key.beta2, key.gamma2, key.delta1, key.delta2)))
    table = np.empty((len(key.entries.matrix), 11), np.uint32)
    table[:, 0], table[:, 1], table[:, 2] = key.entries.matrix, key.entries.constraint, key.entries.signal
    table[:, 3:] = key.entries.value.view(np.uint32)
    parts = {
        1: struct.pack("<I", 1), 2: head, 3: flat(key.ic), 4: struct.pack("<I", len(table)) + table.tobytes(),
        5: flat(key.a), 6: flat(key.b1), 7: flat(key.b2), 8: flat(key.c), 9: flat(key.h),
        10: bytes(64) + struct.pack("<I", 0),  # no contributions: a development key has none to show
    }  # fmt: skip
    body = b"".join(struct.pack("<IQ", number, len(part)) + part for number, part in parts.items())
    return b"zkey" + struct.pack("<II", 1, len(parts)) + body


def write_wtns(witness: Words) -> bytes:
    """Return plain scalars (n, 4) as the .wtns file that snarkjs reads."""
    head = struct.pack("<I", 32) + ORDER.to_bytes(32, "little") + struct.pack("<I", len(witness))
    body = b"".join(struct.pack("<IQ", k + 1, len(part)) + part for k, part in enumerate((head, witness.tobytes())))
    return b"wtns" + struct.pack("<II", 2, 2) + body
