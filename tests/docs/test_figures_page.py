"""benchmarks/README.md: every file of figures is there, every figure is in its file, and every missed bar is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
PAGE = (FOLDER / "README.md").read_text()
README = (FOLDER.parent / "README.md").read_text()
FILES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
NUMBER = re.compile(r"(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?=M?(?![\w]))(M?)")
SCALES = (1, 1e-3, 1e-6, 100)  # as written, in thousands, in millions, in per cent
# Worked out of several rows, or rounded to tens.
DERIVED = {
    "aggregate": {"350"},  # 349 to 356
    "dispute": {"6", "8"},  # pages
    "models": {"309,554"},  # sent and frozen
    "store": {"10"},  # 1.66 MB at so many MB a CPU-second
}


def rows(heading: str, text: str = PAGE) -> list[list[str]]:
    """Return the cells of the table under a heading, without its first two lines."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def figures() -> list[tuple[str, str]]:
    """Return (benchmark, figure cell) of every line that has a figure."""
    found = []
    headings = (
        "The whole task", "Learning", "Updates, store and sums", "Gas of a task", "Commitments and proofs",
        "Round programs",
    )  # fmt: skip
    for heading in headings:
        for _, figure, _, source in rows(heading):
            name = re.fullmatch(r"`benchmark\.py (\w+)` \[\1\.json\]\(\1\.json\)", source)
            assert name, source
            found.append((name[1], figure))
    return found + [("dispute", figure) for _, figure, _ in rows("Gas and time of a dispute")]


def numbers(name: str) -> list[float]:
    """Return every number of a file of figures."""
    keys = ("value", "reference_value", "ratio")
    return [row[key] for row in FILES[name]["rows"] for key in keys if row[key] is not None]


def is_rounded(word: str, values: list[float]) -> bool:
    """Whether some value, rounded as the word is, gives the word."""
    number = float(word.replace(",", ""))
    decimals = len(word.partition(".")[2])
    half = 500 if not decimals and number and number % 1000 == 0 else 0.5 * 10**-decimals
    return any(abs(value * scale - number) <= half * 1.0001 for value in values for scale in SCALES)


def test_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in link]
    assert not [link for link in links if not (FOLDER / link).exists()]


def test_every_file_of_figures_is_on_the_page_and_every_benchmark_exists() -> None:
    assert {f"{name}.json" for name in FILES} == set(re.findall(r"\]\((\w+\.json)\)", PAGE))
    for name in re.findall(r"benchmark\.py ([a-z]+)", PAGE):
        assert (FOLDER.parent / "scripts" / "bench" / f"{name}.py").exists(), name


def test_the_machine_is_that_of_every_file() -> None:
    for name, document in FILES.items():
        machine = document["machine"]
        packages = machine["packages"]
        assert machine["processor"] in PAGE, name
        said = f"{machine['cores']} cores that others use too, {machine['system']} "
        said += (
            f"{machine['architecture']}, Python {machine['python']}, torch {packages['torch']}, flwr {packages['flwr']}"
        )
        assert said in PAGE, name
        assert document.get("complete", True), name


def test_every_missed_bar_is_named_and_no_other() -> None:
    missed = {
        (name, row["case"]) for name, document in FILES.items() for row in document["rows"] if row["holds"] is False
    }
    told = {(file[1 : file.index(".")], case.strip("`")) for file, case, *_ in rows("Bars that are missed")}
    assert told == missed


@pytest.mark.parametrize(("name", "figure"), figures())
def test_a_figure_is_in_its_file(name: str, figure: str) -> None:
    words = {hit[0] for hit in NUMBER.finditer(re.sub(r"\(1\)|1\.66M", "", figure))}
    words = {word.removesuffix("M").rstrip(",") for word in words}
    assert words
    assert not {word for word in words - DERIVED.get(name, set()) if not is_rounded(word, numbers(name))}


ATTACKS = {
    "label flip": ("label-flip",),
    "sign flip": ("sign-flip",),
    "a copy of one": ("mimic",),
    "the last layer": ("replay-layer",),
    "last round's reference": ("last-reference",),
    "four identities": ("leaked-copies",),
    "least honest": ("honest minimum",),
    "replay of the last aggregate": (
        "replay-last", "replay-scaled", "replay-noise", "replay-mix", "zero", "noise", "sybils-noise", "sybils-replay",
    ),
}  # fmt: skip


def test_what_attackers_earn_is_what_was_measured() -> None:
    values = {row["case"]: row["value"] for row in FILES["worth"]["rows"]}
    seen = set()
    for what, *cells in rows("What attackers earn"):
        start = next(start for start in ATTACKS if what.removeprefix("**not stopped:** ").startswith(start))
        seen.add(start)
        for split, cell in zip(("iid", "dirichlet:0.3", "2-shard"), cells, strict=True):
            word = cell.strip("*")
            for case in ATTACKS[start]:
                measured = values[f"mnist {split} alpha=1: {case}"]
                assert f"{measured:.{len(word.partition('.')[2])}f}" == word, (case, split)
    assert seen == set(ATTACKS)


def test_readme_tells_at_most_six_figures_all_of_them_from_this_page() -> None:
    told = rows("Figures", README)
    assert 0 < len(told) <= 6
    for _, figure, command in told:
        assert (command.removeprefix("`benchmark.py ").strip("`"), figure) in figures()


def test_readme_tells_the_worst_of_what_is_not_stopped() -> None:
    section = README.partition("\n## How worth is measured\n")[2].partition("\n## ")[0]
    for what, *cells in rows("What attackers earn"):
        if "not stopped" in what or what == "label flip":
            worst = max((cell.strip("*") for cell in cells), key=float)
            assert re.search(rf"(?<![\d.]){re.escape(worst)}(?!\d|\.\d)", section), what
