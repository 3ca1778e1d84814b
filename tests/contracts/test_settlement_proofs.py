"""The generated verifiers and the gate, on the same vectors as py_ecc: one answer; and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.errors import DocumentInvalid, PointInvalid
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf, build
from tests.support.evm import START, Contract, Evm, Reverted, account
from tests.support.settlement_vectors import CLAIMANT, ROUND, TASK, context, deploy, vector
from zk.curve.bn254 import FIELD, ORDER
from zk.groth16 import package_keys, verifier
from zk.groth16.verifier import Point2, Proof
from zk.settlement.inputs import claims_of, rho_of, value_at
from zk.settlement.proof import SettlementProof, public_inputs, verify_settlement

SIZES = (4, 16, 64)


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


def submit(gate: Contract, slots: int, **changes: Any) -> Any:
    claimed = vector(slots).claimed
    return gate.send(
        changes.get("sender", CLAIMANT),
        "submit",
        changes.get("task", TASK),
        changes.get("round", ROUND),
        changes.get("commitment", claimed.commitment),
        changes.get("values", list(claimed.values)),
        changes.get("proof", list(claimed.proof.words())),
    )


def both(gate: Contract, slots: int, proof: Proof, public: Sequence[int]) -> bool:
    """Ask py_ecc and the generated contract; they must agree (a typed refusal counts as no)."""
    size_of_list = 2 * slots + 1
    address = gate.call("verifierOf", size_of_list)
    contract = Contract(gate.evm, f"SettlementVerifier{slots}", address)
    on_chain = contract.call("verify", list(proof.words()), list(public))
    try:
        off_chain = verifier.verify(package_keys.verifying_key(slots), public, proof)
    except (DocumentInvalid, PointInvalid):
        off_chain = False
    assert on_chain == off_chain
    return bool(on_chain)


@pytest.mark.parametrize("slots", SIZES)
def test_true_and_tampered_vectors_have_one_answer(gate: Contract, slots: int) -> None:
    claimed = vector(slots).claimed
    public = public_inputs(claimed.commitment, claimed.values, context())
    assert both(gate, slots, claimed.proof, public)
    tampered = (public[0], (public[1] + 1) % ORDER, public[2])
    assert not both(gate, slots, claimed.proof, tampered)
    assert gate.call("rhoOf", TASK, ROUND, CLAIMANT.address, claimed.commitment, list_hash(claimed.values)) == public[2]
    assert gate.call("valueAt", list(claimed.values), public[2]) == public[1]


def list_hash(values: Sequence[int]) -> bytes:
    return keccak256(b"".join(value.to_bytes(32, "big") for value in values))


@pytest.mark.parametrize("slots", SIZES)
def test_a_proof_is_accepted_once_and_within_its_gas(gate: Contract, slots: int) -> None:
    claimed = vector(slots).claimed
    outcome = submit(gate, slots)
    assert outcome.event("SettlementAccepted")["listHash"] == list_hash(claimed.values)
    assert gate.call("acceptedList", TASK, ROUND, claimed.commitment) == list_hash(claimed.values)
    with pytest.raises(Reverted) as caught:
        submit(gate, slots)
    assert caught.value.name == "SettlementProofs_AlreadyAccepted"


@pytest.mark.parametrize(
    "change",
    [
        {"sender": account("thief")}, {"task": TASK + 1}, {"round": ROUND + 1}, {"commitment": 5},
        {"commitment": vector(4).claimed.commitment + ORDER},
    ],
    ids=["claimant", "task", "round", "commitment", "alias"],
)  # fmt: skip
def test_a_proof_for_something_else_is_refused(gate: Contract, change: dict[str, Any]) -> None:
    with pytest.raises(Reverted) as caught:
        submit(gate, 4, **change)
    assert caught.value.name == "SettlementProofs_Refused"


def test_a_proof_for_another_gate_or_chain_is_refused(evm: Evm) -> None:
    claimed = vector(4).claimed
    other = evm.create(
        account("other").address, "SettlementProofs",
        [evm.create(account("other").address, f"SettlementVerifier{size}").address for size in SIZES],
    )  # fmt: skip
    with pytest.raises(Reverted) as caught:
        submit(other, 4)
    assert caught.value.name == "SettlementProofs_Refused"
    assert verify_settlement(claimed, context())
    assert not verify_settlement(claimed, replace(context(), chain_id=31337))


@pytest.mark.parametrize("index", [0, 6, 8])  # a claim, a mark, the total
def test_every_number_of_the_list_is_bound(gate: Contract, index: int) -> None:
    values = list(vector(4).claimed.values)
    values[index] ^= 1
    with pytest.raises(Reverted) as caught:
        submit(gate, 4, values=values)
    assert caught.value.name == "SettlementProofs_Refused"


def test_a_number_of_the_list_cannot_hide_behind_its_alias(gate: Contract) -> None:
    values = list(vector(4).claimed.values)
    values[2] += ORDER
    with pytest.raises(Reverted) as caught:
        submit(gate, 4, values=values)
    assert (caught.value.name, caught.value.values) == ("SettlementProofs_ElementOutOfField", (2, values[2]))
    with pytest.raises(DocumentInvalid, match="alias"):
        verify_settlement(replace(vector(4).claimed, values=tuple(values)), context())
    # the alias alone would have passed: the polynomial does not see it
    rho = rho_of(context(), 1, values)
    assert value_at(values, rho) == value_at(vector(4).claimed.values, rho)


def test_a_list_of_no_circuit_is_refused(gate: Contract) -> None:
    with pytest.raises(Reverted) as caught:
        submit(gate, 4, values=[1, 2, 3])
    assert caught.value.name == "SettlementProofs_UnknownLength"


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


def test_points_that_are_none_are_refused_by_both(gate: Contract) -> None:
    claimed = vector(4).claimed
    public = public_inputs(claimed.commitment, claimed.values, context())
    assert [both(gate, 4, proof, public) for proof in broken(claimed.proof)] == [False] * 12
    for index in range(3):
        alias = [value + ORDER * (i == index) for i, value in enumerate(public)]
        assert not both(gate, 4, claimed.proof, alias)


@pytest.mark.parametrize("slots", SIZES)
def test_the_claim_tree_of_the_list_is_the_seals(gate: Contract, slots: int) -> None:
    values = vector(slots).claimed.values
    leaves = [
        Leaf(address.to_bytes(20, "big"), wei, (values[slots + i] >> 20 & 0xFFFFF).to_bytes(32, "big"))
        for i, (address, wei) in enumerate(claims_of(values))
    ]
    tree = build(leaves)
    assert gate.call("claimRoot", list(values)) == (tree.digest, tree.total, len(leaves))


def test_known_secrets_are_refused_off_local_networks() -> None:
    main_net = Evm()
    main_net._vm = EvmNode(Genesis(timestamp=START, chain_id=1)).chain.get_vm()
    main_net._state = main_net._vm.state
    main_net._state.execution_context._base_fee_per_gas = 0
    with pytest.raises(Reverted) as caught:
        deploy(main_net)
    assert (caught.value.name, caught.value.values[1]) == ("SettlementProofs_DevelopmentKey", 1)
    key = package_keys.verifying_key(4)
    assert key.stamp == "dev"
    verifier.refuse_development_key(key, chain_id=31337)
    with pytest.raises(DocumentInvalid, match="dev"):
        verify_settlement(vector(4).claimed, replace(context(), chain_id=1))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "other"}', '{"format": "fl-platform settlement proof 1", "commitment": "x"}']
)
def test_what_is_no_proof_file_is_refused(text: str) -> None:
    with pytest.raises(DocumentInvalid, match="no settlement proof"):
        SettlementProof.from_json(text)


def test_verifying_needs_no_compiled_code() -> None:
    code = "import sys, zk.settlement.proof; print(sorted({'numba', 'wasmtime', 'mclbn256'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    claimed = vector(4).claimed
    assert SettlementProof.from_json(json.dumps(claimed.to_json())) == claimed
