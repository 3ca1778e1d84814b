"""Rebuild the settlement circuits, their development keys and verifier contracts, and compare them by hash.

    python scripts/build_circuits.py            compile, make keys, write what changed
    python scripts/build_circuits.py --check    compile, make keys, compare with what is committed; exit 1 on drift
    python scripts/build_circuits.py --size 4   one circuit only (may be repeated)

Needs Node 20 and `npm ci` in scripts/node_tools/zk. Everything is a function of zk/circuits and
zk/poseidon.py: the keys' secrets are hashes of the constraints (zk/groth16/toy_setup.py), so the files come
out the same everywhere.
Big files go to build/zk/: settleN.r1cs, settleN.wasm, settleN.zkey. In git: zk/keys/manifest.json with their hashes,
the verifying keys, constraints and program where they are small, and contracts/proof/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zk.curve.bn254 import Point  # noqa: E402
from zk.groth16 import files, prover, toy_setup, verifier  # noqa: E402
from zk.poseidon import constants  # noqa: E402
from zk.settlement.inputs import SIZES  # noqa: E402

CIRCUITS = ROOT / "zk" / "circuits"
KEYS = ROOT / "zk" / "keys"
CONTRACTS = ROOT / "contracts" / "proof"
BUILD = ROOT / "build" / "zk"
TOOLS = ROOT / "scripts" / "node_tools" / "zk" / "node_modules"
PACKED_LIMIT = 1_500_000  # bytes of compressed constraints and program that git carries


@dataclass(frozen=True)
class Built:
    """One circuit's files."""

    size: int
    r1cs: bytes
    wasm: bytes
    zkey: bytes
    key: verifier.VerifyingKey
    constraints: int


def constants_source() -> str:
    """Return the circom source of Poseidon's constants."""
    fixed = constants(9)

    def function(name: str, rows: tuple[tuple[int, ...], ...]) -> str:
        body = ",\n".join(f"        {value}" for row in rows for value in row)
        return f"function {name}() {{\n    return [\n{body}\n    ];\n}}\n"

    rounds, matrix = function("round_constants", fixed.rounds), function("mixing_matrix", fixed.matrix)
    return "pragma circom 2.1.6;\n" + rounds + matrix


def main_source(size: int) -> str:
    """Return the main component of a size."""
    return (
        'pragma circom 2.1.6;\ninclude "settle.circom";\n'
        f"component main {{public [rho]}} = Settle({size}, {int(SIZES[size])});\n"
    )


def compile_circuit(size: int) -> tuple[bytes, bytes]:
    """Return constraints and program. The compiler sees only its working directory, so sources are copied."""
    compiler = TOOLS / "circom2" / "cli.js"
    if shutil.which("node") is None or not compiler.is_file():
        raise SystemExit("the circuit compiler is not installed: Node 20, then `npm ci` in scripts/node_tools/zk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in CIRCUITS.glob("*.circom"):
            shutil.copy(source, folder)
        (folder / "poseidon_constants.circom").write_text(constants_source())
        (folder / f"settle{size}.circom").write_text(main_source(size))
        command = ["node", str(compiler), f"settle{size}.circom", "--r1cs", "--wasm", "--O1", "-o", "."]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        made = folder / f"settle{size}.r1cs"
        if done.returncode != 0 or not made.is_file():
            raise SystemExit(f"circom: {done.stdout}{done.stderr}")
        return made.read_bytes(), (folder / f"settle{size}_js" / f"settle{size}.wasm").read_bytes()


def build(size: int) -> Built:
    """Compile one circuit and make its development key."""
    r1cs, wasm = compile_circuit(size)
    parsed = files.read_r1cs(r1cs)
    key = toy_setup.development_key(parsed, hashlib.sha256(r1cs).digest())
    verifying = prover.verifying_key(key, stamp="dev")
    verifier.check_key(verifying)  # never ship a key with a point at infinity
    return Built(size, r1cs, wasm, files.write_zkey(key), verifying, parsed.constraints)


def outputs(built: Built) -> dict[Path, bytes]:
    """Return the files of one circuit that git carries."""
    name = f"settle{built.size}"
    found = {
        KEYS / f"{name}.vkey.json": (json.dumps(built.key.to_json(), indent=1) + "\n").encode(),
        CONTRACTS / f"SettlementVerifier{built.size}.sol": contract_source(built.size, built.key).encode(),
    }
    packed = {
        KEYS / f"{name}.{kind}.xz": lzma.compress(data, preset=9)
        for kind, data in (("r1cs", built.r1cs), ("wasm", built.wasm))
    }
    if sum(map(len, packed.values())) <= PACKED_LIMIT:
        found |= packed
    return found


def manifest_entry(built: Built) -> dict[str, object]:
    """Return the hashes by which the files are known."""
    sizes = {"slots": built.size, "constraints": built.constraints, "stamp": built.key.stamp}
    hashes = {
        kind: hashlib.sha256(data).hexdigest()
        for kind, data in (("r1cs", built.r1cs), ("wasm", built.wasm), ("zkey", built.zkey))
    }
    return {**sizes, **hashes}


def contract_source(size: int, key: verifier.VerifyingKey) -> str:
    """Return the verifier contract of a key."""

    def two(name: str, point: verifier.Point2) -> list[str]:
        words = (point.x[1], point.x[0], point.y[1], point.y[0])
        return [f"    uint256 private constant {name}_{i} = {word};" for i, word in enumerate(words)]

    def one(name: str, point: Point) -> list[str]:
        return [f"    uint256 private constant {name}_{axis} = {v};" for axis, v in (("X", point.x), ("Y", point.y))]

    lines = one("ALPHA", key.alpha) + two("BETA", key.beta) + two("GAMMA", key.gamma) + two("DELTA", key.delta)
    for i, point in enumerate(key.ic):
        lines += one(f"IC{i}", point)
    stamp = "true" if key.stamp == "dev" else "false"
    replacements = {"SIZE": str(size), "STAMP": stamp, "CONSTANTS": "\n".join(lines)}
    source = (ROOT / "scripts" / "node_tools" / "zk" / "verifier.sol.in").read_text()
    for name, value in replacements.items():
        source = source.replace(f"@{name}@", value)
    return source


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 on drift")
    parser.add_argument("--size", type=int, action="append", choices=sorted(SIZES), help="only this circuit")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    path = KEYS / "manifest.json"
    manifest = json.loads(path.read_text()) if path.is_file() else {}
    wanted: dict[Path, bytes] = {}
    for size in options.size or sorted(SIZES):
        built = build(size)
        for kind, data in (("r1cs", built.r1cs), ("wasm", built.wasm), ("zkey", built.zkey)):
            (BUILD / f"settle{size}.{kind}").write_bytes(data)
        manifest[f"settle{size}"] = manifest_entry(built)
        wanted |= outputs(built)
    wanted[path] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    changed = [file for file, data in wanted.items() if not file.is_file() or file.read_bytes() != data]
    print("\n".join(f"{file.relative_to(ROOT)}: changed" for file in changed) or f"{len(wanted)} files are up to date")
    if options.check:
        return 1 if changed else 0
    for file in changed:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wanted[file])
    return 0


if __name__ == "__main__":
    sys.exit(main())
