"""Every phase ends, by a clock that tests turn."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fl_platform.store.pacing import Pace, PacedReader

PACE = Pace(head_s=10, idle_s=5, spare_s=20, bytes_per_s=100)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_a_peer_that_drips_runs_out_of_time(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    now = [0.0]
    reader = PacedReader(here, PACE, clock=lambda: now[0])
    there.sendall(b"abc")
    buffer = bytearray(1)
    for second in (0.0, 9.9):
        now[0] = second
        assert reader.readinto(buffer) == 1
    now[0] = 10.0
    with pytest.raises(TimeoutError):
        reader.readinto(buffer)
    reader.allow(1000)  # a new phase: 20 s and 10 s for the bytes
    assert reader.readinto(buffer) == 1
    now[0] = 40.0
    with pytest.raises(TimeoutError):
        reader.send(b"x")


def test_one_wait_is_no_longer_than_the_idle_time_or_what_is_left(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    now = [0.0]
    reader = PacedReader(here, PACE, clock=lambda: now[0])
    reader.send(b"x")
    assert here.gettimeout() == 5
    now[0] = 8.0
    there.sendall(b"x")
    reader.readinto(bytearray(1))
    assert here.gettimeout() == 2


def test_it_reads_and_sends_all(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    reader = PacedReader(here, PACE)
    there.sendall(b"one\ntwo")
    there.shutdown(socket.SHUT_WR)
    assert reader.buffered().read() == b"one\ntwo"
    reader.send(b"answer")
    assert there.recv(100) == b"answer"
