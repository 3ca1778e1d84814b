"""Verifying Groth16: by libmcl's pairing where it is installed, else by py_ecc's, the reference, half a second a proof.

    e(A, B) = e(alpha, beta) e(IC_0 + sum x_i IC_i, gamma) e(C, delta)

Refused before any pairing: a public input not below r (the same statement would have many encodings), a coordinate not
below p, a point off its curve or, in G2, outside the subgroup, and infinity anywhere: keys with infinity accept
anything, and a proof needs none. Proofs can be re-randomised: a proof is never an identifier.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128 import optimized_curve as oc
from py_ecc.optimized_bn128.optimized_pairing import final_exponentiate
from py_ecc.optimized_bn128.optimized_pairing import pairing as reference_pairing

from fl_platform.errors import DocumentInvalid, PointInvalid
from zk import bounded_json
from zk.curve import pairing
from zk.curve.bn254 import FIELD, ORDER, Point, add, encode, negate, validate

logger = logging.getLogger(__name__)
_LEAST_KEY, _MOST_KEY = 32 * 17, 32 * 1_024  # of one public input, and more than any circuit here has
_NO_POINT = "this point is not on the second curve (or infinity): ask its sender for a real proof"


@dataclass(frozen=True)
class Point2:
    """A point of G2: coordinates a + b u as pairs (a, b)."""

    x: tuple[int, int]
    y: tuple[int, int]


@dataclass(frozen=True)
class Proof:
    """A proof as its sender wrote it; `verify` checks it."""

    a: Point
    b: Point2
    c: Point

    def words(self) -> tuple[int, ...]:
        """Return 8 words in the order of the EVM's pairing: in G2 the part with u comes first."""
        return (self.a.x, self.a.y, self.b.x[1], self.b.x[0], self.b.y[1], self.b.y[0], self.c.x, self.c.y)

    def to_json(self) -> dict[str, object]:
        """Return snarkjs' form of a proof."""
        return {
            "pi_a": _decimal(self.a.x, self.a.y, 1),
            "pi_b": [_decimal(*self.b.x), _decimal(*self.b.y), _decimal(1, 0)],
            "pi_c": _decimal(self.c.x, self.c.y, 1),
            "protocol": "groth16",
            "curve": "bn128",
        }


@dataclass(frozen=True)
class VerifyingKey:
    """What a verifier holds. `ceremony`: a digest of how it was made; zero where its secrets are known to everyone."""

    alpha: Point
    beta: Point2
    gamma: Point2
    delta: Point2
    ic: tuple[Point, ...]
    ceremony: bytes  # 32 bytes

    @property
    def development(self) -> bool:
        """Whether anybody can forge proofs for it."""
        return not any(self.ceremony)

    @property
    def digest(self) -> bytes:
        """What a task freezes, 32 bytes: sha256, so that a store finds the key by it."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Return the words that contracts/proof/Groth16.sol reads: points, then the ceremony."""
        second = b"".join(_encode2(point) for point in (self.beta, self.gamma, self.delta))
        return encode(self.alpha) + second + b"".join(map(encode, self.ic)) + self.ceremony

    def words(self) -> list[int]:
        """Return these bytes as the numbers that the contract's calls take."""
        data = self.to_bytes()
        return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]

    @classmethod
    def from_bytes(cls, data: bytes) -> VerifyingKey:
        """Read a key of any number of public inputs (untrusted) and check it. Raises DocumentInvalid, PointInvalid."""
        if len(data) % 64 != 32 or not _LEAST_KEY <= len(data) <= _MOST_KEY:
            raise DocumentInvalid(f"a verifying key has {_LEAST_KEY} to {_MOST_KEY} bytes, not {len(data)}")
        words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data) - 32, 32)]
        ones = [Point(*words[at : at + 2]) for at in (0, *range(14, len(words), 2))]
        twos = [Point2((words[at + 1], words[at]), (words[at + 3], words[at + 2])) for at in (2, 6, 10)]
        key = cls(ones[0], twos[0], twos[1], twos[2], tuple(ones[1:]), data[-32:])
        check_key(key)
        return key

    def to_json(self) -> dict[str, object]:
        """Return snarkjs' form."""

        def two(point: Point2) -> list[list[str]]:
            return [_decimal(*point.x), _decimal(*point.y), _decimal(1, 0)]

        return {
            "protocol": "groth16", "curve": "bn128", "nPublic": len(self.ic) - 1,
            "vk_alpha_1": _decimal(self.alpha.x, self.alpha.y, 1), "vk_beta_2": two(self.beta),
            "vk_gamma_2": two(self.gamma), "vk_delta_2": two(self.delta),
            "IC": [_decimal(p.x, p.y, 1) for p in self.ic],
        }  # fmt: skip


def _decimal(*values: int) -> list[str]:
    return [str(value) for value in values]


def parse_proof(text: str) -> Proof:
    """Read snarkjs' form (untrusted). Raises DocumentInvalid."""
    return proof_of(bounded_json.parse(text, what="this is no Groth16 proof"))


def proof_of(body: Any) -> Proof:
    """Read snarkjs' form from parsed JSON (untrusted). Raises DocumentInvalid."""
    try:
        return Proof(_one(body["pi_a"]), _two(body["pi_b"]), _one(body["pi_c"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DocumentInvalid(f"this is no Groth16 proof: {error!r}; ask its prover for the proof.json") from error


def _one(value: Sequence[str]) -> Point:
    x, y, z = (bounded_json.number(v) for v in value)
    if z != 1:
        raise ValueError("infinity, or not affine")
    return Point(x, y)


def _two(value: Sequence[Sequence[str]]) -> Point2:
    x, y, z = ((bounded_json.number(a), bounded_json.number(b)) for a, b in value)
    if z != (1, 0):
        raise ValueError("infinity, or not affine")
    return Point2(x, y)


def check_key(key: VerifyingKey) -> None:
    """Refuse a key that would accept anything: points at infinity, off the curve. Raises PointInvalid."""
    for point in (key.alpha, *key.ic):
        validate(point)
    fast = _fast()
    for second in (key.beta, key.gamma, key.delta):
        if fast is None:
            _validate2(second)
        else:
            _require_finite(second)
            fast.require_g2(_encode2(second))


def refuse_development_key(key: VerifyingKey, *, chain_id: int) -> None:
    """Raise DocumentInvalid if the key's secrets are known and the network is not a local one."""
    if key.development and chain_id not in LOCAL_CHAINS:
        raise DocumentInvalid(
            f"this is a development key: anyone can forge proofs for it, so it is refused on chain {chain_id}; "
            "make keys in a ceremony (docs/PROOF_KEYS.md)"
        )


LOCAL_CHAINS = frozenset({1337, 31337, 131277322940537})  # ganache, anvil and hardhat, eth-tester


def verify(key: VerifyingKey, public: Sequence[int], proof: Proof) -> bool:
    """Tell whether the proof holds for these public inputs: by libmcl in milliseconds, where it is installed.

    Raises PointInvalid for points that are none, DocumentInvalid for inputs that are not below r or too few.
    """
    fast = _fast()
    if fast is None:
        logger.info("pairings by py_ecc take half a second a proof; `pip install mclbn256` makes that milliseconds")
        return verify_slowly(key, public, proof)
    check_key(key)
    _require_inputs(key, public)
    validate(proof.a)
    validate(proof.c)
    _require_finite(proof.b)
    inputs = key.ic[0]
    for value, base in zip(public, key.ic[1:], strict=True):
        inputs = add(inputs, fast.multiply(base, value))
    sides = (negate(proof.a), proof.b), (key.alpha, key.beta), (inputs, key.gamma), (proof.c, key.delta)
    return fast.is_one(b"".join(encode(left) + _encode2(right) for left, right in sides))


def verify_slowly(key: VerifyingKey, public: Sequence[int], proof: Proof) -> bool:
    """The reference: the same by py_ecc alone. Raises as `verify`."""
    for point in (key.alpha, *key.ic):
        validate(point)
    for second in (key.beta, key.gamma, key.delta):
        _validate2(second)
    _require_inputs(key, public)
    validate(proof.a)
    validate(proof.c)
    _validate2(proof.b)
    inputs = _lift(key.ic[0])
    for value, base in zip(public, key.ic[1:], strict=True):
        inputs = oc.add(inputs, oc.multiply(_lift(base), value))
    product = FQ12.one()
    for left, right in (
        (oc.neg(_lift(proof.a)), proof.b), (_lift(key.alpha), key.beta),
        (inputs, key.gamma), (_lift(proof.c), key.delta),
    ):  # fmt: skip
        product *= reference_pairing(_lift2(right), left, final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())


@functools.cache
def _fast() -> pairing.Pairing | None:
    """Return libmcl's pairing; None where there is no build for this platform. Raises CurveEngineBroken."""
    try:
        return pairing.load()
    except (ImportError, OSError):
        return None


def _require_inputs(key: VerifyingKey, public: Sequence[int]) -> None:
    if len(public) != len(key.ic) - 1:
        raise DocumentInvalid(f"this circuit has {len(key.ic) - 1} public inputs, not {len(public)}")
    for value in public:
        if not 0 <= value < ORDER:
            raise DocumentInvalid(f"public input {value} is not below r: the same statement with another name")


def _encode2(point: Point2) -> bytes:
    """Return 128 bytes as the EVM's pairing takes them: the parts with u come first."""
    return b"".join(c.to_bytes(32, "big") for side in (point.x, point.y) for c in reversed(side))


def _lift(point: Point) -> tuple[FQ, FQ, FQ]:
    return FQ(point.x), FQ(point.y), FQ.one()


def _lift2(point: Point2) -> tuple[FQ2, FQ2, FQ2]:
    return FQ2(point.x), FQ2(point.y), FQ2.one()


def _require_finite(point: Point2) -> None:
    if any(not 0 <= value < FIELD for value in (*point.x, *point.y)):
        raise PointInvalid("a G2 coordinate is not below the field's size: ask its sender for the reduced point")
    if not any((*point.x, *point.y)):
        raise PointInvalid(_NO_POINT)


def _validate2(point: Point2) -> None:
    _require_finite(point)
    lifted = _lift2(point)
    if not oc.is_on_curve(lifted, oc.b2):
        raise PointInvalid(_NO_POINT)
    if not oc.is_inf(oc.multiply(lifted, ORDER)):
        raise PointInvalid("this point is on the second curve but not in its group of order r")
