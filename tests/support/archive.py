"""Small tasks of past releases: chain log, store and an auditor's wallet, as files. Every later release audits them.

    python -m tests.support.archive tests/archive/NAME.zip     plays the task of this release and packs it

A release packs one before it is published, and never again: an archive that a later reader cannot audit is a bug of it.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path

from fl_platform.round.transport import LocalTransport
from tests.support.rehearsal import audit, rehearsal, small_settings

FOLDER = Path(__file__).resolve().parent.parent / "archive"
PASSWORD = "test"  # of the wallets in there, whose keys follow from their names
KEPT = ("chain/chain.json", "chain/chain.log", "deployments", "store", "wallets/auditor.json")
LARGEST = 1_000_000  # bytes of one archive


def archives() -> list[Path]:
    """Return the archives, oldest release first."""
    return sorted(FOLDER.glob("*.zip"))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive and return the workdir in it."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


def pack(target: Path) -> None:
    """Play a task of two rounds, all honest but one, and pack what is left of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rehearsal(folder, small_settings(trainers=4, byzantine=0)) as (workspace, parties):
            parties.aggregator.run(LocalTransport(parties.everybody))
            assert audit(workspace, parties).exit_code == 0
        files = sorted(path for kept in KEPT for path in (folder / kept, *(folder / kept).rglob("*")) if path.is_file())
        with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as packed:
            for path in files:
                undated = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                packed.writestr(undated, path.read_bytes(), zipfile.ZIP_LZMA)
    assert target.stat().st_size < LARGEST, f"{target} has {target.stat().st_size:,} bytes; {LARGEST:,} at most"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    pack(parser.parse_args().target)
