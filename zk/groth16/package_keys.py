"""What ships of each settlement circuit: its entry in the manifest and its verifying key. Enough to verify.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fl_platform.errors import DocumentInvalid
from zk.groth16.verifier import VerifyingKey, parse_key

SHIPPED = Path(__file__).resolve().parent.parent / "keys"


@dataclass(frozen=True)
class Entry:
    """One circuit in the manifest; hashes are sha256 in hex."""

    name: str
    slots: int
    constraints: int
    stamp: str
    r1cs: str
    wasm: str
    zkey: str


def entry(slots: int) -> Entry:
    """Return the manifest's entry of a circuit. Raises DocumentInvalid when there is none."""
    manifest = json.loads((SHIPPED / "manifest.json").read_text())
    name = f"settle{slots}"
    if name not in manifest:
        raise DocumentInvalid(f"there is no settlement circuit with {slots} slots")
    return Entry(name, **manifest[name])


@lru_cache(maxsize=8)
def verifying_key(slots: int) -> VerifyingKey:
    """Return the checked verifying key of a circuit."""
    return parse_key((SHIPPED / f"settle{slots}.vkey.json").read_text())
