"""What runs alone answers as it does on a chain, and leaves to the node what needs others."""

from __future__ import annotations

import pytest

from fl_platform.chain import alone
from fl_platform.chain.alone import Alone
from fl_platform.chain.artifacts import load
from tests.support.disputes import JUDGES, Stage, judge_of
from tests.support.evm import Reverted
from tests.support.rounds import happy_round

# What a lone contract would answer for another: storage, balances, clock, chain, sender's world.
WORLD = {
    0x31: "BALANCE", 0x32: "ORIGIN", 0x3A: "GASPRICE", 0x40: "BLOCKHASH", 0x41: "COINBASE", 0x42: "TIMESTAMP",
    0x43: "NUMBER", 0x44: "PREVRANDAO", 0x45: "GASLIMIT", 0x46: "CHAINID", 0x47: "SELFBALANCE", 0x48: "BASEFEE",
    0x54: "SLOAD",
}  # fmt: skip


def opcodes(code: bytes) -> set[int]:
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found


@pytest.mark.parametrize("name", JUDGES)
def test_judges_keep_no_storage_and_read_no_clock(name: str) -> None:
    assert {WORLD[op] for op in opcodes(load(name).runtime) if op in WORLD} == set()


def test_a_judge_answers_alone_as_on_chain() -> None:
    made = happy_round(3)
    stage = Stage.start(made)
    stage.seal(made)
    lone, answered = Alone(stage.world.evm.code), set()
    for question, shown in stage.everything(0):
        judge, case = stage.world.judges[judge_of(question)], stage.case(0, question)
        output = lone.call(judge.address, judge.abi.encode("refutes", case, shown))
        if output is not None:
            answered.add(question.name)
            assert any(output) == judge.call("refutes", case, shown)
    assert {"CLAIM", "STANDING", "TOTALS", "ENTRY", "ENTRIES", "ROSTER", "SOLUTION", "QUALITY", "KRUM"} <= answered
    assert "RULES" not in answered, "it asks the registry, and there is none"


def test_what_reverts_is_left_to_the_node() -> None:
    made = happy_round(3)
    stage = Stage.start(made)
    stage.seal(made)
    judge = stage.world.judges[2]
    assert Alone(stage.world.evm.code).call(judge.address, b"\1\2\3\4") is None
    question, shown = stage.everything(0)[1]
    with pytest.raises(Reverted, match="Judge_UnknownQuestion"):
        judge.call("refutes", stage.case(0, question).__class__(1, 0, stage.record(0), 0), shown)


def test_without_the_extra_the_node_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "REVM", None)
    assert Alone(lambda _: b"").call(bytes(20), b"") is None
