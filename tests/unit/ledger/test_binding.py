"""The binding of wallet and node key: both sign, and it counts in one place only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fl_platform.errors import DocumentInvalid, ReceiptSignatureInvalid
from fl_platform.ledger.binding import Binding, bind, check
from fl_platform.protocol.receipt import Domain
from tests.support.chain import wallet

DOMAIN = Domain(1337, b"\x01" * 20)
NODE, OTHER_NODE = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
BINDING = bind(wallet(1), NODE, domain=DOMAIN, task=3)


def verify(binding: Binding, **changes: object) -> None:
    wanted = {"domain": DOMAIN, "task": 3, "wallet": wallet(1).address, **changes}
    check(binding, **wanted)  # type: ignore[arg-type]


def test_both_keys_vouch_for_each_other() -> None:
    verify(BINDING)
    assert Binding.from_bytes(BINDING.to_bytes()) == BINDING
    assert len(BINDING.digest) == 32


def test_the_node_is_named_as_flower_shows_it() -> None:
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    assert BINDING.node_key == public_key_to_bytes(NODE.public_key())


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": Domain(1, b"\x01" * 20)},
        {"domain": Domain(1337, bytes(20))},
        {"task": 4},
        {"wallet": wallet(2).address},
    ],
)
def test_it_counts_in_one_place_only(changes: dict[str, object]) -> None:
    with pytest.raises(DocumentInvalid, match="wanted"):
        verify(BINDING, **changes)


@pytest.mark.parametrize(
    "field", ["chain_id", "ledger", "task", "wallet", "node_key", "wallet_signature", "node_signature"]
)
def test_every_changed_field_is_refused(field: str) -> None:
    value = getattr(BINDING, field)
    changed = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    with pytest.raises((DocumentInvalid, ReceiptSignatureInvalid)):
        verify(replace(BINDING, **{field: changed}))


def test_a_foreign_node_is_not_claimed_without_its_signature() -> None:
    pem = OTHER_NODE.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    stolen = replace(BINDING, node_key=pem)
    with pytest.raises(ReceiptSignatureInvalid):
        verify(stolen)


def test_a_foreign_wallet_is_not_claimed_without_its_signature() -> None:
    mine = bind(wallet(2), NODE, domain=DOMAIN, task=3)
    with pytest.raises(ReceiptSignatureInvalid, match="is signed by"):
        verify(replace(mine, wallet=wallet(1).address))


def test_other_curves_are_refused() -> None:
    with pytest.raises(DocumentInvalid, match="Flower wants P-384"):
        bind(wallet(1), ec.generate_private_key(ec.SECP256R1()), domain=DOMAIN, task=3)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format":"x"}', b"[" * 10_000, BINDING.to_bytes() + b" "])
def test_malformed_documents_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        Binding.from_bytes(data)
