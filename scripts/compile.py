"""Compile contracts/ to the JSON artifacts that ship in the Python package.

    python scripts/compile.py            write fl_platform/chain/artifacts/*.json (mocks: tests/support/artifacts/)
    python scripts/compile.py --check    compile and compare with what is committed; exit 1 at the first drift
    python scripts/compile.py --sources  no compiler: only hold the committed artifacts against the sources they name

The first two need the npm tools (`npm ci`) and Node 20. Every contract under contracts/ that has bytecode and at least
one external function becomes NAME.json; those under contracts/mocks/ go to the tests and are never shipped. Settings
come from foundry.toml, so forge, Brownie and this script build the same bytes. Output is deterministic: sorted keys, no
paths outside the repository, no metadata hash.

An artifact holds: contractName, sourceName, abi, bytecode, deployedBytecode (0x hex), immutableReferences (a list of
{start, length} in bytes of deployedBytecode), compiler (version and settings) and sources ({path: sha256 of the file};
our own and the imported library's, transitively).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = "contracts"
SHIPPED = Path("fl_platform/chain/artifacts")
MOCKS = Path("tests/support/artifacts")
SOLC = Path("scripts/node_tools/solc")
LIBRARIES = "node_modules"


class CompileError(Exception):
    """The contracts do not compile, or a tool is missing; the message says what to do."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract; `path` is relative to the repository, `text` is the exact file content."""

    path: Path
    text: str


def compiler_settings(root: Path) -> dict[str, Any]:
    """Return the standard-JSON settings that foundry.toml's default profile means."""
    profile = tomllib.loads((root / "foundry.toml").read_text())["profile"]["default"]
    return {
        "evmVersion": profile["evm_version"],
        "metadata": {"appendCBOR": profile["cbor_metadata"], "bytecodeHash": profile["bytecode_hash"]},
        "optimizer": {
            "enabled": profile["optimizer"],
            "runs": profile["optimizer_runs"],
            "details": profile["optimizer_details"],
        },
        "viaIR": profile["via_ir"],
    }


def own_sources(root: Path) -> dict[str, str]:
    """Map repository-relative path -> text of every .sol file under contracts/."""
    files = sorted((root / CONTRACTS).rglob("*.sol"))
    return {file.relative_to(root).as_posix(): file.read_text() for file in files}


def run_solc(root: Path, sources: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run the wrapper over `sources`; raise CompileError with the compiler's own words when it finds errors."""
    if shutil.which("node") is None or not (root / LIBRARIES / "solc").is_dir():
        raise CompileError("the compiler is not installed: install Node 20, then run `npm ci` in the repository")
    fields = ["abi", "metadata", "evm.bytecode.object", "evm.bytecode.linkReferences", "evm.deployedBytecode.object",
              "evm.deployedBytecode.immutableReferences"]  # fmt: skip
    request = {
        "language": "Solidity",
        "sources": {path: {"content": text} for path, text in sources.items()},
        "settings": {**settings, "outputSelection": {"*": {"*": fields}}},
    }
    command = [str(root / SOLC), "--standard-json", "--base-path", str(root), "--include-path", str(root / LIBRARIES)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, cwd=root, check=False)
    if done.returncode != 0:
        raise CompileError(f"the compiler failed: {done.stderr.strip()}")
    output: dict[str, Any] = json.loads(done.stdout)
    problems = [error for error in output.get("errors", []) if concerns_us(error)]
    for problem in problems:
        print(problem["formattedMessage"], file=sys.stderr)
    if any(problem["severity"] == "error" for problem in problems):
        raise CompileError("the contracts do not compile (see above)")
    return output


def concerns_us(report: Mapping[str, Any]) -> bool:
    """Say whether a compiler report is an error, or a warning about our own code (libraries are pinned as they are)."""
    place = (report.get("sourceLocation") or {}).get("file", "")
    return report["severity"] == "error" or (report["severity"] == "warning" and str(place).startswith(f"{CONTRACTS}/"))


def source_file(root: Path, unit: str) -> Path:
    """Return the file that a source unit name stands for: ours, or a library's under node_modules."""
    return root / unit if unit.startswith(f"{CONTRACTS}/") else root / LIBRARIES / unit


def is_wanted(unit: Mapping[str, Any]) -> bool:
    """Say whether a contract is deployable and callable: no interface, abstract contract or inlined library."""
    return bool(unit["evm"]["bytecode"]["object"]) and any(entry["type"] == "function" for entry in unit["abi"])


def artifact(root: Path, path: str, name: str, unit: Mapping[str, Any]) -> Artifact:
    """Turn one compiler output into its file; raises CompileError when it would need linking."""
    if unit["evm"]["bytecode"]["linkReferences"]:
        raise CompileError(f"{path}:{name} links an external library; make the library's functions internal")
    metadata = json.loads(unit["metadata"])
    content = {
        "contractName": name,
        "sourceName": path,
        "abi": unit["abi"],
        "bytecode": "0x" + unit["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + unit["evm"]["deployedBytecode"]["object"],
        "immutableReferences": immutables(unit),
        "compiler": {
            "version": metadata["compiler"]["version"],
            "settings": compiler_settings(root),
        },
        "sources": {used: digest(source_file(root, used)) for used in sorted(metadata["sources"])},
    }
    folder = MOCKS if path.startswith(f"{CONTRACTS}/mocks/") else SHIPPED
    return Artifact(folder / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")


def immutables(unit: Mapping[str, Any]) -> list[dict[str, int]]:
    """List where immutables lie, by position: solc's own keys are syntax-tree ids, which shift with any edit."""
    by_id = unit["evm"]["deployedBytecode"]["immutableReferences"]
    return sorted((place for places in by_id.values() for place in places), key=lambda place: int(place["start"]))


def digest(file: Path) -> str:
    """Return the file's SHA-256 as 64 hex digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def compile_all(root: Path) -> list[Artifact]:
    """Compile everything under contracts/; raises CompileError also when two contracts share a name."""
    output = run_solc(root, own_sources(root), compiler_settings(root))
    made: dict[str, Artifact] = {}
    for path, units in sorted(output.get("contracts", {}).items()):
        if not path.startswith(f"{CONTRACTS}/"):
            continue
        for name, unit in sorted(units.items()):
            if not is_wanted(unit):
                continue
            if name in made:
                raise CompileError(f"two contracts are called {name}; artifacts go by name, so rename one")
            made[name] = artifact(root, path, name, unit)
    return list(made.values())


def committed(root: Path) -> dict[Path, str]:
    """Map path -> text of the artifacts that lie in the repository now."""
    files = [file for folder in (SHIPPED, MOCKS) for file in sorted((root / folder).glob("*.json"))]
    return {file.relative_to(root): file.read_text() for file in files}


def drift(root: Path, fresh: list[Artifact]) -> list[str]:
    """Name every artifact that is missing, left over or different."""
    there, wanted = committed(root), {item.path: item.text for item in fresh}
    gone = [f"{path}: not compiled yet" for path in sorted(wanted.keys() - there.keys())]
    extra = [f"{path}: no contract of that name is left" for path in sorted(there.keys() - wanted.keys())]
    other = [f"{path}: differs from its sources" for path in sorted(wanted.keys() & there.keys())
             if wanted[path] != there[path]]  # fmt: skip
    return gone + extra + other


def stale_sources(root: Path) -> list[str]:
    """Name every committed artifact whose recorded digests of our own sources, or whose settings, no longer hold."""
    found = []
    settings = compiler_settings(root)
    for path, text in committed(root).items():
        content = json.loads(text)
        if content["compiler"]["settings"] != settings:
            found.append(f"{path}: compiled with other settings than foundry.toml's")
        for used, recorded in content["sources"].items():
            file = source_file(root, used)
            ours = used.startswith(f"{CONTRACTS}/")
            if ours and (not file.is_file() or digest(file) != recorded):
                found.append(f"{path}: {used} changed since it was compiled")
    return found


def write(root: Path, fresh: list[Artifact]) -> list[str]:
    """Write the artifacts and remove left-over ones; return what changed."""
    changed = drift(root, fresh)
    for path in committed(root).keys() - {item.path for item in fresh}:
        (root / path).unlink()
    for item in fresh:
        (root / item.path).parent.mkdir(parents=True, exist_ok=True)
        (root / item.path).write_text(item.text)
    return changed


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 on drift")
    mode.add_argument("--sources", action="store_true", help="check recorded source digests only; needs no Node")
    options = parser.parse_args()
    if options.sources:
        problems = stale_sources(ROOT)
        print("\n".join(problems) or f"{len(committed(ROOT))} artifacts match their sources")
        return 1 if problems else 0
    try:
        fresh = compile_all(ROOT)
    except CompileError as error:
        print(error, file=sys.stderr)
        return 2
    changes = drift(ROOT, fresh) if options.check else write(ROOT, fresh)
    print("\n".join(changes) or f"{len(fresh)} artifacts are up to date")
    if changes and options.check:
        print("run `python scripts/compile.py` and commit the result", file=sys.stderr)
    return 1 if changes and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
