"""The owner's learning code as an object: one Python file in the store, whose CID the invitation repeats.

It is a stranger's program for whoever is invited. It is fetched and written down, and runs only where a person's own
`--data module:NAME` imports it. One block holds it, so that its CID's digest is the SHA-256 of the file: what
`sha256sum task.py` prints.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import re
import sys
from pathlib import Path

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning.public import PUBLIC
from fl_platform.store.cid import Cid
from fl_platform.store.interface import Store
from fl_platform.store.unixfs import LEAF_BYTES
from fl_platform.task.atomic_files import write_atomically

MAX_BYTES = LEAF_BYTES
# Programs ask for modules that are not installed, too, and go without: brotli, chardet, uvloop. A file of such a name
# would run unasked. Nobody's list of them is whole, so these names alone are let in.
_NAME = re.compile(r"([a-z][a-z0-9_]{0,40}_)?task(_[a-z0-9_]{1,40})?\.py")


def file_of(words: str) -> Path | None:
    """Return the file of `module:NAME` in the current folder; None: a public data set, or an installed module."""
    module, separator, _ = words.partition(":")
    path = Path(f"{module}.py")
    return path if separator and words not in PUBLIC and path.is_file() else None


def publish(store: Store, path: Path) -> tuple[str, str]:
    """Put a file into the store; returns its CID and its name. Raises ConfigError, and what the store raises."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not 0 < len(data) <= MAX_BYTES:
        raise ConfigError(f"{path} has {len(data):,} bytes; learning code is one file of 1 to {MAX_BYTES:,}")
    problem = refused_name(path.name)
    if problem:
        raise ConfigError(f"{path} {problem}; rename it")
    return str(store.put(data)), path.name


def receive(store: Store, code: str, name: str, folder: Path) -> Path:
    """Fetch the code that an invitation (untrusted) names and write it into the folder; returns its path.

    A file of that name with other content stays. Raises DocumentInvalid (a name that would stand for another module),
    ConfigError (another file is there), StoreMissing, CidMismatch, ObjectTooLarge.
    """
    problem = refused_name(name)
    if problem:
        raise DocumentInvalid(f"the invitation's learning code {name!r} {problem}: ask its owner for another")
    data, path = store.get(Cid.parse(code), max_bytes=MAX_BYTES), folder / name
    if path.exists() and path.read_bytes() != data:
        raise ConfigError(
            f"{path} is another file than the owner's learning code (sha256:{digest_of(code)}): move it away, or work "
            "in another folder"
        )
    if not path.exists():
        write_atomically(path, data)
    return path


def digest_of(code: str) -> str:
    """Return the SHA-256 of the file behind a CID, in hex. Raises what Cid.parse raises."""
    return Cid.parse(code).digest.hex()


def refused_name(name: str) -> str:
    """Say why a file of this name must not lie where modules are imported from; empty: it may."""
    if not _NAME.fullmatch(name):
        return "is no name for learning code, as in task.py or flowers_task.py"
    module = name.removesuffix(".py")
    here = Path.cwd().resolve()
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    installed = importlib.machinery.PathFinder.find_spec(module, elsewhere) is not None
    if installed or module in importlib.metadata.packages_distributions():
        return f"has the name of the installed module {module}"
    return ""
