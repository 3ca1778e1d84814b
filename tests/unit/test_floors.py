"""The house has floors: a room imports only from floors below it, and rooms on one floor do not know each other.

Read from the syntax trees, so an import inside a function or under TYPE_CHECKING counts as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("fl_platform", "zk")

# zk is two rooms: what the protocol stands on, and proofs of its programs. By package or module, each one's own order.
PROVING = "proving"
PROOFS: dict[str, frozenset[str]] = {
    "curve": frozenset(),
    "commitment": frozenset({"curve"}),
    "circuits": frozenset({"curve"}),
    "compile_program": frozenset({"curve", "circuits"}),
    "groth16": frozenset({"curve", "circuits"}),
    "settlement": frozenset({"curve", "circuits", "compile_program", "groth16"}),
}
ABOVE_PROTOCOL = {"circuits", "compile_program", "groth16", "settlement"}

# From the ground up. A room may import from any lower floor.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"zk"}),
    frozenset({"protocol", "config", "sinks"}),
    frozenset({PROVING}),
    frozenset({"updates", "store", "chain"}),
    frozenset({"ledger"}),
    frozenset({"learning", "rules"}),
    frozenset({"judging", "templates"}),
    frozenset({"task"}),
    frozenset({"audit"}),
    frozenset({"dispute"}),
    frozenset({"round"}),
    frozenset({"flower"}),
    frozenset({"cli", "explorer"}),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# `attacks` stands beside the house: it may use every room below the faces; only the demo (with tests and benchmarks,
# which are outside the packages) may use it.
ATTACKS = "attacks"
DEMO_PREFIX = "fl_platform.cli.demo"
# Third-party names that belong to one room.
KEPT_IN = {
    "flwr": {"flower"}, "ray": {"flower"}, "click": {"cli", "explorer"}, "rich": {"cli", "explorer"},
    "tensorboard": {"sinks"}, "mlflow": {"sinks"}, "prometheus_client": {"sinks"},
    "botocore": {"store"},
}  # fmt: skip
# The only parts of Flower that are public enough to build on.
FLOWER_PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}
# Each says in its docstring why it needs more.
FLOWER_EXCEPTIONS = {
    ("fl_platform.flower.simulation", "flwr.simulation"),
    ("fl_platform.flower.identity", "flwr.supercore.task_identity"),
    ("fl_platform.flower.node", "flwr.supercore.fab.Fab"),
    ("fl_platform.flower.node", "flwr.supercore.run.RunNotRunningException"),
    ("fl_platform.flower.node", "flwr.supernode.start_client_internal"),
    ("fl_platform.flower.node", "flwr.supernode.cli.flower_supernode"),
}
# Formats that run code when read.
NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}


@dataclass(frozen=True)
class Import:
    """One imported module, by its full dotted name, and where it is written."""

    importer: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.name}"


def module_name(path: Path) -> str:
    """Return the dotted name of a file under the repository."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    """Return every Python file of the packages."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports_of(importer: str, *, is_package: bool, text: str) -> Iterator[Import]:
    """Yield every module that `text` imports; `from package import room` counts as package.room."""
    base = importer.split(".") if is_package else importer.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            stem = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*stem, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(importer, f"{module}.{alias.name}", node.lineno)


def room_of(name: str) -> str | None:
    """Return the room of a dotted name, None when it is not ours or is the package itself."""
    parts = name.split(".")
    if parts[0] == "zk":
        return PROVING if set(parts[1:2]) & ABOVE_PROTOCOL else "zk"
    if parts[0] == "fl_platform" and len(parts) > 1:
        return parts[1]
    return None


def all_imports() -> list[Import]:
    """Return every import of every file of the packages."""
    return [
        found
        for path in sources()
        for found in imports_of(module_name(path), is_package=path.name == "__init__.py", text=path.read_text())
    ]


def breach(found: Import) -> str | None:
    """Say which rule an import breaks, None when it breaks none."""
    here, there = room_of(found.importer), room_of(found.name)
    top = found.name.split(".")[0]
    if top in NEVER:
        return f"{found}: nothing here reads a format that runs code"
    if top in KEPT_IN and here not in KEPT_IN[top] and here != ATTACKS:
        return f"{found}: {top} stays in {sorted(KEPT_IN[top])}"
    excepted = {module for importer, module in FLOWER_EXCEPTIONS if importer == found.importer}
    if top == "flwr" and not any(f"{found.name}.".startswith(f"{public}.") for public in FLOWER_PUBLIC | excepted):
        return f"{found}: only {sorted(FLOWER_PUBLIC)} are Flower's public surface"
    if there is None or here is None or here == there or here == "__main__":
        return None
    if there == ATTACKS:
        return None if found.importer.startswith(DEMO_PREFIX) else f"{found}: only the demo may use attacks"
    if there not in FLOOR_OF:
        return f"{found}: fl_platform has no room of that name on a floor"
    limit = FLOOR_OF["cli"] if here == ATTACKS else FLOOR_OF.get(here)
    if limit is None:
        return f"{found.importer}: this room is on no floor; add it to FLOORS"
    return None if FLOOR_OF[there] < limit else f"{found}: {there} is not below {here}"


def test_every_import_goes_down() -> None:
    breaches = [said for found in all_imports() if (said := breach(found)) is not None]
    assert not breaches, "\n".join(breaches)


def proof_breach(found: Import) -> str | None:
    """Say which order within zk an import breaks, None when it breaks none."""
    here, there = ([*name.split("."), ""][:2] for name in (found.importer, found.name))
    if here[0] == there[0] == "zk" and here[1] in PROOFS and there[1] in PROOFS:
        return None if there[1] in {here[1], *PROOFS[here[1]]} else f"{found}: not below {here[1]}"
    return None


def test_proofs_go_from_curve_to_settlement() -> None:
    found = all_imports()
    breaches = [said for each in found if (said := proof_breach(each)) is not None]
    assert not breaches, "\n".join(breaches)
    parts = {name.split(".")[1] for each in found if (name := each.importer).startswith("zk.")}
    assert parts - PROOFS.keys() == {"bounded_json", "keccak", "keccak_kernel", "poseidon"}


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("zk.groth16.files", "from zk.settlement import circuit"),
        ("zk.groth16.keys", "from zk.compile_program import Compiler"),
        ("zk.circuits.gates", "from zk.groth16.files import Words"),
        ("zk.compile_program", "def f() -> None:\n    from zk.settlement.circuit import Circuit"),
        ("zk.curve.engine", "from zk.circuits import system"),
        ("zk.settlement.circuit", "from zk.commitment import merkle"),
    ],
)
def test_an_arrow_up_within_proofs_is_found(importer: str, text: str) -> None:
    assert any(proof_breach(found) for found in imports_of(importer, is_package=False, text=text))


def test_every_room_is_on_a_floor() -> None:
    rooms = {room for path in sources() if (room := room_of(module_name(path))) is not None}
    assert rooms - FLOOR_OF.keys() - {ATTACKS, "__main__"} == set()


def test_the_packages_are_there_to_be_read() -> None:
    assert len(sources()) > 10
    assert len(all_imports()) > 50


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("fl_platform.store.disk", "from fl_platform.chain import types"),
        ("fl_platform.store.disk", "from fl_platform import round"),
        ("fl_platform.protocol.spec", "def f() -> None:\n    from fl_platform.store.cid import Cid"),
        ("fl_platform.config", "from fl_platform.protocol import spec"),
        ("fl_platform.store.disk", "from ..round import owner"),
        ("fl_platform.round.owner", "import click"),
        ("fl_platform.round.owner", "from flwr.app import Message"),
        ("fl_platform.flower.strategy", "from flwr.common import Message"),
        ("fl_platform.flower.strategy", "import flwr"),
        ("fl_platform.round.owner", "from fl_platform.attacks.replay import Replay"),
        ("fl_platform.cli.audit", "import fl_platform.attacks"),
        ("fl_platform.attacks.replay", "from fl_platform.cli import demo"),
        ("fl_platform.updates.codec", "import pickle"),
        ("fl_platform.sinks.record", "from fl_platform.round.trainer import Trainer"),
        ("fl_platform.cli.trainer", "from mlflow.tracking import MlflowClient"),
        ("zk.curve.bn254", "from fl_platform.protocol import spec"),
        ("zk.poseidon", "from zk.circuits import system"),
        ("zk.circuits.gates", "from fl_platform.rules import compose"),
        ("fl_platform.protocol.spec", "from zk.groth16.verifier import VerifyingKey"),
        ("fl_platform.attic.thing", "from fl_platform.errors import FLError"),
        ("fl_platform.cli.show", "from fl_platform.attic import thing"),
    ],
)
def test_a_forbidden_import_is_found(importer: str, text: str) -> None:
    assert any(breach(found) for found in imports_of(importer, is_package=False, text=text))


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("fl_platform.store.disk", "from fl_platform.errors import FLError"),
        ("fl_platform.store.disk", "from .cid import Cid"),
        ("fl_platform.flower.strategy", "from flwr.serverapp.strategy import FedAvg"),
        ("fl_platform.cli.demo", "from fl_platform.attacks.replay import Replay"),
        ("fl_platform.attacks.replay", "from fl_platform.round.trainer import Trainer"),
        ("fl_platform.store.envelope", "from zk.curve.bn254 import G1"),
        ("zk.circuits.gates", "from fl_platform.protocol.operations import Op"),
        ("fl_platform.ledger.proofs", "from zk.settlement.binding import Context"),
        ("fl_platform.__main__", "from fl_platform.cli.main import main"),
    ],
)
def test_an_allowed_import_passes(importer: str, text: str) -> None:
    assert not any(breach(found) for found in imports_of(importer, is_package=False, text=text))
