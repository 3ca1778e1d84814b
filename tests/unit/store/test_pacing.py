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


def test_a_body_lasts_while_it_keeps_the_least_rate(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    now = [0.0]
    reader = PacedReader(here, PACE, clock=lambda: now[0])
    reader.allow_body()
    for second in range(0, 300, 10):  # 1000 bytes in 10 s: 100 a second
        now[0] = float(second)
        there.sendall(bytes(1000))
        assert reader.readinto(bytearray(1000)) == 1000
    for second in range(300, 310):  # now a byte a second: it lives on the 20 s that it may fall behind
        now[0] = float(second)
        reader.send(b"x")
    now[0] = 311.0
    with pytest.raises(TimeoutError):
        reader.send(b"x")


def test_who_was_fast_may_not_stall_for_long(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    now = [0.0]
    reader = PacedReader(here, PACE, clock=lambda: now[0])
    reader.allow_body()
    there.sendall(bytes(100_000))
    read = 0
    while read < 100_000:  # worth 1000 s at the least rate
        read += reader.readinto(bytearray(100_000))
    now[0] = 20.0
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
