"""Fiat-Shamir: a running SHA-512 state that absorbs labelled data and gives challenges.

Every message is framed by its label and length, so no two sequences of messages absorb the same bytes; a challenge is
absorbed too, so the next one depends on it. Challenges are 512 bits reduced modulo r: 2^-258 from uniform.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from zk.curve.bn254 import ORDER

_SEPARATOR = b"fl-platform/zk/v1/"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Where a commitment or a proof belongs; bytes of one place are useless in another."""

    chain_id: int  # below 2^256
    contract: bytes  # 20 bytes, the ledger that keeps the round
    task: int  # below 2^256
    round: int  # below 2^64
    party: bytes  # 20 bytes: the trainer who committed; for a weighted sum, the aggregator

    def encode(self) -> bytes:
        """Return the 112 bytes that are hashed. Raises ValueError for a field out of its range."""
        if len(self.contract) != 20 or len(self.party) != 20:
            raise ValueError("a binding's contract and party are 20-byte addresses")
        try:
            numbers = (self.chain_id.to_bytes(32, "big"), self.task.to_bytes(32, "big"), self.round.to_bytes(8, "big"))
        except OverflowError as error:
            raise ValueError(f"a binding's number is negative or too large: {self}") from error
        return numbers[0] + self.contract + numbers[1] + numbers[2] + self.party


class Transcript:
    """One proof's conversation. Prover and verifier make the same calls in the same order."""

    def __init__(self, protocol: str, binding: Binding) -> None:
        """Start for one protocol (a name with its version) at one place."""
        self._state = hashlib.sha512(_SEPARATOR + protocol.encode()).digest()
        self.absorb("binding", binding.encode())

    def absorb(self, label: str, data: bytes) -> None:
        """Take in bytes."""
        name = label.encode()
        frame = len(name).to_bytes(4, "big") + name + len(data).to_bytes(8, "big")
        self._state = hashlib.sha512(self._state + frame + data).digest()

    def absorb_int(self, label: str, value: int) -> None:
        """Take in an integer of at most 256 bits, with its sign."""
        self.absorb(label, value.to_bytes(33, "big", signed=True))

    def challenge(self, label: str) -> int:
        """Return a challenge in [1, r)."""
        self.absorb(label, b"challenge")
        return int.from_bytes(self._state, "big") % (ORDER - 1) + 1
