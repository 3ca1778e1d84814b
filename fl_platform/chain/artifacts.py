"""The compiled contracts that ship with the package: nobody needs a compiler at run time.

Tests: tests/unit/ledger/test_deploy.py
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from fl_platform.chain.abi import Abi
from fl_platform.errors import IntegrityError


@dataclass(frozen=True)
class Artifact:
    """One compiled contract (trusted: part of this package)."""

    name: str
    entries: tuple[dict[str, Any], ...]  # the ABI
    bytecode: bytes  # creation code
    runtime: bytes  # code after creation, immutables zero
    immutables: tuple[tuple[int, int], ...]  # (start, length) in `runtime`
    digest: bytes  # sha256 of the artifact file

    @cached_property
    def abi(self) -> Abi:
        """Parsed ABI."""
        return Abi(self.entries)

    def masked(self, code: bytes) -> bytes:
        """Return `code` with the places of immutables zeroed, to compare with `runtime`."""
        result = bytearray(code)
        for start, length in self.immutables:
            result[start : start + length] = bytes(min(length, max(0, len(result) - start)))
        return bytes(result)


def parse_artifact(text: str, what: str) -> Artifact:
    """Read an artifact file's text. Raises IntegrityError when it lacks a part."""
    try:
        value = json.loads(text)
        return Artifact(
            name=value["contractName"],
            entries=tuple(value["abi"]),
            bytecode=bytes.fromhex(value["bytecode"].removeprefix("0x")),
            runtime=bytes.fromhex(value["deployedBytecode"].removeprefix("0x")),
            immutables=tuple((place["start"], place["length"]) for place in value["immutableReferences"]),
            digest=hashlib.sha256(text.encode()).digest(),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"artifact {what} is damaged ({error!r}); install the package again") from error


@cache
def load(name: str) -> Artifact:
    """Return the shipped artifact of contract `name`. Raises IntegrityError when it is missing or damaged."""
    place = files("fl_platform.chain") / "artifacts" / f"{name}.json"
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise IntegrityError(f"artifact {name}.json is missing; run scripts/compile.py or install again") from error
    return parse_artifact(text, name)


@cache
def shipped() -> tuple[Artifact, ...]:
    """Return all artifacts in the package, by name."""
    folder = files("fl_platform.chain") / "artifacts"
    names = sorted(f.name.removesuffix(".json") for f in folder.iterdir()) if folder.is_dir() else []
    return tuple(load(name) for name in names)


def load_file(path: Path) -> Artifact:
    """Return an artifact from a file outside the package (test contracts)."""
    return parse_artifact(path.read_text(encoding="utf-8"), path.name)
