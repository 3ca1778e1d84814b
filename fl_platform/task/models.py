"""A task's models from its store, held against their names on chain; one that no store has is made again.

A model's file is found by what a bundle says and decides nothing: its name is the content root of its integers. Whoever
has the model before and the round's sums can make it, so an aggregator that keeps its model for itself, or names
another file, stops nobody.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fl_platform.errors import DocumentInvalid, FLError, RetryError
from fl_platform.task.holders import held_by

if TYPE_CHECKING:
    from fl_platform.protocol.bundle import RoundBundle
    from fl_platform.task.reading import TaskReader
    from fl_platform.updates.model_row import ModelRow

logger = logging.getLogger(__name__)


def model_row(reader: TaskReader, digest: bytes) -> ModelRow:
    """Return a model's integers by its file's digest, int32 (d,); where that is not to be had, or is no model, as the
    round made them that names it.

    Raises StoreMissing, CidMismatch, UpdateHeaderMismatch, UpdateLengthMismatch.
    """
    try:
        return _from_file(reader, digest)
    except RetryError:
        raise
    except FLError as error:
        number = next((n for n, bundle in _sealed(reader) if bundle.after.model == digest), None)
        if number is None:
            raise
        return _made_again(reader, number, error)


def require_model(reader: TaskReader, digest: bytes, root: bytes) -> ModelRow:
    """Return the integers of the model with this content root; `digest`: of the file that is said to have them.

    Raises DocumentInvalid: the file has another model's, and no sealed round made this one; and as `model_row`.
    """
    from fl_platform.updates import model_root

    row = model_row(reader, digest)
    found = model_root(row, reader.spec.model)
    if found == root:
        return row
    wrong = DocumentInvalid(f"the model in 0x{digest.hex()} has the content root 0x{found.hex()}, not 0x{root.hex()}")
    number = next((n for n, bundle in _sealed(reader) if bundle.after.model_root == root), None)
    if number is None:
        raise wrong
    return _made_again(reader, number, wrong)


def _from_file(reader: TaskReader, digest: bytes) -> ModelRow:
    from fl_platform.updates import decode_model, model_length

    opened = reader.history().opened
    first = digest == reader.spec.initial_model
    party, addresses = ("the owner", (opened.owner,)) if first else ("the aggregator", opened.aggregators)
    with held_by(party, *addresses, what="the first model" if first else "a model"):
        data = reader.object(digest, max_bytes=model_length(reader.spec.model))
    return decode_model(data, reader.spec.model)


def _sealed(reader: TaskReader) -> list[tuple[int, RoundBundle]]:
    """Return the sealed rounds' bundles, the last first; without those that no store has."""
    found = []
    for record in reversed(reader.history().rounds):
        if record.seal is None:
            continue
        try:
            found.append((record.number, reader.bundle(record.number)))
        except RetryError:
            raise
        except FLError as error:
            logger.info("round %d: no bundle to make its model by: %s", record.number, error)
    return found


def _made_again(reader: TaskReader, number: int, why: FLError) -> ModelRow:
    """Return the model of a sealed round from the model before it and its sums. Raises `why`: these are not to be had,
    or do not make what the seal names."""
    from fl_platform.updates import model_root

    seal = reader.history().rounds[number].seal
    try:
        row = _stepped(reader, reader.bundle(number))
    except RetryError:
        raise
    except FLError as error:
        raise why from error
    if row is None or seal is None or model_root(row, reader.spec.model) != seal.model:
        raise why
    logger.warning("round %d: its model is made again from the one before and its sums: %s", number, why)
    return row


def _stepped(reader: TaskReader, bundle: RoundBundle) -> ModelRow | None:
    """Return a round's model as its tape says that it is made; None: the task's program makes it in another way."""
    from fl_platform.judging.model_step import moved
    from fl_platform.judging.tapes import told_tape
    from fl_platform.protocol.operations import Op
    from fl_platform.protocol.program import Output

    tape = told_tape(reader.spec, bundle)
    column = tape.program.columns[tape.program.outputs[Output.MODEL]]
    if column.op is not Op.STEP:
        return None
    factors = [int(cell) for cell in tape.columns[column.operands[2].column]]
    parent = require_model(reader, bundle.before.model, bundle.before.model_root)
    return moved(parent, reader.sums(bundle), factors, reader.spec.model)
