"""Orders straight to sockets: everybody is asked at once and who is missing again; one's trouble is its own."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, ReceiptReplayed, RetryError
from fl_platform.flower.socket_transport import SocketTransport
from fl_platform.flower.trainer_server import serve_trainer
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message
from fl_platform.protocol.model_spec import ScaleSpec
from tests.support.waiting import waiting_for

ORDER = RoundOrder(1, 0, bytes(32), ScaleSpec((7,)), bytes(32))


class Echo:
    """A trainer that answers with its name and the order, once it has failed so many times."""

    def __init__(self, name: bytes, error: Exception | None = None, *, times: int = 0, then: bytes = b"") -> None:
        """`then`: its name from the second question on."""
        self._name, self._error, self._times, self._then = name, error, times, then
        self.asked = 0

    def handle(self, message: bytes) -> bytes:
        """Answer."""
        self.asked += 1
        if self._error is not None and self.asked <= self._times:
            raise self._error
        return (self._then if self._then and self.asked > 1 else self._name) + message


@contextlib.contextmanager
def serving(folder: Path, *trainers: Echo) -> Iterator[None]:
    """Serve trainers at 0.sock, 1.sock ..."""
    with contextlib.ExitStack() as stack:
        for number, trainer in enumerate(trainers):
            stack.enter_context(serve_trainer(trainer, folder / f"{number}.sock"))
        yield


def transport(folder: Path, watch: Callable[[int, int], None] = lambda *_: None) -> SocketTransport:
    """Return a transport that asks again at once."""
    return SocketTransport(folder, watch=watch, timeout_s=30.0, look_s=0.01, again_s=0.001)


class Taken:
    """Whoever takes answers in: an answer counts for the trainer whose name it begins with."""

    def __init__(self, *names: bytes, over: Callable[[Taken], bool] = lambda _: False) -> None:
        """`over(self)`: whether the time is up."""
        self.answers: list[bytes] = []
        self._who: set[bytes] = set()
        self.waiting = waiting_for(*names, answered=self._who, left=lambda: 0.0 if over(self) else 100.0)

    def all_of(self, answers: Iterable[bytes]) -> list[bytes]:
        """Take everything in."""
        for answer in answers:
            self.answers.append(answer)
            self._who.add(answer[:1])
        return sorted(self.answers)


def told(*names: bytes) -> list[bytes]:
    """What these trainers answer."""
    return [name + encode_message(ORDER) for name in names]


def test_all_are_asked_and_counted(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serving(tmp_path, Echo(b"a"), Echo(b"b"), Echo(b"c")):
        way = transport(tmp_path, lambda done, of: seen.append((done, of)))
        taken = Taken(b"a", b"b", b"c")
        assert taken.all_of(way.exchange(ORDER, taken.waiting)) == told(b"a", b"b", b"c")
        reveal, taken = RevealOrder(1, 0, bytes(32)), Taken(b"a", b"b", b"c")
        revealed = taken.all_of(way.reveal(reveal, taken.waiting))
    assert revealed == [name + encode_message(reveal) for name in (b"a", b"b", b"c")]
    assert seen == [(1, 3), (2, 3), (3, 3)] * 2


def test_who_accepts_and_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    """Even where one question may take longer than the time that there is."""
    with serving(tmp_path, Echo(b"a"), Echo(b"b")), socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        taken = Taken(b"a", b"b", b"x", over=lambda taken: len(taken.answers) == 2)
        assert taken.all_of(transport(tmp_path).exchange(ORDER, taken.waiting)) == told(b"a", b"b")
        assert taken.waiting.missing() == {b"x"}


@pytest.mark.parametrize(
    "error", [ReceiptReplayed("old"), RetryError("later"), ConfigError("broken"), ValueError("bug")]
)
def test_one_that_fails_is_asked_again(tmp_path: Path, error: Exception) -> None:
    failing = Echo(b"b", error, times=2)
    with serving(tmp_path, Echo(b"a"), failing):
        taken = Taken(b"a", b"b")
        assert taken.all_of(transport(tmp_path).exchange(ORDER, taken.waiting)) == told(b"a", b"b")
    assert failing.asked == 3


def test_one_whose_answer_does_not_count_is_asked_again(tmp_path: Path) -> None:
    with serving(tmp_path, Echo(b"a"), Echo(b"?", then=b"b")):
        taken = Taken(b"a", b"b")
        assert taken.all_of(transport(tmp_path).exchange(ORDER, taken.waiting)) == told(b"?", b"a", b"b")


def test_who_has_answered_is_not_asked_again(tmp_path: Path) -> None:
    once, failing = Echo(b"a"), Echo(b"b", RetryError("later"), times=5)
    with serving(tmp_path, once, failing):
        taken = Taken(b"a", b"b")
        taken.all_of(transport(tmp_path).exchange(ORDER, taken.waiting))
    assert (once.asked, failing.asked) == (1, 6)


def test_a_stale_socket_is_an_absent_trainer_until_it_comes_back(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "1.sock"))
    (tmp_path / "2.sock").touch()
    back = contextlib.ExitStack()

    def come_back(done: int, _: int) -> None:
        if done == 1:
            back.enter_context(serve_trainer(Echo(b"b"), tmp_path / "1.sock"))

    with back, serving(tmp_path, Echo(b"a")):
        taken = Taken(b"a", b"b")
        assert taken.all_of(transport(tmp_path, come_back).exchange(ORDER, taken.waiting)) == told(b"a", b"b")


def test_a_trainer_that_comes_late_is_asked(tmp_path: Path) -> None:
    late, looks = contextlib.ExitStack(), itertools.count()

    def look(_: Taken) -> bool:
        if next(looks) == 3:
            late.enter_context(serving(tmp_path, Echo(b"a")))
        return False

    with late:
        taken = Taken(b"a", over=look)
        assert taken.all_of(transport(tmp_path).exchange(ORDER, taken.waiting)) == told(b"a")


def test_nobody_is_waited_for_when_the_time_is_up(tmp_path: Path) -> None:
    assert list(transport(tmp_path / "absent").exchange(ORDER, waiting_for(b"a", left=lambda: 0.0))) == []
    with serving(tmp_path, Echo(b"a")):
        assert list(transport(tmp_path).exchange(ORDER, waiting_for(b"a", answered={b"a"}))) == []
