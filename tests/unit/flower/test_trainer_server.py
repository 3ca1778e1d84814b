"""The local socket: who gets in, what is refused, and what a broken caller cannot do."""

from __future__ import annotations

import os
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.errors import (
    ConfigError,
    DocumentInvalid,
    ProcessAbsent,
    RejectedInput,
    RetryError,
    StoreUnavailable,
    TaskCodeError,
)
from fl_platform.flower import trainer_server
from fl_platform.flower.trainer_server import MAX_FRAME_BYTES, Guests, TrainerServer, ask, serve, serve_trainer


def echo(request: bytes) -> bytes:
    """Answer as the request says."""
    match request:
        case b"refuse":
            raise RejectedInput("round 7 is over")
        case b"retry":
            raise StoreUnavailable("gateway http://secret.example/key did not answer")
        case b"fail":
            raise ConfigError("wallet /srv/alice/wallet.json is locked")
        case b"own":
            raise TaskCodeError("Mine.loss raised KeyError: 'alice'; at mine.py:3")
        case b"bug":
            raise ZeroDivisionError("a private detail")
        case b"huge":
            return bytes(MAX_FRAME_BYTES + 1)
        case _:
            return request[::-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path short enough for a socket, whatever pytest calls its folder."""
    return tmp_path / "s"


@pytest.fixture
def server(path: Path) -> Iterator[TrainerServer]:
    """A running server."""
    running = serve(path, echo)
    yield running
    running.stop()


def say(path: Path, request: bytes, timeout_s: float = 5.0) -> bytes:
    """Ask as the thin ClientApp does."""
    return ask(path, request, timeout_s=timeout_s, who="trainer")


def test_answers_any_bytes(server: TrainerServer, path: Path) -> None:
    assert say(path, b"abc") == b"cba"
    assert say(path, b"") == b""
    big = bytes(range(256)) * (MAX_FRAME_BYTES // 256)
    assert say(path, big) == big[::-1]


def test_only_the_owner_may_open_the_socket(server: TrainerServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_caller_of_another_user_is_refused(
    server: TrainerServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_server, "_caller_uid", lambda connection: 4_000_000)
    with pytest.raises(ProcessAbsent, match="no trainer answers"):
        say(path, b"abc")


def test_a_guest_may_ask_and_others_may_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = 4_000_000
    monkeypatch.setattr(trainer_server, "_caller_uid", lambda connection: caller)
    running = serve(path, echo, guests=Guests(frozenset({4_000_000}), group=os.getgid()))
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert say(path, b"abc") == b"cba"
        caller = 4_000_001
        with pytest.raises(ProcessAbsent):
            say(path, b"abc")
    finally:
        running.stop()


def test_a_refusal_keeps_its_reason(server: TrainerServer, path: Path) -> None:
    with pytest.raises(RejectedInput, match="RejectedInput: round 7 is over"):
        say(path, b"refuse")


@pytest.mark.parametrize(
    ("request_bytes", "error", "text"),
    [
        (b"retry", RetryError, "StoreUnavailable"),
        (b"fail", ConfigError, "ConfigError"),
        (b"own", ConfigError, "the data owner's own code failed; its log says where"),
        (b"bug", ConfigError, "log"),
    ],
)
def test_other_failures_say_nothing_private(
    server: TrainerServer, path: Path, request_bytes: bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        say(path, request_bytes)
    assert not any(secret in str(caught.value) for secret in ("secret.example", "alice", "a private detail"))


def test_an_oversized_request_is_refused_before_it_is_sent(server: TrainerServer, path: Path) -> None:
    with pytest.raises(DocumentInvalid, match=f"{MAX_FRAME_BYTES + 1} bytes, allowed {MAX_FRAME_BYTES}"):
        say(path, bytes(MAX_FRAME_BYTES + 1))


def test_an_oversized_answer_is_refused(server: TrainerServer, path: Path) -> None:
    with pytest.raises(RejectedInput, match="allowed"):
        say(path, b"huge")


@pytest.mark.parametrize("first", [struct.pack(">I", 2**32 - 1), struct.pack(">I", 100) + b"short", b"\x00"])
def test_a_broken_frame_costs_only_its_caller(server: TrainerServer, path: Path, first: bytes) -> None:
    """A claim of 4 GiB is refused before anything is allocated, a short one when the caller hangs up."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(5.0)
        caller.connect(str(path))
        caller.sendall(first)
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1) == b""
    assert say(path, b"abc") == b"cba"


def test_a_slow_caller_is_cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_server, "REQUEST_TIMEOUT_S", 0.05)
    running = serve(path, echo)
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(5.0)
            caller.connect(str(path))
            assert caller.recv(1) == b""
    finally:
        running.stop()


def test_nobody_there(path: Path) -> None:
    with pytest.raises(ProcessAbsent, match="no trainer answers at"):
        say(path, b"abc")


def test_a_server_that_is_restarted_is_found_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies over the first request; the caller asks its successor."""
    monkeypatch.setattr(trainer_server, "_RETRY_S", 0.01)
    servers: list[TrainerServer] = []
    asked: list[bytes] = []

    def dying(request: bytes) -> bytes:
        asked.append(request)
        raise SystemExit

    def restart() -> None:
        while not asked:
            threading.Event().wait(0.001)
        servers[0].stop()
        servers.append(serve(path, echo))

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    servers.append(serve(path, dying))
    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        assert ask(path, b"abc", timeout_s=5.0, who="trainer", patience_s=5.0) == b"cba"
    finally:
        restarting.join()
        servers[-1].stop()
    assert asked[0] == b"abc"


def test_patience_ends(path: Path) -> None:
    with pytest.raises(ProcessAbsent, match="no trainer answers at"):
        ask(path, b"abc", timeout_s=1.0, who="trainer", patience_s=0.05)


def test_no_answer_in_time(path: Path) -> None:
    release = threading.Event()
    running = serve(path, lambda request: request if release.wait(5.0) else b"")
    try:
        with pytest.raises(ProcessAbsent, match=r"within 0\.05 s"):
            say(path, b"abc", timeout_s=0.05)
    finally:
        release.set()
        running.stop()


def test_calls_do_not_overlap(path: Path) -> None:
    inside, most = 0, 0

    def handler(request: bytes) -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.01)
        inside -= 1
        return request

    running = serve(path, handler)
    try:
        callers = [threading.Thread(target=say, args=(path, b"abc")) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        running.stop()
    assert most == 1


def test_a_socket_left_by_a_killed_server_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    running = serve(path, echo)
    assert say(path, b"ab") == b"ba"
    running.stop()
    assert not path.exists()


def test_a_live_socket_is_not_replaced(server: TrainerServer, path: Path) -> None:
    with pytest.raises(ConfigError, match="another process already serves"):
        serve(path, echo)
    assert say(path, b"ab") == b"ba"


def test_a_file_is_not_replaced(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is not a socket"):
        serve(path, echo)
    assert path.read_text() == "precious"


def test_a_long_path_is_named(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    with pytest.raises(ConfigError, match="allowed 107"):
        serve(long, echo)
    with pytest.raises(ConfigError, match="allowed 107"):
        say(long, b"abc")


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen at"):
        serve(tmp_path / "none" / "s", echo)


def test_serve_trainer_stops_at_the_end(path: Path) -> None:
    class Trainer:
        def handle(self, message: bytes) -> bytes:
            return message + b"!"

    with serve_trainer(Trainer(), path) as running:
        assert say(path, b"abc") == b"abc!"
    running.stop()  # once more does no harm
    assert not path.exists()
