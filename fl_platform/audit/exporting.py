"""A task's public documents as plain files: what `fl-platform verify --bundle` reads without chain and store.

Tests: tests/unit/audit/test_verify_files.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fl_platform.errors import FLError, RetryError
from fl_platform.protocol.bundle import RoundBundle, sha256
from fl_platform.protocol.spec import MAX_SPEC_BYTES
from fl_platform.task.reading import MAX_BUNDLE_BYTES, TaskReader
from fl_platform.updates import model_length


@dataclass(frozen=True)
class Exported:
    """One document: `digest` is what chain or bundle name it by (sha256 of its root block), `sha256` the file's own."""

    name: str
    digest: bytes
    sha256: bytes | None  # None: it could not be had
    why: str = ""


def export(reader: TaskReader, folder: Path) -> tuple[Exported, ...]:
    """Write rules, and each sealed round's bundle, sums and models; what cannot be had is listed with the reason.

    Raises RetryError, OSError.
    """
    return tuple(_write(reader, folder, *item) for item in _documents(reader))


def _documents(reader: TaskReader) -> Iterator[tuple[str, bytes, int]]:
    """Yield file name, digest and the most bytes it may have; a bundle is read before its sums are known."""
    history = reader.history()
    yield "spec.json", history.opened.spec, MAX_SPEC_BYTES
    models: set[bytes] = set()
    for record in history.rounds:
        if record.seal is None:
            continue
        yield f"round-{record.number}.bundle.json", record.seal.bundle, MAX_BUNDLE_BYTES
        bundle = _bundle(reader, record.number)
        if bundle is None:
            continue
        yield f"round-{record.number}.sums", bundle.aggregate, 8 * reader.spec.model.size
        for digest in (bundle.before.model, bundle.after.model):
            if digest not in models:
                yield f"model-{digest.hex()[:16]}.bin", digest, model_length(reader.spec.model)
        models |= {bundle.before.model, bundle.after.model}


def _bundle(reader: TaskReader, number: int) -> RoundBundle | None:
    try:
        return reader.bundle(number)
    except RetryError:
        raise
    except FLError:
        return None


def _write(reader: TaskReader, folder: Path, name: str, digest: bytes, limit: int) -> Exported:
    try:
        data = reader.object(digest, max_bytes=limit)
    except RetryError:
        raise
    except FLError as error:
        return Exported(name, digest, None, str(error))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return Exported(name, digest, sha256(data))
