"""Flower's SuperNode, held to this package's own app: `python -m fl_platform.flower.node`, options as flower-supernode.

A SuperNode runs whatever app its SuperLink ships, as the user who started it: an aggregator's program beside a data
owner's rows and wallet. This one takes the courier's app alone, which names parts of this package and brings no file.
Flower has no public place to look at an app before it runs: this module needs three of its inner names, for the release
that is pinned, and fails at once where they have moved.
"""

from __future__ import annotations

import io
import logging
import tomllib
import zipfile
from collections.abc import Callable
from typing import Any

from flwr.supercore.fab import Fab
from flwr.supercore.run import RunNotRunningException

from fl_platform.errors import DocumentInvalid
from fl_platform.flower.deployment import app_project

logger = logging.getLogger(__name__)

MAX_FAB_BYTES = 64 * 1024
_PROJECT, _MANIFEST = "pyproject.toml", ".info/CONTENT"


def check_app(fab: bytes) -> None:
    """Demand that an app as Flower ships it (untrusted) is the courier's, and holds no code. Raises DocumentInvalid."""
    if len(fab) > MAX_FAB_BYTES:
        raise DocumentInvalid(f"the SuperLink's app has {len(fab):,} bytes; the courier's has no code of its own")
    try:
        with zipfile.ZipFile(io.BytesIO(fab)) as archive:
            files = {one.filename: one.file_size for one in archive.infolist()}
            if sorted(archive.namelist()) != sorted((_PROJECT, _MANIFEST)) or max(files.values()) > MAX_FAB_BYTES:
                raise DocumentInvalid(f"the SuperLink's app brings files of its own: {', '.join(sorted(files))[:200]}")
            project = tomllib.loads(archive.read(_PROJECT).decode())
    # NotImplementedError, RuntimeError: what zipfile says of a packing it does not know, and of an encrypted file
    except (zipfile.BadZipFile, tomllib.TOMLDecodeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DocumentInvalid(f"the SuperLink's app cannot be read: {error}") from error
    if project != tomllib.loads(app_project()):
        raise DocumentInvalid("the SuperLink's app is another than this package's courier")


def only_ours(get_fab: Callable[[str, int], Fab]) -> Callable[[str, int], Fab]:
    """Return `get_fab` for an app that `check_app` lets pass; any other's messages are dropped as of a run that ended.

    The one error that Flower's loop outlives there is that of such a run.
    """

    def checked(digest: str, run: int) -> Fab:
        fab = get_fab(digest, run)
        try:
            check_app(fab.content)
        except DocumentInvalid as error:
            logger.error("refused run %d: %s", run, error)
            raise RunNotRunningException from error
        return fab

    return checked


def main() -> None:
    """Run the SuperNode, with what it pulls looked at first."""
    from flwr.supernode import start_client_internal as flower
    from flwr.supernode.cli import flower_supernode

    pull = flower._pull_and_store_message  # fails at once where a release of Flower has it elsewhere

    def pull_ours(*, get_fab: Callable[[str, int], Fab], **others: Any) -> int | None:
        return pull(get_fab=only_ours(get_fab), **others)

    flower._pull_and_store_message = pull_ours  # type: ignore[assignment]
    flower_supernode()


if __name__ == "__main__":
    main()
