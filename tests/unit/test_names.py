"""Each idea has one name, and names that meant two things are gone: none of them comes back."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What was said before, and what says it now.
GONE = {
    "write_once": "write_atomically: it replaces",
    "settle_past": "adopt_recomputed",
    "unseal": "decrypt: to seal is what a chain does",
    "Told": "Announced",
    "OrderDesk": "OrderQueue",
    "RemoteDesk": "RemoteQueue",
    "ResidentServer": "TrainerServer",
    "Cast": "DemoParties",
    "play_out": "pursue",
    "Shown": "CommitmentOpening: of a trainer; an Answer is a sealer's",
    "Box": "ShownKey: of a contract; WrappedKey is a document's, KeyBox the store's",
}
# What was said before in one room; elsewhere the word has its own meaning.
GONE_FROM = {
    "fl_platform/cli/demo": {"Stage": "DemoProgress", "stage": "progress", "gather": "open_demo_task"},
}
ASSERTIONS = re.compile(r"_?demand_(?!key|content)\w+")  # `demand` is a move on chain; an assertion is `require_x`
GONE_MODULES = (
    "roles", "aggregation", "contribution", "desk", "counter", "direct", "resident", "lessons", "crew", "amounts",
    "slices", "packages", "watching_keys", "recomputing", "rejudge", "verifying", "offline", "explain",
    "shipped", "development", "untrusted", "multiples", "bounds",
)  # fmt: skip


def _sources() -> Iterator[Path]:
    for package in ("fl_platform", "zk", "scripts", "tests"):
        yield from (path for path in sorted((ROOT / package).rglob("*.py")) if "node_modules" not in path.parts)


def _names(path: Path) -> Iterator[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    yield from (token.string for token in tokens if token.type == tokenize.NAME)


def test_no_name_of_before_is_back() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}, now {GONE.get(name, 'require_x')}"
        for path in _sources()
        for name in sorted(set(_names(path)))
        if name in GONE or (path.is_relative_to(ROOT / "fl_platform") and ASSERTIONS.fullmatch(name))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", GONE_FROM)
def test_no_name_of_before_is_back_in_its_room(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    found = [(path.name, name) for path in paths for name in GONE_FROM[room].keys() & set(_names(path))]
    assert not found, "\n".join(f"{path}: {name}, now {GONE_FROM[room][name]}" for path, name in found)


def test_no_module_of_before_is_back() -> None:
    modules = [path for package in ("fl_platform", "zk") for path in (ROOT / package).rglob("*")]
    assert not [path for path in modules if path.stem in GONE_MODULES and (path.is_dir() or path.suffix == ".py")]


def test_the_search_finds_what_it_is_for() -> None:
    assert ASSERTIONS.fullmatch("demand_signer")
    assert not ASSERTIONS.fullmatch("demand_key")
    assert "write_atomically" in set(_names(ROOT / "fl_platform" / "task" / "atomic_files.py"))
    assert len(list(_sources())) > 300
