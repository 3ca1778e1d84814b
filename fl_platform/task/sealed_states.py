"""What a sealed round hands on, by its seal and its tape: what its bundle says beside them decides nothing.

A bundle tells of the tape that its seal fixes, and beside it of the state after the round. Nobody loses a bond for that
word, so nobody builds on it: the model is the seal's, carried columns and scale are the tape's, seats the chain's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fl_platform.protocol.bundle import RoundStart, TaskState
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.program import Output

if TYPE_CHECKING:
    from fl_platform.protocol.bundle import RoundBundle
    from fl_platform.protocol.tape import Tape
    from fl_platform.task.reading import TaskReader


def tape_of(reader: TaskReader, bundle: RoundBundle) -> Tape:
    """Return the tape of which a bundle tells; the last one is kept, for its root takes longest. Raises
    DocumentInvalid."""
    from fl_platform.judging.tapes import told_tape

    if reader.kept_tape is None or reader.kept_tape[0] is not bundle:
        reader.kept_tape = bundle, told_tape(reader.spec, bundle)
    return reader.kept_tape[1]


def sealed_state(reader: TaskReader, number: int) -> TaskState:
    """Return the state after a sealed round. As told, where the bundle's tape is not the sealed one (then the seal
    falls, or hides it), or the task has none. Raises DocumentInvalid and what reading the bundle raises."""
    from fl_platform.judging.admit import seats_of
    from fl_platform.judging.tapes import carried_out

    bundle, seal = reader.bundle(number), reader.history().rounds[number].seal
    if seal is None or not reader.spec.exact:
        return bundle.after
    tape = tape_of(reader, bundle)
    if tape.root != seal.trace:
        return bundle.after
    return replace(
        bundle.after, round=number + 1, model_root=seal.model, state=carried_out(tape),
        scale=ScaleSpec(tuple(map(int, tape.output(Output.EXPONENTS)))),
        seats=seats_of(reader.spec, reader.history().joined_at_roster(number)),
    )  # fmt: skip


def is_sealed_start(reader: TaskReader, start: RoundStart) -> bool:
    """Whether a round's start has the model and the scale that the seal before it fixes: so much of a bundle as a
    trainer reads shows the scale's column with its way to the tape's root."""
    import numpy as np

    from fl_platform.judging.program import program_of
    from fl_platform.protocol.tree import climbed, column_root

    seal = reader.history().rounds[start.round - 1].seal
    if seal is None or not reader.spec.exact:
        return True
    number = program_of(reader.spec).outputs[Output.EXPONENTS]
    node = column_root(number, np.array(start.scale.exponents, dtype=object))
    return (start.model_root, climbed(node, number, start.scale_path)) == (seal.model, seal.trace)
