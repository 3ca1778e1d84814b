"""Turn a task's events, in chain order, into its history. Pure: the same events give the same history.

Tests: tests/unit/ledger/test_history.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from types import MappingProxyType
from typing import TypeVar

from fl_platform.chain.types import BlockRef, Phase
from fl_platform.errors import IntegrityError
from fl_platform.ledger import events as ev
from fl_platform.ledger.history import Forced, OpenedTask, Replacement, RoundHistory, TaskHistory
from fl_platform.ledger.records import LIVES, Head, RosterRecord, SealRecord

T = TypeVar("T")


@dataclass
class Fold:
    """A history under construction: feed it events in order, ask it for the history whenever needed."""

    events: list[ev.Event] = field(default_factory=list)
    params: ev.TaskOpened | None = None
    ledger: ev.LedgerOpened | None = None
    rounds: dict[int, RoundHistory] = field(default_factory=dict)
    trainers: dict[bytes, bytes] = field(default_factory=dict)  # -> binding
    joined: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # of all ever: wei, block
    left: dict[bytes, int] = field(default_factory=dict)  # block in which a trainer left, or fell short of its stake
    seats: dict[bytes, int] = field(default_factory=dict)
    stakes: dict[bytes, int] = field(default_factory=dict)
    leaving: set[bytes] = field(default_factory=set)
    bonded: set[bytes] = field(default_factory=set)
    bonus: int = 0
    ever: int = 0  # rounds that had a roster at some time, void or not
    voids: int = 0
    rosters: list[tuple[int, RosterRecord]] = field(default_factory=list)
    replacements: list[Replacement] = field(default_factory=list)
    claimed: dict[bytes, int] = field(default_factory=dict)
    withdrawn: dict[bytes, int] = field(default_factory=dict)
    released: dict[bytes, int] = field(default_factory=dict)
    reputation: list[int] = field(default_factory=list)
    closed: ev.TaskClosed | None = None
    ended: bool = False

    def add(self, event: ev.Event) -> None:
        """Take the next event. Raises IntegrityError when it contradicts those before."""
        _apply(event, self)
        self.events.append(event)

    def history(self, head: Head, block: BlockRef) -> TaskHistory | None:
        """Return the history up to `block`, where the head slot is `head`; None when the task was never opened.

        Raises IntegrityError when events and head slot contradict each other.
        """
        if self.params is None and self.ledger is None:
            return None
        if self.params is None or self.ledger is None:
            raise IntegrityError(
                "a task's opening shows in one contract and not in the other; the end point hides events"
            )
        history = TaskHistory(
            task=self.params.task,
            block=block,
            opened=_opened(self.params, self.ledger),
            head=head,
            rounds=tuple(self.rounds[number] for number in sorted(self.rounds)),
            members=_frozen({a: self.joined[a][0] for a in self.trainers}),
            bindings=_frozen(self.trainers),
            seats=_frozen(self.seats),
            leaving=frozenset(self.leaving),
            bonded=frozenset(self.bonded),
            stakes=_frozen(self.stakes),
            bonus=self.bonus,
            voids=self.voids,
            rosters=tuple(self.rosters),
            replacements=tuple(self.replacements),
            claimed=_frozen(self.claimed),
            withdrawn=_frozen(self.withdrawn),
            released=_frozen(self.released),
            reputation_rounds=tuple(self.reputation),
            closed=self.closed,
            ended=self.ended,
            events=tuple(self.events),
        )
        _check(history, self.ever)
        return history


def fold(events: Iterable[ev.Event], head: Head, block: BlockRef) -> TaskHistory | None:
    """Return the history that all events of one task up to `block` tell, in chain order. Raises IntegrityError."""
    state = Fold()
    for event in events:
        state.add(event)
    return state.history(head, block)


def _frozen(mapping: Mapping[bytes, T]) -> Mapping[bytes, T]:
    return MappingProxyType(dict(sorted(mapping.items())))


def _opened(event: ev.TaskOpened, ledger: ev.LedgerOpened) -> OpenedTask:
    params = event.params
    if params.aggregators != ledger.aggregators:
        raise IntegrityError(f"task {event.task}: registry and ledger opened it with different aggregators")
    return OpenedTask(
        owner=event.owner,
        token=params.token,
        pot=params.pot,
        rounds=params.rounds,
        stake=params.stake,
        bond=params.bond,
        fee_bps=params.fee_bps,
        admission=params.admission,
        allow_root=params.allow_root,
        spec=params.spec,
        program=params.program,
        rules=params.rules,
        windows=params.windows,
        aggregators=params.aggregators,
        opened_at=ledger.opened_at,
        place=event.place,
    )


def _check(history: TaskHistory, ever: int) -> None:
    """Hold the events against the head slot: an end point that hides events is noticed here."""
    head, task = history.head, history.task
    if head.rounds != history.opened.rounds:
        raise IntegrityError(f"task {task}: the head has {head.rounds} rounds, the opening {history.opened.rounds}")
    for number in range(head.round):
        if number >= len(history.rounds) or history.rounds[number].seal is None:
            raise IntegrityError(f"task {task}: the head is at round {head.round}, the events show no seal of {number}")
    current = history.rounds[head.round] if head.round < len(history.rounds) else None
    rostered = current is not None and current.roster is not None and current.seal is None
    if head.phase is Phase.COMPENSATED:  # also without a roster now, where one is void
        rostered = rostered or head.round < ever
    if head.phase in (Phase.ROSTERED, Phase.COMPENSATED) and not rostered:
        raise IntegrityError(f"task {task}: round {head.round} is {head.phase.name}, the events show no roster of it")


@singledispatch
def _apply(event: ev.Event, state: Fold) -> None:
    """Let one event change the state; those not registered below change nothing that a history holds."""


@_apply.register
def _(event: ev.TaskOpened, state: Fold) -> None:
    state.params = event


@_apply.register
def _(event: ev.LedgerOpened, state: Fold) -> None:
    state.ledger = event
    state.rounds[0] = RoundHistory(0, opened_at=event.opened_at)


@_apply.register
def _(event: ev.TrainerJoined, state: Fold) -> None:
    state.trainers[event.trainer] = event.binding
    state.joined[event.trainer] = event.stake, event.place.block
    state.seats[event.trainer] = event.seat
    _lock(state, event.trainer, event.stake)


@_apply.register
def _(event: ev.StakeLocked, state: Fold) -> None:
    _lock(state, event.account, event.amount)


@_apply.register
def _(event: ev.StakeSlashed, state: Fold) -> None:
    state.stakes[event.account] = state.stakes.get(event.account, 0) - event.amount
    _leave_if_short(state, event.account, event.place.block)


def _leave_if_short(state: Fold, account: bytes, block: int) -> None:
    least = 0 if state.params is None else state.params.params.stake
    if account in state.trainers and state.stakes[account] < least:
        state.left.setdefault(account, block)


@_apply.register
def _(event: ev.StakeReleased, state: Fold) -> None:
    left = state.stakes.get(event.account, 0) - event.amount
    state.stakes[event.account] = left
    _leave_if_short(state, event.account, event.place.block)
    if left <= 0:
        state.stakes.pop(event.account)
        state.trainers.pop(event.account, None)
        state.leaving.discard(event.account)


@_apply.register
def _(event: ev.UnbondingStarted, state: Fold) -> None:
    state.leaving.add(event.account)
    if event.account in state.trainers:
        state.left.setdefault(event.account, event.place.block)


@_apply.register
def _(event: ev.AggregatorBonded, state: Fold) -> None:
    state.bonded.add(event.aggregator)


@_apply.register
def _(event: ev.AggregatorLeft, state: Fold) -> None:
    state.bonded.discard(event.aggregator)


@_apply.register
def _(event: ev.RoundRostered, state: Fold) -> None:
    record = RosterRecord(
        event.root, event.count, event.total_stake, event.seats, event.rostered_at, event.aggregator,
        life=state.voids % LIVES,
    )
    state.rosters.append((event.round, record))
    before = state.rounds.get(event.round, RoundHistory(event.round))
    block = event.place.block  # who joins in the roster's own is not in it, who leaves there still is
    stakes = _frozen({a: s for a, (s, at) in state.joined.items() if at < block <= state.left.get(a, block)})
    state.ever = max(state.ever, event.round + 1)
    state.rounds[event.round] = replace(before, roster=record, seal=None, forced=(), stakes=stakes, void=False)


@_apply.register
def _(event: ev.ReceiptForced, state: Fold) -> None:
    found = _round(state, event.round, event)
    number, seat = len(found.forced), state.seats.get(event.trainer)
    if (event.index, event.seat) != (number, seat) or found.roster is None or event.life != found.roster.life:
        raise IntegrityError(
            f"round {event.round}: forced receipt {event.index} of seat {event.seat} does not continue the list of "
            f"{number}; the end point hides events"
        )
    forced = (*found.forced, Forced(event.receipt, event.signature, event.seat))
    state.rounds[event.round] = replace(found, forced=forced)


@_apply.register
def _(event: ev.RoundSealed, state: Fold) -> None:
    found = _round(state, event.round, event)
    if found.roster is None:
        raise IntegrityError(f"round {event.round} is sealed without a roster; the end point hides events")
    given = event.record
    record = SealRecord(
        roster_digest=found.roster.digest(event.task, event.round),
        bundle=given.bundle,
        model=given.model,
        trace=given.trace,
        as_of=given.as_of,
        forced=len(found.forced),
        claim_root=given.claim_root,
        claim_total=given.claim_total,
        claim_count=given.claim_count,
        sealed_at=event.sealed_at,
        aggregator=event.aggregator,
    )
    assert state.params is not None
    pots = state.params.params.pot * (event.round + 1)
    if not pots <= record.claim_total <= pots + state.bonus:
        raise IntegrityError(
            f"round {event.round} allots {record.claim_total} wei, the events {pots} and what was slashed, at most "
            f"{state.bonus}; the end point hides events"
        )
    state.rounds[event.round] = replace(found, seal=record, sealed_at_place=event.place)
    following = event.round + 1
    if following < state.params.params.rounds:
        before = state.rounds.get(following, RoundHistory(following))
        state.rounds[following] = RoundHistory(
            following, opened_at=event.sealed_at, overturned=before.overturned, fallen=before.fallen
        )


@_apply.register
def _(event: ev.AggregatorReplaced, state: Fold) -> None:
    state.replacements.append(Replacement(event.round, event.from_, event.to, event.slashed))


@_apply.register
def _(event: ev.RoundPassed, state: Fold) -> None:
    state.replacements.append(Replacement(event.round, event.from_, event.to, 0, passed=True))


@_apply.register
def _(event: ev.BonusRaised, state: Fold) -> None:
    state.bonus = event.bonus


@_apply.register
def _(event: ev.RoundChallenged, state: Fold) -> None:
    state.rounds[event.round] = replace(_round(state, event.round, event), challenged=True)


@_apply.register
def _(event: ev.ChallengeResolved, state: Fold) -> None:
    if not event.upheld:
        state.rounds[event.round] = replace(_round(state, event.round, event), challenged=False)
        return
    state.voids += 1
    for number in [n for n in state.rounds if n >= event.round]:
        found = state.rounds[number]
        overturned = found.overturned if found.seal is None else (*found.overturned, found.seal)
        kept = replace(found, seal=None, sealed_at_place=None, challenged=False, overturned=overturned)
        if number > event.round:
            kept = replace(kept, opened_at=None, void=found.roster is not None)
        state.rounds[number] = kept


@_apply.register
def _(event: ev.RosterFell, state: Fold) -> None:
    found = _round(state, event.round, event)
    if found.roster is None or found.roster.aggregator != event.maker or found.seal is not None:
        raise IntegrityError(f"round {event.round}: a roster fell that no event shows; the end point hides events")
    state.voids += 1
    fallen = (*found.fallen, found.roster)
    state.rounds[event.round] = replace(found, roster=None, forced=(), stakes=_frozen({}), fallen=fallen)


@_apply.register
def _(event: ev.RewardClaimed, state: Fold) -> None:
    state.claimed[event.owner] = event.cumulative


@_apply.register
def _(event: ev.CreditWithdrawn, state: Fold) -> None:
    state.withdrawn[event.account] = state.withdrawn.get(event.account, 0) + event.amount


@_apply.register
def _(event: ev.PotReleased, state: Fold) -> None:
    state.released[event.account] = state.released.get(event.account, 0) + event.amount


@_apply.register
def _(event: ev.ReputationRecorded, state: Fold) -> None:
    state.reputation.append(event.round)


@_apply.register
def _(event: ev.TaskClosed, state: Fold) -> None:
    state.closed = event


@_apply.register
def _(event: ev.TaskEnded, state: Fold) -> None:
    state.ended = True


def _lock(state: Fold, account: bytes, amount: int) -> None:
    state.stakes[account] = state.stakes.get(account, 0) + amount


def _round(state: Fold, number: int, event: ev.Event) -> RoundHistory:
    try:
        return state.rounds[number]
    except KeyError:
        raise IntegrityError(
            f"{type(event).__name__} of round {number} in block {event.place.block} comes out of the blue; "
            f"the end point hides events"
        ) from None
