"""A server's side of a socket on which every phase ends: the request's head, the body, and the answer.

A time limit for one read never fires on a peer that drips a byte at a time. So a head has a total, and a body must
keep up with a least rate at every moment: a peer that holds a connection pays for it with bytes.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pace:
    """How slow a peer may be."""

    connections: int = 128  # at a time
    head_s: float = 15.0  # for the request line and all headers
    idle_s: float = 15.0  # without a byte
    spare_s: float = 30.0  # how far a body or an answer may fall behind
    bytes_per_s: int = 32 << 10  # the least rate: as slow as a bad mobile line


class PacedReader(io.RawIOBase):
    """Reads from a socket, and writes to it, until the phase's time is up: then TimeoutError."""

    def __init__(self, connection: socket.socket, pace: Pace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection, self._pace, self._clock = connection, pace, clock
        self.allow_s(pace.head_s)

    def allow_s(self, seconds: float) -> None:
        """Begin a phase of so many seconds."""
        self._until = self._clock() + seconds
        self._gain_s = 0.0  # for each byte

    def allow_body(self) -> None:
        """Begin a phase that lasts as long as bytes come or go at the least rate."""
        self.allow_s(self._pace.spare_s)
        self._gain_s = 1 / self._pace.bytes_per_s

    def buffered(self) -> io.BufferedReader:
        """Return this as a file that reads."""
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase. Raises TimeoutError."""
        self._wait_no_longer()
        size = self._connection.recv_into(buffer)
        self._gain(size)
        return size

    def send(self, data: bytes) -> None:
        """Send all of it. Raises TimeoutError."""
        view = memoryview(data)
        while view:
            self._wait_no_longer()
            size = self._connection.send(view)
            self._gain(size)
            view = view[size:]

    def _gain(self, size: int) -> None:
        # no more than what the phase began with: who was fast at first may not stall for hours later
        self._until = min(self._until + size * self._gain_s, max(self._until, self._clock() + self._pace.spare_s))

    def _wait_no_longer(self) -> None:
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError("the peer is too slow")
        self._connection.settimeout(min(left, self._pace.idle_s))
