"""A settlement proof and how anyone verifies it: py_ecc alone, no compiled code.

Tests: tests/contracts/test_settlement_proofs.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fl_platform.errors import DocumentInvalid
from zk import bounded_json
from zk.curve.bn254 import ORDER
from zk.groth16 import verifier
from zk.groth16.package_keys import verifying_key
from zk.groth16.verifier import Proof, proof_of
from zk.settlement.inputs import Context, commitment, rho_of, value_at
from zk.settlement.statement import Round

FORMAT = "fl-platform settlement proof 1"


@dataclass(frozen=True)
class SettlementProof:
    """What goes to a verifier or into `SettlementProofs.submit`."""

    commitment: int
    values: tuple[int, ...]  # the list: claims, marks, total
    proof: Proof

    def to_json(self) -> dict[str, object]:
        """Return the form of a proof file; numbers are decimal text."""
        values = [str(value) for value in self.values]
        return {"format": FORMAT, "commitment": str(self.commitment), "values": values, "proof": self.proof.to_json()}

    @classmethod
    def from_json(cls, text: str) -> SettlementProof:
        """Read a proof (untrusted). Raises DocumentInvalid."""
        return cls.from_body(bounded_json.parse(text, what=f"this is no settlement proof ({FORMAT})"))

    @classmethod
    def from_body(cls, body: Any) -> SettlementProof:
        """Read a proof from parsed JSON (untrusted). Raises DocumentInvalid."""
        try:
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r}")
            if not isinstance(body["values"], list):
                raise ValueError("values are no list")
            values = tuple(bounded_json.number(value) for value in body["values"])
            return cls(bounded_json.number(body["commitment"]), values, proof_of(body["proof"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentInvalid(f"this is no settlement proof ({FORMAT}): {error!r}") from error


def verify_settlement(claimed: SettlementProof, context: Context) -> bool:
    """Tell whether a list follows from a commitment, for this context; all three untrusted.

    It does not tell what the commitment holds: compare it with `commitment(round)` of the round's bundle
    (`matches_round`). Raises DocumentInvalid for a development key off local networks, an element that is not below r
    or a list of no circuit's length; PointInvalid for points that are none.
    """
    slots, odd = divmod(len(claimed.values), 2)
    key = verifying_key(slots) if odd else None
    if key is None:
        raise DocumentInvalid(f"a list has 2 n + 1 numbers, not {len(claimed.values)}")
    verifier.refuse_development_key(key, chain_id=context.chain_id)
    return verifier.verify(key, public_inputs(claimed.commitment, claimed.values, context), claimed.proof)


def public_inputs(root: int, values: Sequence[int], context: Context) -> tuple[int, int, int]:
    """Return commitment, value and rho as a contract computes them. Raises DocumentInvalid for elements not below r."""
    for index, value in enumerate((root, *values)):
        if not 0 <= value < ORDER:
            raise DocumentInvalid(f"element {index} is {value}, not below r: another number's alias")
    rho = rho_of(context, root, values)
    return root, value_at(values, rho), rho


def matches_round(claimed: SettlementProof, round_: Round) -> bool:
    """Tell whether the commitment is this round's: the check that a holder of the bundle adds."""
    return claimed.commitment == commitment(round_)
