"""The benchmark runner: its JSON format stays, its exit code tells whether every bar holds."""

from __future__ import annotations

import json
import platform
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scripts import benchmark
from scripts.bench import harness
from scripts.bench.harness import Row, at_least, at_most

GOOD = at_least("fast enough", 9.0, 0.7, unit="MB/s", reference="plain", reference_value=10.0, ratio=0.9)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Replace the benchmark `cid` by one that reports these rows."""
    rows = [GOOD, Row("unknown", None)]
    module = ModuleType("fake")
    module.run = lambda args: rows  # type: ignore[attr-defined]
    monkeypatch.setattr(benchmark, "load", lambda name: module)
    return rows


def test_the_json_format(rows: list[Row], tmp_path: Path) -> None:
    assert benchmark.main(["cid", "--json", str(tmp_path / "deep" / "out.json")]) == 0
    document = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert sorted(document) == ["benchmark", "complete", "machine", "rows"]
    assert document["complete"] is True
    assert document["benchmark"] == "cid"
    assert document["rows"][0] == {
        "case": "fast enough",
        "value": 9.0,
        "unit": "MB/s",
        "reference": "plain",
        "reference_value": 10.0,
        "ratio": 0.9,
        "bar": ">= 0.7",
        "holds": True,
    }
    assert {name for name, value in document["rows"][1].items() if value is None} == set(document["rows"][1]) - {"case"}


def test_a_run_that_is_cut_off_keeps_its_rows(rows: list[Row], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(args: Namespace) -> Iterator[Row]:
        yield GOOD
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark.load("cid"), "run", broken)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main(["cid", "--json", str(tmp_path / "out.json")])
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["complete"] is False
    assert [row["case"] for row in document["rows"]] == ["fast enough"]


def test_a_bar_that_does_not_hold_fails(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    rows.append(at_most("too much", 2.0, 1.0))
    assert benchmark.main(["cid"]) == 1
    assert "NO" in capsys.readouterr().out


def test_every_benchmark_is_listed_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == sorted(benchmark.benchmark_names())
    assert all(len(line.split()) > 3 for line in listed)
    assert "harness" not in benchmark.benchmark_names()


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["--json", "out.json"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(arguments)
    assert stopped.value.code == 2


def test_options_may_stand_before_the_name(rows: list[Row], tmp_path: Path) -> None:
    assert benchmark.main(["--json", str(tmp_path / "out.json"), "cid", "--quick"]) == 0
    assert (tmp_path / "out.json").exists()


def test_bars_are_judged_on_the_ratio_where_there_is_one() -> None:
    assert GOOD.holds
    assert not at_least("slow", 9.0, 0.7, ratio=0.6).holds
    assert at_least("plain figure", 0.93, 0.93).holds
    assert not at_most("heavy", 41_000, 40_000).holds


def test_the_faster_of_a_pair_has_a_ratio_above_one() -> None:
    times = harness.paired_cpu_time(lambda: None, lambda: sum(range(100_000)), repeats=3)
    assert times.speed_ratio > 1
    assert harness.cpu_time(lambda: None, repeats=2) >= 0


def test_time_is_booked_on_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0]

    def work(seconds: int) -> None:
        clock[0] += seconds

    def outer() -> None:
        work(2)
        owner.inner()

    def whole() -> None:
        work(1)
        owner.outer()
        owner.inner()

    owner = Namespace(outer=outer, inner=lambda: work(4))
    monkeypatch.setattr(harness.time, "process_time", lambda: clock[0])
    spent = harness.cpu_by_part(whole, {"out": ((owner, "outer"),), "in": ((owner, "inner"),)})
    assert spent == {"out": 2, "in": 8, "rest": 1, "all": 11}
    assert owner.outer is outer


@pytest.mark.parametrize("name", ["aggregate", "round"])
def test_every_part_that_is_timed_is_there(name: str) -> None:
    places = [place for part in benchmark.load(name).PARTS.values() for place in part]
    assert all(callable(getattr(owner, name)) for owner, name in places)


def test_the_machine_is_described_without_names_or_paths() -> None:
    described = json.dumps(harness.machine())
    assert str(harness.Path.cwd()) not in described
    assert platform.node() not in described
    assert harness.machine()["cores"] >= 1
    assert harness.peak_memory_bytes() > 1 << 20


@pytest.mark.slow
def test_the_cid_benchmark_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    cid = benchmark.load("cid")
    monkeypatch.setattr(cid, "SIZES", {"small": 2_000_000})
    found = list(cid.run(Namespace(quick=True)))
    assert [row.case for row in found] == ["memory small", "streamed small"]
    assert all(row.bar == ">= 0.7" for row in found)
