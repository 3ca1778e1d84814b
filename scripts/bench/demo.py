"""The demo on digits, seeds 1 to 5: accuracy, who is paid, conservation to the wei, both audits, wall time."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.bench.harness import Row, at_least, at_most

SEEDS = (1, 2, 3, 4, 5)
CHEATS = ("label-flip", "free-rider", "replay-last")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a person choose the seeds."""
    parser.add_argument("--seeds", type=int, nargs="+", default=None)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Run the command as a user does and read its report."""
    seeds = args.seeds or (SEEDS[:1] if getattr(args, "quick", False) else SEEDS)
    for seed in seeds:
        yield from _rows(seed, demo("--seed", str(seed)))


def demo(*options: str) -> dict[str, Any]:
    """Run the command with some options and return its report."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo.json"
        command = [sys.executable, "-m", "fl_platform", "demo", *options, "--json", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.exists():
            raise RuntimeError(f"demo {' '.join(options)} ended with {done.returncode}: {done.stderr[-800:]}")
        report: dict[str, Any] = json.loads(out.read_text())
        return report


def _rows(seed: int, report: dict[str, Any]) -> list[Row]:
    trainers = [p for p in report["payouts"] if p["role"].startswith("trainer")]
    honest = [p["amount_wei"] for p in trainers if "honest" in p["role"]]
    cheats = [p["amount_wei"] for p in trainers if any(name in p["role"] for name in CHEATS)]
    difference = report["dust_wei"] + sum(p["amount_wei"] for p in report["payouts"]) - report["bounty_wei"]
    least = len(honest) * min(honest) / sum(honest)
    audits = report["audit"]["ok"] and not report["tampered_audit"]["ok"]
    name = f"seed {seed}"
    return [
        at_least(f"{name}: accuracy", report["accuracy"][-1], 0.93, unit="share of test images"),
        at_most(f"{name}: paid to label flipper, free rider and replayer", sum(cheats), 0, unit="wei"),
        at_least(f"{name}: least honest pay", least, 0.25, unit="share of the honest mean"),
        at_most(f"{name}: payouts + dust - bounty", abs(difference), 0, unit="wei"),
        at_least(f"{name}: audit passes and fails on one changed byte", int(audits), 1, unit="1 is yes"),
        at_most(f"{name}: wall time", report["wall_s"], 90, unit="s"),
        Row(f"{name}: CPU time", report["cpu_s"], "CPU-s"),
    ]
