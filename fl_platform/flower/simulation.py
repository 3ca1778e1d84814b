"""Rounds in Flower's own simulation engine (Ray): every virtual node is the SuperNode of one trainer.

The trainers stay in the calling process, each behind its own socket, exactly as in a deployment; Ray's workers run the
thin ClientApp, load no torch and hold no key. `simulation_transport` is a transport for `Aggregator.run`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context

from fl_platform.errors import ConfigError
from fl_platform.flower.client_app import make_client_app
from fl_platform.flower.desk import OrderDesk
from fl_platform.flower.resident import Answering, serve_trainer
from fl_platform.flower.server_app import make_server_app

logger = logging.getLogger(__name__)

# Read by flwr and ray when they start: no telemetry, no look for updates, no dashboard, nothing outside loopback.
QUIET_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # "No cluster": without it Ray listens on every interface, and whoever reaches its ports runs code here.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_OBJECT_STORE_BYTES = 80 * 1024 * 1024  # Ray's least; orders and answers are kilobytes
_JOIN_S = 60.0


class _SocketOfPartition:
    """Which trainer a virtual node speaks for. A class, because Ray's workers unpickle it by reference."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, context: Context) -> Path:
        return self._folder / f"{context.node_config['partition-id']}.sock"


@contextlib.contextmanager
def simulation_transport(
    trainers: Sequence[Answering], *, timeout_s: int = 600, workers: int = 1
) -> Iterator[OrderDesk]:
    """Run Flower's simulation with one virtual node per trainer while the block runs; yields the transport.

    timeout_s: for one order over all trainers; workers: Ray workers, that is, orders under way at a time (training
    itself takes one trainer at a time, since torch's random state is shared).
    Raises ConfigError when the extra `sim` is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("Flower's simulation needs Ray: pip install 'fl-platform[sim]'")
    desk = OrderDesk(timeout_s=timeout_s, members=None, nodes=len(trainers))
    one_at_a_time = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="flp-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        for index, trainer in enumerate(trainers):
            stack.enter_context(serve_trainer(trainer, folder / f"{index}.sock", lock=one_at_a_time))
        engine = threading.Thread(
            target=_engine, args=(desk, folder, len(trainers), workers), name="flower-simulation", daemon=True
        )
        engine.start()
        try:
            yield desk
        finally:
            desk.close()
            engine.join(_JOIN_S)
            if engine.is_alive():
                logger.warning("Flower's simulation did not stop within %g s", _JOIN_S)


def _engine(desk: OrderDesk, folder: Path, nodes: int, workers: int) -> None:
    """Run the engine until the courier is sent home. A failure closes the desk, so that the aggregator hears of it."""
    try:
        with _environment({**QUIET_ENVIRONMENT, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _ray_token()}):
            # Not at the top: it pulls in much of Flower, and Ray.
            from flwr.simulation import run_simulation

            run_simulation(
                server_app=make_server_app(desk),
                client_app=make_client_app(_SocketOfPartition(folder)),
                num_supernodes=nodes,
                backend_config=_backend_config(workers),
            )
    except Exception as error:
        logger.exception("Flower's simulation failed")
        desk.close(f"Flower's simulation failed: {error}")


@functools.cache
def _ray_token() -> str:
    """Return this process's secret for Ray's ports, which any user of the machine can reach; Ray reads it only once."""
    return secrets.token_hex(32)


def _backend_config(workers: int) -> dict[str, Any]:
    return {
        "init_args": {
            "num_cpus": workers,
            "num_gpus": 0,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "log_to_driver": False,
            "logging_level": logging.WARNING,
            "_node_ip_address": "127.0.0.1",
        },
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that third parties read, and put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
