"""How reports look on a terminal: tables and progress by rich, on standard error when standard output is for JSON."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fl_platform.chain.addresses import checksummed
from fl_platform.cli.common import printable
from fl_platform.sinks.lines import line_of
from fl_platform.sinks.opening import Sinks
from fl_platform.sinks.record import Record

WIDE = 200  # columns
ADDRESS = re.compile(r"\b0x([0-9a-fA-F]{6})[0-9a-fA-F]{30}([0-9a-fA-F]{4})\b")


class _ForPeople(Console):
    """Shows every address with its checksum, whatever text it stands in, and no control character of anybody's."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(checksummed(printable(text)), **options)


def console(json_file: Path | None = None) -> Console:
    """Return where a person reads: standard output, or standard error when JSON goes to standard output."""
    to_stdout = json_file is not None and str(json_file) == "-"
    out = _ForPeople(stderr=to_stdout, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = WIDE  # a file or a pipe: nothing is cut
    return out


def telling(sinks: Sinks, say: Callable[[str], None]) -> Callable[[Record], None]:
    """Return what says a record of a round in one line and hands it to the places of `--log`."""
    for place in sinks.places:
        say(f"each round's values go to {place}")

    def tell(record: Record) -> None:
        say(line_of(record))
        sinks.write(record)

    return tell


Row = Sequence[str]


def table(out: Console, title: str, headings: Row, rows: Sequence[Row], *, right: str = "") -> None:
    """Print a table; `right` names the headings of numbers, by |. Addresses are cut only where they must be."""
    made = _table(title, headings, rows, right)
    if out.measure(made).maximum > out.width:
        made = _table(title, headings, [[_cut(cell) for cell in row] for row in rows], right)
    out.print(made, soft_wrap=False)


def _cut(cell: str) -> str:
    return ADDRESS.sub(r"0x\1…\2", checksummed(cell))


def _table(title: str, headings: Row, rows: Sequence[Row], right: str) -> Table:
    numbers = set(right.split("|"))
    made = Table(title=escape(title) or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        number = heading in numbers
        made.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    return made


def pairs(out: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values, a line each and never wrapped: values are there to be copied."""
    if title:
        out.print(title, style="italic", markup=False)
    width = max((len(name) for name, _ in rows), default=0) + 2
    for name, value in rows:
        first, *more = value.split("\n")
        out.print(f"[bold]{name:<{width}}[/bold]{escape(first)}")
        for line in more:
            out.print(" " * width + line, markup=False)


def _shown(text: str) -> str:
    return escape(checksummed(printable(text)))


@contextlib.contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show that something takes a while; yields how to say what it is now."""
    with Console(stderr=True).status(_shown(text)) as status:
        yield lambda now: status.update(_shown(now))


class Bar:
    """A bar on standard error that counts steps."""

    def __init__(self, progress: Progress, text: str, total: int | None) -> None:
        self._progress, self._line = progress, progress.add_task(text, total=total)

    def at(self, done: int) -> None:
        """Set how far it is."""
        self._progress.update(self._line, completed=done)

    def of(self, total: int) -> None:
        """Set how many steps there are."""
        self._progress.update(self._line, total=total)

    def at_text(self, text: str) -> None:
        """Say what is being done."""
        self._progress.update(self._line, description=_shown(text))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, highlight=False, markup=False)


@contextlib.contextmanager
def bar(text: str, total: int | None) -> Iterator[Bar]:
    """Show a progress bar while the block runs."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_ForPeople(stderr=True), transient=True) as progress:
        yield Bar(progress, text, total)
