"""A29: proof abuse. Abuses stand beside their honest twin: the twin must pass, each abuse must fail, here and on chain.

Off chain: `verify_settlement` (py_ecc). On chain: `SettlementProofs.submit`. What makes the difference is one value:
an alias, a place, a sender, a key, a point. A proof can be made anew from another (re-randomised); so what was accepted
goes by task, round and commitment, and a second use is refused whatever its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from py_ecc.optimized_bn128 import multiply, normalize

from fl_platform.errors import DocumentInvalid, PointInvalid
from tests.support.evm import Account, Contract, Evm, Reverted, account
from tests.support.settlement_vectors import CLAIMANT, context, deploy, vector
from zk.curve.bn254 import FIELD, ORDER, Point
from zk.groth16.verifier import Point2, Proof, _lift, _lift2
from zk.settlement.inputs import Context, rho_of, value_at
from zk.settlement.proof import SettlementProof, verify_settlement
from zk.settlement.proof_file import ProofFile, key_of

SLOTS = 4
THIEF = account("thief")


@dataclass(frozen=True)
class Attempt:
    """A proof as somebody hands it in."""

    claimed: SettlementProof
    context: Context
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
    return Attempt(vector(SLOTS).claimed, context(), CLAIMANT)


def off_chain(attempt: Attempt) -> bool:
    """Whether py_ecc accepts; a typed refusal is a no."""
    try:
        return verify_settlement(attempt.claimed, attempt.context)
    except (DocumentInvalid, PointInvalid):
        return False


def on_chain(gate: Contract, attempt: Attempt) -> str:
    """Return the name of the error with which the gate refuses, "" when it accepts."""
    claimed, place = attempt.claimed, attempt.context
    try:
        gate.send(
            attempt.sender, "submit", place.task, place.round, claimed.commitment, list(claimed.values),
            list(claimed.proof.words()),
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


def with_root(change: Callable[[int], int]) -> Callable[[Attempt], Attempt]:
    return lambda a: replace(a, claimed=replace(a.claimed, commitment=change(a.claimed.commitment)))


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
    """The proof of the circuit with 16 slots under the list of 4."""
    return replace(attempt, claimed=replace(attempt.claimed, proof=vector(16).claimed.proof))


ZERO, ZERO2 = Point(0, 0), Point2((0, 0), (0, 0))
REFUSED, ALIAS, LENGTH = "Refused", "ElementOutOfField", "UnknownLength"
Abuses = dict[str, tuple[Callable[[Attempt], Attempt], str]]
ABUSES: dict[str, Abuses] = {
    "aliases": {
        "of a claim": (with_value(0, lambda v: v + ORDER), ALIAS),
        "of a mark": (with_value(SLOTS, lambda v: v + ORDER), ALIAS),
        "of the total": (with_value(2 * SLOTS, lambda v: v + ORDER), ALIAS),
        "of the commitment": (with_root(lambda v: v + ORDER), REFUSED),
    },
    "another list": {
        "a wei more": (with_value(0, lambda v: v + (1 << 160)), REFUSED),
        "another payee": (with_value(0, lambda v: v ^ 1), REFUSED),
        "another verdict": (with_value(SLOTS, lambda v: v ^ 1 << 17), REFUSED),
        "another dust": (with_value(2 * SLOTS, lambda v: v + (1 << 98)), REFUSED),
        "another commitment": (with_root(lambda v: v ^ 1), REFUSED),
        "a number less": (lambda a: replace(a, claimed=replace(a.claimed, values=a.claimed.values[:-1])), LENGTH),
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
    others = [gate.call("verifierOf", 2 * size + 1) for size in (4, 16, 64)]
    second = gate.evm.create(account("somebody").address, "SettlementProofs", others)
    assert on_chain(second, honest()) == "Refused"
    assert not off_chain(with_place(contract=int.from_bytes(second.address, "big"))(honest()))
    assert not off_chain(with_place(chain_id=31337)(honest()))
    assert on_chain(gate, honest()) == ""


def test_a_stale_key(gate: Contract) -> None:
    """The gate's verifiers are immutable; a file says which key it was made with."""
    file = ProofFile(context(), honest().claimed, key_of(SLOTS))
    assert file.holds()
    with pytest.raises(DocumentInvalid, match="keys or circuit were replaced"):
        replace(file, key=key_of(16)).holds()
    setters = [name for name in gate.abi.functions() if name.lower().startswith(("set", "init", "upgrade", "transfer"))]
    assert setters == []
