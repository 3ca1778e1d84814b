"""ChainStrategy against a grid that loses, delays, doubles and forges replies."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Krum

from fl_platform.flower import order_queue
from fl_platform.flower import strategy as strategy_module
from fl_platform.flower.order_queue import NodeMember, OrderQueue
from fl_platform.flower.strategy import ChainStrategy
from fl_platform.flower.wire import pack_body, pack_refusal, unpack_body
from fl_platform.protocol.messages import Reveal, RevealOrder, RoundOrder, decode_message, encode_message
from fl_platform.protocol.model_spec import ScaleSpec
from tests.support.waiting import waiting_for


@dataclass(frozen=True)
class Node:
    """What grid.get_nodes() shows of a node."""

    node_id: int
    public_key: bytes


Reply = Callable[[Message], list[Message]]


@dataclass
class WildGrid(Grid):
    """A grid whose nodes answer as they like, in random order."""

    nodes: list[Node]
    behaviour: dict[int, Reply]
    asked: list[tuple[str, int]] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)

    def get_nodes(self) -> Iterable[Any]:
        return self.nodes

    def get_node_ids(self) -> Iterable[int]:
        return [node.node_id for node in self.nodes]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        replies: list[Message] = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"m{len(self.sent)}"
            self.sent.append(message)
            self.asked.append((message.metadata.message_type, message.metadata.dst_node_id))
            replies += self.behaviour[message.metadata.dst_node_id](message)
        self.timeouts.append(timeout)
        random.Random(5).shuffle(replies)
        return replies

    def set_run(self, run: Any) -> None: ...

    @property
    def run(self) -> Any: ...

    def create_message(self, *arguments: Any, **named: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError


def trainer(number: int) -> bytes:
    """The address of a trainer."""
    return bytes([number]) * 20


def node(number: int) -> Node:
    """A node with a key of its own."""
    return Node(number, b"-----BEGIN PUBLIC KEY-----\n%d\n" % number)


def member(number: int) -> NodeMember:
    """The binding of that node to that trainer."""
    return NodeMember(hashlib.sha256(node(number).public_key).digest(), trainer(number))


def honest(message: Message) -> list[Message]:
    """Answer a commit by a line of its own, a reveal by a Reveal."""
    number = message.metadata.dst_node_id
    body = b"update of %d" % number
    if message.metadata.message_type == "train.reveal":
        body = encode_message(Reveal(1, 0, trainer(number), (), b""))
    return [Message(pack_body(body), reply_to=message)]


def silent(message: Message) -> list[Message]:
    """Never answer."""
    return []


def crashed(message: Message) -> list[Message]:
    """Answer as Flower does for a ClientApp that raised."""
    return [Message(Error(code=1, reason="boom"), reply_to=message)]


def refusing(message: Message) -> list[Message]:
    """Refuse the order."""
    return [Message(pack_refusal("not my round"), reply_to=message)]


def stock(message: Message) -> list[Message]:
    """Answer as a stock Flower client would: weights and a self-declared example count."""
    arrays = ArrayRecord({"w": Array(np.ones(3, np.float32))})
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 10**9})})
    return [Message(content, reply_to=message)]


def double(message: Message) -> list[Message]:
    """Answer twice."""
    return honest(message) + honest(message)


def impostor(message: Message) -> list[Message]:
    """Answer once, and once as a node that was not asked."""
    forged = honest(message)[0]
    forged.metadata.__dict__["_src_node_id"] = 99
    return [*honest(message), forged]


def order(round_number: int) -> RoundOrder:
    """An order of a round; its parent digest is the round number."""
    return RoundOrder(1, round_number, bytes([round_number]) * 32, ScaleSpec(()), bytes(32))


EVERYBODY = waiting_for(*map(trainer, range(1, 4)))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll often."""
    monkeypatch.setattr(order_queue, "NEXT_WAIT_S", 0.05)
    monkeypatch.setattr(strategy_module, "_CONNECT_POLL_S", 0.01)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where the courier runs while the test is the aggregator."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def carry(pool: ThreadPoolExecutor, orders: OrderQueue, grid: WildGrid, **options: Any) -> Any:
    """Start the courier."""
    return pool.submit(ChainStrategy(courier=orders, **options).start, grid, ArrayRecord())


def bound_queue(*numbers: int, connect_s: int = 0) -> OrderQueue:
    """A order queue whose members are these."""
    return OrderQueue(timeout_s=5, connect_s=connect_s, members=lambda: [member(n) for n in numbers])


def test_only_members_nodes_get_the_order(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([node(n) for n in (1, 2, 3)], dict.fromkeys((1, 2, 3), honest))
    orders = bound_queue(1, 3)
    courier = carry(pool, orders, grid)
    assert sorted(orders.exchange(order(0), EVERYBODY)) == [b"update of 1", b"update of 3"]
    orders.close()
    courier.result(5)
    assert grid.asked == [("train.commit", 1), ("train.commit", 3)]
    message = grid.sent[0]
    assert decode_message(unpack_body(message), expected=RoundOrder) == order(0)
    assert (message.metadata.group_id, message.metadata.ttl) == ("1/0", 5.0)


def test_a_strict_round_is_two_messages(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([node(1), node(2)], {1: honest, 2: honest})
    orders = bound_queue(1, 2)
    courier = carry(pool, orders, grid)
    assert len(list(orders.exchange(order(0), EVERYBODY))) == 2
    reveals = sorted(orders.reveal(RevealOrder(1, 0, bytes(32)), EVERYBODY))
    assert reveals == [encode_message(Reveal(1, 0, trainer(n), (), b"")) for n in (1, 2)]
    assert len(list(orders.exchange(order(1), EVERYBODY))) == 2
    orders.close()
    result = courier.result(5)
    assert [kind for kind, _ in grid.asked] == ["train.commit"] * 2 + ["train.reveal"] * 2 + ["train.commit"] * 2
    assert result.train_metrics_clientapp[1] == MetricRecord({"asked": 2, "answered": 2, "refused": 0})


def test_a_reveal_without_its_commit_is_carried_too(pool: ThreadPoolExecutor) -> None:
    """An aggregator that was killed between the two messages goes on with the second one."""
    grid = WildGrid([node(1)], {1: honest})
    orders = bound_queue(1)
    courier = carry(pool, orders, grid)
    assert len(list(orders.reveal(RevealOrder(1, 0, bytes(32)), EVERYBODY))) == 1
    orders.close()
    courier.result(5)


def test_who_is_missing_is_asked_again_in_the_same_round(pool: ThreadPoolExecutor) -> None:
    """A node whose app crashed the first time; Flower's own count of rounds stays the chain's."""
    grid = WildGrid([node(1), node(2)], {1: honest, 2: crashed})
    orders = bound_queue(1, 2)
    courier = carry(pool, orders, grid)
    assert list(orders.exchange(order(0), EVERYBODY)) == [b"update of 1"]
    grid.behaviour[2] = honest
    missing = waiting_for(trainer(1), trainer(2), answered={trainer(1)})
    assert list(orders.exchange(order(0), missing)) == [b"update of 2"]
    orders.close()
    result = courier.result(5)
    assert grid.asked == [("train.commit", 1), ("train.commit", 2), ("train.commit", 2)]
    assert dict(result.train_metrics_clientapp) == {1: MetricRecord({"asked": 2, "answered": 2, "refused": 1})}


@pytest.mark.parametrize(
    ("behaviour", "answers", "refused"),
    [(silent, 0, 0), (crashed, 0, 1), (refusing, 0, 1), (stock, 0, 1), (double, 1, 1), (impostor, 1, 1)],
)
def test_a_bad_reply_is_one_trainers_problem(
    pool: ThreadPoolExecutor, behaviour: Reply, answers: int, refused: int
) -> None:
    grid = WildGrid([node(n) for n in (1, 2, 3)], {1: honest, 2: behaviour, 3: honest})
    orders = bound_queue(1, 2, 3)
    courier = carry(pool, orders, grid)
    got = sorted(orders.exchange(order(0), EVERYBODY))
    assert got == sorted([b"update of 1", b"update of 3"] + [b"update of 2"] * answers)
    orders.close()
    metrics = courier.result(5).train_metrics_clientapp[1]
    assert metrics == MetricRecord({"asked": 3, "answered": 2 + answers, "refused": refused})


def test_unbound_nodes_are_all_asked(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([node(n) for n in (1, 2)], {1: honest, 2: honest})
    orders = OrderQueue(timeout_s=5, members=None, nodes=2)
    courier = carry(pool, orders, grid)
    assert len(list(orders.exchange(order(0), EVERYBODY))) == 2
    orders.close()
    courier.result(5)


def test_nodes_that_connect_late_are_waited_for(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([], {1: honest})

    class Late(WildGrid):
        polls = 0

        def get_nodes(self) -> Iterable[Any]:
            self.polls += 1
            return [node(1)] if self.polls > 3 else []

    grid = Late([], {1: honest})
    orders = bound_queue(1, connect_s=5)
    courier = carry(pool, orders, grid)
    assert list(orders.exchange(order(0), EVERYBODY)) == [b"update of 1"]
    orders.close()
    courier.result(5)
    assert grid.polls == 4


def test_a_member_that_never_connects_is_not_waited_for_long(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([node(1)], {1: honest})
    orders = bound_queue(1, 2)
    courier = carry(pool, orders, grid)
    assert list(orders.exchange(order(0), EVERYBODY)) == [b"update of 1"]
    orders.close()
    courier.result(5)


def test_nobody_connected_is_an_empty_round(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([], {})
    orders = bound_queue(1)
    courier = carry(pool, orders, grid)
    assert list(orders.exchange(order(0), EVERYBODY)) == []
    orders.close()
    courier.result(5)
    assert grid.asked == []


def test_sealed_models_reach_flowers_evaluation(pool: ThreadPoolExecutor) -> None:
    """Round 1's result is the model that round 2 trains from."""
    seen: list[tuple[int, float]] = []

    def source(digest: bytes) -> ArrayRecord:
        return ArrayRecord({"w": Array(np.full(1, digest[0], np.float32))})

    def evaluate(current: int, arrays: ArrayRecord) -> MetricRecord:
        seen.append((current, float(arrays["w"].numpy()[0])))
        return MetricRecord({"w": seen[-1][1]})

    grid = WildGrid([node(1)], {1: honest})
    orders = bound_queue(1)
    strategy = ChainStrategy(courier=orders, model_source=source)
    running = pool.submit(strategy.start, grid, source(bytes(32)), evaluate_fn=evaluate)
    for number in range(3):
        list(orders.exchange(order(number), EVERYBODY))
    orders.close()
    result = running.result(5)
    assert seen == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert float(result.arrays["w"].numpy()[0]) == 2.0
    assert result.evaluate_metrics_serverapp[2] == MetricRecord({"w": 2.0})


def test_the_orders_time_out_is_bounded_by_the_runs(pool: ThreadPoolExecutor) -> None:
    grid = WildGrid([node(1)], {1: honest})
    orders = bound_queue(1)
    running = pool.submit(ChainStrategy(courier=orders).start, grid, ArrayRecord(), 1, 2.0)
    list(orders.exchange(order(0), EVERYBODY))
    orders.close()
    running.result(5)
    assert grid.timeouts == [2.0]


def test_clients_are_never_asked_to_evaluate() -> None:
    strategy = ChainStrategy(Krum(num_malicious_nodes=1), courier=bound_queue(1))
    assert isinstance(strategy.inner, Krum)
    assert isinstance(ChainStrategy(courier=bound_queue(1)).inner, FedAvg)
    grid = WildGrid([node(1)], {})
    assert list(strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), grid)) == []
    assert strategy.aggregate_evaluate(1, []) is None
    assert strategy.aggregate_train(1, []) == (None, None)
