"""What people get wrong and what breaks under them: a documented code, one clear line, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.chain.client import connect
from fl_platform.config import MINIMAL, NETWORKS
from fl_platform.store.disk import DiskStore
from fl_platform.task.workspace import Workspace
from tests.support.cli import CliInside

FINISHED, OPEN = "1", "2"
BY = ("task", "open", "--wallet", "owner", "--aggregator", "aggregator")
RULES = ("--trainers", "2", "--epochs", "1", "--pot", "10", "--windows", "minutes", "--aggregator", "aggregator")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """A folder with a finished task of one round, an open one, and a wallet without anything."""
    made = CliInside(tmp_path_factory.mktemp("bad-input"))
    made("wallet", "new", "--light", "owner", "aggregator", "auditor", "one", "two", "poor")
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "aggregator", "one", "two", "--tokens", "100")
    made("task", "open", "--wallet", "owner", "--rounds", "1", "--auditor", "auditor", *RULES)
    for name in ("one", "two"):
        made("trainer", "join", FINISHED, "--wallet", name)
    made("aggregator", "bond", FINISHED, "--wallet", "aggregator")
    made("aggregator", "run", FINISHED, "--wallet", "aggregator", "--local")
    made("task", "open", "--wallet", "owner", "--rounds", "2", "--worth", "equal", *RULES)
    return made


def refused(cli: CliInside, *words: str, code: int, says: str) -> None:
    """Demand an exit code and one line on standard error that holds `says`."""
    error = cli(*words, code=code).stderr
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    assert says in lines[0]


@pytest.mark.parametrize(
    "words",
    [("task", "show", "9"), ("task", "close", "9", "--wallet", "one"), ("trainer", "join", "9", "--wallet", "one"),
     ("trainer", "run", "9", "--wallet", "one"), ("trainer", "status", "9", "--wallet", "one"),
     ("aggregator", "bond", "9", "--wallet", "one"), ("aggregator", "run", "9", "--wallet", "aggregator"),
     ("rewards", "show", "9"), ("rewards", "claim", "9", "--wallet", "one"), ("reputation", "show", "9"),
     ("audit", "9"), ("verify", "9"), ("prove", "9", "--wallet", "one"),
     ("why", "one", "--task", "9")],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_task(cli: CliInside, words: tuple[str, ...]) -> None:
    refused(cli, *words, code=5, says="there is no task 9")


@pytest.mark.parametrize(
    "words",
    [("trainer", "join", FINISHED, "--wallet", "poor"), ("aggregator", "bond", FINISHED, "--wallet", "poor"),
     ("aggregator", "advance", FINISHED, "--wallet", "poor")],
    ids=" ".join,
)  # fmt: skip
def test_a_finished_task(cli: CliInside, words: tuple[str, ...]) -> None:
    refused(cli, *words, code=5, says="task 1 is ")


def test_status_knows_all_wallets_in_all_tasks(cli: CliInside) -> None:
    found = {(one["task"], one["wallet"]): one for one in cli.report("status")}
    assert {(1, "owner"), (1, "one"), (1, "two"), (1, "aggregator"), (2, "owner"), (2, "aggregator")} <= set(found)
    assert not any(name == "poor" or one["unread"] for (_, name), one in found.items())
    ended, opened = found[1, "one"], found[2, "aggregator"]
    assert (ended["state"], ended["roles"], ended["stake_wei"] > 0) == ("done", ["trainer"], True)
    assert [move["command"].split()[2] for move in ended["moves"] if "claim" in move["text"]] == ["claim"]
    assert opened["moves"][0]["command"] == "fl-platform aggregator bond 2 --wallet aggregator"
    shown = cli("status").stdout
    assert "task 2, open, round 0 (0 of 2 done): aggregator" in shown
    assert "  MUST now: lock the bond" in shown
    assert "not all is known: " in cli("--store", "disk:" + str(cli.folder / "empty"), "status").stdout


def test_an_open_task_cannot_be_closed(cli: CliInside) -> None:
    refused(cli, "task", "close", OPEN, "--wallet", "owner", code=5, says="still works on round 0 (0 of 2 done)")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("trainer", "join", OPEN, "--wallet", "poor"), "holds 0 wei of token"),
        (("trainer", "join", OPEN, "--wallet", "absent"), "no wallet"),
        (("trainer", "join", OPEN, "--wallet", "../one"), "no wallet's name"),
        (("trainer", "join", OPEN, "--wallet", "one", "--stake", "1wei"), "under the task's least"),
        (("trainer", "run", OPEN, "--wallet", "one"), "is no trainer of task 2"),
        (("trainer", "run", FINISHED, "--wallet", "one", "--reference"), "does not sign the reference"),
        (("trainer", "force", OPEN, "0", "--wallet", "one"), "signed nothing"),
        (("aggregator", "bond", OPEN, "--wallet", "one"), "is not among the task's aggregators"),
        (("aggregator", "run", OPEN, "--wallet", "aggregator", "--local"), "let them join first"),
        (("aggregator", "run", OPEN, "--wallet", "aggregator", "--patience", "0"), "has no bond"),
        (("rewards", "claim", OPEN, "--wallet", "one"), "no round is sealed yet"),
        (("rewards", "claim", FINISHED, "--wallet", "one"), "--fast-forward"),
        (("rewards", "claim", FINISHED, "--wallet", "one", "--for", "nobody"), "neither an address"),
        (("audit", FINISHED, "--key", "one"), "leave --key out"),
        (("watch", FINISHED, "--wallet", "one", "--once"), "add --public"),
        (("prove", OPEN, "--wallet", "one"), "no sealed round yet"),
        (("verify", OPEN, "0"), "round 0 is not sealed"),
        (("why", "0x12"), "neither an address"),
        (("deploy", "--wallet", "owner", "--from", __file__), "is no deployment file"),
        (("task", "open", "--wallet", "owner", "--aggregator", "0x12:0x34"), "names no party"),
        ((*BY, "--data", "cats"), "'cats' is unknown"),
        ((*BY, "--data", "nowhere:Cats"), "ModuleNotFound"),
        ((*BY, "--data", "json:loads"), "TypeError"),
        ((*BY, "--model", "cats"), "'cats' is unknown"),
        ((*BY, "--alpha", "2"), "from 0 to 1"),
        ((*BY, "--trainers", "4", "--byzantine", "2"), "needs 7"),
        ((*BY, "--pot", "1000000"), "the bounty is"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_what_a_person_can_mend(cli: CliInside, words: tuple[str, ...], says: str) -> None:
    refused(cli, *words, code=5, says=says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("audit", OPEN), "nothing to audit yet: no round of task 2 is sealed"),
        (("audit", OPEN, "--key", "aggregator"), "nothing to audit yet: no round of task 2 is sealed"),
        (("verify", OPEN), "not checked: any round: none is sealed yet"),
        (("watch", OPEN, "--wallet", "one", "--public", "--once"), "nothing was looked at"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_task_without_a_seal_ends_no_command_green(cli: CliInside, words: tuple[str, ...], says: str) -> None:
    assert says in " ".join(cli(*words, code=3).stdout.split())


def test_a_bond_must_be_at_least_one_pot(cli: CliInside) -> None:
    words = (*BY, "--bond", "1")
    refused(cli, *words, code=7, says="bond at least one pot")


def test_a_wrong_password(cli: CliInside, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not it\n")
    words = ("--password-file", str(tmp_path / "wrong"), "trainer", "join", OPEN, "--wallet", "one")
    refused(cli, *words, code=5, says="wrong password")


def test_a_missing_password_file(cli: CliInside, tmp_path: Path) -> None:
    words = ("--password-file", str(tmp_path / "absent"), "trainer", "join", OPEN, "--wallet", "one")
    refused(cli, *words, code=5, says="cannot read the password file")


def test_a_coinless_wallet_is_told_what_it_needs(cli: CliInside) -> None:
    cli("rewards", "claim", FINISHED, "--wallet", "owner", "--fast-forward", "--for", "one")
    refused(cli, "reputation", "record", FINISHED, "--wallet", "poor", code=5, says="fund it")


def test_an_unreachable_node(cli: CliInside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Workspace.__init__.__kwdefaults__, "policy", MINIMAL)
    refused(cli, "--network", "http://127.0.0.1:1", "task", "list", code=6, says="run the same command again")


def test_an_unknown_network_and_store(cli: CliInside) -> None:
    refused(cli, "--network", "moon", "task", "list", code=5, says="'moon' is unknown")
    refused(cli, "--store", "moon", "task", "list", code=5, says="does not name a store")


def test_sepolia_wants_its_end_point(cli: CliInside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FL_PLATFORM_SEPOLIA_URL", raising=False)
    refused(cli, "--network", "sepolia", "task", "list", code=5, says="FL_PLATFORM_SEPOLIA_URL")


def test_an_unreachable_store(cli: CliInside) -> None:
    refused(cli, "--store", "kubo:http://127.0.0.1:1", "task", "show", FINISHED, code=6, says="127.0.0.1:1")


def test_a_chain_that_another_process_holds(cli: CliInside) -> None:
    with connect(NETWORKS["embedded"], folder=cli.folder / "w" / "chain"):
        refused(cli, "task", "list", code=5, says="is held by process")


def test_a_folder_that_cannot_be_written(cli: CliInside) -> None:
    refused(cli, "task", "list", "--json", str(cli.folder / "password" / "x.json"), code=5, says="password")


def test_a_damaged_store_stops_with_4(cli: CliInside) -> None:
    bundle = cli.report("task", "show", FINISHED)["rounds_so_far"][0]["bundle"]
    store = DiskStore(cli.folder / "w" / "store")
    path = store.path_of(store.locate(bytes.fromhex(bundle[2:])))
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        refused(cli, "rewards", "show", FINISHED, code=4, says="")
        audited = cli.report("audit", FINISHED, "--key", "auditor", code=4)
        assert not audited["ok"]
        assert audited["first_difference"]["text"]
        assert "its bundle cannot be read" in cli("why", "one", "--task", FINISHED, code=3).stdout
        path.unlink()
        refused(cli, "rewards", "show", FINISHED, code=4, says="")
    finally:
        path.write_bytes(kept)
    assert cli.report("audit", FINISHED, "--key", "auditor")["ok"]


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_loses_nothing(cli: CliInside) -> None:
    before = cli.report("task", "list")
    words = ("task", "open", "--wallet", "owner", "--rounds", "1", "--title", "after a full disk", *RULES)
    with files_up_to(1024):
        refused(cli, *words, code=4, says="")
    with files_up_to(256):
        refused(cli, "wallet", "new", "--light", "late", code=4, says="free space")
        refused(cli, "wallet", "list", "--json", str(cli.folder / "big.json"), code=4, says="free space")
    assert cli.report("task", "list") == before
    assert "late" not in cli("wallet", "list").stdout
    assert not list((cli.folder / "w").rglob("*.partial"))
    assert cli.report(*words)["task"] == 3
    assert cli("wallet", "new", "--light", "late").returncode == 0


def test_a_json_report_replaces_a_file_whole(cli: CliInside) -> None:
    file = cli.folder / "tasks.json"
    file.write_text("old")
    cli("task", "list", "--json", str(file))
    assert [task["task"] for task in json.loads(file.read_text())][:2] == [1, 2]


def test_doctor_leaves_with_five_where_something_must_be_mended(cli: CliInside) -> None:
    found = {one["about"]: one for one in cli.report("doctor", code=5)}
    assert found["contracts"]["verdict"] == found["wallet one"]["verdict"] == found["store"]["verdict"] == "ok"
    poor = {name for about, one in found.items() if one["verdict"] == "mend" for name in about.split("coin of ")[1:]}
    assert {"poor", "auditor"} <= poor
    cli("wallet", "fund", *poor)
    assert "nothing to mend" in cli("doctor").stdout
