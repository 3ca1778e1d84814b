"""Any Flower strategy as the sum of a task that says `exact = false`.

The aggregator has decoded and admitted the updates; the inner strategy gets them as if they came from Flower clients,
with the platform's weights in the place of the example counts that Flower clients declare themselves. Float arithmetic
in the strategy's own order makes the audit of such a task a comparison within a tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fl_platform.errors import ConfigError, NotEnoughTrainers
from fl_platform.flower.identity import flower_identity

FloatUpdate = dict[str, NDArray[np.float32]]  # tensor name -> float32 array, in the model spec's order
Run = Any  # flwr.supercore.run.Run is not part of Flower's public surface
_MOST_QUESTIONS = 4  # a strategy that asks for the nodes again and again is waiting, one second each time, for ever
WEIGHT_KEY = "num-examples"  # the default of every strategy in flwr.serverapp


def combine_floats(
    inner: Strategy, server_round: int, *, parent: FloatUpdate, updates: list[FloatUpdate], weights: list[int]
) -> FloatUpdate:
    """Return the new model that `inner` makes of the admitted updates.

    parent: the model that everybody trained from; updates: decoded deltas (same names and shapes), in roster order;
    weights: the platform's, one positive integer each. Raises NotEnoughTrainers when the strategy returns no model and
    ConfigError when it changes names or shapes.
    """
    if not updates or len(updates) != len(weights) or min(weights) <= 0:
        raise NotEnoughTrainers(f"{len(updates)} updates with {len(weights)} positive weights cannot be combined")
    with flower_identity():
        # Strategies with a server optimizer remember the parent here; the messages they make go nowhere.
        orders = list(inner.configure_train(server_round, _record(parent), ConfigRecord(), _AdmittedGrid(len(updates))))
        order_of = {order.metadata.dst_node_id: order for order in orders}
        replies = []
        for node_id, (update, weight) in enumerate(zip(updates, weights, strict=True), start=1):
            order = order_of.get(node_id) or Message(RecordDict(), node_id, "train")
            arrays = _record({name: parent[name] + update[name] for name in parent})
            content = RecordDict({"arrays": arrays, "metrics": MetricRecord({WEIGHT_KEY: float(weight)})})
            replies.append(Message(content, reply_to=order))
        model, _ = inner.aggregate_train(server_round, replies)
    if model is None:
        raise NotEnoughTrainers(f"{type(inner).__name__} made no model of {len(updates)} updates; see its minimum")
    return _checked(inner, parent, model)


def _record(tensors: FloatUpdate) -> ArrayRecord:
    return ArrayRecord({name: Array(tensor) for name, tensor in tensors.items()})


def _checked(inner: Strategy, parent: FloatUpdate, arrays: ArrayRecord) -> FloatUpdate:
    model = {name: np.asarray(array.numpy(), dtype=np.float32) for name, array in arrays.items()}
    if list(model) != list(parent) or any(model[name].shape != parent[name].shape for name in parent):
        raise ConfigError(f"{type(inner).__name__} changed the model's tensors; it cannot be wrapped")
    if not all(np.isfinite(tensor).all() for tensor in model.values()):
        raise ConfigError(f"{type(inner).__name__} made a model with NaN or infinity")
    return model


class _AdmittedGrid(Grid):
    """A grid of the admitted trainers, which are connected by definition and are sent nothing."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._asked = 0

    def get_node_ids(self) -> Iterable[int]:
        """Return one node id per update. Raises NotEnoughTrainers when the strategy waits for more than there are."""
        self._asked += 1
        if self._asked > _MOST_QUESTIONS:
            raise NotEnoughTrainers(f"the wrapped strategy waits for more than the {self._count} admitted trainers")
        return range(1, self._count + 1)

    def set_run(self, run: Run) -> None:
        """Not part of any run."""
        raise NotImplementedError

    @property
    def run(self) -> Run:
        """Not part of any run."""
        raise NotImplementedError

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message that goes nowhere."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send nothing."""
        return []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Receive nothing."""
        return []

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send and receive nothing."""
        return []
