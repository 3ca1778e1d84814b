"""What chain, store and own folder tell of one account in one task, as far as this machine can see.

Tests: tests/unit/round/test_status.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fl_platform.chain.types import Phase
from fl_platform.dispute.rosters import Rosters, standing
from fl_platform.errors import FLError
from fl_platform.ledger.complaints import Complaints
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import ClosedBooks, Member
from fl_platform.round.membership import WORKING, signed_file
from fl_platform.round.revealing import open_demands
from fl_platform.round.rewards import last_sealed
from fl_platform.task.reading import TaskReader

T = TypeVar("T")
_NONE: tuple[Demanded, ...] = ()


@dataclass(frozen=True)
class Demanded:
    """A question on chain that this trainer must answer."""

    round: int
    deadline: int  # block time, seconds


@dataclass(frozen=True)
class Known:
    """One account in one task, as far as this machine can see."""

    wallet: str  # its name here
    account: bytes  # 20 bytes
    history: TaskHistory
    now: int  # block time, seconds
    window: tuple[int, int]  # [from, to) of the head's next step, block time; zeros: none
    member: Member
    ready_at: int  # block time from which the stake can be taken; 0: not asked for
    earned: int = 0  # wei by all sealed rounds
    final: int = 0  # wei by rounds past their challenge window
    reference: bool = False  # signs the row that the others are measured against
    signed: frozenset[int] = frozenset()  # rounds for which this folder keeps a signed receipt
    demands: tuple[Demanded, ...] = ()
    settled: ClosedBooks | None = None  # of closed tasks
    stays: str = ""  # the command that does all of a role's work here, where parties are on other machines
    auditor: bool = False  # the rules give it a key to every update
    witness: bool = False  # the rules name it: its word that updates are not to be had counts
    roster_due: int = 0  # block time by which leaves of a roster that it made must be shown; 0: none is asked for
    wanted: int = 0  # updates of this round that an aggregator asks for and this witness has not complained of
    alone: bool = False  # one process holds the chain, so one command plays all trainers of the folder
    sealer: str = ""  # the aggregator's wallet, where it is one of this folder
    unread: str = ""  # what could not be read, and why: then earned, final or demands are too low

    @property
    def claimable(self) -> int:
        """What a claim would credit now, wei."""
        return max(0, self.final - self.member.claimed)

    @property
    def late(self) -> bool:
        """Whether the aggregator whose turn it is has missed its deadline, and nobody said so on chain yet."""
        working = self.history.head.phase in WORKING and not self.history.head.challenged
        return working and 0 < self.window[1] <= self.now



def look(
    reader: TaskReader, contracts: Contracts, *, wallet: str, account: bytes, folder: Path, now: int,
    invited: bool = False, alone: bool = False, sealer: str = "",
) -> Known:  # fmt: skip
    """Return what is known of an account in a task; `folder`: what its role has signed, `now`: block time, seconds.

    invited: the workdir has taken over an invitation to the task, so its parties are on other machines; alone: one
    process holds the chain; sealer: the aggregator's wallet, where it is one of this folder.

    What the store lacks is said in `unread`, and does not keep the rest back. Raises UnknownTask, RpcUnavailable.
    """
    history, task = reader.history(), reader.task
    seen = _Seen(reader, contracts, account, now)
    signed = (record.number for record in history.rounds if signed_file(folder, task, record.number).exists())
    earned, final = seen.get(seen.earned, 0), seen.get(seen.final, 0)
    reference, demands = seen.get(seen.reference, False), seen.get(seen.demands, _NONE)
    stays = _stays(history, account, seen.get(seen.data, "")) if invited or (folder / f"up-{task}").exists() else ""
    return Known(
        wallet=wallet, account=account, history=history, now=now, window=contracts.window(task),
        member=contracts.member(task, account), ready_at=contracts.ready_at(task, account), earned=earned, final=final,
        reference=reference, signed=frozenset(signed), demands=demands,
        settled=contracts.settled(task) if history.head.closed else None, stays=stays,
        auditor=seen.get(seen.auditor, False), witness=seen.get(seen.witness, False), wanted=seen.get(seen.wanted, 0),
        roster_due=seen.get(seen.roster_due, 0), alone=alone, sealer=sealer,
        unread="; ".join(dict.fromkeys(seen.unread)),
    )  # fmt: skip


def _stays(history: TaskHistory, account: bytes, data: str) -> str:
    """Return what keeps all that a role needs running, for parties on several machines."""
    if account == history.opened.owner:
        return f"up owner {history.task} -o hospital.toml"
    if account in history.opened.aggregators:
        return f"up aggregator {history.task} -o hospital.toml"
    return f"up trainer {history.task}{data}"


def is_named(reader: TaskReader, account: bytes) -> bool:
    """Whether a task's rules name an account as auditor or witness; False where no store here has the rules."""
    try:
        return account in {*(party.address for party in reader.spec.auditors), *reader.spec.witnesses}
    except FLError:
        return False


class _Seen:
    """What lies in the store, as far as it can be read."""

    def __init__(self, reader: TaskReader, contracts: Contracts, account: bytes, now: int) -> None:
        self._reader, self._contracts, self._account, self._now = reader, contracts, account, now
        self.unread: list[str] = []

    def get(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except FLError as error:
            self.unread.append(str(error))
            return otherwise

    def reference(self) -> bool:
        return self._reader.spec.reference.address == self._account

    def auditor(self) -> bool:
        return self._account in {party.address for party in self._reader.spec.auditors}

    def witness(self) -> bool:
        return self._account in self._reader.spec.witnesses

    def wanted(self) -> int:
        """How many updates of the round being worked on this witness has yet to look for."""
        head = self._reader.history().head
        if head.phase is not Phase.ROSTERED or not self.witness() or not Complaints.there(self._contracts):
            return 0
        complaints = Complaints(self._contracts)
        asked = complaints.wanted(self._reader.task, askers={one.address for one in self._reader.spec.aggregators})
        new = {one.struct_hash(): one for one in asked if one.round == head.round}
        return sum(not complaints.complained_at(receipt, self._account) for receipt in new.values())

    def roster_due(self) -> int:
        """By when the first leaf that is asked of a roster of this account's must be shown; 0: none is."""
        listed = standing(self._reader)
        if listed is None or listed.record.aggregator != self._account or not Rosters.there(self._contracts):
            return 0
        waiting = Rosters(self._contracts).record(listed).waiting(self._reader.history().head.life)
        return min((asked.deadline for asked in waiting), default=0)

    def data(self) -> str:
        """Name what a trainer must say of its rows: nothing of a public data set."""
        return " --data module:NAME" if ":" in self._reader.spec.model.name else ""

    def demands(self) -> tuple[Demanded, ...]:
        asked = open_demands(self._reader, self._contracts, self._account)
        return tuple(Demanded(one.round, one.deadline) for one in asked)

    def earned(self) -> int:
        return self._up_to(last_sealed(self._reader))

    def final(self) -> int:
        found = self._reader.history().last_final(self._now)
        return self._up_to(None if found is None else found.number)

    def _up_to(self, round_number: int | None) -> int:
        if round_number is None:
            return 0
        after = self._reader.bundle(round_number).after
        return after.earned_by(self._account)
