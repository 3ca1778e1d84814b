"""The example in each command's `--help`: there is one, it is the command's own, and it does what it says as written.

The examples are of one story: an owner, an aggregator and three trainers, alice, bob and carol, and their task 1.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from eth_account import Account

from fl_platform.chain import wallets
from fl_platform.cli.common import Options, signing
from fl_platform.cli.main import cli, run
from scripts.generate_docs import ROOT, WIDTH, commands
from tests.support.troubles import ask_for_keys, begin

PASSWORD = "correct-horse"
LIMIT_S = 120.0  # of a command that stays, until it says so on a busy machine
# Of several parties on one chain: typed from their pages by tests/e2e (test_hour, test_strangers).
TYPED_FROM_PAGES = {
    "follow": "auditor.md", "join": "data-owner.md", "up trainer": "data-owner.md", "up owner": "owner.md",
    "up aggregator": "aggregator.md",
}  # fmt: skip

LEAVES = {" ".join(words): command for words, command in commands(cli) if not isinstance(command, click.Group)}
OURS = {name: command for name, command in LEAVES.items() if name not in TYPED_FROM_PAGES}


@dataclass(frozen=True)
class Example:
    """An example's place in a story."""

    of: str  # the command's words
    says: str  # among other things, on standard output or error
    code: int = 0
    stays: bool = False  # until it is told to end: with SIGTERM, once it has said so


Prepare = Callable[[pytest.MonkeyPatch], None]
Story = Sequence[Example | str | Prepare]  # a str is a command line that prepares, in the words of a terminal


def carols_key(_: pytest.MonkeyPatch) -> None:
    """Carol comes with the key that she has elsewhere, under the password that her wallet gets here."""
    keystore = Account.encrypt(bytes(range(1, 33)), PASSWORD, kdf="scrypt", iterations=2**4)
    Path("exported-key.json").write_text(json.dumps(keystore))


def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where `new` has put the project; `task` is its module from now on, as in a process that is started there."""
    monkeypatch.chdir("mine")
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), *sys.path])
    monkeypatch.setitem(sys.modules, "task", None)
    monkeypatch.delitem(sys.modules, "task")  # whatever stands there later is taken away at the end


def without_carol(_: pytest.MonkeyPatch) -> None:
    """Let the aggregator put a roster on chain that lacks carol, ask alice for her keys, and do no more."""
    options = Options(Path("fl-workspace"), "embedded", "", None)
    assert begin(options, "aggregator", ("alice", "bob", "carol"), forgetful=True) == ("carol",)
    with signing(options, "aggregator") as own:
        ask_for_keys(own, "alice")


PAID: Story = (
    Example("wallet new", "bob"),
    carols_key,
    Example("wallet import", "fl-platform wallet show carol"),
    Example("wallet list", "carol"),
    Example("deploy", "RoundLedger"),
    Example("wallet fund", "500"),
    Example("wallet show", "party"),
    Example("doctor", "nothing to mend"),
    "task open --wallet owner --trainers 3 --rounds 2 --aggregator aggregator --proofs 3",
    Example("task open", "task 2 is open"),
    Example("task list", "0/2"),
    Example("task invite", "invites to task 1"),
    Example("policy show", "no policy"),
    Example("policy check", "allowed"),
    Example("trainer join", "joined task 1"),
    "trainer join 1 --wallet bob",
    "trainer join 1 --wallet carol",
    Example("trainer run", "alice answers orders for task 1", code=130, stays=True),
    Example("aggregator bond", "is bonded now"),
    Example("witness run", "is a witness of task 1", code=130, stays=True),
    Example("status", "MUST"),
    Example("aggregator run", "2 rounds sealed, the task is done"),
    Example("task show", "sealed"),
    Example("trainer status", "admitted"),
    Example("rewards show", "claimable"),
    Example("watch", "watching task 1", code=130, stays=True),
    Example("aggregator defend", "answers for its seals of task 1", code=130, stays=True),
    Example("rewards claim", "paid out now"),
    Example("why", "claimed"),
    Example("trace", "wei earned up to and with this round"),
    Example("reputation record", "by round 1 are on chain"),
    Example("reputation show", "of round"),
    Example("audit", "everything that a stranger can check is equal", code=3),
    Example("task circuit", "powers of tau"),
    Example("prove", "submitted"),
    Example("verify", "what could be checked is equal", code=3),
    Example("task model", "validation rows"),
    Example("store gc", "can be removed"),
    Example("store serve", "serving", stays=True),
    "rewards claim 1 --wallet alice --all --withdraw",
    Example("task close", "task 1 is closed"),
    Example("trainer leave", "were paid to its wallet"),
    Example("aggregator leave", "were paid to its wallet"),
)
TROUBLE: Story = (
    "wallet new --light owner aggregator alice bob carol",
    "deploy --wallet owner",
    "wallet fund owner aggregator alice bob carol --tokens 500",
    "task open --wallet owner --trainers 3 --rounds 1 --epochs 1 --worth leave-one-out "
    "--aggregator aggregator --aggregator owner",
    "trainer join 1 --wallet alice",
    "trainer join 1 --wallet bob",
    "trainer join 1 --wallet carol",
    "aggregator bond 1 --wallet aggregator",
    without_carol,
    Example("trainer force", "the receipt of round 0 is on chain"),
    Example("trainer answer", "1 demands answered, 0 are left"),
    Example("trainer reveal", "the keys of round 0 are on chain"),
    Example("task reveal", "the rows of round 0 are open"),
    Example("aggregator pass", "round 0: rostered, aggregator 0x"),
    Example("aggregator advance", "task 1, round 0"),
)
OWN: Story = (
    Example("new", "mine holds a project"),
    in_the_project,
    Example("task check", "nothing stands out"),
    Example("rehearse", "as they would be paid"),
    Example("run", "audit: passed"),
)
SHOWN: Story = (Example("demo", "audit: passed"),)
STORIES = {"paid": PAID, "trouble": TROUBLE, "own": OWN, "shown": SHOWN}
PLACES = [step for story in STORIES.values() for step in story if isinstance(step, Example)]


def examples(command: click.Command) -> list[str]:
    """Return the examples in a command's help."""
    return re.findall(r"Example: (.*)$", inspect.cleandoc(command.help or ""), re.MULTILINE)


@pytest.mark.parametrize("name", OURS)
def test_a_command_s_help_ends_with_one_example_of_it(name: str) -> None:
    (line,) = examples(OURS[name])
    last = inspect.cleandoc(OURS[name].help or "").split("\n\n")[-1]
    assert last == f"Example: {line}", "it is the last paragraph"
    assert f"{line} ".startswith(f"fl-platform {name} ")
    assert len(f"  Example: {line}") <= WIDTH, "it is copied from one line"


def test_each_example_is_run_in_one_story() -> None:
    assert sorted(place.of for place in PLACES) == sorted(OURS)


@pytest.mark.parametrize(
    "story", [pytest.param(name, marks=[] if name == "trouble" else pytest.mark.slow) for name in STORIES]
)
def test_examples_do_what_they_say(story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("FL_PLATFORM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("FL_PLATFORM_PASSWORD", PASSWORD)
    # each command opens a wallet; what the usual derivation takes is not what is looked at here
    monkeypatch.setattr(wallets, "SCRYPT_ROUNDS", wallets.SCRYPT_ROUNDS_LIGHT)
    for step in STORIES[story]:
        if isinstance(step, str):
            assert_says(f"fl-platform {step}", "")
        elif isinstance(step, Example):
            (line,) = examples(OURS[step.of])
            (assert_stays if step.stays else assert_says)(line, step.says, step.code)
        else:
            step(monkeypatch)


def assert_says(line: str, says: str, code: int = 0) -> None:
    """Run a command line in this process, and demand what it says and its exit code."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        found = run(shlex.split(line)[1:])
    assert (found, says in out.getvalue()) == (code, True), complaint(line, found, says, out.getvalue())


def assert_stays(line: str, says: str, code: int = 0) -> None:
    """Start a command line, end it once it says what it should, and demand its exit code."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with one_at_a_time():
        process = subprocess.Popen(
            [sys.executable, "-m", "fl_platform", *shlex.split(line)[1:]], env=variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.start()
        with process:
            told = said_until(process, says)
            process.terminate()
            told += process.communicate()[0]
        limit.cancel()
    assert (process.returncode, says in told) == (code, True), complaint(line, process.returncode, says, told)


def said_until(process: subprocess.Popen[str], says: str) -> str:
    """Return what a process prints up to the line that says it, or all of it."""
    assert process.stdout is not None
    told = ""
    while says not in told and (line := process.stdout.readline()):
        told += line
    return told


def complaint(line: str, code: int, says: str, told: str) -> str:
    """Return what a failed test shows."""
    return f"{line}: exit {code}, looked for {says!r} in\n{told}"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for other runs of these tests on this machine: `store serve` listens at its usual port, and nowhere else."""
    with (Path(tempfile.gettempdir()) / "fl-platform-examples.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
