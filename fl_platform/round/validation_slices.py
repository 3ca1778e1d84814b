"""Validation slices on their way from owner to aggregator (evaluated worth): a file a round, opened after its roster.

FOLDER/round-N.json     the rows of round N with their salts and paths to the root in the task's rules

Tests: tests/e2e/test_cli_troubles.py
"""

from __future__ import annotations

import time
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, DocumentInvalid, TaskClosed
from fl_platform.judging.validation import RevealedRow
from fl_platform.learning.datasets import Labelled
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.task.atomic_files import write_atomically
from fl_platform.task.reading import TaskReader
from fl_platform.task.validating import RevealSlice, ValidationBook, parse_slice, slice_texts

LEAVE_ONE_OUT = "leave-one-out"
_LOOK_S = 0.5


def book_of(signer: Signer, rows: Labelled, slices: int) -> ValidationBook:
    """Return the owner's rows with the salts that follow from its wallet."""
    return ValidationBook(rows, secret=signer.derive(b"validation"), slices=slices)


def own_book(reader: TaskReader, signer: Signer, rows: Labelled) -> ValidationBook:
    """Return the book that the task's rules froze. Raises ConfigError when these rows or this wallet made another."""
    worth = reader.spec.worth
    if worth.kind != LEAVE_ONE_OUT:
        raise ConfigError(f"task {reader.task} pays by {worth.kind} worth: it has no validation rows to reveal")
    book = book_of(signer, rows, worth.validation_slices)
    if book.root != worth.validation_root:
        raise ConfigError(
            f"these rows and this wallet give root 0x{book.root.hex()}, task {reader.task} froze "
            f"0x{worth.validation_root.hex()}; use the owner's wallet and the data and seed of `task open`"
        )
    return book


def write_slice(reader: TaskReader, book: ValidationBook, round_number: int, folder: Path) -> Path:
    """Write a round's slice for its aggregator. Raises TaskClosed before the round's roster is on chain, StoreFull."""
    rounds = reader.history().rounds
    if round_number >= len(rounds) or rounds[round_number].roster is None:
        raise TaskClosed(
            f"round {round_number} of task {reader.task} has no roster yet: rows that are known before "
            "it measure nothing"
        )
    path = slice_file(folder, round_number)
    write_atomically(path, canonical_json(list(slice_texts(book.reveal(round_number)))))
    return path


def slice_file(folder: Path, round_number: int) -> Path:
    """Return where a round's slice lies."""
    return folder / f"round-{round_number}.json"


def slices_in(folder: Path, *, patience_s: float) -> RevealSlice:
    """Return a reader of slices that waits `patience_s` for each; none in time: the round is paid by stake.

    The rows are unverified: the judge checks them against the task's root. Raises DocumentInvalid.
    """

    def read(round_number: int) -> tuple[RevealedRow, ...]:
        path, deadline = slice_file(folder, round_number), time.monotonic() + patience_s
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if not path.exists():
            return ()
        value = parse_canonical(path.read_bytes(), what=path.name)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise DocumentInvalid(f"{path.name} is no slice; ask the owner to write it again with `task reveal`")
        return parse_slice([str(text) for text in value])

    return read
