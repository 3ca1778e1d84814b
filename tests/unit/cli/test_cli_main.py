"""How `fl-platform` starts and ends: lightly, with a documented code, and with one clear line for every error."""

from __future__ import annotations

import errno
import inspect
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fl_platform import errors
from fl_platform.cli import main as module
from fl_platform.cli.main import COMMANDS, COMMANDS_OF, EXIT_CODES, Options, cli, explain, run
from fl_platform.errors import FLError, Incomplete
from tests.support.cli import ROOT

ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, FLError)]
HEAVY = ("torch", "web3", "flwr", "numpy", "sklearn", "eth_account", "rich", "httpx", "cryptography")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_documented_code(kind: type[FLError]) -> None:
    assert kind.exit_code in EXIT_CODES
    text, code = explain(kind("the value 3 is over 2; use 2"))
    assert (text, code) == ("the value 3 is over 2; use 2", kind.exit_code)
    assert (code == 3) == issubclass(kind, Incomplete)
    assert code not in (0, 2)
    assert (code == 1) == (kind is FLError)


@pytest.mark.parametrize(
    "words",
    [["--help"], *([name, "--help"] for name in COMMANDS if name != "demo"), ["task", "open", "--help"],
     ["trainer", "run", "--help"], ["--version"]],
    ids=" ".join,
)  # fmt: skip
def test_help_needs_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
from fl_platform.cli.main import run
code = run({words!r})
print("HEAVY", sorted(set({HEAVY!r}) & set(sys.modules)))
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "HEAVY []"), done.stderr


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fl_platform", "--version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "fl-platform")


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["audit"], ["audit", "zero"], ["why"], ["--nonsense"], ["task", "show", "0"]],
)
def test_a_wrong_command_line_exits_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    run(["rewardz"])
    assert "rewards" in capsys.readouterr().err


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `why` raise."""

    @click.command()
    def why() -> None:
        raise error

    found = module.LazyGroup.get_command
    monkeypatch.setattr(
        module.LazyGroup, "get_command", lambda self, ctx, name: why if name == "why" else found(self, ctx, name)
    )


def test_our_own_error_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, errors.UnknownTask("there is no task 9 here"))
    assert run(["why"]) == 5
    assert capsys.readouterr().err == "error: there is no task 9 here\n"


def test_verbose_adds_where_it_arose(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, errors.UnknownTask("there is no task 9 here"))
    assert run(["-v", "why"]) == 5
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("error: there is no task 9 here\n")
    assert run(["why"]) == 5  # and the next one is quiet again
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_exits_130(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, error)
    assert run(["why"]) == 130
    assert "nothing is done twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.json"), 4, "free space"),
        (OSError(errno.EFBIG, "File too large"), 4, "free space"),
        (PermissionError(errno.EACCES, "Permission denied", "a.json"), 5, "a.json"),
        (ZeroDivisionError("division by zero"), 1, "this is a bug: ZeroDivisionError"),
    ],
)
def test_foreign_errors_are_told_apart(error: Exception, code: int, word: str) -> None:
    text, found = explain(error)
    assert found == code
    assert word in text


def test_sigterm_ends_like_ctrl_c(tmp_path: Path) -> None:
    script = "\n".join(
        [
            "import os, signal, sys",
            "from fl_platform.cli import main, trainer",
            "from fl_platform.cli.common import wait_to_stop",
            "signal.signal(signal.SIGTERM, main._terminated)",
            "import click",
            "def stay():",
            "    print('here', flush=True)",
            "    wait_to_stop(lambda: False)",
            "stay_command = click.command()(stay)",
            "main.LazyGroup.get_command = lambda self, ctx, name: stay_command",
            "sys.exit(main.run(['why']))",
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130


def test_global_options_come_from_the_environment_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FL_PLATFORM_WORKDIR", str(tmp_path / "elsewhere"))
        assert run(["wallet", "list"]) == 0
    assert "elsewhere" in capsys.readouterr().out


def test_the_group_lists_exactly_its_commands() -> None:
    context = click.Context(cli)
    assert cli.list_commands(context) == list(COMMANDS)
    assert cli.get_command(context, "nonsense") is None


def test_help_lists_every_command_once_under_who_runs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line[:-1] for line in shown if line[:-1] in COMMANDS_OF] == list(COMMANDS_OF)
    assert sum(map(len, COMMANDS_OF.values())) == len(COMMANDS)
    for name in COMMANDS:
        assert sum(line.startswith(f"  {name} ") for line in shown) == 1


def test_several_stores_come_by_option_variable_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas in the variable, so that a folder's name may hold spaces."""
    seen: list[Options] = []

    @click.command()
    @click.pass_obj
    def look(options: Options) -> None:
        seen.append(options)

    monkeypatch.setattr("fl_platform.cli.main.LazyGroup.get_command", lambda self, ctx, name: look)
    monkeypatch.chdir(tmp_path)
    assert run(["why"]) == 0
    assert run(["--store", "http://a", "--store", "disk:/my folder", "--copies", "2", "why"]) == 0
    monkeypatch.setenv("FL_PLATFORM_STORE", "http://a,disk:/my folder")
    assert run(["why"]) == 0
    monkeypatch.delenv("FL_PLATFORM_STORE")
    (tmp_path / "federation.toml").write_text('store = ["http://a", "http://b"]\ncopies = 2\n')
    assert run(["why"]) == 0
    stores = [(options.store, options.copies) for options in seen]
    both = "http://a,disk:/my folder"
    assert stores == [("", 1), (both, 2), (both, 1), ("http://a,http://b", 2)]
