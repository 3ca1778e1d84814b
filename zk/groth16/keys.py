"""Where proving keys come from: a development key is rebuilt from its circuit and cached, a ceremony's is a file.

The cache is FL_PLATFORM_ZK, else ~/.cache/fl-platform/zk. Nothing in it is believed: what a key proves is held to the
verifying key that a task froze.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from fl_platform.errors import DocumentInvalid, StoreMissing
from zk.groth16 import files, prover, toy_setup
from zk.groth16.files import ProvingKey
from zk.groth16.verifier import VerifyingKey, check_key

logger = logging.getLogger(__name__)


def development_key(r1cs: bytes) -> ProvingKey:
    """Return the development key of a .r1cs file: seconds the first time, then from the cache."""
    digest = hashlib.sha256(r1cs).digest()
    name = f"development-{digest.hex()[:32]}.zkey"
    path = _cache() / name
    if path.is_file():
        try:
            return files.read_zkey(path.read_bytes())
        except DocumentInvalid as error:
            logger.warning("%s is made again: %s", path, error)
    made = toy_setup.development_key(files.read_r1cs(r1cs), digest)
    check_key(prover.verifying_key(made))  # no key with a point at infinity
    _keep(name, files.write_zkey(made))
    return made


def verifying_key(file: Path, r1cs: bytes | None = None) -> VerifyingKey:
    """Return the verifying key in a .zkey (untrusted), checked; `r1cs`: of the circuit that it must be made for.

    Raises DocumentInvalid, PointInvalid.
    """
    data = file.read_bytes()
    key = files.read_zkey(data)
    if r1cs is not None:
        wanted = files.read_r1cs(r1cs)
        if (key.signals, key.public, key.domain) != (wanted.signals, wanted.public, wanted.domain):
            raise DocumentInvalid(
                f"{file} is of a circuit with {key.signals} signals, this task's has {wanted.signals}: make the key "
                "from what `fl-platform task circuit` writes with the same options"
            )
    found = prover.verifying_key(key, files.ceremony_of(data))
    check_key(found)
    return found


def proving_key(r1cs: bytes, wanted: VerifyingKey, file: Path | None) -> ProvingKey:
    """Return the proving key behind a verifying key; `file`: the ceremony's .zkey, where it is one's.

    Raises DocumentInvalid where it is another one's, StoreMissing where a ceremony's key is not given.
    """
    if file is None and not wanted.development:
        raise StoreMissing("the task's key was made in a ceremony: give its .zkey file (`--proving-key FILE`)")
    if file is None:
        found, ceremony = development_key(r1cs), bytes(32)
    else:
        data = file.read_bytes()
        found, ceremony = files.read_zkey(data), files.ceremony_of(data)
    made = prover.verifying_key(found, ceremony)
    if made.digest != wanted.digest:
        raise DocumentInvalid(
            f"this proving key belongs to the verifying key {made.digest.hex()[:16]}, the task's is "
            f"{wanted.digest.hex()[:16]}: take the file of the task's ceremony, or the release that opened the task"
        )
    return found


def _cache() -> Path:
    return Path(os.environ.get("FL_PLATFORM_ZK") or Path.home() / ".cache" / "fl-platform" / "zk")


def _keep(name: str, data: bytes) -> None:
    """Put a file into the cache, whole or not at all; a full disk only costs the next start."""
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=_cache(), delete=False) as partial:
            partial.write(data)
        Path(partial.name).replace(_cache() / name)
    except OSError as error:
        logger.warning("the key could not be cached: %s", error)
