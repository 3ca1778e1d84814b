"""What a trainer shows of its commitment, in tasks with layer P (zk/README.md): the points behind the receipt's hash.

A receipt carries keccak256(root of the points, salt). In a standard round this comes with the first message; in a
strict one it comes with the key, once the roster is on chain.

Tests: tests/unit/round/test_committing.py
"""

from __future__ import annotations

from dataclasses import dataclass

PEDERSEN = "pedersen"
NO_COMMITMENTS = "none"


@dataclass(frozen=True)
class CommitmentOpening:
    """Unverified, of any length, until `judging.commitments` has checked it. All empty: nothing is shown."""

    points: bytes  # 64 bytes a chunk of the model
    salt: bytes  # 32 bytes
    proof: bytes  # of knowledge of the opening; empty where a strict round's roster makes it needless


NOTHING_SHOWN = CommitmentOpening(b"", b"", b"")
