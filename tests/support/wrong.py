"""A folder in which things can be done wrong, made once and copied for each test; the chain is the embedded one.

Task 1 is done and not yet final. Task 2 is open: one trainer, the first aggregator bonded. Task 3 is measured against
the owner's reference: two trainers, the first aggregator bonded. `second` and `poor` have no tokens, `poor` no coin.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fl_platform.chain.embedded import EmbeddedBackend
from tests.support.cli import CliInside

DONE, OPEN, MEASURED = "1", "2", "3"
NOBODY = 65534
RULES = (
    "task", "open", "--wallet", "owner", "--trainers", "2", "--rounds", "1", "--epochs", "1", "--pot", "10",
    "--windows", "minutes", "--no-commitments",
)  # fmt: skip
BY_TWO = ("--aggregator", "first", "--aggregator", "second")


def prepare(folder: Path, network: str = "embedded") -> CliInside:
    """Make the folder."""
    cli = CliInside(folder, network)
    cli("wallet", "new", "--light", "owner", "first", "second", "one", "two", "three", "broke", "poor")
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "first", "one", "two", "three", "--tokens", "200")
    cli("wallet", "fund", "second", "broke")
    for number, worth in ((DONE, "equal"), (OPEN, "equal"), (MEASURED, "anchored")):
        cli(*RULES, *BY_TWO, "--worth", worth, "--title", f"task {number}")
        for name in ("one", "two")[: 1 if number == OPEN else 2]:
            cli("trainer", "join", number, "--wallet", name)
        cli("aggregator", "bond", number, "--wallet", "first")
    cli("aggregator", "run", DONE, "--wallet", "first", "--local")
    return cli


def copied(ready: CliInside, folder: Path) -> CliInside:
    """Return a copy to do wrong things in."""
    shutil.copytree(ready.folder / "w", folder / "w")
    return replace(ready, folder=folder)


def later(cli: CliInside, seconds: int) -> None:
    """Let block time pass while everybody is away."""
    with EmbeddedBackend(cli.folder / "w" / "chain") as backend:
        backend.advance_to(backend.head().timestamp + seconds)


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Let permissions count for this process, also where root runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
