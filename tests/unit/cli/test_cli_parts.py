"""A task on data that come in parts, by command line: who is expected, what is learned, whose rows a part is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.config import NETWORKS
from fl_platform.learning.task import rows_in_memory
from fl_platform.round.data_choice import Lesson, hands
from fl_platform.round.local_trainers import one_trainer
from fl_platform.task.workspace import Workspace
from tests.support.cli import PASSWORD, CliInside


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CliInside:
    """A folder with an open task on the health insurance experiment and one trainer."""
    made = CliInside(tmp_path_factory.mktemp("parts"))
    made("wallet", "new", "--light", "owner", "site")
    made("deploy", "--wallet", "owner")
    made("wallet", "fund", "owner", "site", "--tokens", "100")
    made(
        "task", "open", "--wallet", "owner", "--data", "randhie", "--model", "randhie-mlp", "--rounds", "1", "--pot",
        "10", "--aggregator", "owner",
    )  # fmt: skip
    made("trainer", "join", "1", "--wallet", "site")
    return made


def test_a_task_expects_as_many_as_there_are_parts_and_sums_what_all_send(cli: CliInside) -> None:
    rules = cli.report("task", "show", "1")["rules"]
    assert rules["title"] == "randhie, 6 trainers"
    assert rules["model"]["name"] == "randhie-mlp"
    assert rules["aggregation"]["selection"] == "mean"


def test_a_trainer_s_part_is_its_site_and_never_a_share_of_all(cli: CliInside) -> None:
    with Workspace(Path(cli.folder) / "w", NETWORKS["embedded"], password=PASSWORD, light=True) as workspace:
        lesson = Lesson("", parts=6)
        learning = one_trainer(workspace, "site", 1, lesson, index=3)._learning
        owner = one_trainer(workspace, "owner", 1, Lesson(""), index=None)._learning
    sites = [rows_in_memory(one) for one in hands(Lesson("randhie", parts=6))]
    assert rows_in_memory(learning).x.tobytes() == sites[3].x.tobytes()
    assert len(rows_in_memory(owner)) + sum(map(len, sites)) + len(owner.validation_data()) == 20_190  # type: ignore[arg-type]
    error = cli("trainer", "run", "1", "--wallet", "site", "--part", "2/4", code=5).stderr
    assert "come in 6 parts, not 4" in error
