"""Records as MLflow metrics, the round as step: experiment `fl-platform`, a run for each process, task, role, party."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from fl_platform.errors import ConfigError
from fl_platform.sinks.record import Record

EXPERIMENT = "fl-platform"
# MLflow takes these from its environment alone. Set only where the user has not: no telemetry, a folder as the user
# asked for (MLflow maintains it no more, yet reads and writes it), and a server that is away is given up in seconds.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_SCHEMES = ("http", "https", "file")


class Tracking:
    """Writes through MLflow's client, which is imported here and takes a second of CPU."""

    def __init__(self, uri: str) -> None:
        """Load the package and check the address; nothing is contacted. Raises ImportError, ConfigError."""
        scheme = re.match(r"([a-z][a-z0-9+.-]*)://", uri)
        if scheme is not None and scheme[1] not in _SCHEMES:
            raise ConfigError(f"MLflow at {scheme[0]}: use a folder, or an address of {', '.join(_SCHEMES)}")
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self.where = "mlflow:" + re.sub(r"(?<=://)[^/@]*@", "", uri)  # shown and logged: without name and password
        self._metric: Any = Metric
        self._client: Any = MlflowClient(tracking_uri=uri if scheme else Path(uri).absolute().as_uri())
        self._runs: dict[tuple[int, str, str], str] = {}  # -> run id

    def write(self, record: Record) -> None:
        """Log one batch; makes experiment and run when they are first needed. Raises what MLflow raises."""
        moment = int(record.time * 1000)  # milliseconds
        metrics = [
            self._metric(named.path.replace("?", "_"), named.number, moment, record.round)
            for named in record
            if not named.metric.text
        ]
        self._client.log_batch(self._run(record), metrics=metrics)

    def close(self) -> None:
        """End the runs. Raises what MLflow raises."""
        while self._runs:
            self._client.set_terminated(self._runs.popitem()[1])

    def _run(self, record: Record) -> str:
        key = (record.task, record.role, record.who)
        if key not in self._runs:
            found = self._client.get_experiment_by_name(EXPERIMENT)
            experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
            name = " ".join(filter(None, (f"task {record.task}", record.role, record.who)))
            tags = {"task": str(record.task), "role": record.role, "who": record.who}
            self._runs[key] = self._client.create_run(experiment, run_name=name, tags=tags).info.run_id
        return self._runs[key]
