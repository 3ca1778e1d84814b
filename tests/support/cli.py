"""The command line as other programs see it: processes, exit codes, standard output and error, JSON files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "a password of tests"
LIMIT_S = 600.0  # of one command on a busy machine
STOP_S = 30.0


@dataclass(frozen=True)
class Cli:
    """Runs `fl-platform` in one folder on one network; "": on that which the folder remembers."""

    folder: Path
    network: str = "embedded"
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command and demand its exit code."""
        done = subprocess.run(
            self._command(words), env=self._environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        said = f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, said
        assert "Traceback" not in done.stderr, said
        return done

    def report(self, *words: str, code: int = 0) -> Any:
        """Run one command with `--json -` and return what it reports."""
        return json.loads(self(*words, "--json", "-", code=code).stdout)

    @contextlib.contextmanager
    def staying(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command that stays while the block runs; afterwards it is asked to end."""
        name = "-".join(words[:5]).replace("/", "_")
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                self._command(words), env=self._environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _command(self, words: Sequence[str]) -> list[str]:
        options = ["--workdir", "w", *(["--network", self.network] if self.network else [])]
        options += ["--password-file", "password"]
        (self.folder / "password").write_text(PASSWORD + "\n")
        return [sys.executable, "-m", "fl_platform", *options, *words]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FL_PLATFORM_")}
        return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self.environment}


@dataclass(frozen=True)
class CliInside(Cli):
    """The same in this process: torch is loaded once for all commands. Password and folder as there."""

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command and demand its exit code."""
        from fl_platform.cli.main import run

        command = self._command(words)
        place = [*command[3:4], str(self.folder / "w"), *command[5:8], str(self.folder / "password"), *words]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = run(place)
        said = f"{' '.join(words)}: exit {found}\n{out.getvalue()}\n{err.getvalue()}"
        assert found == code, said
        assert "Traceback" not in err.getvalue(), said
        return subprocess.CompletedProcess(place, found, out.getvalue(), err.getvalue())
