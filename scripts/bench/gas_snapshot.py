"""Keep the gas of every call in git: gas-snapshot.json.

python scripts/bench/gas_snapshot.py --check    measure and compare; exit 1 when any figure moved, either way
python scripts/bench/gas_snapshot.py --write    measure and rewrite the file; commit it with the change that moved it
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.bench.gas import measure  # noqa: E402

SNAPSHOT = ROOT / "gas-snapshot.json"


def drift(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """Name every case whose gas moved, appeared or went."""
    cases = [*now, *(case for case in before if case not in now)]
    return [f"{case}: {before.get(case)} -> {now.get(case)}" for case in cases if before.get(case) != now.get(case)]


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="compare; exit 1 on drift")
    mode.add_argument("--write", action="store_true", help="rewrite the snapshot")
    options = parser.parse_args()
    now = measure()
    before = json.loads(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.is_file() else {}
    moved = drift(before, now)
    print("\n".join(moved) or f"{len(now)} figures are as in {SNAPSHOT.name}")
    if options.write:
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        return 0
    if moved:
        print("run `python scripts/bench/gas_snapshot.py --write` and commit the result", file=sys.stderr)
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
