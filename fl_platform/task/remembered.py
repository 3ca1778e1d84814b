"""What a folder remembers of an invitation: network and store for later commands, and the invitation itself.

DIR/settings.toml               network and store; an option, a variable or federation.toml goes before it
DIR/invitations/TASK-RULES.toml the invitation to a task that a role works with when it starts again

The file of settings is the person's own: written once, and theirs to edit.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.task.atomic_files import write_atomically
from fl_platform.task.invitation import Invitation, quoted, read_invitation

FILE = "settings.toml"
NAMES = ("network", "store")


def settings(root: Path) -> dict[str, str]:
    """Return what the folder remembers, by option. Raises ConfigError for a file that was edited into something else.

    An empty folder remembers nothing.
    """
    path = root / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # no such folder: whoever needs it says so
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; mend it, or delete it and name --network yourself") from error
    for name, value in found.items():
        if name not in NAMES or not isinstance(value, str) or not value:
            raise ConfigError(f"{path}: {name} = {value!r} is not understood; it holds {' and '.join(NAMES)} as text")
    return found


def remember(root: Path, *, network: str, store: str = "") -> bool:
    """Write network and store down for later commands, unless the folder remembers some; whether it did."""
    path = root / FILE
    if path.exists():
        return False
    values = {"network": network, "store": store}
    lines = ["# For commands in this folder; options, FL_PLATFORM_... and federation.toml go before it."]
    lines += [f"{name} = {quoted(value)}" for name, value in values.items() if value]
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return True


def keep_invitation(root: Path, invited: Invitation, *, takes_over: bool = True) -> Invitation:
    """Keep an invitation, in place of an earlier one to the same task and rules; returns what is kept.

    takes_over: without, whoever only looks at a file lets a way for orders that is known stay: anybody can write a
    file with a public task's rules and a way of their own.
    """
    known = None if takes_over else kept_invitation(root, invited.task, invited.rules)
    if known is not None and known.superlink:
        invited = invited.with_superlink(known.superlink, known.authority)
    write_atomically(_kept(root, invited.task, invited.rules), invited.to_text().encode())
    return invited


def kept_invitation(root: Path, task: int, rules: bytes) -> Invitation | None:
    """Return the invitation to a task with these rules that the folder keeps. Raises DocumentInvalid."""
    path = _kept(root, task, rules)
    return read_invitation(path) if path.exists() else None


def _kept(root: Path, task: int, rules: bytes) -> Path:
    """Return its place: tasks of several chains have the same number, and a stranger's file names any."""
    return root / "invitations" / f"{task}-{rules.hex()[:16]}.toml"
