"""Runs and metrics that MLflow's own client reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from fl_platform.errors import ConfigError
from fl_platform.sinks.mlflow import EXPERIMENT, Tracking
from tests.support.records import learned, sealed


@pytest.mark.parametrize("write_uri", [str, Path.as_uri], ids=["folder", "file address"])
def test_metrics_come_back_from_a_folder(tmp_path: Path, write_uri) -> None:  # type: ignore[no-untyped-def]
    place = tmp_path / "runs"
    sink = Tracking(write_uri(place))
    for number in range(3):
        sink.write(learned(number, loss_last=1.0 / (number + 1)))
    sink.write(sealed(0, code='un"kind {code}'))
    sink.close()
    client = MlflowClient(tracking_uri=place.as_uri())
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = {run.data.tags["role"]: run for run in client.search_runs([experiment.experiment_id])}
    trainer, aggregator = runs["trainer"], runs["aggregator"]
    assert (trainer.info.run_name, trainer.info.status) == ("task 1 trainer alice", "FINISHED")
    history = client.get_metric_history(trainer.info.run_id, "loss_last")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1.0 / 3)]
    assert history[0].timestamp == 1_800_000_000_500
    assert aggregator.data.metrics["refused/un_kind__code_"] == 1.0
    assert aggregator.data.metrics["in_sum"] == 6.0


def test_an_address_that_would_need_more_than_the_package_is_refused() -> None:
    with pytest.raises(ConfigError, match="use a folder, or an address of http, https, file"):
        Tracking("sqlite:///runs.db")


def test_a_password_in_an_address_is_not_shown() -> None:
    assert Tracking("https://ann:secret@tracking.example:8443/ml").where == "mlflow:https://tracking.example:8443/ml"
    with pytest.raises(ConfigError) as caught:
        Tracking("postgresql://ann:secret@tracking.example/ml")
    assert "secret" not in str(caught.value)
