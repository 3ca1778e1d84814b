"""`join`: nothing is locked before chain, contracts and rules are the invitation's, and a person has said yes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pytest
from click.core import ParameterSource
from rich.console import Console

from fl_platform.cli.common import Options, Session
from fl_platform.cli.demo.federation import STAKE, DemoParties
from fl_platform.cli.join import accept, consequences, earlier_tasks, enter, options_of, orders
from fl_platform.cli.main import cli
from fl_platform.cli.residing import Stay
from fl_platform.errors import ConfigError, DocumentInvalid, FLError, TaskClosed
from fl_platform.learning.machine import CPU
from fl_platform.round import local_trainers, membership
from fl_platform.round.data_choice import Lesson
from fl_platform.task import funding
from fl_platform.task.invitation import Invitation
from fl_platform.task.workspace import Workspace
from tests.support.own_task import TASK
from tests.support.rehearsal import rehearsal, small_settings


@dataclass(frozen=True)
class Invited:
    """A task that is open, a newcomer's session, and an invitation."""

    own: Session
    parties: DemoParties
    invitation: Invitation

    @property
    def wanted(self) -> Stay:
        """How the newcomer would train."""
        return Stay(self.parties.task, Lesson("digits", parts=3), 0, CPU)


@pytest.fixture(scope="module")
def invited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invited]:
    with rehearsal(tmp_path_factory.mktemp("join"), small_settings(rounds=1)) as (workspace, parties):
        signer = workspace.create_wallet("newcomer")
        reader = workspace.reader(parties.task)
        invitation = Invitation(
            task=parties.task, rules=reader.spec.digest, network="embedded", chain_id=reader.domain.chain_id,
            deployment=workspace.deployment_file.read_text(), store="",
        )  # fmt: skip
        yield Invited(Session(workspace, "newcomer", signer), parties, invitation)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"chain_id": 5}, ConfigError, "is chain .* the invitation is for 5"),
        ({"rules": b"\x07" * 32}, DocumentInvalid, "ask its owner which is right"),
        ({"deployment": "{}"}, ConfigError, "join from another --workdir"),
    ],
)
def test_what_is_not_on_chain_is_refused(
    invited: Invited, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        accept(invited.own.workspace, replace(invited.invitation, **changes))  # type: ignore[arg-type]


def test_contracts_of_other_code_are_not_taken_over(invited: Invited, tmp_path: Path) -> None:
    workspace = invited.own.workspace
    elsewhere = Workspace(tmp_path, workspace.network, store=workspace.store, password="x")
    elsewhere.__dict__["chain"] = workspace.chain
    text = invited.invitation.deployment
    address = workspace.deployment().contracts["Escrow"].address.hex()
    swapped = text.replace(address, workspace.deployment().contracts["TaskRegistry"].address.hex())
    assert swapped != text
    with pytest.raises(Exception, match="Escrow"):
        accept(elsewhere, replace(invited.invitation, deployment=swapped))
    assert not elsewhere.deployment_file.exists()
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_joined_without_a_yes_and_everybody_once(invited: Invited, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, out = accept(invited.own.workspace, invited.invitation), Console(quiet=True)
    with pytest.raises(ConfigError, match="run this again with --yes"):
        enter(invited.own, reader, None, out, wanted=invited.wanted, yes=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    with pytest.raises(click.exceptions.Exit):
        enter(invited.own, reader, None, out, wanted=invited.wanted, yes=False)
    members = invited.own.workspace.reader(invited.parties.task).history().members
    assert invited.own.signer.address not in members
    for _ in range(2):
        enter(invited.own, reader, None, out, wanted=invited.wanted, yes=True)
        members = invited.own.workspace.reader(invited.parties.task).history().members
        assert members[invited.own.signer.address] == STAKE


def test_a_model_that_is_not_the_tasks_is_found_before_anybody_is_asked(
    invited: Invited, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Until now the stake was locked first, and the trainer refused to work afterwards."""
    own = Session(invited.own.workspace, "other", invited.own.workspace.create_wallet("other"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: pytest.fail("it asked"))
    reader, out = accept(own.workspace, invited.invitation), Console(quiet=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of_three_columns.py").write_text(TASK)
    for data, says in (("of_three_columns:Mine", "tensor"), ("nowhere:Mine", "cannot make")):
        wanted = Stay(invited.parties.task, Lesson(data), 0, CPU)
        with pytest.raises(FLError, match=says):
            enter(own, reader, None, out, wanted=wanted, yes=False)
    assert own.signer.address not in reader.history().members


ROWS = """
import numpy as np
from fl_platform.learning import Labelled, LearningTask
from fl_platform.learning.models import digits_mlp

class Mine(LearningTask):
    def model(self):
        return digits_mlp()
    def train_data(self):
        return {}
    def validation_data(self):
        return {}
"""


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("open('rows.csv')", "No such file or directory"),
        ("Labelled(np.zeros((9, 5)), np.zeros(9, int))", "the rows have another width"),
        ("Labelled(np.zeros((0, 64)), np.zeros(0, int))", "0 rows"),
        ("Labelled(np.zeros((9, 64)), np.full(9, 12))", "12"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_found_before_a_stake_is_locked(
    invited: Invited, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: str, says: str
) -> None:
    """The page says so; only the model was looked at, and whoever had forgotten its file had locked its stake."""
    name = f"rows_{says.split()[0].lower()}"
    own = Session(invited.own.workspace, name, invited.own.workspace.create_wallet(name))
    reader, out = accept(own.workspace, invited.invitation), Console(quiet=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").write_text(ROWS.format(rows, rows))
    wanted = Stay(invited.parties.task, Lesson(f"{name}:Mine"), 0, CPU)
    with pytest.raises(FLError, match=says):
        enter(own, reader, None, out, wanted=wanted, yes=True)
    assert own.signer.address not in reader.history().members


def test_a_wallet_that_joined_elsewhere_is_told_where_its_node_is(invited: Invited) -> None:
    """What was signed lies there, too: a second receipt for one round costs stake."""
    away = replace(invited.invitation, superlink="127.0.0.1:1", authority="x")
    own = Session(invited.own.workspace, "moved", invited.own.workspace.create_wallet("moved"))
    with pytest.raises(ConfigError, match=r"joined task \d+ from another folder"), orders(
        own, away, invited.wanted, Console(quiet=True)
    ):
        pytest.fail("it works without a key")


def test_nothing_is_spent_or_run_for_what_the_chain_would_refuse(
    invited: Invited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until now faucet tokens were drawn, for gas, after the question and before a closed task was noticed."""
    own = Session(invited.own.workspace, "late", invited.own.workspace.create_wallet("late"))
    reader, out = accept(own.workspace, invited.invitation), Console(quiet=True)
    monkeypatch.setattr(funding, "draw_missing", lambda *_, **__: pytest.fail("it spent"))
    monkeypatch.setattr(local_trainers, "one_trainer", lambda *_, **__: pytest.fail("it ran code"))
    with pytest.raises(ConfigError, match="under the task's least"):
        enter(own, reader, 1, out, wanted=invited.wanted, yes=True)
    monkeypatch.setattr(membership, "WORKING", ())
    with pytest.raises(TaskClosed):
        enter(own, reader, None, out, wanted=invited.wanted, yes=True)


def test_an_owner_without_a_past_is_said_to_have_none(invited: Invited) -> None:
    said = earlier_tasks(invited.own.workspace, invited.own.workspace.reader(invited.parties.task))
    assert "no earlier task" in said


def test_what_taking_part_means_is_said_in_numbers(invited: Invited) -> None:
    said = "\n".join(consequences(invited.own.workspace.reader(invited.parties.task), STAKE))
    wanted = ("4,810 integers of 8 bits", "aggregators (1) and auditors (1)", "50 tokens are locked", "100 tokens",
              "5 %", "all of them if you are asked there", "within 1 h")  # fmt: skip
    assert all(words in said for words in wanted)


@pytest.mark.parametrize(
    ("source", "store", "wanted"),
    [
        (ParameterSource.DEFAULT, "", ("anvil", "http://store")),
        (ParameterSource.COMMANDLINE, "disk:/mine", ("http://own:8545", "disk:/mine")),
        (ParameterSource.ENVIRONMENT, "", ("http://own:8545", "http://store")),
        (ParameterSource.DEFAULT_MAP, "", ("http://own:8545", "http://store")),
    ],
)
def test_what_a_person_chose_is_not_the_invitations(
    source: ParameterSource, store: str, wanted: tuple[str, str]
) -> None:
    made = Invitation(1, bytes(32), "anvil", 31337, "{}", "http://store")
    with click.Context(cli) as ctx:
        ctx.set_parameter_source("network", source)
        ctx.set_parameter_source("stores", source if store else ParameterSource.DEFAULT)
        found = options_of(Options(Path("w"), "http://own:8545", store, None), made)
    assert (found.network, found.store) == wanted


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"store": "disk:/home/somebody"}, "is a folder: name it with --store"),
        ({"store": "http://store,disk:../elsewhere"}, "is a folder: name it with --store"),
        ({"network": "http://stranger", "chain_id": 11155111}, "--network sepolia"),
    ],
)
def test_a_strangers_file_chooses_no_folder_and_no_witness(changes: dict[str, object], says: str) -> None:
    made = replace(Invitation(1, bytes(32), "anvil", 31337, "{}", "http://store"), **changes)  # type: ignore[arg-type]
    with click.Context(cli) as ctx:
        for name in ("network", "stores"):
            ctx.set_parameter_source(name, ParameterSource.DEFAULT)
        with pytest.raises(ConfigError, match=says):
            options_of(Options(Path("w"), "embedded", "", None), made)
        for name in ("network", "stores"):
            ctx.set_parameter_source(name, ParameterSource.COMMANDLINE)
        options_of(Options(Path("w"), "sepolia", made.store, None), made)  # who names it means it
