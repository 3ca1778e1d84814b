"""The thin ClientApp of Flower's simulation, where one machine plays all nodes and a node has no configuration.

Virtual node i speaks for the trainer at the socket `i.sock` in the folder that the run's configuration names. For
simulation only: on a real SuperNode its owner, not the run, must name the socket.

Tests: tests/unit/flower/test_deployment.py
"""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context

from fl_platform.errors import ConfigError
from fl_platform.flower.client_app import make_client_app

SOCKETS_KEY = "trainer-sockets"


def socket_of_partition(context: Context) -> Path:
    """Return the socket of the trainer that a virtual node speaks for. Raises ConfigError outside a simulation."""
    folder, partition = context.run_config.get(SOCKETS_KEY), context.node_config.get("partition-id")
    if not isinstance(folder, str) or not folder or not isinstance(partition, int):
        raise ConfigError(
            f"{__name__} works in Flower's simulation only, with {SOCKETS_KEY} in the run's configuration"
        )
    return Path(folder) / f"{partition}.sock"


app = make_client_app(socket_of_partition)
