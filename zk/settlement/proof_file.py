"""A settlement proof as a file: proof, what it is bound to, and the verifying key. Verified without anything else.

The file says of itself what it is about; nothing in it is believed. With a changed place (chain, gate, task, round,
claimant, key) rho is another number, so the proof no longer holds; a file that names a place and a key of its writer's
choice proves something about these only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from zk import bounded_json
from zk.groth16.verifier import VerifyingKey
from zk.settlement.binding import Context
from zk.settlement.proof import SettlementProof, verify_settlement

FORMAT = "fl-platform settlement proof file 2"
_ADDRESS = re.compile("0x[0-9a-f]{40}")


@dataclass(frozen=True)
class ProofFile:
    """A settlement proof with the place and the key that it was made for."""

    context: Context
    claimed: SettlementProof
    key: VerifyingKey

    def to_bytes(self) -> bytes:
        """Return the file."""
        context = self.context
        body = {
            "format": FORMAT,
            "chain_id": str(context.chain_id),
            "contract": _address(context.contract),
            "task": str(context.task),
            "round": str(context.round),
            "claimant": _address(context.claimant),
            "key": self.key.to_bytes().hex(),
            "settlement": self.claimed.to_body(),
        }
        return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ProofFile:
        """Read a file (untrusted). Raises DocumentInvalid; PointInvalid for a key that no proof should be held to."""
        body = bounded_json.parse(data, what="proof file")
        try:
            if body["format"] != FORMAT:
                raise ValueError(f"format {str(body['format'])[:80]!r}")
            key = VerifyingKey.from_bytes(bytes.fromhex(str(body["key"])))
            context = Context(
                bounded_json.number(body["chain_id"]), _read_address(body["contract"]),
                bounded_json.number(body["task"]), bounded_json.number(body["round"]), _read_address(body["claimant"]),
                key.digest,
            )  # fmt: skip
            if max(context.chain_id, context.task, context.round) >= 1 << 256:
                raise ValueError("chain, task or round is not below 2^256")
            return cls(context, SettlementProof.from_body(body["settlement"]), key)
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentInvalid(f"this is no proof file ({FORMAT}): {error!r}") from error

    def holds(self) -> bool:
        """Tell whether the list follows from the commitment, for the place and the key that the file names.

        Raises DocumentInvalid, PointInvalid as `verify_settlement`.
        """
        return verify_settlement(self.claimed, self.context, self.key)


def _address(value: int) -> str:
    return "0x" + value.to_bytes(20, "big").hex()


def _read_address(text: object) -> int:
    if not isinstance(text, str) or _ADDRESS.fullmatch(text) is None:
        raise ValueError(f"{str(text)[:80]!r} is no address")
    return int(text, 16)
