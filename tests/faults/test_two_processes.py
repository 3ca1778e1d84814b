"""Processes of one wallet and one journal, sending at once; one of them is killed between any two steps.

The chain is a process of its own, as a node is: each sender reaches it over a socket.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.config import MINIMAL, NETWORKS
from tests.support.chain import ETHER, wallet
from tests.support.faults import FaultyBackend

ME, OTHER = wallet(100), wallet(101)
SHARED = [Step(1, number, "shared") for number in range(3)]
WEI = {"a": 1, "b": 20, "c": 400}  # apart: the same call under the same nonce is the same transaction


class Node:
    """A chain that answers one call at a time, whoever asks."""

    def __init__(self) -> None:
        self._backend, self._lock = EmbeddedBackend(), threading.Lock()
        self._backend.fund(ME.address, 100 * ETHER)

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            return getattr(self._backend, name)(*arguments, **named)


class Nodes(BaseManager):
    """Runs a node in a process of its own."""


Nodes.register("node", Node)


class Far:
    """A node's calls as a back end has them."""

    local = True

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._node.answer, name)


@pytest.fixture
def node() -> Iterator[Any]:
    """A node on which the wallet has coin."""
    with Nodes() as nodes:
        yield nodes.node()  # type: ignore[attr-defined]


class Deadly(FaultyBackend):
    """Ends this process like `kill -9` does, before its k-th call."""

    def _do(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self._fail_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call()


def chain_of(node: Any, journal: Path, kind: type[FaultyBackend] = FaultyBackend, *, at: int = 0) -> Chain:
    return Chain(kind(Far(node), fail_at=at), NETWORKS["embedded"], policy=MINIMAL, journal=journal)  # type: ignore[arg-type]


def send_all(chain: Chain, name: str, own: int) -> None:
    """Send steps of this process's own between those that every process sends."""
    for number in range(max(own, len(SHARED))):
        if number < own:
            chain.transfer(OTHER.address, WEI[name], signer=ME, step=Step(1, number, name))
        if number < len(SHARED):
            chain.transfer(OTHER.address, 8_000, signer=ME, step=SHARED[number])


def child(act: Callable[[], None]) -> int:
    """Start `act` in a fork; return its process id."""
    sys.stdout.flush()
    number = os.fork()
    if number == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return number


def ended(number: int) -> int:
    """Wait for a child; return its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def test_processes_that_send_at_once_share_nonces_and_steps(node: Any, tmp_path: Path) -> None:
    def act(name: str) -> Callable[[], None]:
        return lambda: send_all(chain_of(node, tmp_path / "journal"), name, 8)

    assert [ended(number) for number in [child(act(name)) for name in ("a", "b", "c")]] == [0, 0, 0]
    end = chain_of(node, tmp_path / "other")
    assert end.balance(OTHER.address) == 8 * sum(WEI.values()) + 3 * 8_000
    assert end.backend.nonce(ME.address) == 3 * 8 + 3


@pytest.mark.parametrize("at", range(4, 44, 4))
def test_one_that_is_killed_beside_another_does_nothing_twice(node: Any, tmp_path: Path, at: int) -> None:
    journal = tmp_path / "journal"

    def dies() -> None:
        send_all(chain_of(node, journal, Deadly, at=at), "a", 2)

    def lives() -> None:
        send_all(chain_of(node, journal), "b", 2)

    dying, living = child(dies), child(lives)
    assert ended(dying) in (-signal.SIGKILL, 0)  # it has less to do where the other did the shared steps
    assert ended(living) == 0
    again = chain_of(node, journal)
    send_all(again, "a", 2)
    assert again.balance(OTHER.address) == 2 * (1 + 20) + 3 * 8_000
    assert again.backend.nonce(ME.address) == 2 * 2 + 3
