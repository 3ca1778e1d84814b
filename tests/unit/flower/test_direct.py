"""Orders straight to sockets: everybody is asked at once, one trainer's trouble is its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, ReceiptReplayed, RetryError
from fl_platform.flower.direct import SocketTransport
from fl_platform.flower.resident import serve_trainer
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message
from fl_platform.protocol.spec import ScaleSpec

ORDER = RoundOrder(1, 0, bytes(32), ScaleSpec(128, 0, (0,)), bytes(32))


class Echo:
    """A trainer that answers with its name and the order, or fails."""

    def __init__(self, name: bytes, error: Exception | None = None) -> None:
        self._name, self._error = name, error

    def handle(self, message: bytes) -> bytes:
        """Answer."""
        if self._error is not None:
            raise self._error
        return self._name + message


@contextlib.contextmanager
def serving(folder: Path, *trainers: Echo) -> Iterator[None]:
    """Serve trainers at 0.sock, 1.sock ..."""
    with contextlib.ExitStack() as stack:
        for number, trainer in enumerate(trainers):
            stack.enter_context(serve_trainer(trainer, folder / f"{number}.sock"))
        yield


def transport(folder: Path, expected: int) -> SocketTransport:
    """Return a transport that does not wait long."""
    return SocketTransport(folder, expected=lambda: expected, patience_s=0.0, timeout_s=5.0)


def test_all_are_asked_and_counted(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serving(tmp_path, Echo(b"a"), Echo(b"b"), Echo(b"c")):
        way = SocketTransport(tmp_path, expected=lambda: 3, watch=lambda done, of: seen.append((done, of)))
        assert sorted(way.exchange(ORDER)) == [name + encode_message(ORDER) for name in (b"a", b"b", b"c")]
        reveal = RevealOrder(1, 0, bytes(32))
        assert sorted(way.reveal(reveal)) == [name + encode_message(reveal) for name in (b"a", b"b", b"c")]
    assert seen == [(1, 3), (2, 3), (3, 3)] * 2


@pytest.mark.parametrize(
    "error", [ReceiptReplayed("old"), RetryError("later"), ConfigError("broken"), ValueError("bug")]
)
def test_one_that_fails_costs_only_its_own_answer(tmp_path: Path, error: Exception) -> None:
    with serving(tmp_path, Echo(b"a"), Echo(b"b", error)):
        assert list(transport(tmp_path, 2).exchange(ORDER)) == [b"a" + encode_message(ORDER)]


def test_a_socket_that_nobody_serves_costs_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, Echo(b"a"), Echo(b"b")):
        pass
    (tmp_path / "1.sock").touch()
    with serving(tmp_path, Echo(b"a")):
        assert len(list(transport(tmp_path, 5).exchange(ORDER))) == 1


def test_an_empty_folder_says_how_trainers_are_started(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fl-platform trainer run"):
        list(transport(tmp_path / "absent", 1).exchange(ORDER))
