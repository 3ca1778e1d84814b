"""Who may be asked: only nodes that their own key and a member's wallet have both signed for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fl_platform.chain.signer import Signer
from fl_platform.errors import DocumentInvalid
from fl_platform.flower.keys import node_key_digest, public_pem
from fl_platform.flower.members import members_of
from fl_platform.flower.order_queue import NodeMember
from fl_platform.ledger.binding import Binding, bind
from fl_platform.protocol.keccak import keccak256
from fl_platform.store.disk import DiskStore
from fl_platform.task.reading import TaskReader
from tests.support.chain import ETHER, OWNER, Stage, stage, wallet

ALICE, BOB = sorted((wallet(10), wallet(11)), key=lambda signer: signer.address)


@dataclass
class Scene:
    """An open task that nobody has joined."""

    stage: Stage
    store: DiskStore
    reader: TaskReader

    def bind(self, signer: Signer, node: ec.EllipticCurvePrivateKey, **changes: bytes | int) -> Binding:
        """Sign a binding and spoil it as said."""
        binding = bind(signer, node, domain=self.reader.domain, task=self.reader.task)
        return dataclasses.replace(binding, **changes)  # type: ignore[arg-type]

    def join(self, signer: Signer, binding: Binding | None, *, stored: bool = True) -> None:
        """Join with a binding, or with a digest of nothing."""
        own = self.stage.as_(signer)
        own.mint(signer.address, ETHER)
        digest = keccak256(b"nothing") if binding is None else binding.digest
        own.join(self.reader.task, ETHER, digest)
        if binding is not None and stored:
            self.store.put(binding.to_bytes())


def node() -> ec.EllipticCurvePrivateKey:
    """Return a fresh node key."""
    return ec.generate_private_key(ec.SECP384R1())


def member(key: ec.EllipticCurvePrivateKey, signer: Signer) -> NodeMember:
    """Return what a good binding becomes."""
    return NodeMember(node_key_digest(public_pem(key)), signer.address)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A fresh task on the embedded chain."""
    with stage() as own:
        store = DiskStore(tmp_path)
        spec = own.spec()
        spec = dataclasses.replace(spec, reference=dataclasses.replace(spec.reference, address=OWNER.address))
        store.put(spec.to_bytes())
        yield Scene(own, store, TaskReader(own.owner, store, own.open(spec)))


def test_members_are_those_that_both_keys_have_signed(scene: Scene) -> None:
    keys = node(), node()
    for signer, key in zip((ALICE, BOB), keys, strict=True):
        scene.join(signer, scene.bind(signer, key))
    assert members_of(scene.reader) == [member(keys[0], ALICE), member(keys[1], BOB)]


def test_a_member_that_leaves_is_asked_no_more(scene: Scene) -> None:
    key = node()
    scene.join(ALICE, scene.bind(ALICE, key))
    scene.stage.as_(ALICE).leave(scene.reader.task)
    assert members_of(scene.reader) == []


@pytest.mark.parametrize(
    "fault", ["no document", "not stored", "task", "wallet signature", "node signature", "node key"]
)
def test_a_faulty_binding_costs_only_its_own_trainer(
    scene: Scene, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = node()
    scene.join(ALICE, scene.bind(ALICE, good))
    other = scene.bind(BOB, node())
    changes: dict[str, dict[str, bytes | int]] = {
        "task": {"task": 99},
        "wallet signature": {"wallet_signature": scene.bind(ALICE, good).wallet_signature},
        "node signature": {"node_signature": other.node_signature},
        "node key": {"node_key": public_pem(good)},  # Alice's node, claimed by Bob
    }
    binding = None if fault == "no document" else scene.bind(BOB, node(), **changes.get(fault, {}))
    scene.join(BOB, binding, stored=fault != "not stored")
    assert members_of(scene.reader) == [member(good, ALICE)]
    assert f"the node of 0x{BOB.address.hex()} is unknown" in caplog.text


def test_a_shared_node_speaks_for_one(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    shared = node()
    for signer in (BOB, ALICE):
        scene.join(signer, scene.bind(signer, shared))
    assert members_of(scene.reader) == [member(shared, ALICE)]
    assert "share a node" in caplog.text


def test_the_reference_is_asked_too(scene: Scene) -> None:
    key, owners = node(), node()
    scene.join(ALICE, scene.bind(ALICE, key))
    reference = scene.bind(OWNER, owners)
    assert members_of(scene.reader, reference=reference) == [member(key, ALICE), member(owners, OWNER)]


def test_a_false_reference_is_an_error(scene: Scene) -> None:
    with pytest.raises(DocumentInvalid, match="wanted"):
        members_of(scene.reader, reference=scene.bind(ALICE, node()))
