"""Key files: what Flower accepts, who may read them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

from fl_platform.errors import ConfigError
from fl_platform.flower.keys import (
    create_certificates,
    create_node_key,
    load_node_key,
    node_key_digest,
    public_pem,
)


def test_a_node_key_is_created_once(tmp_path: Path) -> None:
    files = create_node_key(tmp_path, "node")
    assert stat.S_IMODE(files.private.stat().st_mode) == 0o600
    before = files.private.read_bytes()
    assert create_node_key(tmp_path, "node") == files
    assert files.private.read_bytes() == before


def test_both_files_hold_one_p384_key(tmp_path: Path) -> None:
    files = create_node_key(tmp_path, "node")
    key = load_node_key(files.private)
    assert isinstance(key.curve, ec.SECP384R1)
    public = serialization.load_ssh_public_key(files.public.read_bytes())
    assert public == key.public_key()
    assert serialization.load_pem_public_key(public_pem(key)) == public
    assert len(node_key_digest(public_pem(key))) == 32


@pytest.mark.parametrize("content", [None, b"", b"not a key", b"ed25519"])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content == b"ed25519":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        content = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_node_key(path)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        create_node_key(tmp_path / "none", "node")


def test_certificates_are_for_loopback_only(tmp_path: Path) -> None:
    files = create_certificates(tmp_path)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert [str(name.value) for name in names] == ["127.0.0.1", "localhost"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "server.crt", "server.key"]  # no ca.key
