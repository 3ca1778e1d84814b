"""Any Flower strategy as the sum of a task that says `exact = false`.

The aggregator has decoded and admitted the updates; the inner strategy gets them as if they came from Flower clients,
with the platform's weights in the place of the example counts that Flower clients declare themselves. Float arithmetic
in the strategy's own order makes the audit of such a task a comparison within a tolerance.
"""

from __future__ import annotations

import time
from typing import cast

import numpy as np
from flwr.app import DEFAULT_TTL, Array, ArrayRecord, ConfigRecord, Message, Metadata, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fl_platform.errors import ConfigError, NotEnoughTrainers

FloatUpdate = dict[str, NDArray[np.float32]]  # tensor name -> float32 array, in the model spec's order
_NO_GRID = cast(Grid, None)  # a strategy that samples nobody does not look at it
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
    _show_parent(inner, server_round, parent)
    replies = []
    for node_id, (update, weight) in enumerate(zip(updates, weights, strict=True), start=1):
        arrays = _record({name: parent[name] + update[name] for name in parent})
        content = RecordDict({"arrays": arrays, "metrics": MetricRecord({WEIGHT_KEY: float(weight)})})
        replies.append(Message(content, reply_to=_order(server_round, node_id)))
    model, _ = inner.aggregate_train(server_round, replies)
    if model is None:
        raise NotEnoughTrainers(f"{type(inner).__name__} made no model of {len(updates)} updates; see its minimum")
    return _checked(inner, parent, model)


def _show_parent(inner: Strategy, server_round: int, parent: FloatUpdate) -> None:
    """Let strategies with a server optimizer remember the parent model, as they do when they configure a round.

    Nobody is sampled: the nodes have answered already. (Flower also makes messages to nodes only in its own processes,
    and the aggregator's is not one.)
    """
    sampler = inner
    while isinstance(wrapped := getattr(sampler, "strategy", None), Strategy):
        sampler = wrapped
    fraction = getattr(sampler, "fraction_train", None)
    if fraction is None:
        raise ConfigError(
            f"{type(sampler).__name__} has no fraction_train, so it cannot be wrapped: derive it from FedAvg"
        )
    try:
        sampler.fraction_train = 0.0  # type: ignore[attr-defined]
        inner.configure_train(server_round, _record(parent), ConfigRecord(), _NO_GRID)
    finally:
        sampler.fraction_train = fraction  # type: ignore[attr-defined]


def _order(server_round: int, node_id: int) -> Message:
    """Return the order that a reply seems to answer; it was never sent."""
    metadata = Metadata(
        run_id=1,
        message_id=f"{server_round}/{node_id}",
        src_node_id=1,
        dst_node_id=node_id,
        reply_to_message_id="",
        group_id=str(server_round),
        created_at=time.time(),
        ttl=DEFAULT_TTL,
        message_type="train",
    )
    return Message(content=RecordDict(), metadata=metadata)  # type: ignore[call-overload, no-any-return]


def _record(tensors: FloatUpdate) -> ArrayRecord:
    return ArrayRecord({name: Array(tensor) for name, tensor in tensors.items()})


def _checked(inner: Strategy, parent: FloatUpdate, arrays: ArrayRecord) -> FloatUpdate:
    model = {name: np.asarray(array.numpy(), dtype=np.float32) for name, array in arrays.items()}
    if list(model) != list(parent) or any(model[name].shape != parent[name].shape for name in parent):
        raise ConfigError(f"{type(inner).__name__} changed the model's tensors; it cannot be wrapped")
    if not all(np.isfinite(tensor).all() for tensor in model.values()):
        raise ConfigError(f"{type(inner).__name__} made a model with NaN or infinity")
    return model
