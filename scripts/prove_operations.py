"""Prove the operations of a round's cells: the compiled Operations.sol against its specification, for all operands.

    python scripts/prove_operations.py                    (every operation: two minutes)
    python scripts/prove_operations.py ROOT DIV --json operations-proved.json

Needs z3 (pip install --require-hashes -r requirements/prove.txt). A proof has as many seconds for each question to the
solver as `--limit` says; where one gives up, edges and random operands are tried.
Exit code: 0 no counter-example, 1 some operation gives other than it should, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fl_platform.chain.artifacts import load_file  # noqa: E402
from fl_platform.protocol.operations import PLAIN, Op  # noqa: E402
from scripts.proving.execution import Code  # noqa: E402

try:
    from scripts.proving.operations import SECONDS, Verdict, verdict_on, verdict_on_others
except ImportError as missing:
    sys.exit(f"{missing}: pip install --require-hashes -r requirements/prove.txt")

HARNESS = ROOT / "tests" / "support" / "artifacts" / "OperationsHarness.json"
OTHERS = "others"  # the numbers that are no operation
NAMES = (*(op.name for op in sorted(PLAIN)), OTHERS)


def compiled() -> Code:
    """Return the harness's code, as compiled."""
    harness = load_file(HARNESS)
    return Code(harness.runtime, harness.abi.encode("give", 0, 0, 0, 0)[:4])


def _show(text: str) -> None:
    """Show how far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _verdict(code: Code, name: str, limit: float) -> Verdict:
    _show(name)
    if name == OTHERS:
        return verdict_on_others(code)
    return verdict_on(code, Op[name], limit, lambda stage: _show(f"{name}: {stage}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("operations", nargs="*", metavar="OP", help=f"of {', '.join(NAMES)}; none: all of them")
    parser.add_argument("--limit", type=float, default=SECONDS, help="seconds for one question to the solver")
    parser.add_argument("--json", type=Path, help="write the verdicts to this file")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.operations) - set(NAMES))
    if unknown:
        parser.error(f"no such operation: {', '.join(unknown)}")
    code = compiled()
    verdicts = []
    print(f"{'operation':<10} {'paths':>5} {'CPU s':>7}  verdict")
    for name in options.operations or NAMES:
        verdict = _verdict(code, name, options.limit)
        _show("")
        print(f"{name:<10} {verdict.paths:>5} {verdict.seconds:>7.1f}  {verdict}", flush=True)
        verdicts.append(verdict)
    if options.json:
        options.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    return 1 if any(verdict.counter_example is not None for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
