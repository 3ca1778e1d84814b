"""The gate on the same proof as py_ecc and libmcl: one answer; and what it refuses."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.errors import DocumentInvalid, PointInvalid
from fl_platform.protocol.merkle_sum import Leaf, build
from fl_platform.protocol.program import Output
from fl_platform.rules.compose import Rule, compose
from tests.support.evm import START, Contract, Evm, Reverted, account
from tests.support.rule_rounds import Federation
from tests.support.settlements import (
    AGGREGATORS,
    CLAIMANT,
    ROUND,
    TASK,
    context,
    deploy,
    proof,
    proof_file,
    provable,
)
from tests.unit.rules.own_rule import by_cosine
from zk.circuits.plan import Shape
from zk.curve.bn254 import FIELD, ORDER
from zk.groth16 import keys, prover, verifier
from zk.groth16.verifier import Point2, Proof, VerifyingKey
from zk.settlement.binding import list_hash, public_inputs, rho_of, value_at
from zk.settlement.circuit import REPUTATION_SHIFT, Circuit
from zk.settlement.proof import prove_settlement, verify_settlement


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


@pytest.fixture(scope="module")
def deployed(evm: Evm) -> Contract:
    return deploy(evm)


@pytest.fixture
def gate(evm: Evm, deployed: Contract) -> Any:
    mark = evm.snapshot()
    yield deployed
    evm.restore(mark)


def submit(gate: Contract, **changes: Any) -> Any:
    claimed = proof()
    return gate.send(
        changes.get("sender", CLAIMANT),
        "submit",
        changes.get("task", TASK),
        changes.get("round", ROUND),
        changes.get("commitment", claimed.commitment),
        changes.get("values", list(claimed.values)),
        changes.get("proof", list(claimed.proof.words())),
        changes.get("key", provable().key.words()),
    )


def refused(gate: Contract, **changes: Any) -> bool:
    with pytest.raises(Reverted) as caught:
        submit(gate, **changes)
    return bool(caught.value.name == "SettlementProofs_Refused")


def about() -> bytes:
    from fl_platform.protocol.keccak import keccak256

    place = TASK, ROUND, proof().commitment
    return keccak256(b"".join(one.to_bytes(32, "big") for one in place) + provable().key.digest)


def test_contract_and_python_read_a_list_at_the_same_point(gate: Contract) -> None:
    claimed = proof()
    commitment, value, rho = public_inputs(context(), claimed.commitment, claimed.values)
    assert commitment == claimed.commitment
    assert gate.call("rhoOf", about(), CLAIMANT.address, list_hash(claimed.values)) == rho
    assert gate.call("valueAt", list(claimed.values), rho) == value


def test_a_proof_is_accepted_once(gate: Contract) -> None:
    claimed, key = proof(), provable().key.digest
    outcome = submit(gate)
    told = outcome.event("SettlementAccepted")
    assert (told["listHash"], told["key"]) == (list_hash(claimed.values), key)
    assert gate.call("acceptedList", TASK, ROUND, claimed.commitment, key) == list_hash(claimed.values)
    assert gate.call("acceptedList", TASK, ROUND, claimed.commitment, bytes(32)) == bytes(32)
    with pytest.raises(Reverted) as caught:
        submit(gate)
    assert caught.value.name == "SettlementProofs_AlreadyAccepted"


@pytest.mark.parametrize(
    "change",
    [
        {"sender": account("thief")}, {"task": TASK + 1}, {"round": ROUND + 1}, {"commitment": 5},
        {"commitment": proof().commitment + ORDER}, {"key": [*provable().key.words()[:-1], 7]},
        {"key": [*provable().key.words()[2:4], *provable().key.words()[2:]]},
    ],
    ids=["claimant", "task", "round", "commitment", "alias", "ceremony", "alpha"],
)  # fmt: skip
def test_a_proof_for_something_else_is_refused(gate: Contract, change: dict[str, Any]) -> None:
    assert refused(gate, **change)


def test_a_proof_for_another_gate_or_chain_is_refused(evm: Evm) -> None:
    assert refused(evm.create(account("other").address, "SettlementProofs"))
    assert verify_settlement(proof(), context(), provable().key)
    assert not verify_settlement(proof(), replace(context(), chain_id=31337), provable().key)


def test_a_proof_under_another_key_is_no_proof() -> None:
    other = replace(provable().key, ceremony=b"\1" * 32)
    with pytest.raises(DocumentInvalid, match="the key is "):
        verify_settlement(proof(), context(), other)
    assert not verify_settlement(proof(), replace(context(), key=other.digest), other)


@pytest.mark.parametrize("index", range(len(proof().values)))  # claims, weights, divisor
def test_every_number_of_the_list_is_bound(gate: Contract, index: int) -> None:
    values = list(proof().values)
    values[index] += 1
    assert refused(gate, values=values)


@pytest.mark.parametrize("change", [lambda v: [*v, 0], lambda v: v[:-1], lambda v: [0, *v], lambda v: []])
def test_the_list_ends_where_the_circuit_says(gate: Contract, change: Any) -> None:
    assert refused(gate, values=change(list(proof().values)))


def test_a_number_of_the_list_cannot_hide_behind_its_alias(gate: Contract) -> None:
    values = list(proof().values)
    values[2] += ORDER
    with pytest.raises(Reverted) as caught:
        submit(gate, values=values)
    assert (caught.value.name, caught.value.values) == ("SettlementProofs_ElementOutOfField", (2, values[2]))
    with pytest.raises(DocumentInvalid, match="alias"):
        verify_settlement(replace(proof(), values=tuple(values)), context(), provable().key)
    # the alias alone would have passed: the polynomial does not see it
    rho = rho_of(context(), 1, values)
    assert value_at(values, rho) == value_at(proof().values, rho)


def broken(proof: Proof) -> list[Proof]:
    """Points off the curve, unreduced, infinity, negated, swapped, and a G2 point outside the group."""
    a, b, c = proof.a, proof.b, proof.c
    return [
        Proof(replace(a, y=a.y + 1), b, c),
        Proof(replace(a, x=a.x + FIELD), b, c),
        Proof(replace(a, y=FIELD), b, c),
        Proof(replace(a, x=0, y=0), b, c),
        Proof(replace(a, x=0, y=FIELD), b, c),
        Proof(replace(a, y=FIELD - a.y), b, c),
        Proof(a, b, replace(c, x=0, y=0)),
        Proof(c, b, a),
        Proof(a, Point2((0, 0), (0, 0)), c),
        Proof(a, Point2((b.x[1], b.x[0]), b.y), c),
        Proof(a, Point2((b.x[0] + FIELD, b.x[1]), b.y), c),
        Proof(a, OUTSIDE, c),
    ]


def outside_the_group() -> Point2:
    """Find a point of the second curve that is not in its group of order r."""
    from py_ecc.fields import optimized_bn128_FQ2 as FQ2
    from py_ecc.optimized_bn128 import optimized_curve as oc

    def root(value: int) -> int:
        return pow(value, (FIELD + 1) // 4, FIELD)

    for x in range(1, 60):
        c, d = (int(part) for part in (FQ2((x, 1)) ** 3 + oc.b2).coeffs)
        norm = root((c * c + d * d) % FIELD)  # sqrt(c + d u) by the complex method
        for half in ((c + norm) * pow(2, -1, FIELD) % FIELD, (c - norm) * pow(2, -1, FIELD) % FIELD):
            first = root(half)
            y = FQ2((first, d * pow(2 * first, -1, FIELD) % FIELD))
            if y * y == FQ2((c, d)):
                return Point2((x, 1), (int(y.coeffs[0]), int(y.coeffs[1])))
    raise AssertionError("no such point among sixty")


OUTSIDE = outside_the_group()


def test_points_that_are_none_are_refused_by_all(gate: Contract) -> None:
    claimed, key = proof(), provable().key
    public = public_inputs(context(), claimed.commitment, claimed.values)
    for made in broken(claimed.proof):
        assert refused(gate, proof=list(made.words()))
        for verify in (verifier.verify, verifier.verify_slowly):
            with contextlib.suppress(PointInvalid):
                assert not verify(key, public, made)
    for index in range(3):
        alias = [value + ORDER * (i == index) for i, value in enumerate(public)]
        with pytest.raises(DocumentInvalid, match="not below r"):
            verifier.verify(key, alias, claimed.proof)


def test_the_claim_tree_of_the_list_is_the_seals(gate: Contract) -> None:
    values, tape = proof().values, provable().tape
    earned, reputation = tape.output(Output.EARNED), tape.output(Output.REPUTATION)
    accounts = [bytes([seat + 1]) * 20 for seat in range(len(earned))]
    leaves = tuple(
        Leaf(account, int(wei), int(part).to_bytes(32, "big"))
        for account, wei, part in zip(accounts, earned, reputation, strict=True)
    )
    tree = build(leaves)
    assert gate.call("claimRoot", list(values), accounts) == (tree.digest, tree.total)
    assert values[REFERENCE] == int(earned[REFERENCE]) + (int(reputation[REFERENCE]) << REPUTATION_SHIFT)


REFERENCE = 8


def other_chain(chain_id: int) -> Evm:
    made = Evm()
    made._vm = EvmNode(Genesis(timestamp=START, chain_id=chain_id)).chain.get_vm()
    made._state = made._vm.state
    made._state.execution_context._base_fee_per_gas = 0
    return made


def test_known_secrets_are_refused_off_local_networks() -> None:
    with pytest.raises(Reverted) as caught:
        submit(deploy(other_chain(1)))
    assert (caught.value.name, caught.value.values) == ("SettlementProofs_DevelopmentKey", (1,))
    assert provable().key.development
    verifier.refuse_development_key(provable().key, chain_id=31337)
    with pytest.raises(DocumentInvalid, match="development key"):
        verify_settlement(proof(), replace(context(), chain_id=1), provable().key)


def test_a_rule_of_ones_own_is_proved_on_the_same_gate_with_its_own_key(gate: Contract) -> None:
    """Nothing is deployed for it: its program gives the circuit, the circuit its key, and the key is data."""
    rule = Rule(screens=(), weighting=by_cosine, worth="equal", directions=0, shares=False)
    circuit = Circuit(compose(rule), Shape(2, 0, AGGREGATORS))
    parameters = keys.development_key(circuit.r1cs())
    key = prover.verifying_key(parameters)
    assert key.digest != provable().key.digest
    tape = Federation(random.Random(4), trainers=2, directions=0).round(circuit.program, None, "two")
    place = replace(context(), key=key.digest)
    made = prove_settlement(circuit, parameters, tape, place)
    assert refused(gate, commitment=made.commitment, values=list(made.values), proof=list(made.proof.words()))
    sent = (TASK, ROUND, made.commitment, list(made.values), list(made.proof.words()), key.words())
    assert gate.send(CLAIMANT, "submit", *sent).event("SettlementAccepted")["key"] == key.digest


def test_a_key_reads_back_as_the_contract_takes_it() -> None:
    key = provable().key
    assert VerifyingKey.from_bytes(key.to_bytes()) == key
    assert len(key.words()) == 23
    for data in (key.to_bytes()[:-32], key.to_bytes() + bytes(32), b""):
        with pytest.raises((DocumentInvalid, PointInvalid)):
            VerifyingKey.from_bytes(data)
    infinity = bytes(64) + key.to_bytes()[64:]
    with pytest.raises(PointInvalid):
        VerifyingKey.from_bytes(infinity)


def test_verifying_needs_no_compiled_code() -> None:
    code = "import sys, zk.settlement.proof_file; print(sorted({'numba', 'mclbn256'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert proof_file().holds()
