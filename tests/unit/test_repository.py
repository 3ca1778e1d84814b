"""True of the files themselves: pinned locks, nothing of one machine, no sleeping or silently skipped tests."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import compile as contracts

ROOT = Path(__file__).resolve().parent.parent.parent
MOST_BYTES = 22_000  # a public chain takes 24,576 (EIP-170); the rest is room for what comes
LOCKS = {"lock": 100, "ipfs": 100, "s3": 20, "brownie": 20, "prove": 1}  # name -> at least so many packages
# Assembled, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(
    r"(?<![\w./-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "opt/py" + "pi", "tmp/" + "w"]) + r")/"
)
REGISTRY_HOST = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + "hosted",
            "registry" + r"\.npm",
            "npm" + r"js\.(?:org|com)",
            "deb" + r"ian\.org",
            "download\\.py" + "torch",
        ]
    )
)
SECRET = re.compile("-----BEGIN" + r" [A-Z ]*PRIVATE KEY-----")


def tracked_files() -> list[Path]:
    """Return every file that git knows (a source archive without git: every file outside the ignored folders)."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    skipped = {".venv", ".venv-brownie", "node_modules", "build", ".git"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every tracked text file."""
    for path in tracked_files():
        raw = path.read_bytes()
        if b"\0" not in raw:
            yield path.relative_to(ROOT).as_posix(), raw.decode(errors="replace")


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY_HOST, SECRET], ids=["machine path", "registry host", "secret"]
)
def test_no_file_names_what_belongs_to_one_machine(pattern: re.Pattern[str]) -> None:
    found = [f"{name}: {hit.group()}" for name, text in texts() for hit in pattern.finditer(text)]
    assert not found, "\n".join(found[:20])


def entries(lock: str) -> dict[str, list[Requirement]]:
    """Map canonical name -> the pins of a lock file; fails on any line that is neither a pin nor its hash."""
    pins: dict[str, list[Requirement]] = {}
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    for entry in re.sub(r"\\\n", " ", text).splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        words = re.split(r"\s+--hash=sha256:", entry.strip())
        requirement = Requirement(words[0])
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), f"{entry[:80]} is not pinned"
        assert words[1:], f"{requirement.name} has no hash"
        assert all(re.fullmatch(r"[0-9a-f]{64}", word) for word in words[1:]), f"{requirement.name}: odd hash"
        pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_and_hashes_everything_and_names_no_address(lock: str) -> None:
    assert len(entries(lock)) >= LOCKS[lock]
    assert "//" not in (ROOT / "requirements" / f"{lock}.txt").read_text()


def wanted(*extras: str) -> list[Requirement]:
    """Return what pyproject.toml asks for, with some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in listed]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("lock", ("dev", "fast", "sim")), ("ipfs", ("dev", "fast", "sim", "ipfs")), ("brownie", ("brownie",))],
)
def test_a_lock_answers_the_project_s_dependencies(lock: str, extras: tuple[str, ...]) -> None:
    pins = entries(lock)
    for requirement in wanted(*extras):
        name = canonicalize_name(requirement.name)
        if name == "torch":
            continue
        assert name in pins, f"{requirement} is missing: run `make lock`"
        for pin in pins[name]:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is locked at {version}"


def test_the_lock_beside_the_lock_holds_the_service_and_what_the_extra_s3_wants() -> None:
    pins = entries("s3")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for line in (*project["project"]["optional-dependencies"]["s3"], *project["dependency-groups"]["s3-service"]):
        requirement = Requirement(line)
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("==")), f"{line}: run `make lock`"
    # Where it is installed on top of the lock, nothing else may move.
    moved = {name for name, found in pins.items() if name in entries("lock") and found != entries("lock")[name]}
    assert moved <= {"python-dateutil"}


def test_the_solver_that_is_locked_is_what_the_group_prove_wants() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    pins = entries("prove")
    assert len(groups["prove"]) == len(pins)
    for requirement in map(Requirement, groups["prove"]):
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("==")), f"{requirement}: run `make lock`"


def test_torch_is_pinned_apart() -> None:
    lines = [
        line for line in (ROOT / "requirements" / "torch.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert len(lines) == 1
    version = lines[0].removeprefix("torch==")
    assert next(r for r in wanted() if r.name == "torch").specifier.contains(version)


def test_the_npm_lock_names_versions_and_hashes_only() -> None:
    for path in [file for file in tracked_files() if file.name == "package-lock.json"]:
        for name, package in json.loads(path.read_text())["packages"].items():
            if name:
                assert "resolved" not in package, f"{path.name}: {name}"
                assert package.get("integrity") or package.get("inBundle"), f"{path.name}: {name}"


def test_brownie_compiles_with_the_settings_of_foundry() -> None:
    forge = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    config = yaml.safe_load((ROOT / "brownie-config.yaml").read_text())
    solc = config["compiler"]["solc"]
    package = json.loads((ROOT / "package.json").read_text())
    assert config["compiler"]["evm_version"] == forge["evm_version"]
    assert solc["optimizer"] == {
        "enabled": forge["optimizer"],
        "runs": forge["optimizer_runs"],
        "details": forge["optimizer_details"],
    }
    assert solc.get("viaIR", False) == forge["via_ir"]
    assert solc["remappings"] == forge["remappings"]
    assert solc["version"] == package["devDependencies"]["solc"]
    assert "default" not in config["networks"]


def test_the_shipped_contracts_match_their_sources() -> None:
    assert contracts.committed(ROOT), "no artifacts are committed: run `python scripts/compile.py`"
    assert contracts.stale_sources(ROOT) == []


def test_no_contract_has_the_name_of_one_that_it_is_compiled_with() -> None:
    """Brownie keeps one contract a name, and stops at a library's that ours has replaced."""
    sources = {Path(name) for text in contracts.committed(ROOT).values() for name in json.loads(text)["sources"]}
    ours = {path.stem for path in (ROOT / "contracts").rglob("*.sol")}
    theirs = {path.stem for path in sources if path.parts[0] != "contracts"}
    assert theirs
    assert not ours & theirs


def test_every_shipped_contract_fits_on_a_public_chain() -> None:
    sizes = {
        path.stem: len(json.loads(text)["deployedBytecode"]) // 2 - 1
        for path, text in contracts.committed(ROOT).items()
        if path.is_relative_to(contracts.SHIPPED)
    }
    too_large = {name: size for name, size in sizes.items() if size > MOST_BYTES}
    assert not too_large


def python_tests() -> list[Path]:
    """Return the Python files under tests/."""
    return sorted((ROOT / "tests").rglob("*.py"))


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of names, else the empty string."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_used(path: Path) -> set[str]:
    """Return every dotted name in a file."""
    return {
        dotted(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute | ast.Name)
    }


SKIPPING = {
    "pytest.skip",
    "pytest.importorskip",
    "pytest.xfail",
    "pytest.mark.skip",
    "pytest.mark.skipif",
    "pytest.mark.xfail",
    "unittest.skip",
    "unittest.SkipTest",
}


def test_no_test_sleeps() -> None:
    sleepers = [path.name for path in python_tests() if names_used(path) & {"time.sleep", "asyncio.sleep"}]
    assert not sleepers, f"wait for what you wait for, with a limit, instead of sleeping: {sleepers}"


def test_every_way_to_skip_is_on_the_list() -> None:
    listed = (ROOT / ".ci" / "allowed-skips.txt").read_text()
    silent = [
        f"{path.relative_to(ROOT)}: {sorted(used)}"
        for path in python_tests()
        if (used := names_used(path) & SKIPPING) and path.relative_to(ROOT).as_posix() not in listed
    ]
    assert not silent, "\n".join(silent)
