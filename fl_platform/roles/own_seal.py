"""Before an aggregator seals (step 7): every kind of question that anybody could ask about its seal, for nothing.

Judges on chain decide by arithmetic of their own. Where it were another than this package's, an honest seal would fall
and its bond with it, whereas being late costs a part of the bond. So a seal that a judge calls a lie is not sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

import numpy as np

from fl_platform.aggregation.rules import clean_energy
from fl_platform.chain import evidence, work_evidence
from fl_platform.chain.contracts import Contracts
from fl_platform.chain.demands import Demands
from fl_platform.chain.disputes import CONTRACT, Disputes
from fl_platform.chain.evidence import Case, Evidence, Question
from fl_platform.chain.records import RosterRecord, SealRecord
from fl_platform.errors import OwnSealRefuted, RetryError, StoreUnavailable
from fl_platform.protocol.bundle import RoundBundle, claim_leaves
from fl_platform.protocol.trace import COORDINATES, Trace
from fl_platform.roles.amounts import tokens
from fl_platform.roles.moves import Move, about, against_roster, dropped, obtainable
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.sealed import Sealed, SealedRounds
from fl_platform.roles.tracing import all_places, sealed_trace
from fl_platform.roles.work import RoundWork
from fl_platform.roles.work_watching import public_moves

logger = logging.getLogger(__name__)

BETWEEN_LOOKS = 16  # questions between two looks at the clock


@dataclass(frozen=True)
class Asked:
    """One question about a seal, with the leaf it starts from in words."""

    question: Question
    leaf: str
    shown: Evidence


def demand_unrefuted(
    reader: TaskReader, contracts: Contracts, opener: UpdateOpener, bundle: RoundBundle, digest: bytes
) -> None:
    """Ask the judges about the seal that `bundle` (stored as `digest`) would get; see `own_questions`. Sends nothing.

    Half of the time that is left to seal is spent on it at most: being late costs, too. For the same reason nothing
    that keeps a question from being asked keeps the seal back, but a node or store out of reach in the first half of
    the seal's window. Raises OwnSealRefuted, and then RetryError.
    """
    if CONTRACT not in contracts.deployment.contracts:
        return
    try:
        _demand_unrefuted(reader, contracts, opener, bundle, digest)
    except OwnSealRefuted:
        raise
    except RetryError as error:
        start, deadline = contracts.window(reader.task)
        if 2 * contracts.chain.now() < start + deadline:
            raise
        logger.warning("round %d: sealed with questions unasked: %s", bundle.round, error)
    except Exception:  # whatever a trainer handed in to break the questions
        logger.exception("round %d: sealed with questions unasked", bundle.round)


def _demand_unrefuted(
    reader: TaskReader, contracts: Contracts, opener: UpdateOpener, bundle: RoundBundle, digest: bytes
) -> None:
    disputes, task = Disputes(contracts), reader.task
    deadline, began = contracts.window(task)[1], contracts.chain.now()
    record, moves = own_questions(reader, contracts, opener, bundle, digest)
    for number, asked in zip(count(), moves):
        if number % BETWEEN_LOOKS == 0 and 2 * contracts.chain.now() > began + deadline:
            logger.warning("round %d: sealed after %d questions: the deadline is near", bundle.round, number)
            return
        if disputes.holds(Case(task, bundle.round, record, int(asked.question)), asked.shown):
            raise OwnSealRefuted(_refusal(reader, asked, bundle, digest, left=deadline - contracts.chain.now()))


def own_questions(
    reader: TaskReader, contracts: Contracts, opener: UpdateOpener, bundle: RoundBundle, digest: bytes
) -> tuple[SealRecord, Iterator[Asked]]:
    """Return the record that a seal of `bundle` would leave, and what is to be asked about it: every kind of question.

    A task without a trace has the questions that need none. Pairs are asked where they are nearest, leaves of updates
    where the sums are largest and a value is least: elsewhere the same arithmetic has smaller numbers.
    """
    history = reader.history()
    found = history.rounds[bundle.round]
    roster = found.roster
    assert roster is not None
    trace = sealed_trace(reader, bundle) if reader.spec.exact else None
    given = contracts.seal_input(reader.task, digest, bundle, trace=bytes(32) if trace is None else trace.root)
    seal = SealRecord(
        roster.digest(reader.task, bundle.round), **vars(given), forced=len(found.forced),
        sealed_at=history.block.timestamp, aggregator=contracts.address,
    )  # fmt: skip
    traceless = _traceless(reader, bundle, roster)
    if trace is None:
        return seal, traceless
    before = SealedRounds(reader, Demands(Disputes(contracts))).before(bundle.round)
    sealed = Sealed(
        replace(found, seal=seal), seal, roster, trace, hidden=False, claims=claim_leaves(bundle.after), bundle=bundle,
        whole=True, before=before,
    )  # fmt: skip
    return seal, _all(reader, sealed, RoundWork(reader, bundle, opener), traceless)


def _traceless(reader: TaskReader, bundle: RoundBundle, roster: RosterRecord) -> Iterator[Asked]:
    leaves = tuple(entry.leaf for entry in bundle.entries if not entry.forced)
    yield Asked(Question.UNTRACED, "the specification", evidence.untraced(reader.spec.to_bytes()))
    for i in range(len(leaves)):
        yield Asked(Question.FOREIGN, f"roster leaf {i}", evidence.roster(None, i, roster, leaves))


def _all(reader: TaskReader, sealed: Sealed, work: RoundWork, traceless: Iterator[Asked]) -> Iterator[Asked]:
    trace = sealed.trace
    unselected: set[tuple[int, int]] = set()  # without a selection, all that a question about one has is in these two
    for kind, index in all_places(trace):
        for question, shown in obtainable(about(reader, sealed, [(kind, index)], near=_nearest)):
            if question is Question.KRUM and not trace.round.byzantine:
                same = trace.entries[index].krum, trace.entries[index].code
                if same in unselected:
                    continue
                unselected.add(same)
            yield Asked(question, f"{kind.name.lower()} leaf {index}", shown)
    for question, shown in obtainable(against_roster(reader, sealed)):
        yield Asked(question, "the roster or the forced list", shown)
    for question, shown in obtainable(dropped(sealed)):
        yield Asked(question, "an account that is not there", shown)
    for question, shown in obtainable(public_moves(reader, sealed)):
        yield Asked(question, "the work leaf", shown)
    if trace.gram:  # of a bundle's triangle: one pair tells
        yield Asked(Question.SYMMETRY, "the last Gram row", evidence.symmetry(trace, len(trace.gram) - 1, 0))
    for question, shown in _delivered(obtainable(_opened(trace, work))):
        yield Asked(question, "integers of the updates and their sums", shown)
    yield from traceless


def _nearest(trace: Trace, index: int) -> Iterator[int]:
    """The one of another group whose cosine with an entry is largest; none where that one was asked about this entry.

    Where the nearest is no near-duplicate, no other is.
    """
    other = _nearest_to(trace, index)
    if other >= 0 and not (other < index and _nearest_to(trace, other) == index):
        yield other


def _nearest_to(trace: Trace, index: int) -> int:
    own, best, rounding = trace.entries[index], (Fraction(0), -1), trace.round.rounding
    if own.capped and own.row:
        for other, entry in enumerate(trace.entries):
            inner = trace.gram[own.row - 1][entry.row - 1] if entry.row else 0
            if entry.capped and entry.group != own.group and inner > 0:
                energy = max(1, clean_energy(entry.squared, rounding))
                best = max(best, (Fraction(inner * inner, energy), other))
    return best[1]


def _delivered(moves: Iterator[Move]) -> Iterator[Move]:
    """Yield moves while the store answers: an update was judged, and its trainer's silence now keeps no seal back."""
    try:
        yield from moves
    except StoreUnavailable as error:
        logger.warning("questions about the updates are not asked: %s", error)


def _opened(trace: Trace, work: RoundWork) -> Iterator[Move]:
    """The largest coordinate of the sums, and the least value that an update has in the same leaf."""
    coordinate = int(np.argmax(np.abs(work.told_sums)))
    index = coordinate // COORDINATES
    weighted = [row for row, (_, weight) in enumerate(trace.work.rows) if weight]
    judged = range(min(trace.round.reference + trace.round.candidates, len(trace.work.rows)))
    rows = [work.leaf(row, index) for row in weighted]
    shown = work_evidence.coordinate_of_sum(trace, coordinate, sums=work.sums_leaf(index), rows=rows)
    yield Question.SUM, shown
    first = index * COORDINATES
    parts = {row: work.integers(row)[first : first + COORDINATES] for row in judged}
    least = min(parts, key=lambda row: int(parts[row].min()), default=None)
    if least is not None:
        place = first + int(np.argmin(parts[least]))
        shown = work_evidence.out_of_range(trace, least, place, leaf=work.leaf(least, index))
        yield Question.RANGE, shown


def _refusal(reader: TaskReader, asked: Asked, bundle: RoundBundle, digest: bytes, *, left: int) -> str:
    history = reader.history()
    fine, successor = history.fine_if_late(), history.successor()
    then = f"0x{successor.hex()} takes over" if successor else "those on the roster share the pot (compensation)"
    return (
        f"round {bundle.round} of task {reader.task} is not sealed: asked {asked.question.name} about {asked.leaf}, a "
        f"judge on chain calls it a lie, which would cost the whole bond. Report this with bundle 0x{digest.hex()}. "
        f"Unsealed at the deadline in {left} s costs {fine} wei ({tokens(fine)} tokens); then {then}"
    )


