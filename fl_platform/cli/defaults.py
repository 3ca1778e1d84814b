"""Everything that options say can stand in a file: `federation.toml`, sections by command, names as options have them.

    network = "anvil"          # a global option

    [task.open]                # `fl-platform task open`; task check, rehearse and run read what they share with it
    data = "task:Mine"
    learning-rate = 0.1

What is given on the command line wins. The file is the person's own; a name that no option has is refused with the
nearest that there is.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fl_platform.errors import ConfigError

FILE = "federation.toml"
OPEN = ("task", "open")
# Commands that make rules as `task open` does, or read the same rows.
SHARE_WITH_OPEN = (
    ("task", "check"), ("rehearse",), ("run",), ("task", "invite"), ("task", "model"), ("task", "reveal"),
    ("up", "owner"),
)  # fmt: skip

Tree = Mapping[str, Any]


def read_defaults(path: Path) -> Tree:
    """Return a file's values, by section. Raises ConfigError: unreadable, or no TOML."""
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'cannot read {path}: {error}; text stands in quotes, as in data = "task:Mine"') from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def defaults_of(tree: Tree, group: click.Group, ctx: click.Context, name: str) -> dict[str, Any]:
    """Return the file's values for the command `name` of the group, as click's `default_map` wants them.

    Only the sections of the command that runs are held against its options. Raises ConfigError.
    """
    commands = group.list_commands(ctx)
    for key, value in tree.items():
        if key not in commands and isinstance(value, dict) and _option(group, key) is not None:
            raise ConfigError(f"[{key}] is a section; {key} takes a value")
        if key not in commands and _option(group, key) is None:
            raise _unknown(key, "the file", [*commands, *_names(group)])
    command = group.get_command(ctx, name)
    assert command is not None
    return {name: _section(tree, command, ctx, (name,))}


def _section(tree: Tree, command: click.Command, ctx: click.Context, path: tuple[str, ...]) -> dict[str, Any]:
    found = _at(tree, path)
    if isinstance(command, click.Group):
        for key in found:
            if key not in command.list_commands(ctx):
                raise _unknown(key, _where(path), command.list_commands(ctx))
        inner = {key: command.get_command(ctx, key) for key in command.list_commands(ctx)}
        return {key: _section(tree, one, ctx, (*path, key)) for key, one in inner.items() if one is not None}
    values: dict[str, Any] = {}
    if path in SHARE_WITH_OPEN:
        shared = {key: value for key, value in _at(tree, OPEN).items() if _option(command, key) is not None}
        values |= _read(command, shared, OPEN)
    return values | _read(command, found, path)


def _read(command: click.Command, section: Tree, path: tuple[str, ...]) -> dict[str, Any]:
    values = {}
    for key, value in section.items():
        parameter = _option(command, key)
        if parameter is None or parameter.name is None:
            raise _unknown(key, _where(path), _names(command))
        where = f"{key} in {_where(path)}"
        words, option = _words(value, where), parameter if isinstance(parameter, click.Option) else None
        if isinstance(words, list) and not (option and option.multiple):
            raise ConfigError(f"{where} is a list; it takes one value")
        if isinstance(words, bool) and not (option and (option.is_flag or option.count)):
            raise ConfigError(f"{where} is {str(words).lower()}; it takes a value")
        values[parameter.name] = [words] if option and option.multiple and not isinstance(words, list) else words
    return values


def _words(value: Any, where: str) -> Any:
    """Return a value as the command line would give it: text, which the option's own type reads."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return [_words(item, where) for item in value]
    raise ConfigError(f"{where} is a {type(value).__name__}; give text, a number, true, false or a list")


def global_defaults(tree: Tree, group: click.Group) -> dict[str, Any]:
    """Return the values of the global options. Raises ConfigError."""
    return _read(group, {key: value for key, value in tree.items() if not isinstance(value, dict)}, ())


def _at(tree: Tree, path: tuple[str, ...]) -> Tree:
    for key in path:
        tree = tree.get(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{'.'.join(path)} is no section; write [{'.'.join(path)}]")
    return tree


def _option(command: click.Command, key: str) -> click.Parameter | None:
    """Return the option that is written as in the file, with or without its dashes."""
    wanted = "--" + key.replace("_", "-")
    return next((p for p in command.params if isinstance(p, click.Option) and wanted in p.opts), None)


def _names(command: click.Command) -> list[str]:
    return [opt[2:] for p in command.params if isinstance(p, click.Option) for opt in p.opts if opt.startswith("--")]


def _where(path: tuple[str, ...]) -> str:
    return f"[{'.'.join(path)}]" if path else "the file"


def _unknown(key: str, where: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    if not near and where in ("the file", "[task]"):
        hint += f"; what a task is made with stands under [{'.'.join(OPEN)}]"
    return ConfigError(f"{key!r} of {where} is no option or command: {hint}")
