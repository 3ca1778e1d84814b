"""ChainStrategy: a Flower strategy whose rounds are the chain's, not the ServerApp's.

It fetches the aggregator's orders from an order queue, sends each to the members' nodes, and brings the answers back.
What counts (admission, weights, scores, the sum, the seal) happens at the aggregator, in integers. A standard round is
one order (`train.commit`), a strict one two (`train.commit`, the roster on chain, `train.reveal`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result, Strategy

from fl_platform.errors import DocumentInvalid
from fl_platform.flower.inexact import FloatUpdate, combine_floats
from fl_platform.flower.order_queue import ANYONE, Closed, Courier, Job
from fl_platform.flower.wire import COMMIT, pack_body, unpack_body
from fl_platform.protocol.messages import RoundOrder, decode_message

logger = logging.getLogger(__name__)

_CONNECT_POLL_S = 0.5
ModelSource = Callable[[bytes], ArrayRecord]  # content root of a sealed model -> its arrays


@dataclass(frozen=True)
class Delivery:
    """What came of one order."""

    asked: int  # nodes the order was sent to
    answered: int  # answers brought to the aggregator
    refused: int  # errors, refusals, malformed replies, replies from nodes that were not asked

    def and_again(self, more: Delivery) -> Delivery:
        """Return both: the missing nodes were asked again with the same order."""
        return Delivery(max(self.asked, more.asked), self.answered + more.answered, self.refused + more.refused)


class ChainStrategy(Strategy):
    """A courier in the shape of a Flower strategy, around any other one."""

    def __init__(
        self, inner: Strategy | None = None, *, courier: Courier, model_source: ModelSource | None = None
    ) -> None:
        """Wrap a strategy.

        inner: the strategy of the task (FedAvg when None). An exact task's sum is the aggregator's integer arithmetic,
            and the inner strategy only names it; in an inexact task the aggregator calls `combine`.
        courier: where orders come from and answers go: an OrderQueue in this process, or a RemoteQueue.
        model_source: reads a sealed model for Flower's own evaluation and result; None to leave those empty.
        """
        self.inner = inner if inner is not None else FedAvg()
        self._courier = courier
        self._model_source = model_source
        self._grid: Grid | None = None
        self._timeout_s: float | None = None
        self._job: Job | None = None  # fetched and not yet answered
        self._trainer_of: dict[int, bytes] = {}  # of the nodes that were asked
        self._closed: Closed | None = None

    def summary(self) -> None:
        """Log what is wrapped."""
        logger.info("orders come from the chain's aggregator; the wrapped strategy is %s", type(self.inner).__name__)

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 65_535,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Carry orders until the aggregator closes the order queue, or for `num_rounds` rounds.

        As Strategy.start, but the number of rounds is the task's and each order brings its own time-out; `timeout` is
        only an upper bound on it. Clients are never asked to evaluate: worth is measured by the aggregator's rule.
        """
        self._timeout_s = timeout
        config = ConfigRecord() if train_config is None else train_config
        result, arrays = Result(), initial_arrays
        self._evaluate(evaluate_fn, 0, arrays, result)
        self.summary()
        for current in range(1, num_rounds + 1):
            messages = list(self.configure_train(current, arrays, config, grid))
            if self._closed is not None:
                break
            replies = self._send(grid, messages)
            new_arrays, metrics = self.aggregate_train(current, replies)
            if metrics is not None:
                result.train_metrics_clientapp[current] = metrics
            if new_arrays is not None:
                arrays = result.arrays = new_arrays
                self._evaluate(evaluate_fn, current, arrays, result)
        return result

    @staticmethod
    def _evaluate(
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None,
        current: int,
        arrays: ArrayRecord,
        result: Result,
    ) -> None:
        metrics = evaluate_fn(current, arrays) if evaluate_fn is not None and len(arrays) else None
        if metrics is not None:
            result.evaluate_metrics_serverapp[current] = metrics

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Wait for the aggregator's next order and return it as one message for each member's node.

        `arrays` and `config` are not sent: the order names the parent model by digest, the store has it. Returns no
        message when the aggregator needs no courier any more.
        """
        self._grid = grid
        job = self._next_job()
        return [] if job is None else self._messages(job, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Bring the answers to the aggregator, ask who is missing again, carry reveals, wait for the sealed model.

        Replies may be missing, late, errors or anything else, in any order; each is one trainer's problem only. Any
        example count that a reply declares is ignored: weights are the chain's stakes.
        """
        if self._job is None:
            return None, None
        order = self._job.order
        delivery = self._deliver(self._job, replies)
        following = self._next_job()
        while following is not None and self._grid is not None:
            if following.kind == COMMIT and following.order != order:
                break
            more = self._deliver(following, self._send(self._grid, self._messages(following, self._grid)))
            if following.kind == COMMIT:
                delivery = delivery.and_again(more)
            following = self._next_job()
        metrics = MetricRecord({"asked": delivery.asked, "answered": delivery.answered, "refused": delivery.refused})
        return self._sealed_model(following), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nobody: a client's own claim about a model is neither paid nor believed."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing was asked, so there is nothing to aggregate."""
        return None

    def combine(
        self, server_round: int, parent: FloatUpdate, updates: list[FloatUpdate], weights: list[int]
    ) -> FloatUpdate:
        """Return the inner strategy's new model, for tasks that say `exact = false` (see `inexact.combine_floats`)."""
        return combine_floats(self.inner, server_round, parent=parent, updates=updates, weights=weights)

    # --- carrying one order --------------------------------------------------------------------------------------

    def _next_job(self) -> Job | None:
        """Return the order in hand or wait for the next one; None when the order queue is closed."""
        while self._job is None and self._closed is None:
            answer = self._courier.next_job()
            if isinstance(answer, Closed):
                logger.info("the aggregator closed its order queue: %s", answer.reason)
                self._closed = answer
            else:
                self._job = answer
        return self._job

    def _messages(self, job: Job, grid: Grid) -> list[Message]:
        """Return one message for each node that may answer, and remember which trainer each node speaks for."""
        deadline = time.monotonic() + job.connect_s
        while len(nodes := _eligible(job, grid)) < job.nodes and time.monotonic() < deadline:
            time.sleep(_CONNECT_POLL_S)
        if len(nodes) < job.nodes:
            logger.warning("order %s %s: %d of %d nodes are connected", job.group, job.kind, len(nodes), job.nodes)
        self._trainer_of = nodes
        # A node that comes back after the time-out must not train for a round that is over: hence the time to live.
        return [
            Message(pack_body(job.order), node_id, job.kind, ttl=float(job.timeout_s), group_id=job.group)
            for node_id in sorted(nodes)
        ]

    def _send(self, grid: Grid, messages: list[Message]) -> Iterable[Message]:
        if not messages or self._job is None:
            return []
        timeout = float(self._job.timeout_s)
        return grid.send_and_receive(
            messages, timeout=timeout if self._timeout_s is None else min(timeout, self._timeout_s)
        )

    def _deliver(self, job: Job, replies: Iterable[Message]) -> Delivery:
        """Bring the answers of one order to the order queue, at most one from each node that was asked."""
        open_nodes = dict(self._trainer_of)
        answered = refused = 0
        for reply in replies:
            trainer = open_nodes.pop(reply.metadata.src_node_id, None)
            try:
                if trainer is None:
                    raise DocumentInvalid("it was not asked, or has answered already")
                self._courier.bring(job.number, trainer, unpack_body(reply))
                answered += 1
            except DocumentInvalid as error:
                refused += 1
                logger.warning("node %d, order %s %s: %s", reply.metadata.src_node_id, job.group, job.kind, error)
        self._courier.done(job.number)
        self._job = None
        return Delivery(asked=len(self._trainer_of), answered=answered, refused=refused)

    def _sealed_model(self, following: Job | None) -> ArrayRecord | None:
        """Return the model that the following order trains from, which is the one just sealed."""
        if self._model_source is None or following is None:
            return None
        order = decode_message(following.order, expected=RoundOrder)
        return self._model_source(order.parent) if isinstance(order, RoundOrder) else None


def _eligible(job: Job, grid: Grid) -> dict[int, bytes]:
    """Return the connected nodes that may answer, each with the trainer that it speaks for.

    Flower's own samplers take every connected node; here only nodes whose key a member has signed for are asked.
    """
    nodes = list(grid.get_nodes())
    if not job.bound:
        return {node.node_id: ANYONE for node in nodes}
    trainer_of = {member.node_key: member.trainer for member in job.members}
    keys = {node.node_id: hashlib.sha256(node.public_key).digest() for node in nodes}
    return {node_id: trainer_of[key] for node_id, key in keys.items() if key in trainer_of}
