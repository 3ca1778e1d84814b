"""A sealed round judged again from its entries: what its bundle should have said, and what its seal may stand for.

Tests: tests/adversarial/test_x_left_out.py
"""

from __future__ import annotations

from dataclasses import replace

from fl_platform.errors import AuditDifference, FLError, RetryError
from fl_platform.judging.admit import MISSING
from fl_platform.judging.bundling import judged_again
from fl_platform.judging.judge import judge_round
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.taping import tape_root
from fl_platform.task.validating import parse_slice, utility_of


def recomputed(reader: TaskReader, opener: UpdateOpener, bundle: RoundBundle) -> RoundBundle:
    """Return a bundle with everything that follows from its entries judged again.

    Raises what opening and judging raise: an update, a model or the round before cannot be had.
    """
    before = reader.state_before(bundle.round)
    context = reader.round_context(bundle.round, bundle.aggregator, bundle.entries)
    judged = judge_round(
        reader.spec,
        replace(context, missing=context.missing & bundle.with_verdict(MISSING)),
        before,
        bundle.entries,
        updates=opener.source(bundle.entries),
        models=reader.parent_row,
        sums=reader.sums_of,
        keys=opener.keys(bundle.entries),
        validation=parse_slice(bundle.validation),
        utility=utility_of(reader.spec),
    )
    return judged_again(replace(bundle, before=before), judged)


def adopt_recomputed(reader: TaskReader, opener: UpdateOpener, round_number: int) -> None:
    """Make the reader take what the round before hands on from its seal, where the bundle says something else.

    A sealer may publish another bundle than it sealed, roster the next round and leave it to a successor, whose
    accounts would then be challenged by a tape that it never saw. What such a seal stands for, if it survives its
    window, is what follows from the entries. Raises AuditDifference where it is not, or cannot be recomputed.
    """
    seal = reader.history().rounds[round_number - 1].seal if round_number else None
    if seal is None:
        return
    bundle = reader.bundle(round_number - 1)
    if tape_root(reader, bundle) == seal.trace:
        return
    try:
        honest = recomputed(reader, opener, bundle)
    except RetryError:
        raise
    except FLError as error:
        raise _unknown(reader, round_number, str(error)) from error
    if tape_root(reader, honest) != seal.trace:
        raise _unknown(reader, round_number, "it is not what follows from the round's entries either")
    reader.amend(honest)


def _unknown(reader: TaskReader, round_number: int, why: str) -> AuditDifference:
    return AuditDifference(
        f"round {round_number - 1} of task {reader.task} was sealed with a tape that is not its bundle's ({why}); "
        f"sealing round {round_number} on it risks the whole bond, being late a part: dispute that seal "
        f"(`fl-platform watch`)"
    )
