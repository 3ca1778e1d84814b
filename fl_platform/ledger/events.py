"""Every event of the platform's contracts as a frozen dataclass, and where on the chain it stands.

Field names are the contracts' in snake case; a test holds the two against each other.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from fl_platform.chain.abi import Decoded
from fl_platform.chain.types import Phase
from fl_platform.errors import IntegrityError
from fl_platform.ledger.records import SealInput, TaskParams, struct
from fl_platform.protocol.receipt import Receipt


@dataclass(frozen=True, order=True)
class Place:
    """Where an event stands."""

    block: int
    index: int
    block_hash: bytes
    transaction: bytes


@dataclass(frozen=True)
class Event:
    """What all events share. `task` is the task's number."""

    contract: ClassVar[str]
    place: Place
    task: int


class _Registry(Event):
    contract = "TaskRegistry"


class _Escrow(Event):
    contract = "Escrow"


class _Ledger(Event):
    contract = "RoundLedger"


class _Settlement(Event):
    contract = "Settlement"


@dataclass(frozen=True)
class TaskOpened(_Registry):
    owner: bytes
    spec: bytes
    params: TaskParams


@dataclass(frozen=True)
class TrainerJoined(_Registry):
    trainer: bytes
    stake: int
    binding: bytes
    seat: int


@dataclass(frozen=True)
class TrainerLeft(_Registry):
    trainer: bytes
    ready_at: int


@dataclass(frozen=True)
class TaskEnded(_Registry):
    pass


@dataclass(frozen=True)
class TaskFunded(_Escrow):
    token: bytes
    owner: bytes
    amount: int


@dataclass(frozen=True)
class StakeLocked(_Escrow):
    account: bytes
    amount: int


@dataclass(frozen=True)
class UnbondingStarted(_Escrow):
    account: bytes
    ready_at: int


@dataclass(frozen=True)
class StakeReleased(_Escrow):
    account: bytes
    amount: int


@dataclass(frozen=True)
class StakeSlashed(_Escrow):
    account: bytes
    amount: int
    beneficiary: bytes
    share: int


@dataclass(frozen=True)
class BondLocked(_Escrow):
    account: bytes
    amount: int


@dataclass(frozen=True)
class BondPaid(_Escrow):
    account: bytes
    amount: int
    to: bytes


@dataclass(frozen=True)
class PotReleased(_Escrow):
    account: bytes
    amount: int


@dataclass(frozen=True)
class CreditWithdrawn(_Escrow):
    account: bytes
    amount: int


@dataclass(frozen=True)
class LedgerOpened(_Ledger):
    opened_at: int
    aggregators: tuple[bytes, ...]


@dataclass(frozen=True)
class AggregatorBonded(_Ledger):
    aggregator: bytes
    bond: int


@dataclass(frozen=True)
class AggregatorLeft(_Ledger):
    aggregator: bytes
    ready_at: int


@dataclass(frozen=True)
class RoundRostered(_Ledger):
    round: int
    root: bytes
    count: int
    total_stake: int
    seats: int
    rostered_at: int
    aggregator: bytes


@dataclass(frozen=True)
class ReceiptForced(_Ledger):
    round: int
    trainer: bytes
    life: int
    index: int
    seat: int
    receipt: Receipt
    signature: bytes


@dataclass(frozen=True)
class RoundSealed(_Ledger):
    round: int
    record: SealInput
    sealed_at: int
    aggregator: bytes


@dataclass(frozen=True)
class AggregatorReplaced(_Ledger):
    round: int
    from_: bytes
    to: bytes
    slashed: int


@dataclass(frozen=True)
class RoundPassed(_Ledger):
    round: int
    from_: bytes
    to: bytes


@dataclass(frozen=True)
class BonusRaised(_Ledger):
    amount: int
    bonus: int


@dataclass(frozen=True)
class RoundRefunded(_Ledger):
    round: int


@dataclass(frozen=True)
class RoundCompensated(_Ledger):
    round: int


@dataclass(frozen=True)
class RoundChallenged(_Ledger):
    round: int


@dataclass(frozen=True)
class ChallengeResolved(_Ledger):
    round: int
    upheld: bool
    voided_to: int
    slashed: int


@dataclass(frozen=True)
class RosterFell(_Ledger):
    round: int
    maker: bytes
    next: bytes
    slashed: int


@dataclass(frozen=True)
class RewardClaimed(_Ledger):
    owner: bytes
    round: int
    amount: int
    cumulative: int


@dataclass(frozen=True)
class TaskClosed(_Settlement):
    phase: Phase
    to_owner: int
    to_trainers: int


@dataclass(frozen=True)
class CompensationClaimed(_Settlement):
    round: int
    trainer: bytes
    amount: int


@dataclass(frozen=True)
class CompensationSwept(_Settlement):
    amount: int
    shares: int
    per_share: int


@dataclass(frozen=True)
class ResidualClaimed(_Settlement):
    trainer: bytes
    amount: int


@dataclass(frozen=True)
class ReputationRecorded(Event):
    contract = "Reputation"
    round: int
    claim_root: bytes
    count: int


def _kinds() -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    pending: list[type[Event]] = [Event]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind is not Event and not kind.__name__.startswith("_"):
            found[kind.__name__] = kind
    return found


EVENTS: dict[str, type[Event]] = _kinds()


def typed(decoded: Decoded) -> Event | None:
    """Return the typed event, None for one that is no event of a task (ownership, pausing, token transfers)."""
    kind = EVENTS.get(decoded.name)
    if kind is None:
        return None
    log = decoded.log
    values = {snake(name): value for name, value in decoded.values.items()}
    hints = _fields(typing.cast(Any, kind))
    if values.keys() != hints.keys():
        raise IntegrityError(f"event {decoded.name} has fields {sorted(values)}, expected {sorted(hints)}; reinstall")
    fields = {name: _typed(hints[name], value) for name, value in values.items()}
    return kind(place=Place(log.block, log.index, log.block_hash, log.transaction), **fields)


def snake(name: str) -> str:
    """Return a Solidity name in snake case; `from` becomes `from_`."""
    text = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m.group(1).lower(), name)
    return text + "_" if text == "from" else text


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return struct(hint, value)
    return Phase(value) if hint is Phase else value


@cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.name != "place"}
