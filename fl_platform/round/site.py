"""Where a site's policies lie, and what holds a trainer to them: before a stake is locked, before it trains and signs.

All files that there are hold at once, so that none widens another. They are read anew each time: a word that an officer
adds holds for the next order. A file that cannot be read is an error and never no policy.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.learning.public import PUBLIC
from fl_platform.round.site_policy import (
    PUBLIC_CODE,
    UNKNOWN_CODE,
    Asked,
    Code,
    SitePolicy,
    hours_answer,
    parse_policy,
    refusal,
    task_answers,
    update_answers,
)
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import environment

VARIABLE = "FL_PLATFORM_SITE_POLICY"
MACHINE_FILE = Path("/etc/fl-platform/site.toml")
FILE = "site.toml"  # in the workdir
MAX_BYTES = 64 * 1024
_OTHERS_WRITE = 0o022


@dataclass(frozen=True)
class Site:
    """The place where a trainer works: which policies hold there, and which code it learns by."""

    folder: Path | None = None  # the workdir; None: only the machine's policies
    code: Code = UNKNOWN_CODE

    def policies(self) -> tuple[SitePolicy, ...]:
        """Return all policies that hold here now. Raises ConfigError: one cannot be read, or is no policy."""
        return tuple(read_policy(path) for path in policy_files(self.folder, environment()))

    def allow_task(self, reader: TaskReader, *, stake: int, later: bool = False) -> None:
        """Do nothing where a task may be taken part in with a stake (wei). Raises PolicyRefused, ConfigError.

        later: what cannot be known yet (the code, where only a stake is locked) is asked again before training.
        """
        for policy in self.policies():
            asked = Asked(reader.task, reader.spec, stake, self.code)
            if (refused := refusal(policy, reader.task, task_answers(policy, asked), later=later)) is not None:
                raise refused

    def allow_start(self, task: int, now: datetime) -> None:
        """Do nothing where a training may start `now` (aware, local time). Raises PolicyRefused, ConfigError."""
        for policy in self.policies():
            if (refused := refusal(policy, task, hours_answer(policy, now))) is not None:
                raise refused

    def allow_update(self, task: int, *, norm: float, rows: int) -> None:
        """Do nothing where an update of this L2 norm, from so many rows, may be signed.

        Raises PolicyRefused, ConfigError.
        """
        for policy in self.policies():
            if (refused := refusal(policy, task, update_answers(policy, norm=norm, rows=rows))) is not None:
                raise refused


# --- files ------------------------------------------------------------------------------------------------------------


def policy_files(folder: Path | None, variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that hold: the one that VARIABLE names, the machine's, and the workdir's, where there are such.

    Raises ConfigError: VARIABLE names a file that is not there, or whether one is there cannot be seen.
    """
    named = variables.get(VARIABLE, "")
    if named and not _there(Path(named)):
        raise ConfigError(f"{VARIABLE} names {named}, which is not there: correct the path, or unset the variable")
    places = [Path(named)] if named else []
    places += [MACHINE_FILE] + ([] if folder is None else [folder / FILE])
    return tuple(dict.fromkeys(path.absolute() for path in places if _there(path)))


def _there(path: Path) -> bool:
    """Whether a file is there; a link that leads nowhere is, and is refused when read."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(
            f"whether there is a site policy {path} cannot be seen ({error.strerror}): let this user read its folder"
        ) from error
    return True


def read_policy(path: Path) -> SitePolicy:
    """Read one file. Raises ConfigError: unreadable, too long, no policy, or others than its owner may write it."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"the site's policy {path} is no file: put a file of TOML there, or take it away")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the site's policy {path} ({error.strerror}): let the user that trains read it"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the site's policy {path}: {error}; save it as UTF-8") from error
    if mode & _OTHERS_WRITE:
        raise ConfigError(
            f"others than its owner may write the site's policy {path} (mode {mode:o}): `chmod go-w {path}`"
        )
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the site's policy {path} has over {MAX_BYTES:,} bytes: shorten it")
    return parse_policy(text, path)


# --- code -------------------------------------------------------------------------------------------------------------


def code_of(data: str, *, model: str = "") -> Code:
    """Return which code `--data` names, without running it; empty: the public data set that the task's model is for.

    Raises ConfigError: its source file cannot be read.
    """
    from fl_platform.round.data_choice import source_file  # imports torch, which who only reads rules has no use for

    if (data or model.partition("-")[0]) in PUBLIC:
        return PUBLIC_CODE
    module, separator, _ = data.partition(":")
    file = source_file(module) if separator and module else None
    if file is None:
        return UNKNOWN_CODE
    try:
        return Code(digest=f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}")
    except OSError as error:
        raise ConfigError(f"cannot read the learning code {file} ({error.strerror}): mend its permissions") from error
