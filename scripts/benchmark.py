"""Run one benchmark by name, print its table and write its JSON.

    python scripts/benchmark.py --list
    python scripts/benchmark.py cid --json cid.json
    python scripts/benchmark.py cid --help          (the benchmark's own options)

The JSON is `{benchmark, machine, complete, rows}`, written anew after every row, and complete after the last one; a row
is `{case, value, unit, reference, reference_value, ratio, bar, holds}`.
Exit code: 0 every bar holds, 1 some bar does not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "scripts" / "bench"
NOT_A_BENCHMARK = {"harness", "__init__"}

# The repository is run from a checkout: scripts/ is no installed package, so its root goes first on the path.
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from scripts.bench.harness import Row, machine  # noqa: E402


def benchmark_names() -> dict[str, str]:
    """Return name -> first docstring line of every benchmark, without importing any."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem in NOT_A_BENCHMARK or path.stem.startswith("_"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            continue
        found[path.stem] = (ast.get_docstring(tree) or "").strip().partition("\n")[0]
    return found


def load(name: str) -> ModuleType:
    """Import scripts/bench/NAME.py."""
    return importlib.import_module(f"scripts.bench.{name}")


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def print_table(name: str, rows: Sequence[Row], console: Console) -> None:
    """Print the rows as a table."""
    table = Table(title=f"benchmark: {name}")
    for column in ("case", "value", "unit", "reference", "ref. value", "ratio", "bar", "holds"):
        table.add_column(column, justify="right" if column in {"value", "ref. value", "ratio"} else "left")
    for row in rows:
        holds = {True: "yes", False: "[bold red]NO[/]", None: ""}[row.holds]
        table.add_row(
            row.case, _number(row.value), row.unit or "", row.reference or "", _number(row.reference_value),
            _number(row.ratio), row.bar or "", holds,
        )  # fmt: skip
    console.print(table)


def report(name: str, rows: Sequence[Row], *, complete: bool) -> dict[str, Any]:
    """Return the JSON document of one benchmark run, so far."""
    return {"benchmark": name, "machine": machine(), "complete": complete, "rows": [row.to_json() for row in rows]}


def write_report(path: Path, document: dict[str, Any]) -> None:
    """Write the JSON by rename, so that a reader never sees half of it; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=2, sort_keys=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"benchmark.py {name}", description=module.__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument("--quick", action="store_true", help="small sizes, few repeats: shows that it runs")
    add_arguments = getattr(module, "add_arguments", None)
    if add_arguments is not None:
        add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run one benchmark, print and write. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    names = benchmark_names()
    outer = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    outer.add_argument("name", nargs="?", choices=sorted(names), help="which benchmark")
    outer.add_argument("--list", action="store_true", help="name every benchmark")
    chosen = next((word for word in arguments if word in names), None)
    if chosen is None:
        # --list, --help, or a mistake that argparse words better than we do
        found = outer.parse_args(arguments)
        if not found.list:
            outer.error("name a benchmark; --list shows them")
        for name, line in names.items():
            print(f"{name:14} {line}")
        return 0
    arguments.remove(chosen)
    module = load(chosen)
    args = _parser(chosen, module).parse_args(arguments)
    rows: list[Row] = []
    for row in module.run(args):
        rows.append(row)
        print(f"{row.case}: {_number(row.value)} {row.unit or ''}", file=sys.stderr, flush=True)
        if args.json is not None:
            write_report(args.json, report(chosen, rows, complete=False))
    # a pipe has no width: 80 columns would fold every cell
    print_table(chosen, rows, Console() if sys.stdout.isatty() else Console(width=140))
    if args.json is not None:
        write_report(args.json, report(chosen, rows, complete=True))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
