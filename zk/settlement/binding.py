"""What a settlement proof is bound to, and the point at which a contract reads its list. Twin of SettlementProofs.sol.

Tests: tests/contracts/test_settlement_proofs.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from zk.curve.bn254 import ORDER
from zk.keccak import keccak256

DOMAIN = keccak256(b"fl-platform settlement 2")


@dataclass(frozen=True)
class Context:
    """A place on chain, a key and who hands the proof in: under another one rho is another number."""

    chain_id: int
    contract: int  # address of the gate that checks the proof
    task: int
    round: int
    claimant: int  # address that may hand the proof in
    key: bytes  # digest of the verifying key, 32 bytes


def rho_of(context: Context, commitment: int, values: Sequence[int]) -> int:
    """Return the point at which contract and circuit compare a list of numbers below r."""
    place = _encoded(context.task, context.round, commitment) + context.key
    head = _encoded(context.chain_id, context.contract) + keccak256(place) + _encoded(context.claimant)
    return int.from_bytes(keccak256(DOMAIN + head + list_hash(values)), "big") % ORDER


def list_hash(values: Sequence[int]) -> bytes:
    """Return keccak of a list as the gate records it."""
    return keccak256(_encoded(*values))


def value_at(values: Sequence[int], rho: int) -> int:
    """Return sum values[i] * rho^i + rho^length modulo r: the last term says where the list ends."""
    total = 1
    for value in reversed(values):
        total = (total * rho + value) % ORDER
    return total


def public_inputs(context: Context, commitment: int, values: Sequence[int]) -> tuple[int, int, int]:
    """Return commitment, value and rho as a contract computes them. Raises DocumentInvalid for elements not below r."""
    for index, value in enumerate((commitment, *values)):
        if not 0 <= value < ORDER:
            raise DocumentInvalid(f"element {index} is {value}, not below r: another number's alias")
    rho = rho_of(context, commitment, values)
    return commitment, value_at(values, rho), rho


def _encoded(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)
