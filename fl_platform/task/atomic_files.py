"""Files of a role's own folder that are written whole or not at all.

Tests: tests/adversarial/test_a38_crash_between_steps.py
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fl_platform.errors import StoreFull


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically and durably (0600); an earlier one is replaced. Raises StoreFull."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull(
                f"no room for {path.name} ({len(data)} bytes); nothing was lost: free space, run again"
            ) from error
        raise
