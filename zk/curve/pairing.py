"""The EVM's multiplications and pairings on BN254 (EIP-196 and EIP-197: ecMul, ecPairing) by libmcl.

Same bytes in, same bytes out as py-evm's own functions, which are py_ecc's. Every check is made here before libmcl sees
a point; libmcl only answers whether a point of the twist is in the group of order r.

Tests: tests/unit/chain/test_precompiles.py
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.optimized_bn128 import optimized_curve as oc

from fl_platform.errors import CurveEngineBroken, PointInvalid
from zk.curve import bn254, mcl, scalar_mul
from zk.curve.bn254 import FIELD, POINT_BYTES
from zk.curve.mcl import Words

PAIR_BYTES = 192  # a point of G1, then one of G2 whose coordinates a + b u come as b, a
_WORD = 32
_TARGET_WORDS = 48  # an element of F_p^12
# A point of the twist of order 10,069, a factor of its cofactor: EIP-197 refuses it.
_OUTSIDE = bytes.fromhex(
    "0f0a87c117963381ad55ab9b17e3c4f9533ef81d16b752be905d1a444b982519"
    "25d0b2ba5c369c1dbbfed41ccb191fe4df508cf88faf370494b4867a332815ec"
    "01961c59a0d89a4d27fe2b87137614a142c3ad7ada8b3fb5580462e2a5a99847"
    "2e4585f85183195d71c90a2d1d38655cb0ff30b352fdf58d6a36d8fbb3ee84a1"
)


def multiple(data: bytes) -> bytes:
    """Return the multiple of a point by any 256-bit number: 96 bytes (untrusted) to 64. Raises PointInvalid.

    Zeros are read beyond the end of shorter data; what follows in longer data is not read.
    """
    words = data[: POINT_BYTES + _WORD].ljust(POINT_BYTES + _WORD, b"\0")
    point = bn254.decode(words[:POINT_BYTES], allow_infinity=True)
    return bn254.encode(scalar_mul.multiply(point, int.from_bytes(words[POINT_BYTES:], "big")))


class Pairing:
    """The check of a product of pairings. Get it from `load`, which checks it first."""

    def __init__(self) -> None:
        """Bind what pairings need; the library is initialised and checked by zk.curve.mcl."""
        mcl.bound()
        pointer = ctypes.c_void_p
        self._in_group = mcl.bind("mclBnG2_isValidOrder", ctypes.c_int, pointer)
        self._miller_loops = mcl.bind("mclBn_millerLoopVec", None, pointer, pointer, pointer, ctypes.c_size_t)
        self._final_exponentiation = mcl.bind("mclBn_finalExp", None, pointer, pointer)
        self._is_one = mcl.bind("mclBnGT_isOne", ctypes.c_int, pointer)

    def is_one(self, data: bytes) -> bool:
        """Say whether the product of the pairings of n pairs is one: 192 bytes (untrusted) a pair. Raises PointInvalid.

        It is without pairs, and where every pair has a point at infinity.
        """
        if len(data) % PAIR_BYTES:
            raise PointInvalid(f"{len(data)} bytes are no whole number of {PAIR_BYTES}-byte pairs of points")
        pairs = [data[start : start + PAIR_BYTES] for start in range(0, len(data), PAIR_BYTES)]
        points = [(_g1(pair[:POINT_BYTES]), self._g2(pair[POINT_BYTES:])) for pair in pairs]
        finite = [(left, right) for left, right in points if left.any() and right.any()]
        if not finite:
            return True
        lefts, rights = (np.ascontiguousarray(side) for side in zip(*finite, strict=True))
        product = np.zeros(_TARGET_WORDS, np.uint64)
        self._miller_loops(product.ctypes.data, lefts.ctypes.data, rights.ctypes.data, len(finite))
        self._final_exponentiation(product.ctypes.data, product.ctypes.data)
        return bool(self._is_one(product.ctypes.data))

    def multiply(self, point: bn254.Point, scalar: int) -> bn254.Point:
        """Multiply a valid point by a number below the group's order."""
        return mcl.bound().multiply(point, scalar)

    def require_g2(self, encoded: bytes) -> None:
        """Refuse 128 bytes (untrusted) that are no point of G2; infinity is one. Raises PointInvalid."""
        self._g2(encoded)

    def _g2(self, encoded: bytes) -> Words:
        """Read 128 bytes as a (24,) point in Montgomery form, zeros for infinity."""
        words = [int.from_bytes(encoded[start : start + _WORD], "big") for start in range(0, 4 * _WORD, _WORD)]
        if max(words) >= FIELD:
            raise PointInvalid("a G2 coordinate is not below the field's size: send the reduced point")
        if not any(words):
            return np.zeros(24, np.uint64)
        x_u, x, y_u, y = words
        if not oc.is_on_curve((FQ2((x, x_u)), FQ2((y, y_u)), FQ2.one()), oc.b2):
            raise PointInvalid("this point is not on the second curve: send a point of G2")
        point = np.concatenate([mcl.element(value, FIELD) for value in (x, x_u, y, y_u, 1, 0)])
        if not self._in_group(point.ctypes.data):
            raise PointInvalid("this point is on the second curve but not in its group of order r")
        return point


def _g1(encoded: bytes) -> Words:
    """Read 64 bytes as a (12,) point in Montgomery form, zeros for infinity."""
    point = bn254.decode(encoded, allow_infinity=True)
    return np.concatenate([mcl.element(value, FIELD) for value in (point.x, point.y, int(not point.is_infinity))])


@functools.cache
def load() -> Pairing:
    """Load libmcl and check its pairing, once a process. Raises ImportError, OSError, CurveEngineBroken."""
    pairing = Pairing()
    check(pairing)
    return pairing


def check(pairing: Pairing) -> None:
    """Refuse a library whose pairing is not bilinear, says one to everything, or takes points outside the group.

    Raises CurveEngineBroken.
    """
    one, two, less = (bn254.encode(bn254.multiply(bn254.GENERATOR, factor)) for factor in (1, 2, -1))
    generator = b"".join(c.to_bytes(_WORD, "big") for side in oc.G2[:2] for c in map(int, reversed(side.coeffs)))
    try:
        pairing.is_one(one + _OUTSIDE)
    except PointInvalid:
        pass
    else:
        raise CurveEngineBroken("libmcl takes a point outside the group of order r: reinstall mclbn256")
    bilinear = pairing.is_one(two + generator + 2 * (less + generator))
    if not bilinear or pairing.is_one(two + generator + less + generator):
        raise CurveEngineBroken("libmcl's pairing is not bilinear: reinstall mclbn256")
