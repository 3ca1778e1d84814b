"""One's own task from a folder: rehearsed, checked and run for money, by the words of one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.cli.main import run
from tests.support.own_task import TASK


@pytest.mark.slow
def test_an_own_task_is_paid_and_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_paid_task.py").write_text(TASK)
    (tmp_path / "federation.toml").write_text(
        '[task.open]\ndata = "my_paid_task:Mine"\nrounds = 1\ntrainers = 3\nepochs = 4\nlearning-rate = 0.1\npot = 30\n'
    )
    assert run(["run", "--json", "report.json"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["audit"]["ok"]
    assert not report["tampered_audit"]["ok"]
    assert report["bounty_wei"] == 30 * 10**18
    assert sum(payout["amount_wei"] for payout in report["payouts"]) + report["dust_wei"] == 30 * 10**18
    assert all(payout["amount_wei"] > 0 for payout in report["payouts"])
    assert report["accuracy"][0] > 0.7
