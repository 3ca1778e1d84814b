"""The aggregator's order queue, open to a SuperLink that somebody runs: its socket, its members, the courier's app.

Tests: tests/e2e/test_cli_flower.py
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.flower.deployment import app_project
from fl_platform.flower.members import members_of
from fl_platform.flower.order_queue import OrderQueue
from fl_platform.flower.server_app import QUEUE_KEY
from fl_platform.flower.trainer_server import serve
from fl_platform.ledger.binding import MAX_BINDING_BYTES, Binding
from fl_platform.store.cid import Cid
from fl_platform.task.reading import TaskReader


@dataclass(frozen=True)
class Counter:
    """the open order queue."""

    orders: OrderQueue  # a transport for `Aggregator.run`
    socket: Path
    command: str  # starts the courier's run on a SuperLink


@contextlib.contextmanager
def serve_queue(reader: TaskReader, socket: Path, *, reference: str | None, timeout_s: int) -> Iterator[Counter]:
    """Serve the order queue at `socket` while the block runs; the courier's app is written beside it.

    reference: CID of the binding of whoever signs row 0; an anchored task needs it.
    Raises ConfigError (no reference, unusable path), CidInvalid, StoreMissing, DocumentInvalid.
    """
    if reference is None and any(reader.spec.reference.address):
        raise ConfigError(
            f"task {reader.task} is anchored: name its owner's binding with --reference-binding (the owner gets it "
            f"from `fl-platform trainer join {reader.task} --reference`)"
        )
    bound = None
    if reference is not None:
        bound = Binding.from_bytes(reader.store.get(Cid.parse(reference), max_bytes=MAX_BINDING_BYTES))
    orders = OrderQueue(timeout_s=timeout_s, members=lambda: members_of(reader, reference=bound))
    path = socket.absolute()
    app = path.parent / "courier"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(app_project(), encoding="utf-8")
    server = serve(path, orders.handle, lock=contextlib.nullcontext())
    try:
        yield Counter(orders, path, f"flwr run {app} SUPERLINK --run-config '{QUEUE_KEY}={json.dumps(str(path))}'")
    finally:
        orders.close()
        server.stop()
