"""The ABI codec against eth-abi and against values made up by Hypothesis."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.chain.abi import Abi, show
from fl_platform.chain.types import Log
from fl_platform.errors import ChainError, IntegrityError
from fl_platform.protocol.keccak import keccak256

TWO = {"type": "address[2]", "name": ""}
BAD = [{"type": "uint256", "name": "got"}, {"type": "address", "name": "who"}]
PAIR = {
    "type": "tuple",
    "name": "p",
    "components": [{"type": "address", "name": "a"}, {"type": "uint8[]", "name": "b"}],
}
ABI = Abi(
    [
        {"type": "function", "name": "f", "inputs": [PAIR, {"type": "bytes", "name": "x"}], "outputs": [PAIR]},
        {"type": "function", "name": "g", "inputs": [], "outputs": []},
        {"type": "function", "name": "g", "inputs": [{"type": "bool", "name": "y"}], "outputs": [TWO]},
        {"type": "event", "name": "E", "inputs": [
            {"type": "address", "name": "who", "indexed": True},
            {"type": "string", "name": "text", "indexed": True},
            {"type": "uint256", "name": "much", "indexed": False},
        ]},
        {"type": "error", "name": "Bad", "inputs": BAD},
        {"type": "constructor", "inputs": [{"type": "uint256", "name": "n"}]},
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    a: bytes
    b: tuple[int, ...]


@settings(max_examples=50, deadline=None)
@given(a=st.binary(min_size=20, max_size=20), b=st.lists(st.integers(0, 255), max_size=5), x=st.binary(max_size=70))
def test_structs_go_in_as_dataclasses_and_come_out_as_tuples(a: bytes, b: list[int], x: bytes) -> None:
    data = ABI.encode("f", Pair(a, tuple(b)), x)
    assert data[:4] == keccak256(b"f((address,uint8[]),bytes)")[:4]
    assert data[4:] == encode(["(address,uint8[])", "bytes"], [(a, b), x])
    assert ABI.decode_output("f", 2, encode(["(address,uint8[])"], [(a, b)])) == ((a, tuple(b)),)


def test_overloads_go_by_number_of_arguments() -> None:
    assert ABI.encode("g") == keccak256(b"g()")[:4]
    assert ABI.encode("g", True)[:4] == keccak256(b"g(bool)")[:4]
    two = (b"\x01" * 20, b"\x02" * 20)
    assert ABI.decode_output("g", 1, encode(["address[2]"], [two])) == (two,)
    with pytest.raises(IntegrityError, match="ABI has 2 functions g"):
        ABI.function("g")
    with pytest.raises(IntegrityError, match="ABI has 0 functions h"):
        ABI.encode("h")


@pytest.mark.parametrize(
    "arguments", [(Pair(b"\x01", ()), b""), (Pair(b"\x01" * 20, (256,)), b""), (5, b""), (Pair(b"\x01" * 20, (1,)), 5)]
)
def test_values_that_do_not_fit_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ChainError, match="does not fit its type"):
        ABI.encode("f", *arguments)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_nonsense_from_the_chain_never_escapes_as_anything_else(data: bytes) -> None:
    with contextlib.suppress(ChainError):
        ABI.decode_output("f", 2, data)
    assert ABI.decode_revert(data).text
    selector = keccak256(b"Bad(uint256,address)")[:4]
    assert ABI.decode_revert(selector + data).text


def log(topics: tuple[bytes, ...], data: bytes) -> Log:
    return Log(bytes(20), topics, data, 1, bytes(32), bytes(32), 0)


def test_events_decode_by_topic() -> None:
    topic = ABI.event_topic("E")
    decoded = ABI.decode_log(log((topic, bytes(12) + b"\x07" * 20, b"\x08" * 32), (5).to_bytes(32, "big")))
    assert decoded is not None
    assert decoded.values == {"who": b"\x07" * 20, "text": b"\x08" * 32, "much": 5}
    assert ABI.decode_log(log((bytes(32),), b"")) is None
    assert ABI.decode_log(log((), b"")) is None
    assert ABI.event_names() == ("E",)
    with pytest.raises(IntegrityError, match="no event F"):
        ABI.event_topic("F")


def test_errors_decode() -> None:
    data = keccak256(b"Bad(uint256,address)")[:4] + encode(["uint256", "address"], [5, b"\x01" * 20])
    revert = ABI.decode_revert(data)
    assert (revert.name, revert.values) == ("Bad", (5, b"\x01" * 20))
    assert revert.text == f"Bad(got=5, who=0x{'01' * 20})"
    assert ABI.decode_revert(keccak256(b"Error(string)")[:4] + encode(["string"], ["why"])).text == "why"
    assert "overflow" in ABI.decode_revert(keccak256(b"Panic(uint256)")[:4] + (17).to_bytes(32, "big")).text
    assert "out of gas" in ABI.decode_revert(b"").text
    assert "unknown error 0x12345678" in ABI.decode_revert(bytes.fromhex("12345678")).text


def test_constructors_and_shown_values() -> None:
    assert ABI.encode_constructor(5) == (5).to_bytes(32, "big")
    assert ABI.constructor_names == ("n",)
    with pytest.raises(IntegrityError, match="constructor wants 1"):
        ABI.encode_constructor()
    assert show((b"\x01", 5, (True,))) == "(0x01, 5, (True))"
