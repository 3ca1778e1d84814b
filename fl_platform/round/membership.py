"""Coming and going (step 2): a stake or a bond locked with a two-sided key binding, and taken back after unbonding.

Tests: tests/unit/round/test_owner.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain.types import Phase
from fl_platform.errors import ConfigError, TaskClosed
from fl_platform.learning.plan import FEDAVG, TrainPlan
from fl_platform.ledger.binding import Binding
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import Member, MemberFlag
from fl_platform.protocol.messages import Submission, decode_message
from fl_platform.protocol.spec import TaskSpec, TrainingRule
from fl_platform.round.site import Site
from fl_platform.task.accepting import require_accepted
from fl_platform.task.decrypting import require_recipient
from fl_platform.task.reading import TaskReader

WORKING = (Phase.OPEN, Phase.ROSTERED)


@dataclass(frozen=True)
class Departure:
    """How far a member is on its way out."""

    ready_at: int  # block time from which the stake can be taken, seconds; 0: nothing is locked
    returned: int  # wei paid to the wallet by this call
    locked: int  # wei still locked

    @property
    def done(self) -> bool:
        """Whether nothing is left behind."""
        return self.locked == 0


def require_working(reader: TaskReader) -> None:
    """Raise TaskClosed when no further round of the task will be worked on."""
    history = reader.history()
    if history.head.phase not in WORKING:
        raise TaskClosed(
            f"task {reader.task} is over ({history.head.phase.name.lower()} after {history.head.round} of "
            f"{history.opened.rounds} rounds); `fl-platform task list` shows those still open"
        )


def join(
    reader: TaskReader, contracts: Contracts, *, stake: int | None, binding: Binding, site: Site | None = None
) -> bool:
    """Lock a stake (None: the task's least) as a trainer, and publish the binding; False when already one.

    In this order, for a store that takes objects of members only; killed in between, the next call publishes it.
    `site`: whose policies must allow it; None: those of this machine alone. Raises TaskClosed, PolicyRefused,
    ConfigError (stake too small, an algorithm that this release has not), WalletError (too little),
    TransactionReverted.
    """
    joined = contracts.address not in reader.history().members
    if joined:
        require_joinable(reader, stake)
        _require_free(reader, contracts.address)
        require_accepted(reader)
        require_first_model(reader)
        locked = reader.spec.money.stake if stake is None else stake
        (site or Site()).allow_task(reader, stake=locked, later=True)
        contracts.join(reader.task, locked, binding.digest)
    reader.store.put(binding.to_bytes())
    return joined


def require_joinable(reader: TaskReader, stake: int | None) -> None:
    """Refuse what the chain would, before anything is spent on it; stake None: the task's least.

    Raises TaskClosed, ConfigError.
    """
    require_working(reader)
    _require_algorithm(reader.spec.training)
    least = reader.spec.money.stake
    if stake is not None and stake < least:
        raise ConfigError(f"the stake of {stake} wei is under the task's least of {least}")


def _require_free(reader: TaskReader, account: bytes) -> None:
    """Refuse to let a listed aggregator lock itself out: an account has one role, and the list is frozen."""
    listed = reader.history().opened.aggregators
    if account in listed:
        raise ConfigError(
            f"0x{account.hex()} is aggregator {listed.index(account) + 1} of {len(listed)} of task {reader.task}: as a "
            "trainer it could never lock its bond; join with another --wallet"
        )


def of_witnesses(spec: TaskSpec) -> str:
    """Say what a task's witnesses mean for who joins it, where it is at somebody's mercy; empty: it is not."""
    if spec.witnesses != (spec.owner,):
        return ""
    return (
        "the owner alone is the witness: owner and aggregator together can refuse your update as not to be had, and "
        "then the round pays you nothing"
    )


def _require_algorithm(rule: TrainingRule) -> None:
    """Refuse rules that could not be followed once the stake is locked."""
    if rule.algorithm == FEDAVG and not rule.parameters:
        return
    from fl_platform.learning.algorithms import algorithm_of  # imports torch

    algorithm_of(TrainPlan.of(rule))


def bond(reader: TaskReader, contracts: Contracts) -> bool:
    """Lock an aggregator's bond; False when it is locked. Raises ConfigError (not listed), TaskClosed, WalletError, and
    what `require_first_model` raises."""
    history = reader.history()
    if contracts.address in history.bonded:
        return False
    require_working(reader)
    if contracts.address not in history.opened.aggregators:
        raise ConfigError(
            f"0x{contracts.address.hex()} is not among the task's aggregators "
            f"({', '.join('0x' + address.hex() for address in history.opened.aggregators)}); the list is frozen: bond "
            "with the wallet of one of them (--wallet), or "
            f"take part as a trainer (`fl-platform trainer join {reader.task}`)"
        )
    require_recipient(reader.spec, contracts.address)
    require_accepted(reader)
    require_first_model(reader)
    contracts.bond_aggregator(reader.task, reader.spec.money.bond)
    return True


def require_first_model(reader: TaskReader) -> None:
    """Refuse a task whose first model is not to be had, or is not that of its rules: nobody could seal a round of it.

    Raises StoreMissing, CidMismatch, DocumentInvalid.
    """
    reader.require_model(reader.spec.initial_model, reader.spec.initial_root)


def leave(reader: TaskReader, contracts: Contracts, *, now: int) -> Departure:
    """Ask for stake or bond; once unbonding is over, pay it to the wallet. Call it again until it is done."""
    task, account = reader.task, contracts.address
    member = contracts.member(task, account)
    if member.stake == 0 and member.credit == 0:
        return Departure(0, 0, 0)
    if member.stake and not member.flags & MemberFlag.LEAVING:
        _ask(contracts, task, member)
    ready_at = contracts.ready_at(task, account)
    if member.stake and now < ready_at:
        return Departure(ready_at, 0, member.stake)
    if member.stake:
        contracts.exit(task)
    credit = contracts.member(task, account).credit
    contracts.withdraw(task)
    return Departure(ready_at, credit, contracts.member(task, account).stake)


def _ask(contracts: Contracts, task: int, member: Member) -> None:
    if member.flags & MemberFlag.AGGREGATOR:
        contracts.unbond_aggregator(task)
    else:
        contracts.leave(task)


def signed_file(folder: Path, task: int, round_number: int) -> Path:
    """Return where a trainer's own folder keeps what it signed for a round."""
    return folder / f"task-{task}" / f"round-{round_number}.json"


def force_include(contracts: Contracts, folder: Path, task: int, round_number: int) -> None:
    """Put a trainer's own receipt on chain, because the roster left it out (costs its gas).

    `folder`: the trainer's own, with what it signed. Raises ConfigError when it signed nothing for that round,
    TransactionReverted (too late, already there).
    """
    path = signed_file(folder, task, round_number)
    if not path.exists():
        raise ConfigError(f"this trainer has signed nothing for round {round_number} of task {task}: no {path}")
    signed = decode_message(path.read_bytes(), expected=Submission)
    assert isinstance(signed, Submission)
    contracts.force_include(signed.receipt, signed.signature)
