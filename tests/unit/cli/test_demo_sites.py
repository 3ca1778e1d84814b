"""What the demo says of parties that held their rows before: alone, joint, pay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.cli.demo.federation import Settings
from fl_platform.cli.demo.sites import learn_alone
from fl_platform.errors import ConfigError
from fl_platform.learning.evaluation import measure
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.public import PUBLIC
from fl_platform.learning.task import DataTask
from fl_platform.learning.tasks import federate_public
from fl_platform.learning.train import train_locally
from tests.support.rehearsal import small_settings

PLAN = TrainPlan(1, 64, 0.1)


@pytest.fixture(scope="module")
def site() -> DataTask:
    return federate_public(PUBLIC["randhie"], parties=6, seed=1).parties[5]


def settings(**changes: object) -> Settings:
    return small_settings(**({"data": "randhie", "trainers": 6, "attacks": (), "partition": ""} | changes))


def test_one_round_alone_is_one_training_from_the_initial_model(site: DataTask) -> None:
    initial = initial_state(site.factory, seed=1)
    once = train_locally(site, initial, plan=PLAN, seed=4).delta
    alone = learn_alone(site, initial, PLAN, 1, seed=4)
    for name, start in initial.items():
        np.testing.assert_array_equal(alone[name], start + once[name])


def test_more_rounds_learn_more_by_the_task_s_schedule_and_no_server_s_algorithm(site: DataTask) -> None:
    initial = initial_state(site.factory, seed=1)
    values = [measure(site, learn_alone(site, initial, PLAN, rounds, seed=4)).value for rounds in (1, 4)]
    assert 0.55 < values[0] < values[1] < 0.7
    plain, slower, corrected = (
        learn_alone(site, initial, replace(PLAN, **change), 2, seed=4)["weight"]
        for change in ({}, {"schedule": "linear"}, {"algorithm": "scaffold"})
    )
    assert not np.array_equal(plain, slower)
    assert np.array_equal(plain, corrected)


def test_rows_stay_with_their_parties_unless_somebody_deals_them() -> None:
    assert settings().natural
    assert settings(partition="natural").natural
    assert not settings(partition="iid").natural
    assert not small_settings(partition="").natural


def test_a_model_of_other_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="randhie-logistic"):
        federate_public(PUBLIC["randhie"], parties=6, model="digits-mlp")
