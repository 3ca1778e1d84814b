"""`policy` and the commands that lock, train and look: a site's file is shown, tried, obeyed, and never left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.console import Console

from fl_platform.cli.common import Session
from fl_platform.cli.demo.federation import STAKE
from fl_platform.cli.join import enter
from fl_platform.cli.main import cli as command_line
from fl_platform.cli.residing import Stay
from fl_platform.errors import ConfigError, PolicyRefused
from fl_platform.learning.machine import CPU
from fl_platform.round import site
from fl_platform.round.data_choice import Lesson
from fl_platform.round.doctor import Grade, policies
from fl_platform.round.site import VARIABLE
from scripts.generate_docs import commands
from tests.support.cli import CliInside
from tests.support.rehearsal import rehearsal, small_settings


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's policy would be; and no variable."""
    path = tmp_path / "etc" / "site.toml"
    monkeypatch.setattr(site, "MACHINE_FILE", path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return path


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """A task that is open, and a wallet that has not joined."""
    made = CliInside(tmp_path_factory.mktemp("policy"))
    made("wallet", "new", "--light", "owner", "one")
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "one", "--tokens", "100")
    made(
        "task", "open", "--wallet", "owner", "--trainers", "3", "--rounds", "2", "--pot", "10", "--epochs", "1",
        "--worth", "equal", "--aggregator", "owner",
    )  # fmt: skip
    return made


@pytest.fixture
def cli(opened: CliInside) -> Iterator[CliInside]:
    """The same, and no policy in its workdir before and after."""
    yield opened
    (opened.folder / "w" / "site.toml").unlink(missing_ok=True)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_all_files_are_shown_with_their_words(cli: CliInside, machine: Path) -> None:
    assert "no policy: neither" in cli("policy", "show").stdout
    assert cli.report("policy", "show") == []
    write(machine, 'hours = "20:00-06:00"\nmax_stake = "50"')
    own = write(cli.folder / "w" / "site.toml", f'owners = ["0x{"00" * 19}01"]')
    said = cli("policy", "show").stdout
    assert all(words in said for words in (str(machine), str(own), "20:00-06:00", "50 tokens", "all of them hold"))
    first, second = cli.report("policy", "show")
    assert first["words"] == {"hours": "20:00-06:00", "max_stake_wei": 50 * 10**18}
    assert (second["file"], second["words"]) == (str(own), {"owners": ["0x" + "00" * 19 + "01"]})
    write(own, "ownres = []")
    assert "did you mean owners?" in cli("policy", "show", code=5).stderr


def test_a_task_is_tried_word_by_word(cli: CliInside) -> None:
    rules = cli.report("task", "show", "1")["digest"]
    own = write(cli.folder / "w" / "site.toml", f'rules = ["{rules}"]\nmax_rounds = 2\nhours = "00:00-00:01"')
    found = cli.report("policy", "check", "1")
    assert found["allowed"] is True
    assert {one["word"]: one["allowed"] for one in found["answers"] if one["word"] != "hours"} == {
        "rules": True, "max_rounds": True,
    }  # fmt: skip
    assert any(one["word"] == "hours" for one in found["answers"])
    write(own, "max_rounds = 1\nmin_auditors = 0")
    said = cli("policy", "check", "1", code=5).stdout
    assert all(words in said for words in ("max_rounds", "2 rounds", "tasks of 1 rounds at most", "not allowed"))
    write(own, 'max_stake = "30"')
    assert cli.report("policy", "check", "1", "--stake", "30.5", code=5)["allowed"] is False
    assert cli.report("policy", "check", "1", "--stake", "30")["allowed"] is True


def test_code_is_asked_for_where_the_answer_hangs_on_it(
    cli: CliInside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy_unrun.py").write_text("raise AssertionError('it was run')\n")
    write(cli.folder / "w" / "site.toml", "code = []")
    assert cli.report("policy", "check", "1")["allowed"] is True  # digits: the package's own
    assert cli.report("policy", "check", "1", "--data", "policy_absent:Mine", code=3)["allowed"] is None
    refused = cli.report("policy", "check", "1", "--data", "policy_unrun:Mine", code=5)
    (answer,) = refused["answers"]
    digest = answer["value"]
    assert (answer["word"], answer["allowed"]) == ("code", False)
    write(cli.folder / "w" / "site.toml", f'code = ["{digest}"]')
    assert cli.report("policy", "check", "1", "--data", "policy_unrun:Mine")["allowed"] is True


def test_no_stake_is_locked_and_nothing_trained_where_a_word_forbids_it(
    cli: CliInside, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(machine, "max_rounds = 1")
    # Nothing that a person may write into the file of options takes the site's file away.
    write(tmp_path / "federation.toml", '[trainer.join]\nstake = "60"\n')
    said = cli("trainer", "join", "1", "--wallet", "one", code=5).stderr
    assert "does not allow task 1: max_rounds allows tasks of 1 rounds at most; here it is 2 rounds" in said
    assert cli.report("task", "show", "1")["members"] == {}
    for key in ("policy = ''", "site-policy = ''", "site_policy = 'none'", "[policy]\nfile = ''"):
        write(tmp_path / "federation.toml", key)
        assert "is no option or command" in cli("policy", "check", "1", code=5).stderr
    (tmp_path / "federation.toml").unlink()
    machine.unlink()
    cli("trainer", "join", "1", "--wallet", "one")
    write(machine, "code = []")
    (tmp_path / "policy_never_run.py").write_text("raise AssertionError('it was run')\n")
    said = cli("trainer", "run", "1", "--wallet", "one", "--data", "policy_never_run:Mine", code=5).stderr
    assert "code allows learning code of none" in said
    write(machine, "epsilon = 1")
    said = cli("trainer", "run", "1", "--wallet", "one", code=5).stderr
    assert "this release gives no differential privacy" in said


def test_no_option_of_any_command_names_a_policy() -> None:
    options = [
        option
        for _, command in commands(command_line)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, str(parameter.envvar))
    ]
    assert len(options) > 100
    assert [option for option in options if "policy" in option.lower() or "site" in option.lower()] == []


def test_join_shows_the_policy_and_obeys_it_before_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with rehearsal(tmp_path / "w", small_settings(rounds=1, attacks=(), byzantine=0, trainers=2)) as (
        workspace,
        parties,
    ):
        own = Session(workspace, "newcomer", workspace.create_wallet("newcomer"))
        reader = workspace.reader(parties.task)
        wanted = Stay(parties.task, Lesson("digits", parts=2), 0, CPU)
        path, out = write(workspace.root / "site.toml", 'max_stake = "50"'), Console(width=400)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr(click, "confirm", lambda *_, **__: pytest.fail("it asked"))
        with pytest.raises(PolicyRefused, match=r"here it is 50\.000001 tokens"):
            enter(own, reader, STAKE + 10**12, out, wanted=wanted, yes=False)
        assert f"- your site's policy {path} allows only: a stake of 50 tokens at most" in capsys.readouterr().out
        assert own.signer.address not in reader.history().members
        enter(own, reader, STAKE, out, wanted=wanted, yes=True)
        assert reader.history().members[own.signer.address] == STAKE


def test_doctor_says_which_policy_holds(tmp_path: Path, machine: Path) -> None:
    (none,) = policies(tmp_path)
    assert (none.verdict, none.text) == (Grade.OK, "none: nothing is forbidden here")
    path = write(machine, "min_rows = 100")
    (found,) = policies(tmp_path)
    assert (found.verdict, found.text) == (Grade.OK, f"{path} allows only: updates learned from 100 rows at least")
    path.chmod(0o666)
    (wrong,) = policies(tmp_path)
    assert wrong.verdict is Grade.MEND
    assert f"chmod go-w {path}" in wrong.text
    assert "nothing is signed here" in wrong.text


def test_a_rehearsal_obeys_too(tmp_path: Path) -> None:
    """`demo` and `run` sign as everybody does: a machine's policy is not left out for them."""
    write(tmp_path / "w" / "site.toml", "max_rounds = 1")
    with pytest.raises(ConfigError, match="does not allow task 1"), rehearsal(tmp_path / "w"):
        pass
