"""The ServerApp of a deployment: a courier between the SuperLink's nodes and the aggregator's process.

The SuperLink starts it as a process of its own. It gets the path of the aggregator's order queue from the run's
configuration (`queue-socket`), and no wallet, password or chain address: those stay with `fl-platform aggregator run`.

Tests: tests/unit/flower/test_deployment.py
"""

from __future__ import annotations

from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from fl_platform.errors import ConfigError
from fl_platform.flower.order_queue import RemoteQueue
from fl_platform.flower.strategy import ChainStrategy

QUEUE_KEY = "queue-socket"


app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Carry orders until the queue closes. Raises ConfigError without one, ProcessAbsent when its process dies."""
    path = context.run_config.get(QUEUE_KEY)
    if not isinstance(path, str) or not path:
        raise ConfigError(f"the run needs --run-config '{QUEUE_KEY}=\"/path/of/the/aggregator's/socket\"'")
    ChainStrategy(courier=RemoteQueue(Path(path))).start(grid, ArrayRecord())
