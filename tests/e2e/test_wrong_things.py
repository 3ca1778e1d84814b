"""The wrong things that a person does on one machine: a message with its way on, and then it works: nothing was lost.

What is seen stands in `tests/support/wrong_messages.py`, from which docs/TROUBLESHOOTING.md is written. What needs
other processes or a node is in `test_wrong_processes.py`.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from fl_platform.chain.client import connect
from fl_platform.cli.main import run
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.round.data_choice import Lesson
from fl_platform.round.doctor import Grade, clock
from fl_platform.round.local_trainers import local_crew
from fl_platform.round.transport import LocalTransport
from fl_platform.task.workspace import Workspace
from tests.support import http_peers
from tests.support.cli import CliInside
from tests.support.own_task import TASK
from tests.support.wrong import BY_TWO, DONE, MEASURED, OPEN, RULES, copied, files_up_to, later, prepare, unprivileged
from tests.support.wrong_messages import TROUBLES, sees

Words = tuple[str, ...]
AGAIN: Words = ()  # the wrong command once more: right now


@dataclass(frozen=True)
class Wrong:
    """A command that goes wrong, and the commands that then succeed."""

    words: Words
    then: tuple[Words, ...]


def by(name: str, *words: str) -> Words:
    return (*words, "--wallet", name)


TITLED = (*RULES, "--worth", "equal", "--title", "wrong")
FUNDED = ("wallet", "fund", "--tokens", "20")
EMPTY = "disk:{folder}/empty"
LIST, STATUS = ("task", "list"), ("status",)

WRONG = {
    "no coin for gas": Wrong(
        by("poor", "rewards", "claim", DONE, "--for", "one", "--fast-forward"), (("wallet", "fund", "poor"), AGAIN)),
    "no tokens for the stake": Wrong(by("broke", "trainer", "join", OPEN), ((*FUNDED, "broke"), AGAIN)),
    "no tokens for the bond": Wrong(by("second", "aggregator", "bond", OPEN), ((*FUNDED, "second"), AGAIN)),
    "no tokens for the bounty": Wrong(
        by("broke", *TITLED, *BY_TWO, "--pot", "100000", "--rounds", "60000"), (by("broke", *TITLED, *BY_TWO),)),
    "unknown network": Wrong(("--network", "moon", *LIST), (LIST,)),
    "no node listens": Wrong(("--network", "http://127.0.0.1:1", *LIST), (LIST,)),
    "no store listens": Wrong(
        by("two", "--store", "http://127.0.0.1:1", "trainer", "join", OPEN), (by("two", "trainer", "join", OPEN),)),
    "object missing": Wrong(
        by("two", "--store", EMPTY, "trainer", "join", OPEN),
        (by("two", "--store", EMPTY, "--store", "disk:{folder}/w/store", "trainer", "join", OPEN),)),
    "no such task": Wrong(by("two", "trainer", "join", "9"), (LIST, by("two", "trainer", "join", OPEN))),
    "bonding as a stranger": Wrong(by("three", "aggregator", "bond", OPEN), (by("three", "trainer", "join", OPEN),)),
    "aggregating as a stranger": Wrong(
        by("three", "aggregator", "run", OPEN, "--local"), (by("first", "aggregator", "run", OPEN, "--local"),)),
    "aggregating without a bond": Wrong(
        by("second", "aggregator", "run", OPEN, "--local"),
        ((*FUNDED, "second"), by("second", "aggregator", "bond", OPEN))),
    "training as a stranger": Wrong(by("three", "trainer", "run", OPEN), (by("three", "trainer", "join", OPEN),)),
    "claim before final": Wrong(
        by("one", "rewards", "claim", DONE), (by("one", "rewards", "claim", DONE, "--withdraw", "--fast-forward"),)),
    "advance too early": Wrong(
        by("one", "aggregator", "advance", OPEN), (by("one", "aggregator", "advance", OPEN, "--fast-forward"),)),
    "stake before unbonding": Wrong(
        by("one", "trainer", "leave", DONE), (by("one", "trainer", "leave", DONE, "--fast-forward"),)),
    "leave while it is your turn": Wrong(
        by("first", "aggregator", "leave", OPEN),
        (by("first", "aggregator", "run", OPEN, "--local"),
         by("first", "aggregator", "leave", OPEN, "--fast-forward"))),
    "close while it works": Wrong(
        by("owner", "task", "close", OPEN),
        (by("first", "aggregator", "run", OPEN, "--local"), by("owner", "task", "close", OPEN, "--fast-forward"))),
    "join after the end": Wrong(by("three", "trainer", "join", DONE), (LIST, by("three", "trainer", "join", OPEN))),
    "force after its window": Wrong(
        by("one", "trainer", "force", DONE, "0"), (STATUS, by("one", "rewards", "claim", DONE, "--fast-forward"))),
    "full device for a report": Wrong((*LIST, "--json", "/dev/full"), ((*LIST, "--json", "{folder}/report.json"),)),
    "workdir is a file": Wrong(("--workdir", "{folder}/password", *LIST), (LIST,)),
    "workdir below a file": Wrong(("--workdir", "{folder}/password/w", *LIST), (LIST,)),
    "store is a file": Wrong(
        by("two", "--store", "disk:{folder}/password", "trainer", "join", OPEN), (by("two", "trainer", "join", OPEN),)),
    "garbage party": Wrong((*TITLED, "--aggregator", "garbage"), ((*TITLED, "--aggregator", "{party}"),)),
    "an address for a party": Wrong((*TITLED, "--aggregator", "{address}"), ((*TITLED, "--aggregator", "{party}"),)),
    "party with a wrong address": Wrong(
        (*TITLED, "--aggregator", "{wrong_address}"), ((*TITLED, "--aggregator", "{party}"),)),
    "party with a wrong key": Wrong((*TITLED, "--aggregator", "{wrong_key}"), ((*TITLED, "--aggregator", "{party}"),)),
    "the same party twice": Wrong(
        (*TITLED, "--aggregator", "first", "--aggregator", "{party}"), ((*TITLED, "--aggregator", "{party}"),)),
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """The folder that is copied."""
    return prepare(tmp_path_factory.mktemp("wrong"))


@pytest.fixture
def cli(ready: CliInside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliInside:
    """A folder of its own for each test, and no patience with nodes that are not there."""
    monkeypatch.setitem(Workspace.__init__.__kwdefaults__, "policy", MINIMAL)
    monkeypatch.chdir(tmp_path)
    return copied(ready, tmp_path)


def swapped(text: str, place: int) -> str:
    """Return a text with another hex digit at a place."""
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


@pytest.fixture
def values(cli: CliInside, ready: CliInside) -> dict[str, str]:
    """What the words of a command may name."""
    (cli.folder / "password").write_text((ready.folder / "password").read_text())
    line = next(x for x in cli("wallet", "show", "first").stdout.splitlines() if x.startswith("party"))
    party = line.split()[1]
    return {
        "folder": str(cli.folder), "party": party, "address": party.split(":")[0],
        "wrong_address": swapped(party, 5), "wrong_key": swapped(party, 60),
    }  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_says_the_way_on_which_works(cli: CliInside, values: dict[str, str], name: str) -> None:
    wrong = WRONG[name]
    words = tuple(word.format(**values) for word in wrong.words)
    done = cli(*words, code=TROUBLES[name].code)
    sees(name, done.stdout + done.stderr)
    for line in wrong.then:
        cli(*(tuple(word.format(**values) for word in line) or words))


# --- what is wrong is not in the words --------------------------------------------------------------------------------


def test_a_wrong_password(cli: CliInside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    join = by("two", "trainer", "join", OPEN)
    (cli.folder / "other").write_text("not it\n")
    sees("wrong password file", cli("--password-file", str(cli.folder / "other"), *join, code=5).stderr)
    monkeypatch.setenv("FL_PLATFORM_PASSWORD", "not it either")
    assert run(["--workdir", str(cli.folder / "w"), *join]) == TROUBLES["wrong password variable"].code
    sees("wrong password variable", capsys.readouterr().err)
    cli(*join)


def test_a_url_that_speaks_no_json_rpc(cli: CliInside) -> None:
    page = b"<html>welcome</html>"
    with http_peers.serving(lambda handler: http_peers.send(handler, 200, page)) as url:
        sees("no JSON-RPC", cli("--network", url, *LIST, code=6).stderr)
    cli(*LIST)


def test_contracts_of_another_chain(cli: CliInside) -> None:
    file = cli.folder / "w" / "deployments" / "embedded.json"
    kept = file.read_text()
    file.write_text(kept.replace('"chain_id": ', '"chain_id": 1'))
    sees("another chain's contracts", cli(*LIST, code=5).stderr)
    file.write_text(kept)
    cli(*LIST)


def test_the_aggregator_is_not_started(cli: CliInside) -> None:
    """Trainers have signed; the rule waits for more of them, and the aggregator is away."""
    few = too_few(cli)
    shown = cli(*STATUS).stdout
    sees("aggregator not started", shown)
    cli("aggregator", "advance", few, "--wallet", "one", "--fast-forward")
    assert f"`fl-platform aggregator bond {few} --wallet second`" in " ".join(cli(*STATUS).stdout.split())


def test_a_round_with_too_few_trainers_waits_for_more(cli: CliInside) -> None:
    few = too_few(cli)
    cli(*FUNDED, "broke")
    for name in ("three", "owner", "broke"):
        cli("trainer", "join", few, "--wallet", name)
    assert cli.report("aggregator", "run", few, "--wallet", "first", "--local")["state"] == "done"


def too_few(cli: CliInside) -> str:
    """Open a task that withstands a liar, with two trainers; return its number."""
    cli(*TITLED, "--trainers", "5", "--byzantine", "1", *BY_TWO)
    few = str(len(cli.report(*LIST)))
    for name in ("one", "two"):
        cli("trainer", "join", few, "--wallet", name)
    cli("aggregator", "bond", few, "--wallet", "first")
    sees("too few trainers", cli("aggregator", "run", few, "--wallet", "first", "--local", code=5).stderr)
    return few


def test_the_reference_is_not_started(cli: CliInside) -> None:
    owner = cli.folder / "w" / "wallets" / "owner.json"
    owner.rename(cli.folder / "away.json")
    words = by("first", "aggregator", "run", MEASURED, "--local", "--patience", "0")
    sees("reference not started", cli(*words).stderr)
    assert "The owner's reference did not answer" in cli("why", "one").stdout
    paid = cli.report("rewards", "claim", MEASURED, "--wallet", "one", "--all", "--fast-forward")
    assert [item["claimed_wei"] for item in paid].count(4_750_000_000_000_000_000) == 2


def test_the_aggregator_is_away_past_its_seal_deadline(cli: CliInside) -> None:
    from fl_platform.cli.aggregator import make_aggregator
    from fl_platform.cli.common import Options, signing

    cli("trainer", "join", OPEN, "--wallet", "two")
    with signing(Options(cli.folder / "w", "embedded", "", cli.folder / "password"), "first") as own:
        names = {name: own.workspace.signer(name).address for name in ("one", "two")}
        crew = LocalTransport(local_crew(own.workspace, names, int(OPEN), Lesson("")))
        working = make_aggregator(own, int(OPEN), watch=lambda _: None)
        working.roster(working.collect(crew))
    later(cli, 7200)
    work = ("aggregator", "run", OPEN, "--local", "--wallet")
    sees("seal after its deadline", cli(*work, "first", code=8).stderr)
    cli("aggregator", "advance", OPEN, "--wallet", "one")
    sees("replaced aggregator", cli(*work, "first", code=5).stderr)
    cli("aggregator", "leave", OPEN, "--wallet", "first")
    cli(*FUNDED, "second")
    cli("aggregator", "bond", OPEN, "--wallet", "second")
    assert cli.report(*work, "second")["state"] == "done"


def test_everybody_was_away_past_the_deadline(cli: CliInside) -> None:
    """Every command of every role names the way on, and the task ends well."""
    later(cli, 3600)
    cli(*FUNDED, "second")
    for words in (
        ("task", "show", OPEN), by("one", "trainer", "status", OPEN), by("three", "trainer", "join", OPEN),
        by("second", "aggregator", "bond", OPEN),
    ):  # fmt: skip
        sees("everybody away", cli(*words).stdout)
    for name in ("first", "second", "one", "owner"):
        assert f"`fl-platform aggregator advance {OPEN} --wallet {name}`" in " ".join(cli(*STATUS).stdout.split())
    for code, words in (
        (8, by("first", "aggregator", "run", OPEN, "--local")), (5, by("owner", "task", "close", OPEN)),
    ):  # fmt: skip
        assert f"`fl-platform aggregator advance {OPEN}`" in cli(*words, code=code).stderr
    assert "`fl-platform status`" in cli("rewards", "claim", OPEN, "--wallet", "one", code=5).stderr
    cli("aggregator", "advance", OPEN, "--wallet", "one")
    cli("aggregator", "advance", OPEN, "--wallet", "one", "--fast-forward")
    assert cli.report("task", "show", OPEN)["state"] == "refunded"
    back = cli.report("task", "close", OPEN, "--wallet", "owner")
    assert back["withdrawn_wei"] >= 10 * 10**18
    assert cli.report("trainer", "leave", OPEN, "--wallet", "one", "--fast-forward")["done"]


def test_opening_a_task_again_escrows_nothing_twice(cli: CliInside) -> None:
    """The wallet holds one bounty: whoever is told no number, because it was killed, runs the same command again."""
    words = by("broke", *TITLED, *BY_TWO)
    cli("wallet", "fund", "broke", "--tokens", "10")
    first = cli.report(*words)["task"]
    again = cli(*words)
    sees("opening again", again.stdout)
    assert len(cli.report(*LIST)) == first == 4


def test_two_commands_at_once_on_the_embedded_chain(cli: CliInside) -> None:
    join = by("two", "trainer", "join", OPEN)
    with connect(NETWORKS["embedded"], folder=cli.folder / "w" / "chain"):
        sees("two at once", cli(*join, code=5).stderr)
    cli(*join)


def test_a_full_disk_in_the_middle_of_a_round(cli: CliInside) -> None:
    words = by("first", "aggregator", "run", OPEN, "--local")
    with files_up_to(1024):
        sees("full disk", cli(*words, code=4).stderr)
    assert not list((cli.folder / "w").rglob("*.partial"))
    assert cli.report(*words)["state"] == "done"
    assert cli.report("audit", OPEN, code=3)["ok"]  # 3: without commitments a stranger cannot check all


def test_a_folder_without_permission(ready: CliInside, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own is closed to others
        cli = copied(ready, Path(place))
        cli(*LIST)
        chain = cli.folder / "w" / "chain"
        for path in (chain, *chain.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        cli.folder.chmod(0o755)
        join = by("two", "--password-file", f"{place}/password", "trainer", "join", OPEN)
        with unprivileged():
            assert run(["--workdir", f"{place}/w", *LIST]) == TROUBLES["folder without permission"].code
        sees("folder without permission", capsys.readouterr().err)
        for path in (chain, *chain.iterdir()):
            path.chmod(0o700)
        cli(*join)


def test_a_keystore_that_is_no_json(cli: CliInside) -> None:
    file = cli.folder / "w" / "wallets" / "two.json"
    kept = file.read_bytes()
    file.write_text("not JSON")
    sees("keystore is no JSON", cli("trainer", "join", OPEN, "--wallet", "two", code=5).stderr)
    file.write_bytes(kept)
    cli("trainer", "join", OPEN, "--wallet", "two")


def test_an_unknown_key_in_federation_toml(cli: CliInside) -> None:
    file = cli.folder / "federation.toml"
    file.write_text("[task.open]\ntrianers = 2\n")
    words = (*TITLED, *BY_TWO)
    sees("unknown key in federation.toml", cli(*words, code=5).stderr)
    file.write_text("[task.open]\ntrainers = 2\n")
    cli(*words)


def test_an_invitation_that_is_a_pdf(cli: CliInside) -> None:
    file = cli.folder / "task.pdf"
    file.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj")
    sees("invitation is a PDF", cli("join", str(file), "--yes", code=7).stderr)
    assert not (cli.folder / "w" / "wallets" / "me.json").exists()
    cli("task", "invite", OPEN, "--wallet", "owner", "-o", str(file))
    assert "nobody can be asked here" in cli("join", str(file), code=5).stderr


@pytest.mark.parametrize(
    ("name", "text"), [("syntax error in task.py", "class Mine(:\n"), ("no class in task.py", "X = 1\n")]
)
def test_a_task_py_of_ones_own(cli: CliInside, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    file = cli.folder / "broken.py"
    monkeypatch.setattr(sys, "path", [str(cli.folder), *sys.path])
    words = (*TITLED, "--data", "broken:Mine", *BY_TWO)
    for body, code in ((text, 5), (TASK, 0)):
        file.write_text(body)
        sys.modules.pop("broken", None)  # each command is a process of its own
        importlib.invalidate_caches()
        done = cli(*words, code=code)
        if code:
            sees(name, done.stderr)


def test_a_model_that_is_not_the_tasks(cli: CliInside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(cli.folder), *sys.path])
    (cli.folder / "right_task.py").write_text(TASK)
    (cli.folder / "wider_task.py").write_text(TASK.replace("3, 8", "3, 9").replace("(8", "(9"))
    cli(*TITLED, "--data", "right_task:Mine", *BY_TWO)
    own = str(len(cli.report(*LIST)))
    cli("trainer", "join", own, "--wallet", "one")
    train = (*by("one", "trainer", "run", own), "--data")
    sees("another model than the task's", cli(*train, "wider_task:Mine", code=7).stderr)
    for _ in BY_TWO[::2]:  # the task ends without a round: a trainer whose model fits leaves at once
        cli("aggregator", "advance", own, "--wallet", "one", "--fast-forward")
    assert f"task {own} is over" in cli(*train, "right_task:Mine").stdout


def test_the_doctor_goes_on_where_the_folder_cannot_be_used(cli: CliInside) -> None:
    cli(*LIST)  # writes the password file
    found = {one["about"]: one for one in cli.report("--workdir", str(cli.folder / "password" / "w"), "doctor", code=5)}
    assert found["workdir"]["verdict"] == found["network embedded"]["verdict"] == "mend"
    assert "name another with --workdir" in found["network embedded"]["text"]
    assert "store" in found


@pytest.mark.parametrize(("name", "block", "here"), [("clock behind", 7200, 3600), ("chain behind", 3600, 7200)])
def test_a_clock_that_is_wrong(name: str, block: int, here: int) -> None:
    found = clock(block, here, local=False)
    sees(name, found.text)
    assert found.verdict is Grade.MEND
    assert clock(here, here, local=False).verdict is Grade.OK


def test_every_row_of_the_page_is_done_by_a_test() -> None:
    here = Path(__file__)
    text = here.read_text() + here.with_name("test_wrong_processes.py").read_text()
    assert [name for name in TROUBLES if f'"{name}"' not in text] == []
