"""Let Flower messages be built outside a Flower process.

Flower 1.41 builds a Message only where its own start-up has set who is speaking. The aggregator's process, which calls
a wrapped strategy for an inexact task, is not one. This is the one place that uses a private part of flwr.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flwr.supercore.task_identity import TaskIdentity

_NAMES = ("_task_id", "_run_id", "_node_id")


@contextlib.contextmanager
def flower_identity() -> Iterator[None]:
    """Be "run 1, node 1" while the block runs, unless this process is somebody for Flower already."""
    unset = [name for name in _NAMES if getattr(TaskIdentity, name) is None]
    for name in unset:
        setattr(TaskIdentity, name, 1)
    try:
        yield
    finally:
        for name in unset:
            setattr(TaskIdentity, name, None)
