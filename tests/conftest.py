"""What holds for every test: the longest start first, and in CI nothing is skipped unless it is on the short list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_SKIPS = ROOT / ".ci" / "allowed-skips.txt"


def allowed_skips() -> frozenset[str]:
    """Return the node ids that may be skipped in CI; a line is `NODE-ID  # reason`."""
    lines = ALLOWED_SKIPS.read_text().splitlines()
    return frozenset(entry for line in lines if (entry := line.split("#", maxsplit=1)[0].strip()))


def in_ci() -> bool:
    """Say whether this run decides about a change (CI=true), where a skip must not pass for a success."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest runs first, so that no worker is left alone with one."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a CI run in which a test was skipped that is not on the list."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not in_ci():
        return
    silent = sorted({report.nodeid for report in reporter.stats.get("skipped", [])} - allowed_skips())
    if silent:
        reporter.write_line(f"skipped, but not on {ALLOWED_SKIPS.relative_to(ROOT)}: {', '.join(silent)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
