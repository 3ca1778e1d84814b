"""One trainer, two keys: the wallet (secp256k1) and the Flower node (P-384) each sign that they belong together.

Without the node's signature anybody could claim somebody else's node; without the wallet's, a node could claim
somebody else's stake. The statement names chain, ledger and task, so it counts nowhere else. The document lies in the
store; `join` puts its sha256 on chain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fl_platform.chain.signer import Signer
from fl_platform.chain.types import hex_address
from fl_platform.errors import DocumentInvalid, ReceiptSignatureInvalid
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.document import from_json, to_json
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Domain, recover

FORMAT = "fl-platform/binding/1"
MAX_BINDING_BYTES = 4096


@dataclass(frozen=True)
class Binding:
    """A wallet and a node key that vouch for each other in one task."""

    chain_id: int
    ledger: bytes  # 20-byte address of RoundLedger
    task: int
    wallet: bytes  # 20-byte address
    node_key: bytes  # public key as Flower shows it: PEM, SubjectPublicKeyInfo
    wallet_signature: bytes  # 65 bytes, r, s, v, low s
    node_signature: bytes  # ECDSA with SHA-256, DER

    def statement(self) -> bytes:
        """Return what both sign: everything but the signatures."""
        body = to_json(replace(self, wallet_signature=b"", node_signature=b""))
        assert isinstance(body, dict)
        return canonical_json({"format": FORMAT, **body})

    def to_bytes(self) -> bytes:
        """Return the canonical document for the store."""
        body = to_json(self)
        assert isinstance(body, dict)
        return canonical_json({"format": FORMAT, **body})

    @cached_property
    def digest(self) -> bytes:
        """sha256 of the document: the `binding` of `join`."""
        return hashlib.sha256(self.to_bytes()).digest()

    @property
    def node_name(self) -> bytes:
        """sha256 of the node's public key: how a node is looked up among `grid.get_nodes()`."""
        return hashlib.sha256(self.node_key).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Binding:
        """Read a document from the store (hash-checked, written by a peer). Raises DocumentInvalid; then `check` it."""
        value = parse_canonical(data, what="binding", max_bytes=MAX_BINDING_BYTES)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise DocumentInvalid(f"binding: format must be {FORMAT}")
        binding: Binding = from_json(cls, {k: v for k, v in value.items() if k != "format"}, "binding")
        return binding


def bind(signer: Signer, node: ec.EllipticCurvePrivateKey, *, domain: Domain, task: int) -> Binding:
    """Sign the binding of a wallet and a Flower node key for one task. Raises DocumentInvalid when not P-384."""
    public = node.public_key()
    if not isinstance(public.curve, ec.SECP384R1):
        raise DocumentInvalid(f"node key is on {public.curve.name}; Flower wants P-384: ssh-keygen -t ecdsa -b 384")
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bare = Binding(domain.chain_id, domain.ledger, task, signer.address, pem, b"", b"")
    statement = bare.statement()
    return replace(
        bare,
        wallet_signature=signer.sign_digest(_digest(statement)),
        node_signature=node.sign(statement, ec.ECDSA(hashes.SHA256())),
    )


def check(binding: Binding, *, domain: Domain, task: int, wallet: bytes) -> None:
    """Demand that wallet and node key both signed this binding, for this chain, ledger, task and wallet.

    Raises DocumentInvalid, ReceiptSignatureInvalid.
    """
    stated = (binding.chain_id, binding.ledger, binding.task, binding.wallet)
    if stated != (domain.chain_id, domain.ledger, task, wallet):
        raise DocumentInvalid(
            f"binding of {hex_address(binding.wallet)} is for chain {binding.chain_id}, ledger "
            f"{hex_address(binding.ledger)}, task {binding.task}; wanted {hex_address(wallet)} on {domain.chain_id}, "
            f"{hex_address(domain.ledger)}, task {task}"
        )
    statement = binding.statement()
    signer = recover(_digest(statement), binding.wallet_signature)
    if signer != wallet:
        raise ReceiptSignatureInvalid(f"binding of {hex_address(wallet)} is signed by {hex_address(signer)}")
    try:
        key = serialization.load_pem_public_key(binding.node_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            raise DocumentInvalid(f"binding of {hex_address(wallet)}: the node key is not P-384")
        key.verify(binding.node_signature, statement, ec.ECDSA(hashes.SHA256()))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentInvalid(f"binding of {hex_address(wallet)}: the node key does not parse ({error})") from error
    except InvalidSignature as error:
        raise ReceiptSignatureInvalid(f"binding of {hex_address(wallet)} is not signed by its node key") from error


def _digest(statement: bytes) -> bytes:
    """Return what the wallet signs: EIP-191, so that it can never be a transaction or an EIP-712 receipt."""
    return keccak256(b"\x19Ethereum Signed Message:\n32" + keccak256(statement))
