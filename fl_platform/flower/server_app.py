"""The ServerApp of a deployment: a courier between the SuperLink's nodes and the aggregator's process.

The SuperLink starts it as a process of its own. It gets the path of the aggregator's desk from the run's configuration
(`desk-socket`), and no wallet, password or chain address: those stay with `fl-platform aggregator run`.
"""

from __future__ import annotations

from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from fl_platform.errors import ConfigError
from fl_platform.flower.desk import RemoteDesk
from fl_platform.flower.strategy import ChainStrategy

DESK_KEY = "desk-socket"


app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Carry orders until the desk closes. Raises ConfigError without a desk, ProcessAbsent when its process dies."""
    path = context.run_config.get(DESK_KEY)
    if not isinstance(path, str) or not path:
        raise ConfigError(f"the run needs --run-config '{DESK_KEY}=\"/path/of/the/aggregator's/socket\"'")
    ChainStrategy(courier=RemoteDesk(Path(path))).start(grid, ArrayRecord())
