"""Where proving keys come from: they are too big to ship, so they are rebuilt and cached.

zk/keys/manifest.json names every file by sha256. A proving key is taken from the cache (FL_PLATFORM_ZK, else
~/.cache/fl-platform/zk) or from build/zk of a checkout if its hash is the manifest's; a development key is otherwise
rebuilt from the constraints that ship (6 seconds for 4 slots) and put into the cache.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import os
import tempfile
from pathlib import Path

from fl_platform.errors import DocumentInvalid, StoreMissing
from zk.groth16 import files, toy_setup
from zk.groth16.files import ProvingKey
from zk.groth16.package_keys import SHIPPED, Entry, entry

logger = logging.getLogger(__name__)
BUILT = SHIPPED.parent.parent / "build" / "zk"


def program(slots: int) -> bytes:
    """Return the WebAssembly that calculates a circuit's witness. Raises StoreMissing, DocumentInvalid."""
    found = entry(slots)
    return _file(f"{found.name}.wasm", found.wasm)


def constraints(slots: int) -> bytes:
    """Return a circuit's .r1cs. Raises StoreMissing, DocumentInvalid."""
    found = entry(slots)
    return _file(f"{found.name}.r1cs", found.r1cs)


def proving_key(slots: int) -> ProvingKey:
    """Return a circuit's proving key. Raises StoreMissing where it neither lies anywhere nor can be rebuilt."""
    return files.read_zkey(zkey_bytes(slots))


def zkey_bytes(slots: int) -> bytes:
    """Return the bytes of a circuit's .zkey. Raises as `proving_key`."""
    found = entry(slots)
    name = f"{found.name}.zkey"
    try:
        return _file(name, found.zkey)
    except StoreMissing:
        if found.stamp != "dev":
            raise
    data = _rebuilt(found)
    _keep(name, data)
    return data


def _rebuilt(found: Entry) -> bytes:
    logger.info("rebuilding the development key of %s: seconds, once", found.name)
    circuit = files.read_r1cs(constraints(found.slots))
    data = files.write_zkey(toy_setup.development_key(circuit, bytes.fromhex(found.r1cs)))
    return _checked(f"{found.name}.zkey", data, found.zkey)


def _cache() -> Path:
    return Path(os.environ.get("FL_PLATFORM_ZK") or Path.home() / ".cache" / "fl-platform" / "zk")


def _file(name: str, digest: str) -> bytes:
    packed = SHIPPED / f"{name}.xz"
    if packed.is_file():
        return _checked(name, lzma.decompress(packed.read_bytes()), digest)
    for folder in (_cache(), BUILT):
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
            logger.warning("%s in %s is not the one of the manifest", name, folder)
    raise StoreMissing(f"{name} is neither shipped nor cached: run `python scripts/build_circuits.py`")


def _checked(name: str, data: bytes, digest: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != digest:
        raise DocumentInvalid(f"{name} is not the file that the manifest names: run `python scripts/build_circuits.py`")
    return data


def _keep(name: str, data: bytes) -> None:
    """Put a file into the cache, whole or not at all; a full disk only costs the next start."""
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=_cache(), delete=False) as partial:
            partial.write(data)
        Path(partial.name).replace(_cache() / name)
    except OSError as error:
        logger.warning("the key could not be cached: %s", error)
