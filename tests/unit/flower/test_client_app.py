"""The thin ClientApp: what it forwards, what it tells the aggregator, and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict

from fl_platform.errors import ConfigError, DocumentInvalid, RejectedInput
from fl_platform.flower import client_app
from fl_platform.flower.client_app import SOCKET_KEY, answer, app, socket_of_node
from fl_platform.flower.trainer_server import serve_trainer
from fl_platform.flower.wire import COMMIT, MAX_MESSAGE_BYTES, REVEAL, pack_body, pack_refusal, unpack_body


class Trainer:
    """Answers with the order it got, or refuses."""

    def handle(self, message: bytes) -> bytes:
        if message == b"refuse":
            raise RejectedInput("not my task")
        if message == b"fail":
            raise ConfigError("/srv/alice/wallet.json")
        return b"signed:" + message


def context(**node_config: str | float) -> Context:
    """Return a node's context as a SuperNode makes it."""
    return Context(run_id=1, node_id=2, node_config=dict(node_config), state=RecordDict(), run_config={})


def order(body: bytes, kind: str = COMMIT) -> Message:
    """Return an order as the ServerApp sends it."""
    return Message(pack_body(body), 2, kind)


@pytest.mark.parametrize("kind", [COMMIT, REVEAL])
def test_forwards_an_order_and_its_answer(tmp_path: Path, kind: str) -> None:
    with serve_trainer(Trainer(), tmp_path / "s"):
        reply = app(order(b"train", kind), context(**{SOCKET_KEY: str(tmp_path / "s")}))
    assert unpack_body(reply) == b"signed:train"
    assert reply.metadata.message_type == kind


def test_a_refusal_reaches_the_aggregator(tmp_path: Path) -> None:
    with serve_trainer(Trainer(), tmp_path / "s"):
        reply = app(order(b"refuse"), context(**{SOCKET_KEY: str(tmp_path / "s")}))
    with pytest.raises(DocumentInvalid, match="trainer refused: 'RejectedInput: not my task'"):
        unpack_body(reply)


def test_a_failure_reaches_it_without_its_words(tmp_path: Path) -> None:
    with serve_trainer(Trainer(), tmp_path / "s"):
        reply = app(order(b"fail"), context(**{SOCKET_KEY: str(tmp_path / "s")}))
    with pytest.raises(DocumentInvalid, match="trainer refused: 'ConfigError'"):
        unpack_body(reply)


@pytest.mark.parametrize("node_config", [{}, {SOCKET_KEY: ""}, {SOCKET_KEY: 5.0}])
def test_no_socket_is_a_refusal_not_a_crash(node_config: dict[str, str | float]) -> None:
    with pytest.raises(ConfigError, match="--node-config"):
        socket_of_node(context(**node_config))
    with pytest.raises(DocumentInvalid, match="ConfigError"):
        unpack_body(app(order(b"train"), context(**node_config)))


def test_no_trainer_is_a_refusal_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_app, "PATIENCE_S", 0.0)
    reply = answer(order(b"train"), context(), socket_of=lambda _: tmp_path / "s")
    with pytest.raises(DocumentInvalid, match="ProcessAbsent"):
        unpack_body(reply)


def test_a_malformed_order_is_a_refusal_not_a_crash(tmp_path: Path) -> None:
    message = Message(RecordDict(), 2, COMMIT)
    with pytest.raises(DocumentInvalid, match="exactly the record"):
        unpack_body(answer(message, context(), socket_of=lambda _: tmp_path / "s"))


def test_the_run_configuration_has_no_say(tmp_path: Path) -> None:
    """The aggregator writes it; a socket named there must not be opened."""
    hostile = Context(
        run_id=1, node_id=2, node_config={}, state=RecordDict(), run_config={SOCKET_KEY: str(tmp_path / "s")}
    )
    with pytest.raises(ConfigError):
        socket_of_node(hostile)


def test_imports_neither_torch_nor_a_role() -> None:
    """Flower starts this module once per message: torch would cost a second and 300 MB each time."""
    code = "import sys, json, fl_platform.flower.client_app; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "FLWR_TELEMETRY_ENABLED": "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment, timeout=60
    )
    modules = json.loads(result.stdout.splitlines()[-1])
    heavy = ("torch", "ray", "web3", "sklearn", "scipy", "py_ecc", "eth")
    assert not [name for name in modules if name.split(".")[0] in heavy]
    ours = {name for name in modules if name.startswith("fl_platform.")}
    assert ours == {
        f"fl_platform.{m}" for m in ("errors", "flower", "flower.client_app", "flower.trainer_server", "flower.wire")
    }


def replies() -> list[tuple[Message, str]]:
    """Every malformed reply, with what its refusal must say."""
    asked = order(b"train")
    numbers = RecordDict({"fl-platform": MetricRecord({"body": 1})})
    return [
        (Message(Error(code=3, reason="x" * 9000), reply_to=asked), "Flower reports error 3"),
        (Message(RecordDict(), reply_to=asked), "exactly the record"),
        (Message(numbers, reply_to=asked), "exactly the record"),
        (Message(RecordDict({"other": ConfigRecord({"body": b"x"})}), reply_to=asked), "exactly the record"),
        (
            Message(RecordDict({**pack_body(b"x"), "more": ConfigRecord({"body": b"x"})}), reply_to=asked),
            "exactly the record",
        ),
        (
            Message(RecordDict({"fl-platform": ConfigRecord({"body": b"x", "num-examples": 10**9})}), reply_to=asked),
            "exactly the record",
        ),
        (
            Message(RecordDict({"fl-platform": ConfigRecord({"body": "text"})}), reply_to=asked),
            "must be bytes, found str",
        ),
        (Message(pack_body(bytes(MAX_MESSAGE_BYTES + 1)), reply_to=asked), f"allowed {MAX_MESSAGE_BYTES}"),
        (Message(pack_refusal("y" * 9000), reply_to=asked), "trainer refused"),
    ]


@pytest.mark.parametrize("case", range(9))
def test_every_malformed_reply_is_refused(case: int) -> None:
    message, text = replies()[case]
    with pytest.raises(DocumentInvalid, match=text) as caught:
        unpack_body(message)
    assert len(str(caught.value)) < 700


def test_the_largest_reply_passes() -> None:
    assert len(unpack_body(order(bytes(MAX_MESSAGE_BYTES)))) == MAX_MESSAGE_BYTES


def test_the_limit_is_the_protocols() -> None:
    from fl_platform.protocol.messages import MAX_MESSAGE_BYTES as protocols_limit

    assert protocols_limit == MAX_MESSAGE_BYTES
