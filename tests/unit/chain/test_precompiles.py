"""BN254's multiples and pairings on libmcl are py-evm's own: output, failure, gas, on good and malformed input."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from eth.vm.forks.shanghai.computation import ShanghaiComputation
from eth.vm.message import Message
from eth.vm.transaction_context import BaseTransactionContext
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.optimized_bn128 import optimized_curve as oc

from fl_platform.chain import precompiles
from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.chain.types import Call
from fl_platform.errors import CurveEngineBroken
from zk.curve import bn254, pairing
from zk.curve.bn254 import FIELD, GENERATOR, ORDER

GAS = 1_000_000
MULTIPLY, PAIR = precompiles.ECMUL, precompiles.ECPAIRING
# The primes of 2p - r, the cofactor of G2 in the twist.
COFACTORS = (10069, 5864401, 1875725156269, 197620364512881247228717050342013327560683201906968909)


@cache
def node() -> EvmNode:
    return EvmNode(Genesis(1_700_000_000))


def run(kind: Any, address: bytes, data: bytes, gas: int = GAS) -> tuple[Any, ...]:
    vm = node().chain.get_vm()
    message = Message(gas=gas, to=address, sender=bytes(20), value=0, data=data, code=b"")
    done = kind.apply_computation(vm.state, message, BaseTransactionContext(gas_price=0, origin=bytes(20)))
    error = (type(done.error), str(done.error)) if done.is_error else None
    return done.output, error, done.get_gas_remaining(), done.get_gas_used()


def both(address: bytes, data: bytes, gas: int = GAS) -> tuple[Any, ...]:
    """Return what py-evm says, and the same from libmcl."""
    fast = precompiles.FastShanghaiVM.get_state_class().computation_class
    wanted = run(ShanghaiComputation, address, data, gas)
    assert run(fast, address, data, gas) == wanted
    return wanted


@cache
def g1(factor: int) -> bytes:
    return bn254.encode(bn254.multiply(GENERATOR, factor))


def encode_g2(point: Any) -> bytes:
    if oc.is_inf(point):
        return bytes(128)
    return b"".join(int(c).to_bytes(32, "big") for side in oc.normalize(point) for c in reversed(side.coeffs))


@cache
def g2(factor: int) -> bytes:
    return encode_g2(oc.multiply(oc.G2, factor % ORDER))


def root(square: FQ2) -> FQ2 | None:
    """Return a square root in F_p^2 (p = 3 mod 4), None where there is none."""
    power = square ** ((FIELD - 3) // 4)
    start, sign = power * square, power * power * square
    found = FQ2([0, 1]) * start if sign == FQ2([-1, 0]) else (FQ2.one() + sign) ** ((FIELD - 1) // 2) * start
    return found if found * found == square else None


@cache
def on_twist() -> Any:
    """Return a point of the twist outside the group of order r: its order has every factor of the cofactor."""
    for x in range(1, 100):
        side = FQ2([x, 0])
        y = root(side * side * side + oc.b2)
        if y is not None:
            point = (side, y, FQ2.one())
            whole = 2 * FIELD - ORDER
            if not any(oc.is_inf(oc.multiply(point, ORDER * whole // factor)) for factor in COFACTORS):
                return point
    raise AssertionError("no such point")


def of_order(factor: int) -> Any:
    """Return a point of the twist of that order."""
    return oc.multiply(on_twist(), ORDER * (2 * FIELD - ORDER) // factor)


EXTREMES = (0, 1, 2, 3, ORDER - 1, ORDER, ORDER + 1, FIELD - 2, FIELD - 1, FIELD, FIELD + 1, 2**255, 2**256 - 1)
numbers = (st.sampled_from(EXTREMES) | st.integers(0, 2**256 - 1)).map(lambda value: value.to_bytes(32, "big"))
points = st.sampled_from(EXTREMES).map(g1) | st.integers(0, ORDER).map(g1) | st.just(g1(1)) | st.just(bytes(64))
anything = st.binary(max_size=200) | st.lists(numbers, max_size=5).map(b"".join)


def cut(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Give whole inputs, and cut ones, and longer ones."""
    shorter = st.builds(lambda data, end: data[:end], whole, st.integers(0, 128))
    return whole | shorter | whole.map(lambda data: data + b"x")


@settings(max_examples=100, deadline=None)
@given(data=cut(st.tuples(points, numbers).map(b"".join)) | anything, gas=st.sampled_from([GAS, GAS, 6_000, 5_999]))
def test_multiples_agree(data: bytes, gas: int) -> None:
    both(MULTIPLY, data, gas)


def test_extremes_of_multiples_agree() -> None:
    for scalar in EXTREMES:
        assert both(MULTIPLY, g1(7) + scalar.to_bytes(32, "big"))[0] == g1(7 * scalar)
    assert both(MULTIPLY, b"")[0] == bytes(64)


@settings(max_examples=40, deadline=None)
@given(data=st.lists(numbers, min_size=6, max_size=6).map(b"".join) | st.binary(max_size=200))
def test_pairs_of_anything_agree(data: bytes) -> None:
    both(PAIR, data)


@settings(max_examples=3, deadline=None)
@given(left=st.integers(0, ORDER), right=st.integers(0, ORDER), miss=st.sampled_from([0, 0, 1]))
def test_pairings_agree(left: int, right: int, miss: int) -> None:
    """e(aG, bH) e(-abG, H) is one; with another number it is not."""
    output, error, _, _ = both(PAIR, g1(left) + g2(right) + g1(miss - left * right) + g2(1))
    assert (output, error) == ((not miss).to_bytes(32, "big"), None)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(192), bytes(384), g1(3) + bytes(128), bytes(64) + g2(3)],
    ids=["none", "infinity", "infinities", "G1 only", "G2 only"],
)
def test_without_a_finite_pair_the_product_is_one(data: bytes) -> None:
    assert both(PAIR, data)[:2] == ((1).to_bytes(32, "big"), None)


def word(data: bytes, place: int, value: int) -> bytes:
    """Put a number into the `place`-th word."""
    return data[: 32 * place] + value.to_bytes(32, "big") + data[32 * place + 32 :]


REFUSED: dict[str, Callable[[], bytes]] = {
    **{
        f"{name} in word {place}": lambda place=place, value=value: word(g1(1) + g2(1), place, value)
        for place in range(6)
        for name, value in (("p", FIELD), ("2^256 - 1", 2**256 - 1), ("0", 0))
    },
    **{f"order {factor}": lambda factor=factor: g1(1) + encode_g2(of_order(factor)) for factor in COFACTORS},
    **{
        f"order r times {factor}": lambda factor=factor: g1(1) + encode_g2(oc.add(oc.G2, of_order(factor)))
        for factor in COFACTORS
    },
    "the twist's whole order": lambda: g1(1) + encode_g2(on_twist()),
    "outside, beside infinity": lambda: bytes(64) + encode_g2(on_twist()),
    "off the curve, beside infinity": lambda: word(g1(1), 1, 3) + bytes(128),
    "halves of a coordinate exchanged": lambda: g1(1) + g2(1)[32:64] + g2(1)[:32] + g2(1)[96:] + g2(1)[64:96],
    "G1's y^2 = x^3 + 3 with another y": lambda: word(g1(1), 1, 3) + g2(1),
    "a bad second pair": lambda: bytes(192) + g1(1) + encode_g2(of_order(COFACTORS[0])),
    "a byte too few": lambda: (g1(1) + g2(1))[:-1],
    "a byte too many": lambda: g1(1) + g2(1) + b"\0",
    "one byte": lambda: b"\0",
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_pairs_fail_alike(name: str) -> None:
    output, error, _, _ = both(PAIR, REFUSED[name]())
    assert output == b""
    assert error is not None
    assert error[1] == "Invalid ECPAIRING parameters"


@pytest.mark.parametrize("gas", [0, 45_000, 113_000 - 1])
def test_too_little_gas_fails_alike(gas: int) -> None:
    assert both(PAIR, bytes(384), gas)[1][0].__name__ == "OutOfGas"


def test_exactly_enough_gas_is_enough() -> None:
    assert both(PAIR, bytes(384), 113_000)[2:] == (0, 113_000)


def test_a_length_that_is_no_pair_is_refused_before_the_gas_is_asked() -> None:
    assert both(PAIR, bytes(191), 0)[1][1] == "Invalid ECPAIRING parameters"


def test_the_chain_runs_on_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (MULTIPLY, PAIR):
        monkeypatch.setitem(precompiles.PY_EVM, address, lambda _computation: pytest.fail("py-evm's own ran"))
    assert node().execute(Call(PAIR, bytes(192))).output == (1).to_bytes(32, "big")
    assert node().execute(Call(MULTIPLY, g1(1) + bytes(31) + b"\5")).output == g1(5)


def test_without_the_library_py_evms_own_pairing_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> pairing.Pairing:
        raise ImportError("no build for this platform")

    monkeypatch.setattr(pairing, "load", missing)
    precompiles._library.cache_clear()
    try:
        with caplog.at_level("INFO", logger="fl_platform"):
            assert both(PAIR, bytes(192))[0] == (1).to_bytes(32, "big")
        assert "no libmcl here (no build for this platform)" in caplog.text
    finally:
        precompiles._library.cache_clear()


def test_a_library_that_answers_wrongly_is_found_out() -> None:
    class Yes(pairing.Pairing):
        """Says one to everything."""

        def is_one(self, data: bytes) -> bool:
            super().is_one(data)
            return True

    class No(pairing.Pairing):
        """Says one to nothing."""

        def is_one(self, data: bytes) -> bool:
            return super().is_one(data) and False

    class Careless(pairing.Pairing):
        """Takes points outside the group."""

        def __init__(self) -> None:
            super().__init__()
            self._in_group = lambda _point: 1

    for kind, said in ((Yes, "not bilinear"), (No, "not bilinear"), (Careless, "outside the group")):
        with pytest.raises(CurveEngineBroken, match=said):
            pairing.check(kind())
    pairing.check(pairing.load())
