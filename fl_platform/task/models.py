"""A task's models from its store, held against their names on chain; one that no store has is made again.

A model's file is found by what a bundle says and decides nothing: its name is the content root of its integers. Whoever
has the model before and the round's sums can make it, so an aggregator that keeps its model for itself, or names
another file, stops nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
    from fl_platform.updates import row_root

    row = model_row(reader, digest)
    found = row_root(row, reader.spec.model)
    if found == root:
        return row
    wrong = DocumentInvalid(f"the model in 0x{digest.hex()} has the content root 0x{found.hex()}, not 0x{root.hex()}")
    rounds = reader.history().rounds
    number = next((one.number for one in reversed(rounds) if one.seal and one.seal.model == root), None)
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


def _sealed(reader: TaskReader) -> Iterator[tuple[int, RoundBundle]]:
    """Yield the sealed rounds' bundles, the last first; without those that no store has."""
    for record in reversed(reader.history().rounds):
        if record.seal is None:
            continue
        try:
            yield record.number, reader.bundle(record.number)
        except RetryError:
            raise
        except FLError as error:
            logger.info("round %d: no bundle to make its model by: %s", record.number, error)


def _made_again(reader: TaskReader, number: int, why: FLError) -> ModelRow:
    """Return the model of a sealed round from the last one before it whose file is there, and the sums since. Raises
    `why`: these are not to be had, or do not make what the seals name."""
    try:
        first = number
        while (row := _parent_file(reader, first)) is None:
            first -= 1
        for made in range(first, number + 1):
            row = _stepped(reader, made, row)
    except RetryError:
        raise
    except FLError as error:
        raise why from error
    logger.warning("round %d: its model is made again from the one before and its sums: %s", number, why)
    return row


def _parent_file(reader: TaskReader, number: int) -> ModelRow | None:
    """Return the model that a round started from, as its file has it; None: that is not to be had, or another model's.
    Raises what reading the task's first model raises."""
    from fl_platform.updates import row_root

    state = reader.state_before(number)
    try:
        row = _from_file(reader, state.model)
    except RetryError:
        raise
    except FLError:
        if number == 0:
            raise
        return None
    return row if row_root(row, reader.spec.model) == state.model_root or number == 0 else None


def _stepped(reader: TaskReader, number: int, parent: ModelRow) -> ModelRow:
    """Return a sealed round's model as its tape says that it is made of its parent. Raises DocumentInvalid."""
    import numpy as np

    from fl_platform.judging.model_step import moved
    from fl_platform.judging.tapes import told_tape
    from fl_platform.protocol.operations import Op
    from fl_platform.protocol.program import Output
    from fl_platform.updates import row_root

    bundle, seal, model = reader.bundle(number), reader.history().rounds[number].seal, reader.spec.model
    tape = told_tape(reader.spec, bundle)
    column = tape.program.columns[tape.program.outputs[Output.MODEL]]
    if seal is None or column.op is not Op.STEP:
        raise DocumentInvalid(f"round {number}: the task's program makes its model in another way than from sums")
    factors = np.broadcast_to(tape.columns[column.operands[2].column], (len(model.tensors),))
    row = moved(parent, reader.sums(bundle), [int(cell) for cell in factors], model)
    if row_root(row, model) != seal.model:
        raise DocumentInvalid(f"round {number}: model before and sums do not make the sealed model")
    return row
