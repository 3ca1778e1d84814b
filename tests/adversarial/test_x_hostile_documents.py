"""Documents that stop whoever reads them: by time, by memory, or by an error that nobody catches."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.flower import trainer_server
from fl_platform.protocol.bundle import Carried, RoundBundle, TaskState, parse_roster
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.messages import Submission, decode_message, encode_message
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import TaskSpec
from tests.support.specs import small_spec

RECEIPT = Receipt(
    task=1, round=0, life=0, base_round=0, trainer=bytes(20), parent=bytes(32), update=bytes(32), length=1,
    key_hash=bytes(32),
    leaves_root=bytes(32), content_root=bytes(32), commitment=bytes(32), samples=1, salt=bytes(32),
)  # fmt: skip
ACCOUNTS = {name: Carried(name, (0,)) for name in ("score_sum", "paid_scored", "paid_base", "reputation")}
STATE = TaskState(0, bytes(32), bytes(32), (), ScaleSpec((7,)), (), (bytes(20),), tuple(ACCOUNTS.values()), ())
BUNDLE = RoundBundle(
    chain_id=1, ledger=bytes(20), task=1, round=0, life=0, spec=bytes(32), aggregator=bytes(20), before=STATE,
    entries=(), verdicts=(), tape=bytes(32), columns=((1,),), validation=(), measured=False, divisor=0,
    aggregate=bytes(32), sums_root=bytes(32), after=STATE,
)  # fmt: skip


@pytest.mark.parametrize("data", [b'"' + b'\\"' * 500_000, b'["' + b'\\"' * 300_000 + b"\\", b'"' * 400_001])
def test_a_string_that_never_closes_is_refused_at_once(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(DocumentInvalid):
        parse_canonical(data, what="message")
    assert time.process_time() - started < 2


def test_brackets_inside_strings_are_no_depth_and_outside_they_are() -> None:
    value = ["[[[{" * 100, '\\"[' * 50, "\n"]
    assert parse_canonical(canonical_json(value), what="message") == value
    with pytest.raises(DocumentInvalid, match="nested"):
        parse_canonical(b'["\\"",' * 40, what="message")


FIELDS: dict[str, Any] = {
    "length": [-1, 2**64], "samples": [-1, 2**64, 10**4000], "task": [2**256], "round": [2**64, -1],
    "update": ["0x" + "00" * 31], "salt": ["0x"], "trainer": ["0x" + "11" * 21], "key_hash": ["0x" + "00" * 33],
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_receipt_that_fits_no_field_is_refused_where_it_is_read(name: str) -> None:
    honest = json.loads(encode_message(Submission(RECEIPT, bytes(65), (), b"")))
    for value in FIELDS[name]:
        honest["body"]["receipt"][name] = value
        with pytest.raises(DocumentInvalid):
            decode_message(canonical_json(honest), expected=Submission)
        entry = {"receipt": honest["body"]["receipt"], "signature": "0x", "stake": 1, "keys": [], "forced": False}
        with pytest.raises(DocumentInvalid):
            parse_roster(canonical_json([entry]))


def _scaled(**changes: Any) -> RoundBundle:
    return replace(BUNDLE, after=replace(STATE, scale=replace(STATE.scale, **changes)))


def _account(name: str, *cells: int) -> RoundBundle:
    state = tuple((ACCOUNTS | {name: Carried(name, cells)}).values())
    return replace(BUNDLE, after=replace(STATE, state=state))


HOSTILE: dict[str, Callable[[], RoundBundle]] = {
    "a step over every float": lambda: _scaled(exponents=(10**9,)),
    "a step under every float": lambda: _scaled(exponents=(-(10**9),)),
    "a cell of 4,000 digits": lambda: replace(BUNDLE, columns=((10**4000,),)),
    "a cell one over 256 bits": lambda: replace(BUNDLE, columns=((-(2**255) - 1,),)),
    "a reputation below zero": lambda: _account("reputation", -1),
    "pay over 127 bits": lambda: _account("paid_base", 2**127),
    "a score sum of 4,000 digits": lambda: _account("score_sum", 10**4000),
    "accounts of other seats": lambda: _account("paid_base", 0, 0),
    "a root of 4,000 digits": lambda: replace(
        BUNDLE, before=replace(STATE, state=(*STATE.state, Carried("past", (10**4000,))))
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_whose_numbers_no_round_can_have_is_refused_where_it_is_read(name: str) -> None:
    assert RoundBundle.from_bytes(BUNDLE.to_bytes()) == BUNDLE
    with pytest.raises(DocumentInvalid):
        RoundBundle.from_bytes(HOSTILE[name]().to_bytes())


def training(spec: TaskSpec, **changes: Any) -> TaskSpec:
    """Return the rules with another way to train."""
    return replace(spec, training=replace(spec.training, **changes))


RULES: dict[str, Callable[[TaskSpec], TaskSpec]] = {
    "no rows a batch": lambda s: training(s, batch_size=0),
    "no end of epochs": lambda s: training(s, epochs=10_001),
    "a batch that no memory holds": lambda s: training(s, batch_size=65_537),
    "a learning rate below zero": lambda s: training(s, learning_rate_ppm=-1),
    "an optimizer that nobody has": lambda s: training(s, optimizer="lbfgs"),
    "a momentum that never ends": lambda s: training(s, momentum_ppm=10**6),
    "an algorithm's parameter twice": lambda s: training(s, parameters=(("mu", 1), ("mu", 2))),
    "half of a base": lambda s: replace(s, base_model=bytes(16)),
    "a server rate over every float": lambda s: replace(s, aggregation=replace(s.aggregation, server_lr_num=10**400)),
    "fewer than no hostile trainers": lambda s: replace(s, aggregation=replace(s.aggregation, byzantine=-3)),
    "a floor below zero": lambda s: replace(s, aggregation=replace(s.aggregation, floor_bps=-1)),
    "an auditor without a key": lambda s: replace(s, auditors=(replace(s.reference, wrap_key=b""),)),
    "a thousand auditors": lambda s: replace(s, auditors=(s.reference,) * 1000),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_that_would_stop_a_trainer_are_refused_before_it_joins(name: str) -> None:
    spec = small_spec()
    assert TaskSpec.from_bytes(spec.to_bytes()) == spec
    with pytest.raises(DocumentInvalid):
        TaskSpec.from_bytes(RULES[name](spec).to_bytes())


def test_a_caller_that_drips_is_cut_off_after_one_request_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes within the time-out, the request never: the slot must be free again all the same."""
    monkeypatch.setattr(trainer_server, "REQUEST_TIMEOUT_S", 0.3)
    path, cut = tmp_path / "s", threading.Event()
    server = trainer_server.serve(path, lambda request: request)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(str(path))
            caller.send((1000).to_bytes(4, "big"))
            started, pause = time.monotonic(), threading.Event()
            while not cut.is_set() and time.monotonic() - started < 5:
                try:
                    caller.send(b"x")
                except (BrokenPipeError, ConnectionResetError):
                    cut.set()
                pause.wait(0.05)
    finally:
        server.stop()
    assert cut.is_set()
