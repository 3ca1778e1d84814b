"""Twins about wrapped keys: proofs of equal logarithms, boxes, signed packages, parties of a specification."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.spec import Party
from fl_platform.store.keywrap import RevealKey, WrapContext, shared_point, wrap_key
from tests.contracts.conftest import Reverts
from tests.support.contracts import Run, World
from tests.support.evm import Contract, Reverted, account
from tests.support.specs import small_spec
from zk.commitment import dleq
from zk.curve import bn254
from zk.curve.bn254 import FIELD, GENERATOR, ORDER, Point

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
scalar = st.integers(1, ORDER - 1)
word = st.binary(min_size=32, max_size=32)
CONTEXT = keccak256(b"somewhere")


@pytest.fixture(scope="module")
def world() -> World:
    """A chain of its own."""
    return World()


@pytest.fixture(scope="module")
def harness(world: World) -> Contract:
    """The libraries."""
    return world.evm.create(account("deployer").address, "KeyHarness")


def accepted(harness: Contract, proof: dleq.DleqProof, *points: Point, context: bytes = CONTEXT) -> bool:
    try:
        harness.call("requireProof", *points, context, proof)
    except Reverted as error:
        if not error.name.startswith("Dleq_"):
            raise
        return False
    return True


@FEW
@given(secret=scalar, ephemeral=scalar, context=word)
def test_the_contract_accepts_what_python_proves(
    harness: Contract, secret: int, ephemeral: int, context: bytes
) -> None:
    base = bn254.multiply(GENERATOR, ephemeral)
    shared, proof = dleq.prove(secret, base=base, context=context)
    public = bn254.multiply(GENERATOR, secret)
    dleq.verify(proof, public=public, base=base, shared=shared, context=context)
    assert accepted(harness, proof, public, base, shared, context=context)


@FEW
@given(secret=scalar, other=scalar, bit=st.integers(0, 252))
def test_both_refuse_the_same_lies(harness: Contract, secret: int, other: int, bit: int) -> None:
    base = bn254.multiply(GENERATOR, 77)
    public = bn254.multiply(GENERATOR, secret)
    shared, proof = dleq.prove(secret, base=base, context=CONTEXT)
    wrong = bn254.multiply(base, other)
    assume(wrong not in (public, base, shared))  # then a swap changes nothing
    cases = [
        (proof, public, base, wrong, CONTEXT),
        (proof, wrong, base, shared, CONTEXT),
        (proof, public, wrong, shared, CONTEXT),
        (proof, public, base, shared, keccak256(b"elsewhere")),
        (dataclasses.replace(proof, challenge=proof.challenge ^ 1 << bit), public, base, shared, CONTEXT),
        (dataclasses.replace(proof, response=proof.response ^ 1 << bit), public, base, shared, CONTEXT),
        (dataclasses.replace(proof, response=proof.response + ORDER), public, base, shared, CONTEXT),
        (dataclasses.replace(proof, challenge=proof.challenge + ORDER), public, base, shared, CONTEXT),
    ]
    for lie, p, e, s, context in cases:
        assert not dleq.holds(lie, public=p, base=e, shared=s, context=context)
        assert not accepted(harness, lie, p, e, s, context=context)


def test_points_are_checked_before_they_are_used(harness: Contract, reverts: Reverts) -> None:
    shared, proof = dleq.prove(5, base=GENERATOR, context=CONTEXT)
    public = bn254.multiply(GENERATOR, 5)
    for bad in (Point(0, 0), Point(1, 3), Point(1 + FIELD, 2), Point(1, 2 + FIELD)):
        for points in ((bad, GENERATOR, shared), (public, bad, shared), (public, GENERATOR, bad)):
            with reverts("Dleq_PointInvalid", bad.x, bad.y):
                harness.call("requireProof", *points, CONTEXT, proof)
    with reverts("Dleq_ScalarTooLarge", ORDER):
        harness.call("requireProof", public, GENERATOR, shared, CONTEXT, (ORDER, 0))
    with reverts("Dleq_ScalarTooLarge", ORDER):
        harness.call("requireProof", public, GENERATOR, shared, CONTEXT, (0, ORDER))
    with reverts("Dleq_NotProved"):
        harness.call("requireProof", public, GENERATOR, shared, CONTEXT, (0, 0))


@FEW
@given(key=word, secret=scalar, ephemeral=scalar, task=st.integers(0, 2**256 - 1), number=st.integers(0, 2**64 - 1))
def test_a_box_opens_as_its_recipient_opens_it(
    world: World, harness: Contract, key: bytes, secret: int, ephemeral: int, task: int, number: int
) -> None:
    recipient, trainer = account("recipient").address, account("trainer").address
    context = WrapContext(
        world.domain.chain_id, world.domain.ledger, task, number, trainer, recipient
    )  # fmt: skip
    reveal = RevealKey.from_secret(secret)
    box = wrap_key(key, recipient=reveal.public, context=context, ephemeral=ephemeral)
    shared = shared_point(box, reveal)
    wire = (recipient, reveal.public, box.ephemeral, box.box)
    packed = harness.call("contextOf", world.domain.ledger, task, number, trainer, recipient)
    assert packed == context.encode()
    assert harness.call("open", wire, shared, packed) == key
    assert harness.call("open", wire, bn254.add(shared, GENERATOR), packed) != key


def test_both_hash_a_key_package_alike(world: World, harness: Contract) -> None:
    receipt = Run(world, 7, world.params()).receipt(account("trainer"))
    keys = tuple(
        WrappedKey(account(f"recipient {i}").address, bn254.encode(bn254.multiply(GENERATOR, i + 1)), bytes([i]) * 32)
        for i in range(3)
    )
    parties = tuple(Party(k.recipient, bn254.encode(bn254.multiply(GENERATOR, 7 + i))) for i, k in enumerate(keys))
    spec = small_spec(aggregators=parties[:2], auditors=parties[2:])
    public = {p.address: bn254.decode(p.wrap_key) for p in parties}
    for some in ((), keys[:1], keys, keys[::-1]):
        boxes = [(k.recipient, public[k.recipient], bn254.decode(k.ephemeral), k.ciphertext) for k in some]
        told = harness.call("packageDigest", world.domain.ledger, receipt.struct_hash(), boxes)
        assert told == package_digest(receipt, some, world.domain, spec)
        assert told != package_digest(receipt, some, Domain(world.domain.chain_id + 1, world.domain.ledger), spec)


def test_a_party_of_the_specification_and_nothing_else_is_found(harness: Contract, reverts: Reverts) -> None:
    points = [bn254.multiply(GENERATOR, 3**i) for i in range(1, 5)]
    names = [keccak256(b"party %d" % i)[12:] for i in range(5)]
    first, second, auditor, reference = (Party(n, bn254.encode(p)) for n, p in zip(names, points, strict=False))
    spec = small_spec(aggregators=(first, second), auditors=(auditor,), reference=reference)
    document = spec.to_bytes()

    def place_of(party: Party) -> int:
        return document.index(b'"address":"0x' + party.address.hex().encode())

    def ask(place: int, party: Party, point: Point) -> None:
        harness.call("requireParty", document, place, party.address, point.x, point.y)

    for party, point in zip((first, second, auditor), points, strict=False):
        ask(place_of(party), party, point)
        for other in (GENERATOR, Point(point.x, point.y ^ 1), Point(point.x ^ 1 << 255, point.y)):
            with reverts("Documents_KeyNotThere", place_of(party)):
                ask(place_of(party), party, other)
        with reverts("Documents_KeyNotThere", place_of(party)):
            harness.call("requireParty", document, place_of(party), names[4], point.x, point.y)
    with reverts("Documents_KeyNotThere", place_of(reference)):
        ask(place_of(reference), reference, points[3])
    for place in (0, 1, place_of(second) + 1, len(document), 2**200):
        with reverts("Documents_KeyNotThere", place):
            ask(place, second, points[1])
