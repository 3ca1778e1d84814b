"""The aggregator's order queue: an order is laid out, a courier (a Flower ServerApp) fetches it and brings answers.

The aggregator's side is `round.waiting.Transport` (`exchange`, `reveal`). The courier's side is `Courier`: either
the queue itself (same process: simulation) or `RemoteQueue` over a local socket (deployment: the ServerApp is a process
of the SuperLink, without wallet, chain or key). Answers are unverified bytes here; the aggregator judges them.
"""

from __future__ import annotations

import logging
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fl_platform.errors import DocumentInvalid, ProcessAbsent, RejectedInput
from fl_platform.flower.trainer_server import ask
from fl_platform.flower.wire import COMMIT, MAX_MESSAGE_BYTES, REVEAL
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.document import from_json, to_json
from fl_platform.protocol.messages import Reveal, RevealOrder, RoundOrder, decode_message, encode_message
from fl_platform.round.waiting import Waiting

logger = logging.getLogger(__name__)

LEAST_PASS_S = 60.0  # an order to nodes is not given for a shorter time, if there is as much
NEXT_WAIT_S = 5.0  # longest time one question for the next order is held open
ANYONE = bytes(20)  # the sender of an answer when nodes are not bound to trainers
_NEXT, _ANSWER, _DONE = 1, 2, 3
_HEADER = struct.Struct(">BQ20s")  # kind of request, job number, trainer


@dataclass(frozen=True)
class NodeMember:
    """One member of the task: which Flower node speaks for which trainer, as both have signed."""

    node_key: bytes  # sha256 of the node's public key as Flower shows it (PEM, SubjectPublicKeyInfo)
    trainer: bytes  # 20 bytes


@dataclass(frozen=True)
class Job:
    """One order to carry out."""

    number: int
    kind: str  # Flower message type: wire.COMMIT or wire.REVEAL
    group: str  # for Flower's logs: task and round
    timeout_s: int
    connect_s: int  # how long to wait for the nodes to be connected before asking those that are
    nodes: int  # how many to wait for
    bound: bool  # ask only the members' nodes; false where Flower has no lasting node keys (simulation)
    members: tuple[NodeMember, ...]
    order: bytes  # the canonical message, signed for nobody: trainers check it against the chain


@dataclass(frozen=True)
class Closed:
    """The aggregator needs no courier any more."""

    reason: str


class Courier(Protocol):
    """What the ServerApp sees of the aggregator."""

    def next_job(self) -> Job | Closed | None:
        """Return the next order, Closed at the end, or None when there was none for a few seconds."""

    def bring(self, number: int, trainer: bytes, answer: bytes) -> None:
        """Hand in one answer to job `number`; late ones are dropped."""

    def done(self, number: int) -> None:
        """Say that no more answers to job `number` will come."""


class OrderQueue:
    """Both sides in one process; `serve` its `handle` on a socket for a courier elsewhere."""

    def __init__(
        self,
        *,
        timeout_s: int,
        members: Callable[[], Sequence[NodeMember]] | None,
        nodes: int = 1,
        connect_s: int = 30,
        most_answers: int = 100_000,
    ) -> None:
        """Create the queue.

        timeout_s: how long a trainer may take over one order; where nodes are bound to trainers at most half of the
            time that there is, so that who is missing then is asked again.
        members: the task's members now, asked before each order (they join and leave); None to ask every node.
        nodes: how many connected nodes to wait for when `members` is None (else: all members).
        connect_s: how long to wait for them.
        most_answers: answers kept per order; a flood beyond it is dropped.
        """
        self._timeout_s = timeout_s
        self._members = members
        self._nodes = nodes
        self._connect_s = connect_s
        self._most_answers = most_answers
        self._changed = threading.Condition()
        self._job: Job | None = None
        self._fetched = False
        self._answers: list[tuple[bytes, bytes]] = []
        self._finished = False
        self._closed: Closed | None = None
        # Not from zero: a courier that outlives a restart must not answer another order under an old number.
        self._number = secrets.randbits(48)

    # --- the aggregator's side -----------------------------------------------------------------------------------

    @property
    def once(self) -> bool:
        """See Transport: where nodes are not bound to trainers (simulation), nobody knows which one is missing."""
        return self._members is None

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """Send a round's order to the missing members and return their answers (unverified), in any order.

        Raises ProcessAbsent when no courier fetches the order within its time.
        """
        return [answer for _, answer in self._run(COMMIT, order, waiting)]

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        """As `exchange`, for the second message of a strict round.

        A Reveal is not signed, so where nodes are bound to trainers one that names another trainer is dropped here.
        """
        answers = self._run(REVEAL, order, waiting)
        return [answer for trainer, answer in answers if trainer == ANYONE or _reveals_for(trainer, answer)]

    def close(self, reason: str = "the task is over") -> None:
        """Send the courier home; orders after this fail."""
        with self._changed:
            self._closed = Closed(reason)
            self._changed.notify_all()

    def _run(self, kind: str, order: RoundOrder | RevealOrder, waiting: Waiting) -> list[tuple[bytes, bytes]]:
        members, timeout_s, connect_s = None, self._timeout_s, self._connect_s
        if self._members is not None:
            missing, left = waiting.missing(), waiting.left()
            members = tuple(member for member in self._members() if member.trainer in missing)
            if not members or left < 1:
                return []  # their nodes are unknown, or nobody is waited for
            most = max(left / 2, min(left, LEAST_PASS_S))
            connect_s = min(connect_s, int(most / 4))
            timeout_s = max(1, min(timeout_s, int(most) - connect_s))
        with self._changed:
            if self._closed is not None:
                raise ProcessAbsent(f"the order queue is closed ({self._closed.reason}); open another one")
            self._number += 1
            self._job = Job(
                number=self._number,
                kind=kind,
                group=f"{order.task}/{order.round}",
                timeout_s=timeout_s,
                connect_s=connect_s,
                nodes=self._nodes if members is None else len(members),
                bound=members is not None,
                members=members or (),
                order=encode_message(order),
            )
            self._fetched, self._finished, self._answers = False, False, []
            self._changed.notify_all()
            try:
                self._await_answers(timeout_s + connect_s)
            finally:
                self._job = None
            return self._answers

    def _await_answers(self, wait_s: float) -> None:
        # The courier has Flower's own time-out; the grace is for its way back. A dead courier ends here.
        deadline = time.monotonic() + wait_s + 2 * NEXT_WAIT_S
        self._changed.wait_for(lambda: self._finished or self._closed is not None, deadline - time.monotonic())
        if self._finished:
            return
        if not self._fetched:
            reason = self._closed.reason if self._closed else f"waited {wait_s:g} s"
            raise ProcessAbsent(f"no Flower ServerApp fetched the order ({reason}); is the SuperLink's run alive?")
        logger.warning("the courier did not come back; going on with %d answers", len(self._answers))

    # --- the courier's side --------------------------------------------------------------------------------------

    def next_job(self) -> Job | Closed | None:
        """See Courier."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed is not None or self._waiting(), NEXT_WAIT_S)
            if self._closed is not None:
                return self._closed
            if not self._waiting():
                return None
            self._fetched = True
            return self._job

    def _waiting(self) -> bool:
        return self._job is not None and not self._fetched

    def bring(self, number: int, trainer: bytes, answer: bytes) -> None:
        """See Courier."""
        with self._changed:
            if self._job is None or self._job.number != number or self._finished:
                logger.info("dropped an answer to job %d: it is over", number)
            elif len(self._answers) >= self._most_answers:
                logger.warning("dropped an answer to job %d: there are %d already", number, self._most_answers)
            else:
                self._answers.append((trainer, answer))

    def done(self, number: int) -> None:
        """See Courier."""
        with self._changed:
            if self._job is not None and self._job.number == number:
                self._finished = True
                self._changed.notify_all()

    def handle(self, request: bytes) -> bytes:
        """Answer one request of a RemoteQueue. Raises DocumentInvalid for any other bytes."""
        if len(request) < _HEADER.size:
            raise DocumentInvalid(f"order queue request has {len(request)} bytes, needs at least {_HEADER.size}")
        kind, number, trainer = _HEADER.unpack_from(request)
        body = request[_HEADER.size :]
        if kind == _NEXT and not body:
            return _job_bytes(self.next_job())
        if kind == _ANSWER:
            self.bring(number, trainer, body)
        elif kind == _DONE and not body:
            self.done(number)
        else:
            raise DocumentInvalid(f"order queue request of kind {kind} with {len(body)} bytes is unknown")
        return b""


class RemoteQueue:
    """The courier's side over a local socket. It finds an aggregator that is started again within `patience_s`."""

    def __init__(self, path: Path, *, patience_s: float = 300.0) -> None:
        self._path = path
        self._patience_s = patience_s

    def next_job(self) -> Job | Closed | None:
        """See Courier. Raises ProcessAbsent when the aggregator's process is gone."""
        return _job_from(self._ask(_NEXT, 0, ANYONE, b""))

    def bring(self, number: int, trainer: bytes, answer: bytes) -> None:
        """See Courier."""
        self._ask(_ANSWER, number, trainer, answer)

    def done(self, number: int) -> None:
        """See Courier."""
        self._ask(_DONE, number, ANYONE, b"")

    def _ask(self, kind: int, number: int, trainer: bytes, body: bytes) -> bytes:
        request = _HEADER.pack(kind, number, trainer) + body
        return ask(self._path, request, timeout_s=10 * NEXT_WAIT_S, who="aggregator", patience_s=self._patience_s)


def _reveals_for(trainer: bytes, answer: bytes) -> bool:
    try:
        reveal = decode_message(answer, expected=Reveal)
    except RejectedInput as error:
        logger.info("dropped a reveal from the node of 0x%s: %s", trainer.hex(), error)
        return False
    if not isinstance(reveal, Reveal) or reveal.trainer != trainer:
        logger.warning("dropped a reveal from the node of 0x%s in another trainer's name", trainer.hex())
        return False
    return True


def _job_bytes(job: Job | Closed | None) -> bytes:
    if job is None:
        return canonical_json({"kind": "none"})
    return canonical_json({"kind": type(job).__name__, "body": to_json(job)})


def _job_from(data: bytes) -> Job | Closed | None:
    value = parse_canonical(data, what="order from the queue", max_bytes=MAX_MESSAGE_BYTES)
    if isinstance(value, dict) and value == {"kind": "none"}:
        return None
    for kind in (Job, Closed):
        if isinstance(value, dict) and sorted(value) == ["body", "kind"] and value["kind"] == kind.__name__:
            job: Job | Closed = from_json(kind, value["body"], kind.__name__)
            return job
    raise DocumentInvalid("the order queue sent something that is neither an order nor its end")
