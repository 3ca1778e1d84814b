"""What a judged round's bundle says.

Tests: tests/unit/judging/test_tape_rounds.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fl_platform.judging.admit import RoundContext
from fl_platform.judging.judge import Judgement
from fl_platform.protocol.bundle import Entry, RoundBundle, TaskState
from fl_platform.protocol.spec import TaskSpec
from fl_platform.store.unixfs import cid_of


def bundle_of(
    spec: TaskSpec, context: RoundContext, before: TaskState, entries: Sequence[Entry], judged: Judgement,
    *, validation: tuple[str, ...] = (),
) -> RoundBundle:  # fmt: skip
    """Return the bundle of a round that was judged so; `validation`: the revealed slice, as texts."""
    empty = RoundBundle(
        chain_id=context.domain.chain_id, ledger=context.domain.ledger, task=context.task, round=context.round,
        life=context.life, spec=spec.digest, aggregator=context.aggregator, before=before, entries=tuple(entries),
        verdicts=(), tape=b"", columns=(), validation=validation, measured=False, divisor=0, aggregate=b"",
        sums_root=b"", after=before,
    )  # fmt: skip
    return judged_again(empty, judged)


def judged_again(bundle: RoundBundle, judged: Judgement) -> RoundBundle:
    """Return a bundle with everything that follows from its entries as it was judged."""
    return replace(
        bundle, verdicts=judged.verdicts, tape=judged.tape.root, columns=judged.columns, measured=judged.measured,
        divisor=judged.divisor, aggregate=cid_of(judged.aggregate_bytes).digest, sums_root=judged.sums_root,
        after=judged.after, blindings=judged.blindings,
    )  # fmt: skip
