"""Words become sinks; a sink that fails or hangs costs records and never the caller."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError
from fl_platform.sinks import opening
from fl_platform.sinks.opening import Sinks, open_sinks
from fl_platform.sinks.record import Record
from tests.support.records import learned


@pytest.mark.parametrize("words", ["", "jsonl", "jsonl:", "csv:x", "x.jsonl", "JSONL:x"])
def test_unknown_words_name_the_possible_ones(words: str) -> None:
    with pytest.raises(ConfigError, match=r"jsonl:FILE, tensorboard:DIR, mlflow:URI or prometheus:\[HOST:\]PORT"):
        open_sinks([words])


@pytest.mark.parametrize(
    ("words", "package"),
    [("tensorboard:x", "tensorboard"), ("mlflow:x", "mlflow"), ("prometheus:0", "prometheus_client")],
)
def test_a_missing_package_names_the_extra(
    words: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install 'fl-platform\[sinks\]'"):
        open_sinks([words])


def test_all_are_opened_or_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        open_sinks(["prometheus:0", "csv:x"])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sink:")]


def test_each_of_several_gets_every_record_in_order(tmp_path: Path) -> None:
    with open_sinks([f"jsonl:{tmp_path / 'a'}", f"jsonl:{tmp_path / 'b'}"]) as sinks:
        assert sinks.places == (f"jsonl:{tmp_path / 'a'}", f"jsonl:{tmp_path / 'b'}")
        for number in range(20):
            sinks.write(learned(number))
    for name in ("a", "b"):
        rounds = [json.loads(line)["round"] for line in (tmp_path / name).read_text().splitlines()]
        assert rounds == list(range(20))


class Odd:
    """A sink that does what a test says."""

    where = "odd:place"

    def __init__(self, do: Callable[[Record], object]) -> None:
        self._do = do

    def write(self, record: Record) -> None:
        self._do(record)

    def close(self) -> None:
        """Nothing to close."""


def test_a_full_disk_is_said_once_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_sinks(["jsonl:/dev/full", f"jsonl:{tmp_path / 'log'}"]) as sinks:
        for number in range(5):
            sinks.write(learned(number))
    assert len((tmp_path / "log").read_text().splitlines()) == 5
    assert [record.message for record in caplog.records] == [
        "log jsonl:/dev/full: OSError: [Errno 28] No space left on device; training goes on, further trouble with it "
        "is not said"
    ]


def test_a_sink_that_works_again_gets_what_follows() -> None:
    got: list[int] = []

    def take(record: Record) -> None:
        if record.round < 2:
            raise ConnectionError("away")
        got.append(record.round)

    with Sinks([Odd(take)]) as sinks:
        for number in range(4):
            sinks.write(learned(number))
    assert got == [2, 3]


def test_a_sink_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(opening, "WAITING", 3)
    monkeypatch.setattr(opening, "CLOSE_S", 0.05)
    let_go = threading.Event()
    sinks = Sinks([Odd(lambda _: let_go.wait(60))])
    for number in range(10):
        sinks.write(learned(number))  # would hang here
    sinks.close()
    let_go.set()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "too slow" in caplog.text


def test_an_mlflow_server_that_is_away_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open_sinks([f"mlflow:http://127.0.0.1:{port}"]) as sinks:
        sinks.write(learned(0))
    ours = [record.message for record in caplog.records if record.name == "fl_platform.sinks.opening"]
    assert len(ours) == 1
    assert ours[0].startswith(f"log mlflow:http://127.0.0.1:{port}: MlflowException: ")
