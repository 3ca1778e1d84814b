"""A settlement proof as a file: proof, what it is bound to, and which key it was made with. Verified by py_ecc alone.

The file says of itself what it is about; nothing in it is believed. With a changed place (chain, gate, task, round,
claimant) rho is another number, so the proof no longer holds; a file that names a place of its writer's choice proves
something about that place only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from zk import bounded_json
from zk.groth16 import package_keys
from zk.settlement.inputs import SIZES, Context
from zk.settlement.proof import SettlementProof, verify_settlement

FORMAT = "fl-platform settlement proof file 1"
_ADDRESS = re.compile("0x[0-9a-f]{40}")


@dataclass(frozen=True)
class ProofFile:
    """A settlement proof with the place that it was made for."""

    context: Context
    claimed: SettlementProof
    key: str  # sha256 of the proving key in hex: which set-up the proof belongs to

    @property
    def slots(self) -> int:
        """How many slots the list has."""
        return len(self.claimed.values) // 2

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
            "key": self.key,
            "settlement": self.claimed.to_json(),
        }
        return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ProofFile:
        """Read a file (untrusted). Raises DocumentInvalid."""
        body = bounded_json.parse(data, what="proof file")
        try:
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r}")
            context = Context(
                bounded_json.number(body["chain_id"]), _read_address(body["contract"]),
                bounded_json.number(body["task"]), bounded_json.number(body["round"]), _read_address(body["claimant"]),
            )  # fmt: skip
            if max(context.chain_id, context.task, context.round) >= 1 << 256:
                raise ValueError("chain, task or round is not below 2^256")
            return cls(context, SettlementProof.from_body(body["settlement"]), str(body["key"])[:64])
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentInvalid(f"this is no proof file ({FORMAT}): {error!r}") from error

    def holds(self) -> bool:
        """Tell whether the list follows from the commitment, for the place that the file names.

        Raises DocumentInvalid for a key that is not this package's, and as `verify_settlement`.
        """
        if self.slots not in SIZES or len(self.claimed.values) != 2 * self.slots + 1:
            raise DocumentInvalid(
                f"the list has {len(self.claimed.values)} numbers; circuits have {', '.join(_lengths())}: no proof of "
                f"this package"
            )
        current = key_of(self.slots)
        if self.key != current:
            raise DocumentInvalid(
                f"the proof was made with key {self.key[:16] or 'none'}, this package's for {self.slots} slots is "
                f"{current[:16]}: keys or circuit were replaced since; make the proof again"
            )
        return verify_settlement(self.claimed, self.context)


def key_of(slots: int) -> str:
    """Return the sha256, in hex, of the proving key that ships for a circuit."""
    return package_keys.entry(slots).zkey


def _lengths() -> list[str]:
    return [str(2 * slots + 1) for slots in SIZES]


def _address(value: int) -> str:
    return "0x" + value.to_bytes(20, "big").hex()


def _read_address(text: object) -> int:
    if not isinstance(text, str) or _ADDRESS.fullmatch(text) is None:
        raise ValueError(f"{str(text)[:80]!r} is no address")
    return int(text, 16)
