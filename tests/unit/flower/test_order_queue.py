"""The aggregator's order queue: what a courier may bring, when, and what the aggregator gets."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fl_platform.errors import DocumentInvalid, ProcessAbsent, RejectedInput
from fl_platform.flower import order_queue
from fl_platform.flower.order_queue import ANYONE, Closed, Courier, Job, NodeMember, OrderQueue, RemoteQueue
from fl_platform.flower.trainer_server import serve
from fl_platform.flower.wire import COMMIT, REVEAL
from fl_platform.protocol.messages import Reveal, RevealOrder, RoundOrder, encode_message
from fl_platform.protocol.model_spec import ScaleSpec
from tests.support.waiting import waiting_for

ORDER = RoundOrder(task=3, round=7, parent=bytes(32), scale=ScaleSpec((-3,)), previous_bundle=bytes(32))
REVEAL_ORDER = RevealOrder(task=3, round=7, roster=bytes(32))
ALICE, BOB = b"\x01" * 20, b"\x02" * 20
MEMBERS = (NodeMember(b"\xa1" * 32, ALICE), NodeMember(b"\xb2" * 32, BOB))
EVERYBODY = waiting_for(ALICE, BOB)

Ask = Callable[[], Iterable[bytes]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a courier's question open for a moment only."""
    monkeypatch.setattr(order_queue, "NEXT_WAIT_S", 0.05)


@pytest.fixture
def orders() -> OrderQueue:
    """A order queue with two members, whose orders take at most two seconds."""
    return OrderQueue(timeout_s=2, connect_s=0, members=lambda: MEMBERS)


@pytest.fixture(params=["same process", "socket"])
def courier(orders: OrderQueue, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Courier]:
    """Both kinds of courier."""
    if request.param == "same process":
        yield orders
        return
    server = serve(tmp_path / "s", orders.handle, lock=contextlib.nullcontext())
    yield RemoteQueue(tmp_path / "s")
    server.stop()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Where the aggregator waits while the test plays courier."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def fetch(courier: Courier) -> Job:
    """Fetch the next order."""
    for _ in range(100):
        job = courier.next_job()
        if job is not None:
            assert isinstance(job, Job)
            return job
    raise AssertionError("no order came")


def start(background: ThreadPoolExecutor, ask: Callable[[], Iterable[bytes]]) -> Future[list[bytes]]:
    """Let the aggregator give an order."""
    return background.submit(lambda: list(ask()))


def test_an_order_goes_out_and_its_answers_come_back(
    orders: OrderQueue, courier: Courier, background: ThreadPoolExecutor
) -> None:
    answers = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    job = fetch(courier)
    assert (job.kind, job.group, job.order, job.members) == (COMMIT, "3/7", encode_message(ORDER), MEMBERS)
    assert (job.bound, job.nodes, job.timeout_s) == (True, 2, 2)
    courier.bring(job.number, BOB, b"bob's")
    courier.bring(job.number, ALICE, b"alice's")
    courier.done(job.number)
    assert answers.result(5) == [b"bob's", b"alice's"]


def test_only_who_is_missing_is_asked_again(
    orders: OrderQueue, courier: Courier, background: ThreadPoolExecutor
) -> None:
    waiting = waiting_for(ALICE, BOB, answered={ALICE})
    answers = start(background, lambda: orders.exchange(ORDER, waiting))
    job = fetch(courier)
    assert (job.members, job.nodes) == (MEMBERS[1:], 1)
    courier.done(job.number)
    assert answers.result(5) == []


@pytest.mark.parametrize(
    ("left", "timeout_s", "connect_s"),
    [(10**6, 3600, 30), (900, 420, 30), (120, 45, 15), (40, 30, 10), (4, 3, 1), (1, 1, 0)],
)
def test_an_order_takes_at_most_half_of_the_time_that_there_is(
    background: ThreadPoolExecutor, left: int, timeout_s: int, connect_s: int
) -> None:
    """One node that hangs must not keep the others, nor the roster, until the deadline."""
    orders = OrderQueue(timeout_s=3600, members=lambda: MEMBERS)
    answers = start(background, lambda: orders.exchange(ORDER, waiting_for(ALICE, BOB, left=lambda: left)))
    job = fetch(orders)
    assert (job.timeout_s, job.connect_s) == (timeout_s, connect_s)
    orders.done(job.number)
    assert answers.result(5) == []


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_no_order_is_given_when_nobody_is_waited_for(left: float) -> None:
    assert OrderQueue(timeout_s=5, members=lambda: MEMBERS).exchange(ORDER, waiting_for(ALICE, left=lambda: left)) == []
    assert OrderQueue(timeout_s=5, members=lambda: MEMBERS[:1]).exchange(ORDER, waiting_for(BOB)) == []


def test_an_order_is_fetched_once(orders: OrderQueue, courier: Courier, background: ThreadPoolExecutor) -> None:
    answers = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    job = fetch(courier)
    assert courier.next_job() is None
    courier.done(job.number)
    assert answers.result(5) == []


def test_late_answers_are_dropped(orders: OrderQueue, courier: Courier, background: ThreadPoolExecutor) -> None:
    first = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    old = fetch(courier)
    courier.done(old.number)
    courier.bring(old.number, ALICE, b"late")
    assert first.result(5) == []
    second = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    new = fetch(courier)
    courier.bring(old.number, ALICE, b"of the round before")
    courier.done(old.number)  # of another order: ignored
    courier.bring(new.number, ALICE, b"in time")
    courier.done(new.number)
    assert second.result(5) == [b"in time"]


def test_a_reveal_counts_only_from_its_own_node(
    orders: OrderQueue, courier: Courier, background: ThreadPoolExecutor
) -> None:
    """Reveals are not signed: without this, a hostile node reveals junk in another's name."""
    answers = start(background, lambda: orders.reveal(REVEAL_ORDER, EVERYBODY))
    job = fetch(courier)
    assert (job.kind, job.order) == (REVEAL, encode_message(REVEAL_ORDER))
    honest, forged = (encode_message(Reveal(3, 7, trainer, (), b"")) for trainer in (ALICE, BOB))
    for sender, answer in ((ALICE, forged), (ALICE, b"junk"), (ALICE, honest)):
        courier.bring(job.number, sender, answer)
    courier.done(job.number)
    assert answers.result(5) == [honest]


def test_unbound_nodes_reveal_for_whom_they_say(background: ThreadPoolExecutor) -> None:
    orders = OrderQueue(timeout_s=2, members=None, nodes=3)
    answers = start(background, lambda: orders.reveal(REVEAL_ORDER, EVERYBODY))
    job = fetch(orders)
    assert (job.bound, job.members, job.nodes) == (False, (), 3)
    reveal = encode_message(Reveal(3, 7, BOB, (), b""))
    orders.bring(job.number, ANYONE, reveal)
    orders.done(job.number)
    assert answers.result(5) == [reveal]


def test_a_flood_is_cut(background: ThreadPoolExecutor) -> None:
    orders = OrderQueue(timeout_s=2, members=None, most_answers=3)
    answers = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    job = fetch(orders)
    for number in range(10):
        orders.bring(job.number, ANYONE, b"%d" % number)
    orders.done(job.number)
    assert answers.result(5) == [b"0", b"1", b"2"]


def test_without_a_courier_the_order_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = OrderQueue(timeout_s=0, connect_s=0, members=None)
    with pytest.raises(ProcessAbsent, match="no Flower ServerApp fetched the order"):
        orders.exchange(ORDER, EVERYBODY)


def test_a_courier_that_dies_leaves_what_it_brought(background: ThreadPoolExecutor) -> None:
    orders = OrderQueue(timeout_s=1, connect_s=0, members=None)
    answers = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    orders.bring(fetch(orders).number, ANYONE, b"brought")
    assert answers.result(5) == [b"brought"]


def test_a_closed_desk_sends_the_courier_home(orders: OrderQueue, courier: Courier) -> None:
    orders.close("the task is over")
    assert courier.next_job() == Closed("the task is over")
    with pytest.raises(ProcessAbsent, match="the order queue is closed"):
        orders.exchange(ORDER, EVERYBODY)


def test_closing_wakes_a_waiting_courier(orders: OrderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_queue, "NEXT_WAIT_S", 30.0)
    threading.Timer(0.05, orders.close).start()
    assert orders.next_job() == Closed("the task is over")


def test_closing_ends_a_waiting_order(background: ThreadPoolExecutor) -> None:
    orders = OrderQueue(timeout_s=60, members=None)
    answers = start(background, lambda: orders.exchange(ORDER, EVERYBODY))
    fetch(orders)
    orders.close("Flower's simulation failed: no memory")
    assert answers.result(5) == []
    again = OrderQueue(timeout_s=60, members=None)
    answers = start(background, lambda: again.exchange(ORDER, EVERYBODY))
    while again._job is None:
        threading.Event().wait(0.001)
    again.close("Flower's simulation failed: no memory")
    with pytest.raises(ProcessAbsent, match="no memory"):
        answers.result(5)


HEADER = struct.Struct(">BQ20s")


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\x01", HEADER.pack(9, 0, ANYONE), HEADER.pack(1, 0, ANYONE) + b"x", HEADER.pack(3, 1, ANYONE) + b"x"],
)
def test_malformed_requests_are_refused(orders: OrderQueue, request_bytes: bytes) -> None:
    with pytest.raises(DocumentInvalid, match="order queue request"):
        orders.handle(request_bytes)


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"kind":"none","more":1}', b'{"body":{},"kind":"Job"}', b'{"body":{},"kind":"Reveal"}']
)
def test_a_malformed_order_is_refused(tmp_path: Path, answer: bytes) -> None:
    server = serve(tmp_path / "s", lambda _: answer)
    try:
        with pytest.raises(RejectedInput):
            RemoteQueue(tmp_path / "s").next_job()
    finally:
        server.stop()


def test_a_dead_aggregator_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessAbsent, match="no aggregator answers at"):
        RemoteQueue(tmp_path / "s", patience_s=0.0).next_job()


def test_an_aggregator_that_is_restarted_gets_no_answers_to_its_old_order(
    background: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """The courier outlives it; what it carries still has the old queue's number."""
    courier = RemoteQueue(tmp_path / "s")
    old = OrderQueue(timeout_s=60, members=None)
    server = serve(tmp_path / "s", old.handle, lock=contextlib.nullcontext())
    start(background, lambda: old.exchange(ORDER, EVERYBODY))
    carried = fetch(courier)
    server.stop()
    new = OrderQueue(timeout_s=2, connect_s=0, members=None)
    server = serve(tmp_path / "s", new.handle, lock=contextlib.nullcontext())
    try:
        answers = start(background, lambda: new.reveal(REVEAL_ORDER, EVERYBODY))
        courier.bring(carried.number, ANYONE, b"a commit")
        courier.done(carried.number)
        job = fetch(courier)
        courier.bring(job.number, ANYONE, b"a reveal")
        courier.done(job.number)
        assert answers.result(5) == [b"a reveal"]
    finally:
        server.stop()
        old.close()
