"""What can be said of a deployment without starting one; tests/e2e starts one."""

from __future__ import annotations

import importlib
import os
import select
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fl_platform.errors import ConfigError, ProcessAbsent
from fl_platform.flower import deployment, processes
from fl_platform.flower.deployment import DEPLOYED_CLIENT, app_project, kept_superlink
from fl_platform.flower.keys import create_certificates
from fl_platform.flower.processes import await_port, find_program, flower_environment, free_port, running
from fl_platform.flower.server_app import QUEUE_KEY, main
from fl_platform.flower.simulated_app import SOCKETS_KEY, socket_of_partition
from fl_platform.flower.simulation import SIMULATED_CLIENT, ray_environment
from tests.support.cli import ROOT


@pytest.mark.parametrize("client", [DEPLOYED_CLIENT, SIMULATED_CLIENT])
def test_the_apps_components_exist(client: str) -> None:
    components = tomllib.loads(app_project(client))["tool"]["flwr"]["app"]["components"]
    for name, kind in (("serverapp", ServerApp), ("clientapp", ClientApp)):
        module, _, attribute = components[name].partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), kind)


def test_the_run_configuration_names_the_desk() -> None:
    assert tomllib.loads(app_project())["tool"]["flwr"]["app"]["config"] == {QUEUE_KEY: ""}


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
        find_program("flower-nothing")


@pytest.mark.parametrize("config", [{}, {QUEUE_KEY: ""}, {QUEUE_KEY: 3}])
def test_a_run_without_a_desk_is_refused(config: dict[str, str | int]) -> None:
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=dict(config))
    with pytest.raises(ConfigError, match="--run-config"):
        main(None, context)  # type: ignore[arg-type]


@pytest.mark.parametrize("own_session", [False, True])
def test_a_program_ends_with_all_it_started(tmp_path: Path, own_session: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's programs leave SuperExec and apps behind, some in sessions of their own."""
    monkeypatch.setattr(processes, "LINGER_S", 0.5)
    child = "import time; time.sleep(60)"
    script = f"""if True:
        import subprocess, sys, time
        p = subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session={own_session})
        print(p.pid, flush=True)
        time.sleep(60)
    """
    log = tmp_path / "log"
    with running([sys.executable, "-c", script], log=log, environment=os.environ) as process:
        while not log.read_text().strip():
            assert process.poll() is None
        pid = int(log.read_text())
        child_end = os.pidfd_open(pid)
    assert process.poll() is not None
    # A killed process runs no more, but on a busy machine the kernel may still be taking it apart: wait for its end.
    ended, _, _ = select.select([child_end], [], [], 30.0)
    os.close(child_end)
    assert ended


def test_a_program_ends_with_who_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    """An aggregator that outlives a killed `up` works on against the next one, with the same wallet."""
    log = tmp_path / "log"
    script = f"""if True:
        import os, sys, time
        from pathlib import Path
        from fl_platform.flower.processes import running
        child = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
        with running(child, log=Path({str(log)!r}), environment=os.environ):
            time.sleep(60)
    """
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    while not log.exists() or not log.read_text().strip():
        assert starter.poll() is None
    child_end = os.pidfd_open(int(log.read_text()))
    starter.kill()
    starter.wait()
    ended, _, _ = select.select([child_end], [], [], 30.0)
    os.close(child_end)
    assert ended


def test_a_superlink_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has forgotten nodes and runs: whoever uses it must see that."""
    script = f"""if True:
        import os, socket, sys
        with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
            open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
            while True:
                listener.accept()[0].close()
    """
    ended: list[int] = []
    monkeypatch.setattr(
        deployment, "_superlink", lambda _, __, port: ([sys.executable, "-c", script, str(port)], dict(os.environ))
    )
    with kept_superlink(tmp_path, create_certificates(tmp_path), ended=ended.append) as link:
        assert link.starts() == 1
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while link.starts() == 1 and time.monotonic() < deadline:
            pass
        assert (link.starts(), ended) == (2, [-signal.SIGKILL])


def test_a_program_that_dies_at_its_start_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        running([sys.executable, "-c", "print('no licence')"], log=log, environment=os.environ) as process,
        pytest.raises(ProcessAbsent, match="no licence"),
    ):
        await_port(free_port(), process, log=log)


def test_ray_stays_on_this_machine() -> None:
    environment = ray_environment()
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN"] != ray_environment()["RAY_AUTH_TOKEN"]


def test_a_virtual_node_finds_its_trainer(tmp_path: Path) -> None:
    context = Context(1, 7, {"partition-id": 3}, RecordDict(), {SOCKETS_KEY: str(tmp_path)})
    assert socket_of_partition(context) == tmp_path / "3.sock"


@pytest.mark.parametrize("node_config", [{}, {"partition-id": "3/../../x"}])
@pytest.mark.parametrize("run_config", [{}, {SOCKETS_KEY: ""}])
def test_the_simulated_app_works_in_simulation_only(node_config: dict[str, str], run_config: dict[str, str]) -> None:
    context = Context(1, 7, dict(node_config), RecordDict(), dict(run_config))
    with pytest.raises(ConfigError, match="simulation only"):
        socket_of_partition(context)
