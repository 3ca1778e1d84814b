"""The commands of a page of docs/, and a person who types them: own folder, own home, own user where that works."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.cli import LIMIT_S, PASSWORD, ROOT

DOCS = ROOT / "docs"
ALL_STOP_S = 120.0  # of a command that ends several programs of Flower's, one after the other, on a busy machine
FIRST_USER = 50_001  # no account need have the number


def sections(page: str) -> dict[str, list[str]]:
    """Return the command lines of a page of docs/, by heading, without their comments."""
    found: dict[str, list[str]] = {}
    heading, inside = "", False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```console"
        elif line.startswith("## "):
            heading = line[3:]
        elif inside and line.startswith("$ "):
            found.setdefault(heading, []).append(shlex.join(shlex.split(line[2:], comments=True)))
    return found


@cache
def other_users_work() -> bool:
    """Whether this machine lets us start Python as another user: as root, with a Python that others may run."""
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import fl_platform"], user=FIRST_USER, group=FIRST_USER, extra_groups=[],
            cwd="/", env={"HOME": "/", "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return done.returncode == 0


@dataclass
class Person:
    """Somebody at a terminal, who types lines of pages."""

    name: str
    home: Path
    number: int
    variables: Mapping[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o755)
        self.folder = self.home
        (self.home / "password").write_text(PASSWORD + "\n")
        self.own(self.home)

    def own(self, path: Path) -> None:
        """Give a path, and all below it, to this person's user."""
        if other_users_work():
            for each in (path, *path.rglob("*")):
                os.chown(each, FIRST_USER + self.number, FIRST_USER + self.number)

    def receive(self, file: Path) -> None:
        """Take a file that somebody sent."""
        shutil.copyfile(file, self.folder / file.name)
        self.own(self.folder / file.name)

    def __call__(self, line: str, *, code: int = 0) -> str:
        """Type a line; returns what it said on standard output."""
        if line.startswith("cd "):
            self.folder = self.folder / line[3:]
            return ""
        self.typed.append(line)
        done = subprocess.run(
            self._words(line), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
            cwd=self.folder, env=self._environment(), **self._user(),  # type: ignore[call-overload]
        )  # fmt: skip
        said = f"{self.name}$ {line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, said
        assert "Traceback" not in done.stderr, said
        return str(done.stdout)

    @contextlib.contextmanager
    def staying(self, line: str, *, answer: str = "", stop: signal.Signals = signal.SIGINT) -> Iterator[Staying]:
        """Type a line whose command stays, and `answer` what it asks; after the block it is stopped by `stop`."""
        self.typed.append(line)
        keyboard, terminal = pty.openpty()
        log = self.home / f"{re.sub('[^a-z]+', '-', line)[:40]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self._words(line), stdin=terminal, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
                env=self._environment(), start_new_session=True, **self._user(),  # type: ignore[call-overload]
            )  # fmt: skip
        os.close(terminal)
        os.write(keyboard, answer.encode())
        try:
            yield Staying(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(stop)
            try:
                process.wait(ALL_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(keyboard)

    def _words(self, line: str) -> list[str]:
        program, *words = shlex.split(line)
        assert program == "fl-platform", line
        return [sys.executable, "-m", "fl_platform", *words]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FL_PLATFORM_", "XDG_"))}
        own = {"HOME": str(self.home), "FL_PLATFORM_PASSWORD_FILE": str(self.home / "password")}
        return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **own, **self.variables}

    def _user(self) -> dict[str, object]:
        number = FIRST_USER + self.number
        return {"user": number, "group": number, "extra_groups": []} if other_users_work() else {}


@dataclass(frozen=True)
class Staying:
    """A command that stays."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Return what it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def await_text(self, words: str) -> None:
        """Return when it has said this; it must still run."""
        while words not in self.said():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
                if words not in self.said():
                    raise AssertionError(f"{self.log.name} ended with {self.process.returncode}: {self.said()}")

    def ended(self, within_s: float) -> int:
        """Return its exit code, once it has ended by itself."""
        return self.process.wait(within_s)
