"""What options say can stand in federation.toml: the command line wins, and a name that no option has is refused."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fl_platform.cli import main as main_module
from fl_platform.cli.defaults import FILE, SHARE_WITH_OPEN, read_defaults
from fl_platform.cli.main import Options, cli, run
from fl_platform.errors import ConfigError


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, object]]:
    """Values that two small commands were called with, in a folder of their own."""
    found: list[dict[str, object]] = []

    @click.group()
    def task() -> None:
        """A group."""

    @task.command(name="open")
    @click.option("--learning-rate", type=float, default=1.0)
    @click.option("--bits", type=click.Choice(["4", "8"]), default="8")
    @click.option("--strict", is_flag=True)
    @click.option("--aggregator", "aggregators", multiple=True, required=True)
    @click.pass_obj
    def open_(options: Options, **values: object) -> None:
        found.append({"network": options.network, **values})

    @click.command()
    @click.option("--bits", type=click.Choice(["4", "8"]), default="8")
    @click.option("--parts", type=int, default=4)
    def rehearse(**values: object) -> None:
        found.append(values)

    commands = {"task": task, "rehearse": rehearse}
    monkeypatch.setattr(cli, "list_commands", lambda ctx: list(commands))
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: commands.get(name))
    monkeypatch.setattr(main_module, "COMMANDS", commands)
    monkeypatch.chdir(tmp_path)
    return found


FULL = """
network = "ganache"
[task.open]
learning-rate = 0.25
bits = 4
strict = true
aggregator = ["a", "b"]
[rehearse]
parts = 3
"""


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    if isinstance(result.exception, ConfigError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.output


def test_values_of_every_kind_reach_their_option(seen: list[dict[str, object]]) -> None:
    Path(FILE).write_text(FULL)
    invoke("task", "open")
    wanted = {"learning_rate": 0.25, "bits": "4", "strict": True, "aggregators": ("a", "b")}
    assert seen == [{"network": "ganache", **wanted}]


def test_the_command_line_wins(seen: list[dict[str, object]]) -> None:
    Path(FILE).write_text(FULL)
    invoke("--network", "anvil", "task", "open", "--bits", "8", "--aggregator", "c")
    assert (seen[0]["network"], seen[0]["bits"], seen[0]["aggregators"]) == ("anvil", "8", ("c",))
    assert seen[0]["learning_rate"] == 0.25


def test_commands_that_make_rules_read_what_they_share_with_task_open(seen: list[dict[str, object]]) -> None:
    assert ("rehearse",) in SHARE_WITH_OPEN
    Path(FILE).write_text(FULL)
    invoke("rehearse")
    Path(FILE).write_text(FULL + "bits = 8\n")
    invoke("rehearse")
    assert seen == [{"bits": "4", "parts": 3}, {"bits": "8", "parts": 3}]


def test_another_file_is_named_and_none_is_needed(seen: list[dict[str, object]]) -> None:
    invoke("rehearse")
    Path("own.toml").write_text("[rehearse]\nparts = 9\n")
    invoke("--config", "own.toml", "rehearse")
    assert [found["parts"] for found in seen] == [4, 9]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("netwerk = 'x'", "'netwerk' of the file is no option or command: did you mean network?"),
        ("[tusk.open]", "'tusk' of the file is no option or command: did you mean task?"),
        ("[task.opn]", "'opn' of [task] is no option or command: did you mean open?"),
        ("[task.open]\nlearning_rat = 1", "did you mean learning-rate?"),
        ("[task]\nopen = 3", "task.open is no section"),
        ("[task.open]\nbits = {a = 1}", "bits in [task.open] is a dict"),
        ("[task.open]\nbits = ['4', '8']", "bits in [task.open] is a list; it takes one value"),
        ("[task.open]\nbits = true", "bits in [task.open] is true; it takes a value"),
        ("workdir = ['a']", "workdir in the file is a list"),
        ("[network]\nname = 'x'", "[network] is a section; network takes a value"),
        ("[task.open", "cannot read federation.toml"),
        ("[task.open]\ndata = task:Mine", "text stands in quotes"),
        ("data = 'task:Mine'", "stands under [task.open]"),
        ("[task]\ndata = 'task:Mine'", "stands under [task.open]"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_there_is(
    seen: list[dict[str, object]], text: str, says: str
) -> None:
    Path(FILE).write_text(text)
    assert says in invoke("task", "open", "--aggregator", "a")
    assert not seen


def test_a_value_outside_of_its_options_range_is_the_options_own_error(
    seen: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(FILE).write_text("[rehearse]\nbits = 5\n")
    assert run(["rehearse"]) == 2
    assert "stands in the file of options (federation.toml" in capsys.readouterr().err
    assert run(["rehearse", "--bits", "6"]) == 2
    assert "file of options" not in capsys.readouterr().err
    assert not seen


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        read_defaults(tmp_path / "none.toml")
