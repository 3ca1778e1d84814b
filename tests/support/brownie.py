"""Brownie in its own environment (`make brownie-env`), driven as a person drives it: by its command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = ROOT / ".venv-brownie"


class BrownieFailed(RuntimeError):
    """A Brownie command failed; the message ends with what it printed."""


def run_brownie(*arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 1500.0) -> str:
    """Run `brownie ARGUMENTS...` in the repository and return what it printed; raises BrownieFailed."""
    program = ENVIRONMENT / "bin" / "brownie"
    if not (ENVIRONMENT / ".installed").exists():
        raise BrownieFailed("Brownie's environment is not set up: run `make brownie-env`")
    env = {
        **os.environ,
        "HOME": str(ENVIRONMENT / "home"),
        "SOLCX_BINARY_PATH": str(ENVIRONMENT / "solcx"),
        "PYTHONPATH": str(ROOT),
        **(environ or {}),
    }
    done = subprocess.run(
        [str(program), *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise BrownieFailed(f"brownie {' '.join(arguments)} exited {done.returncode}: {said[-4000:]}")
    return said


def build_of(name: str) -> dict[str, Any]:
    """Return what Brownie compiled contract `name` to."""
    content: dict[str, Any] = json.loads((ROOT / "build" / "contracts" / f"{name}.json").read_text())
    return content
