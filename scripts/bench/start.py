"""What it costs to start: CPU seconds of whole processes, the command line's first breath and each reading command.

The commands read a task that is open and has no sealed round, on the embedded chain: nothing is recomputed, so what is
left is imports, opening the chain and checking the deployment. `python -c pass` stands beside them as the floor.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.bench.harness import Row, at_most

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a password of benchmarks"
LEAST_S, READING_S = 0.2, 1.3
Words = tuple[str, ...]
FIRST: tuple[Words, ...] = (("--version",), ("--help",), ("task", "--help"))
READING: tuple[Words, ...] = (
    ("wallet", "list"), ("task", "list"), ("task", "show", "1"), ("rewards", "show", "1"), ("reputation", "show", "1"),
    ("why", "owner"), ("audit", "1", "--public"), ("verify", "1"),
    ("watch", "1", "--once", "--public", "--wallet", "watcher"),
)  # fmt: skip
SETUP: tuple[Words, ...] = (
    ("wallet", "new", "--light", "owner", "aggregator", "watcher"),
    ("deploy", "--wallet", "owner"),
    ("wallet", "fund", "owner", "--tokens", "1000"),
    ("task", "open", "--wallet", "owner", "--aggregator", "aggregator", "--rounds", "1", "--worth", "equal"),
)
READ_CODES = (0, 3)  # 3: there is nothing to check yet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say how often each command runs."""
    parser.add_argument("--repeats", type=int, default=7, help="runs of each command; the median counts")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Start every command `--repeats` times; yield one row a command."""
    repeats = 1 if args.quick else args.repeats
    with tempfile.TemporaryDirectory(prefix="fl-start-") as folder, _environment(Path(folder)) as environment:

        def median(words: list[str], codes: tuple[int, ...] = (0,)) -> float:
            return statistics.median(_cpu_s(words, environment, folder, codes) for _ in range(repeats))

        floor = median([sys.executable, "-c", "pass"])
        beside = {"unit": "CPU-s", "reference": "python -c pass", "reference_value": floor}
        for words in FIRST:
            yield at_most(" ".join(words), median(_command(words)), LEAST_S, **beside)
        for words in SETUP:
            _cpu_s(_command(words), environment, folder, (0,))
        for words in READING:
            yield at_most(" ".join(words), median(_command(words), READ_CODES), READING_S, **beside)


def _command(words: Words) -> list[str]:
    return [sys.executable, "-m", "fl_platform", *words]


@contextmanager
def _environment(folder: Path) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FL_PLATFORM_")}
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    yield {
        **kept, "PYTHONPATH": str(ROOT), "FL_PLATFORM_WORKDIR": str(folder / "w"),
        "FL_PLATFORM_PASSWORD_FILE": str(secret),
    }  # fmt: skip


def _cpu_s(words: list[str], environment: dict[str, str], folder: str, codes: tuple[int, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(words[1:])} exits {done.returncode}: {done.stderr.strip()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
