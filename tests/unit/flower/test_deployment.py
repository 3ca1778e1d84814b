"""What can be said of a deployment without starting one; tests/e2e starts one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fl_platform.errors import ConfigError
from fl_platform.flower import deployment
from fl_platform.flower.deployment import APP_PROJECT, flower_environment
from fl_platform.flower.server_app import DESK_KEY, main


def test_the_apps_components_exist() -> None:
    components = tomllib.loads(APP_PROJECT)["tool"]["flwr"]["app"]["components"]
    for name, kind in (("serverapp", ServerApp), ("clientapp", ClientApp)):
        module, _, attribute = components[name].partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), kind)


def test_the_run_configuration_names_the_desk() -> None:
    assert tomllib.loads(APP_PROJECT)["tool"]["flwr"]["app"]["config"] == {DESK_KEY: ""}


def test_flowers_processes_are_quiet_and_find_this_package(tmp_path: Path) -> None:
    environment = flower_environment(tmp_path)
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert 0.25 <= float(environment["FLWR_SUPEREXEC_TASK_POLL_INTERVAL"]) <= 1
    assert environment["FLWR_HOME"] == str(tmp_path)
    code = "import fl_platform, shutil; print(fl_platform.__file__, shutil.which('flwr'))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    package, command = result.stdout.split()
    assert Path(package).is_file()
    assert os.access(command, os.X_OK)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ConfigError, match="flower-nothing is not installed"):
        deployment._program("flower-nothing")


@pytest.mark.parametrize("config", [{}, {DESK_KEY: ""}, {DESK_KEY: 3}])
def test_a_run_without_a_desk_is_refused(config: dict[str, str | int]) -> None:
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=dict(config))
    with pytest.raises(ConfigError, match="--run-config"):
        main(None, context)  # type: ignore[arg-type]
