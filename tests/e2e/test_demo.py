"""The demo command as a person runs it: in process, over a real IPFS daemon, on anvil and ganache, through Flower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ipfs_daemon import ipfs_daemon
from tests.support.nodes import anvil, ganache

SMALL = (
    "--trainers",
    "6",
    "--rounds",
    "2",
    "--byzantine",
    "1",
    "--attack",
    "label-flip=1",
    "--attack",
    "replay-last=1",
)


def demo(folder: Path, *options: str) -> dict[str, Any]:
    """Run the command and return its report; its exit code must be 0."""
    out = folder / "demo.json"
    command = [sys.executable, "-m", "fl_platform", "demo", *SMALL, *options, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "160"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.endswith("`fl-platform new FOLDER` begins\n")
    named = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("round ")]
    assert named == ["round 0", "round 1"]
    assert "the contracts, once: " in done.stdout
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def check_report(report: dict[str, Any]) -> None:
    """Demand what the demo promises."""
    fields = {"accuracy", "bounty_wei", "dust_wei", "payouts", "audit", "tampered_audit", "gas", "wall_s", "cpu_s"}
    assert fields <= report.keys()
    assert len(report["accuracy"]) == 2
    assert sum(p["amount_wei"] for p in report["payouts"]) + report["dust_wei"] == report["bounty_wei"]
    assert all(p["amount_wei"] == 0 for p in report["payouts"] if "label-flip" in p["role"] or "replay" in p["role"])
    assert all(p["amount_wei"] > 0 and p["reason"] for p in report["payouts"] if "honest" in p["role"])
    assert report["audit"]["ok"]
    assert not report["tampered_audit"]["ok"]
    assert "CidMismatch" in report["tampered_audit"]["first_difference"]


@pytest.mark.slow
def test_in_process_twice_gives_the_same_model_and_claims(tmp_path: Path) -> None:
    reports = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        reports.append(demo(tmp_path / name, "--seed=3"))
        check_report(reports[-1])
    for field in ("final_model", "claim_root", "payouts", "accuracy", "dust_wei"):
        assert reports[0][field] == reports[1][field]


@pytest.mark.slow
def test_six_sites_see_what_they_have_alone_together_and_in_pay(tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    command = [sys.executable, "-m", "fl_platform", "demo", "--data", "randhie", "--rounds", "2", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "160"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(out.read_text())
    assert report["metric"] == "AUC"
    assert "accuracy" not in report
    assert report["AUC"] == pytest.approx([0.65, 0.67], abs=0.03)
    sites = report["sites"]
    assert [site["name"] for site in sites] == [f"site {number}" for number in range(1, 7)]
    pay = {p["address"]: p["amount_wei"] for p in report["payouts"]}
    for site in sites:
        assert site["joint"] == report["AUC"][-1]
        assert 0.5 < site["alone"] < 0.7
        assert site["kind"] == "honest"
        assert site["amount_wei"] == pay[site["address"]] > 0
        assert f"{site['alone']:.3f}" in next(line for line in done.stdout.splitlines() if f" {site['name']} " in line)
    assert len({site["alone"] for site in sites}) == 6
    assert sum(pay.values()) + report["dust_wei"] == report["bounty_wei"]
    assert report["audit"]["ok"]
    assert not report["tampered_audit"]["ok"]


@pytest.mark.slow
def test_a_lying_aggregator_is_slashed_and_its_round_sealed_again(tmp_path: Path) -> None:
    report = demo(tmp_path, "--attack", "lying-aggregator=1")
    (slash,) = report["slashed"]
    assert slash["role"] == "aggregator"
    assert 0 < report["bonus_wei"] < slash["amount_wei"]  # the challenger's share is the rest
    paid = sum(p["amount_wei"] for p in report["payouts"])
    assert paid + report["dust_wei"] == report["bounty_wei"] + report["bonus_wei"]
    liar = next(p for p in report["payouts"] if p["address"] == slash["address"])
    assert liar["amount_wei"] == 0
    assert all(p["amount_wei"] > 0 for p in report["payouts"] if "honest" in p["role"])
    assert report["audit"]["ok"]
    assert "CidMismatch" in report["tampered_audit"]["first_difference"]


@pytest.mark.slow
def test_strict_rounds_by_leave_one_out(tmp_path: Path) -> None:
    out = demo(tmp_path, "--strict", "--worth", "leave-one-out")
    assert out["audit"]["ok"]
    assert not out["tampered_audit"]["ok"]


@pytest.mark.node
def test_over_a_real_ipfs_daemon(tmp_path: Path) -> None:
    with ipfs_daemon() as daemon:
        check_report(demo(tmp_path, "--store", f"kubo:{daemon.rpc}"))


@pytest.mark.node
def test_on_anvil(tmp_path: Path) -> None:
    with anvil() as node:
        check_report(demo(tmp_path, "--network", node.url))


@pytest.mark.node
def test_on_ganache(tmp_path: Path) -> None:
    with ganache() as node:
        check_report(demo(tmp_path, "--network", node.url))


@pytest.mark.node
def test_through_flowers_simulation(tmp_path: Path) -> None:
    check_report(demo(tmp_path, "--flower", "simulation"))
