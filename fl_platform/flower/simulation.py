"""Rounds in Flower's own simulation engine (Ray): every virtual node is the SuperNode of one trainer.

The trainers stay in the calling process, each behind its own socket, exactly as in a deployment; Ray's workers run the
thin ClientApp, load no torch and hold no key. `simulation_transport` is a transport for `Aggregator.run`.

Tests: tests/unit/flower/test_deployment.py
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from fl_platform.errors import ConfigError, FLError
from fl_platform.flower.deployment import SuperLink, courier_run, run_status, superlink
from fl_platform.flower.keys import create_certificates
from fl_platform.flower.order_queue import OrderQueue
from fl_platform.flower.server_app import QUEUE_KEY
from fl_platform.flower.simulated_app import SOCKETS_KEY
from fl_platform.flower.trainer_server import Answering, serve, serve_trainer

logger = logging.getLogger(__name__)

SIMULATED_CLIENT = "fl_platform.flower.simulated_app:app"
_WATCH_S = 15.0  # how often to ask whether the engine still runs; each question starts a process


def ray_environment() -> dict[str, str]:
    """Return what Ray must find when it starts."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # "No cluster": without it Ray listens on every interface, and whoever reaches its ports runs code here.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Any user of this machine reaches loopback; only this run's processes know the token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@contextlib.contextmanager
def simulation_transport(
    trainers: Sequence[Answering], *, timeout_s: int = 600, workers: int = 1
) -> Iterator[OrderQueue]:
    """Run Flower's simulation with one virtual node per trainer while the block runs; yields the transport.

    timeout_s: for one order over all trainers; workers: Ray workers, that is, orders under way at a time (training
    itself takes one trainer at a time, since torch's random state is shared).
    Raises ConfigError when the extra `sim` is not installed, ProcessAbsent when Flower does not start.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("Flower's simulation needs Ray: pip install 'fl-platform[sim]'")
    orders = OrderQueue(timeout_s=timeout_s, members=None, nodes=len(trainers), connect_s=120)
    one_at_a_time = threading.Lock()
    with (
        tempfile.TemporaryDirectory(prefix="flp-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        for index, trainer in enumerate(trainers):
            stack.enter_context(serve_trainer(trainer, folder / f"{index}.sock", lock=one_at_a_time))
        stack.callback(serve(folder / "orders", orders.handle, lock=contextlib.nullcontext()).stop)
        link = stack.enter_context(
            superlink(folder, create_certificates(folder), simulated=True, environment=ray_environment())
        )
        settings = {QUEUE_KEY: str(folder / "orders"), SOCKETS_KEY: str(folder)}
        nodes = (f"num-supernodes={len(trainers)}", f"init-args-num-cpus={workers}", "client-resources-num-cpus=1")
        run_id = stack.enter_context(courier_run(link, folder, settings, client=SIMULATED_CLIENT, simulation=nodes))
        stack.enter_context(_watched(link, run_id, orders, folder))
        yield orders


@contextlib.contextmanager
def _watched(link: SuperLink, run_id: int, orders: OrderQueue, folder: Path) -> Iterator[None]:
    """Close the order queue when the engine dies, so that an aggregator that waits for it hears of it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_S):
            try:
                status = run_status(link, run_id)
            except FLError as error:
                status = f"unknown ({type(error).__name__})"
            if not over.is_set() and not status.startswith(("starting", "running", "pending")):
                logger.error("Flower's simulation is %s; see %s", status, folder / "superlink.log")
                orders.close(f"Flower's simulation is {status}")
                return

    watcher = threading.Thread(target=watch, name="flower-simulation", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        orders.close()
        watcher.join()
