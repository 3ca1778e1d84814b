"""A29: proof abuse. Abuses stand beside their honest twin: the twin must pass, each abuse must fail, here and on chain.

Off chain: `verify_settlement`. On chain: `SettlementProofs.submit`. What makes the difference is one value: an alias, a
place, a sender, a key, a point. A proof can be made anew from another (re-randomised); so what was accepted goes by
task, round, commitment and key, and a second use is refused whatever its bytes. A key is data: anybody may bring one
whose secrets it keeps, and what it proves stands under that key's digest, which no task but its own names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from py_ecc.optimized_bn128 import multiply, normalize

from fl_platform.errors import DocumentInvalid, PointInvalid
from tests.support.evm import Account, Contract, Evm, Reverted, account
from tests.support.own_keys import forged, own_key
from tests.support.settlements import CLAIMANT, context, deploy, proof, proof_file, provable
from zk.curve.bn254 import FIELD, ORDER, Point
from zk.groth16.verifier import Point2, Proof, VerifyingKey, _lift, _lift2
from zk.settlement.binding import Context, list_hash, rho_of, value_at
from zk.settlement.circuit import REPUTATION_SHIFT
from zk.settlement.proof import SettlementProof, verify_settlement

THIEF = account("thief")


@dataclass(frozen=True)
class Attempt:
    """A proof as somebody hands it in."""

    claimed: SettlementProof
    context: Context
    key: VerifyingKey
    sender: Account


@pytest.fixture(scope="module")
def deployed() -> Contract:
    return deploy(Evm())


@pytest.fixture
def gate(deployed: Contract) -> Iterator[Contract]:
    mark = deployed.evm.snapshot()
    yield deployed
    deployed.evm.restore(mark)


def honest() -> Attempt:
    return Attempt(proof(), context(), provable().key, CLAIMANT)


def off_chain(attempt: Attempt) -> bool:
    """Whether a verifier accepts; a typed refusal is a no."""
    try:
        return verify_settlement(attempt.claimed, attempt.context, attempt.key)
    except (DocumentInvalid, PointInvalid):
        return False


def on_chain(gate: Contract, attempt: Attempt) -> str:
    """Return the name of the error with which the gate refuses, "" when it accepts."""
    claimed, place = attempt.claimed, attempt.context
    try:
        gate.send(
            attempt.sender, "submit", place.task, place.round, claimed.commitment, list(claimed.values),
            list(claimed.proof.words()), attempt.key.words(),
        )  # fmt: skip
    except Reverted as refused:
        return refused.name.removeprefix("SettlementProofs_")
    return ""


# --- abuses: each takes the honest attempt and changes one thing ------------------------------------------------------


def with_value(index: int, change: Callable[[int], int]) -> Callable[[Attempt], Attempt]:
    def abuse(attempt: Attempt) -> Attempt:
        values = list(attempt.claimed.values)
        values[index] = change(values[index])
        return replace(attempt, claimed=replace(attempt.claimed, values=tuple(values)))

    return abuse


def with_list(change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[[Attempt], Attempt]:
    return lambda a: replace(a, claimed=replace(a.claimed, values=change(a.claimed.values)))


def swapped_claims(attempt: Attempt) -> Attempt:
    """What two seats get, the one with what the other gets."""
    values = list(attempt.claimed.values)
    other = next(seat for seat, value in enumerate(values) if value != values[0])
    values[0], values[other] = values[other], values[0]
    return replace(attempt, claimed=replace(attempt.claimed, values=tuple(values)))


def with_root(change: Callable[[int], int]) -> Callable[[Attempt], Attempt]:
    return lambda a: replace(a, claimed=replace(a.claimed, commitment=change(a.claimed.commitment)))


def with_key(change: Callable[[VerifyingKey], VerifyingKey]) -> Callable[[Attempt], Attempt]:
    """Another key, and the context says so: what verifies must be held to what the task names all the same."""

    def abuse(attempt: Attempt) -> Attempt:
        key = change(attempt.key)
        return replace(attempt, key=key, context=replace(attempt.context, key=key.digest))

    return abuse


def with_place(**changes: int) -> Callable[[Attempt], Attempt]:
    return lambda a: replace(a, context=replace(a.context, **changes))


def with_proof(change: Callable[[Proof], Proof]) -> Callable[[Attempt], Attempt]:
    return lambda a: replace(a, claimed=replace(a.claimed, proof=change(a.claimed.proof)))


def flipped(word: int, bit: int) -> Callable[[Attempt], Attempt]:
    """One bit of one of the proof's eight words."""

    def change(proof: Proof) -> Proof:
        words = list(proof.words())
        words[word] ^= 1 << bit
        return of_words(words)

    return with_proof(change)


def of_words(words: list[int]) -> Proof:
    a0, a1, b1, b0, d1, d0, c0, c1 = words
    return Proof(Point(a0, a1), Point2((b0, b1), (d0, d1)), Point(c0, c1))


def stolen(attempt: Attempt) -> Attempt:
    """The thief copies a proof from the mempool and hands it in as its own."""
    return replace(
        attempt, sender=THIEF, context=replace(attempt.context, claimant=int.from_bytes(THIEF.address, "big"))
    )


def of_other_circuit(attempt: Attempt) -> Attempt:
    """A proof that holds under another circuit's key for the very same list and commitment."""
    other = forged(attempt.context, attempt.claimed.commitment, attempt.claimed.values)
    return replace(attempt, claimed=replace(attempt.claimed, proof=other.claimed.proof))


ZERO, ZERO2 = Point(0, 0), Point2((0, 0), (0, 0))
REFUSED, ALIAS = "Refused", "ElementOutOfField"
Abuses = dict[str, tuple[Callable[[Attempt], Attempt], str]]
ABUSES: dict[str, Abuses] = {
    "aliases": {
        "of a claim": (with_value(0, lambda v: v + ORDER), ALIAS),
        "of the weights": (with_value(-2, lambda v: v + ORDER), ALIAS),
        "of the divisor": (with_value(-1, lambda v: v + ORDER), ALIAS),
        "of the commitment": (with_root(lambda v: v + ORDER), REFUSED),
    },
    "another list": {
        "a wei more": (with_value(0, lambda v: v + 1), REFUSED),
        "another payee": (swapped_claims, REFUSED),
        "more reputation": (with_value(-3, lambda v: v + (1 << REPUTATION_SHIFT)), REFUSED),
        "another weight": (with_value(-2, lambda v: v ^ 1 << 20), REFUSED),
        "another divisor": (with_value(-1, lambda v: v + 1), REFUSED),
        "another commitment": (with_root(lambda v: v ^ 1), REFUSED),
        "a number less": (with_list(lambda v: v[:-1]), REFUSED),
        "a number more": (with_list(lambda v: (*v, 0)), REFUSED),
        "no number": (with_list(lambda _: ()), REFUSED),
    },
    "another key": {
        "of one's own": (with_key(lambda _: own_key()), REFUSED),
        "passed off as a ceremony's": (with_key(lambda k: replace(k, ceremony=b"ceremony".ljust(32))), REFUSED),
        "another gamma": (with_key(lambda k: replace(k, gamma=k.delta)), REFUSED),
        "another base": (with_key(lambda k: replace(k, ic=(*k.ic[:3], k.ic[1]))), REFUSED),
    },
    "another place": {
        "another round": (with_place(round=10), REFUSED),
        "another task": (with_place(task=4), REFUSED),
        "swapped claimant": (stolen, REFUSED),
    },
    "points that are none": {
        "zero A": (with_proof(lambda p: replace(p, a=ZERO)), REFUSED),
        "zero B": (with_proof(lambda p: replace(p, b=ZERO2)), REFUSED),
        "zero C": (with_proof(lambda p: replace(p, c=ZERO)), REFUSED),
        "all zero": (with_proof(lambda _: Proof(ZERO, ZERO2, ZERO)), REFUSED),
        "unreduced A": (with_proof(lambda p: replace(p, a=replace(p.a, x=p.a.x + FIELD))), REFUSED),
    },
    "another proof": {
        "negated A": (with_proof(lambda p: replace(p, a=replace(p.a, y=FIELD - p.a.y))), REFUSED),
        "A and C swapped": (with_proof(lambda p: replace(p, a=p.c, c=p.a)), REFUSED),
        "of another circuit": (of_other_circuit, REFUSED),
    },
    "flipped bits": {
        **{f"bit 0 of word {word}": (flipped(word, 0), REFUSED) for word in range(8)},
        **{f"bit 255 of word {word}": (flipped(word, 255), REFUSED) for word in range(8)},
    },
}


@pytest.mark.parametrize("family", ABUSES)
def test_every_abuse_fails_and_then_its_twin_passes(gate: Contract, family: str) -> None:
    for name, (abuse, error) in ABUSES[family].items():
        assert not off_chain(abuse(honest())), name
        assert on_chain(gate, abuse(honest())) == error, name
    assert on_chain(gate, honest()) == ""  # the very proof, with that one thing put right


def test_the_twin_of_all_passes_off_chain() -> None:
    assert off_chain(honest())


def test_the_alias_would_have_passed_by_its_value_alone() -> None:
    claimed = honest().claimed
    values = (claimed.values[0] + ORDER, *claimed.values[1:])
    rho = rho_of(context(), claimed.commitment, claimed.values)
    assert value_at(values, rho) == value_at(claimed.values, rho)


def remade(proof: Proof, z: int) -> Proof:
    """Re-randomise: z A and B / z verify like A and B, and look like nothing that was seen before."""

    def one(point: Any) -> Point:
        x, y = normalize(point)
        return Point(int(x), int(y))

    x, y = normalize(multiply(_lift2(proof.b), pow(z, -1, ORDER)))
    b = Point2((int(x.coeffs[0]), int(x.coeffs[1])), (int(y.coeffs[0]), int(y.coeffs[1])))
    return Proof(one(multiply(_lift(proof.a), z)), b, proof.c)


@pytest.mark.parametrize("z", [3, ORDER - 1])
def test_a_proof_made_anew_from_another_is_no_second_use(gate: Contract, z: int) -> None:
    again = replace(honest(), claimed=replace(honest().claimed, proof=remade(honest().claimed.proof, z)))
    assert again.claimed.proof != honest().claimed.proof
    assert off_chain(again)  # it is a proof: bytes do not identify one
    assert on_chain(gate, honest()) == ""
    assert on_chain(gate, honest()) == "AlreadyAccepted"
    assert on_chain(gate, again) == "AlreadyAccepted"


def test_a_proof_for_another_gate_or_chain(gate: Contract) -> None:
    second = gate.evm.create(account("somebody").address, "SettlementProofs")
    assert on_chain(second, honest()) == "Refused"
    assert not off_chain(with_place(contract=int.from_bytes(second.address, "big"))(honest()))
    assert not off_chain(with_place(chain_id=31337)(honest()))
    assert on_chain(gate, honest()) == ""


def of_own_key(attempt: Attempt, values: tuple[int, ...]) -> Attempt:
    """Another list for the very commitment, under a key whose secrets the thief keeps: it holds."""
    place = replace(attempt.context, claimant=int.from_bytes(THIEF.address, "big"))
    made = forged(place, attempt.claimed.commitment, values)
    return Attempt(made.claimed, made.context, made.key, THIEF)


def test_a_proof_under_a_key_of_ones_own_stands_beside_the_tasks_and_never_in_its_place(gate: Contract) -> None:
    values = (proof().values[0] + 10**18, *proof().values[1:])
    thiefs = of_own_key(honest(), values)
    assert off_chain(thiefs)
    assert on_chain(gate, thiefs) == ""  # it is a proof, under that key
    place = context().task, context().round, proof().commitment
    assert gate.call("acceptedList", *place, provable().key.digest) == bytes(32)
    assert on_chain(gate, honest()) == ""  # nobody's place was taken
    assert gate.call("acceptedList", *place, provable().key.digest) == list_hash(proof().values)
    assert gate.call("acceptedList", *place, own_key().digest) == list_hash(values)
    passed_off = replace(thiefs, key=provable().key, context=replace(thiefs.context, key=provable().key.digest))
    assert not off_chain(passed_off)
    assert on_chain(gate, with_place(round=10)(passed_off)) == "Refused"


def test_a_stale_key(gate: Contract) -> None:
    """The gate keeps no key; a file has the key that its proof was made for, and no other will do."""
    file = proof_file()
    assert file.holds()
    with pytest.raises(DocumentInvalid, match="the proof is bound to"):
        replace(file, key=own_key()).holds()
    assert not replace(file, key=own_key(), context=replace(file.context, key=own_key().digest)).holds()
    setters = [name for name in gate.abi.functions() if name.lower().startswith(("set", "init", "upgrade", "transfer"))]
    assert setters == []
