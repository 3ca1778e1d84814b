"""Key files that Flower reads: a node's own key pair, and certificates for a SuperLink.

Tests: tests/unit/flower/test_flower_keys.py
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fl_platform.errors import ConfigError

_LIFE = datetime.timedelta(days=365)
_RENEW = datetime.timedelta(days=30)  # before the end
_PEM = serialization.Encoding.PEM
_OPENSSH = serialization.Encoding.OpenSSH
_NO_PASSWORD = serialization.NoEncryption()  # Flower cannot ask for one


@dataclass(frozen=True)
class NodeKeyFiles:
    """A SuperNode's key pair as `flower-supernode` and `flwr supernode register` want it."""

    private: Path  # OpenSSH, mode 0600, P-384
    public: Path  # OpenSSH


@dataclass(frozen=True)
class CertificateFiles:
    """TLS files of a SuperLink, and the authority that its clients trust. All PEM."""

    authority: Path
    certificate: Path
    key: Path  # mode 0600


def create_node_key(folder: Path, name: str) -> NodeKeyFiles:
    """Create a SuperNode's key pair in `folder`, or return the one that is there. Raises ConfigError when it cannot."""
    files = NodeKeyFiles(private=folder / name, public=folder / f"{name}.pub")
    if files.private.exists() and files.public.exists():
        return files
    key = ec.generate_private_key(ec.SECP384R1())
    _write_secret(files.private, key.private_bytes(_PEM, serialization.PrivateFormat.OpenSSH, _NO_PASSWORD))
    files.public.write_bytes(key.public_key().public_bytes(_OPENSSH, serialization.PublicFormat.OpenSSH) + b"\n")
    return files


def load_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a SuperNode's private key, to sign its binding to a wallet. Raises ConfigError for any other file."""
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the node key {path}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path} is not an elliptic-curve key; Flower wants P-384: ssh-keygen -t ecdsa -b 384")
    return key


def node_key_digest(public_pem: bytes) -> bytes:
    """Return the 32-byte name of a node: sha256 of its public key as Flower shows it (PEM, SubjectPublicKeyInfo)."""
    return hashlib.sha256(public_pem).digest()


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key of a node in the form that `grid.get_nodes()` shows."""
    return key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def lasting_certificates(folder: Path, host: str) -> CertificateFiles:
    """Return certificates for `host` and loopback: those in the folder while they are good, else new ones.

    New ones have another authority, which nodes learn from a new invitation. host: a name or an IP address.
    """
    files = CertificateFiles(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    try:
        found = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if files.authority.exists() and files.key.exists() and _alternative(host) in names and left > _RENEW:
            return files
    except (FileNotFoundError, ValueError):
        pass
    return create_certificates(folder, host)


def create_certificates(folder: Path, host: str = "127.0.0.1") -> CertificateFiles:
    """Create an authority and a certificate for `host` and for loopback.

    The authority's key is dropped at once, so nothing else can ever be signed by it.
    """
    now = datetime.datetime.now(datetime.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    authority_name, name = _name("fl-platform authority"), _name(host[:64])
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA384())
    )
    alternatives = list(dict.fromkeys(map(_alternative, ("127.0.0.1", "localhost", host))))
    certificate = (
        _builder(name, authority_name, key.public_key(), now)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA384())
    )
    files = CertificateFiles(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    files.authority.write_bytes(authority.public_bytes(_PEM))
    files.certificate.write_bytes(certificate.public_bytes(_PEM))
    _write_secret(files.key, key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _NO_PASSWORD))
    return files


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + _LIFE)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner could read at any time."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}") from error
