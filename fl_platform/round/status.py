"""What an account must or may do now in a task, by when, and what it loses otherwise: `fl-platform status`.

`moves` is pure: from what is known to a list of moves. `look` gathers what is known from chain, store and own folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fl_platform.chain.types import Phase
from fl_platform.errors import FLError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import ClosedBooks, Member, MemberFlag
from fl_platform.round.membership import WORKING, signed_file
from fl_platform.round.revealing import open_demands
from fl_platform.round.rewards import last_sealed
from fl_platform.task.reading import TaskReader
from fl_platform.task.tokens import tokens

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
    alone: bool = False  # one process holds the chain, so one command plays all trainers of the folder
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


@dataclass(frozen=True)
class Move:
    """One thing to do, or to wait for."""

    text: str
    command: str = ""  # of this command line; empty: nothing to run
    must: bool = False  # money is lost otherwise
    opens: int = 0  # block time from which, seconds; 0: now
    until: int = 0  # block time at which it is too late; 0: never

    def words(self, now: int) -> str:
        """Say it in a line, as in "in 4 min: do this (`command`), at the latest in 10 min"."""
        first = f"in {span(self.opens - now)}: " if self.opens > now else "now: "
        run = f" (`{self.command}`)" if self.command else ""
        left = f", at the latest in {span(self.until - now)}" if self.until > now else ""
        return f"{first}{self.text}{run}{left}"


def span(seconds: int) -> str:
    """Say how long something takes, rounded down to two units."""
    for size, name, smaller, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            more = rest // smaller if whole < 10 or name == "min" else 0
            return f"{whole} {name} {more} {small}" if more else f"{whole} {name}"
    return f"{max(0, seconds)} s"


def roles(known: Known) -> tuple[str, ...]:
    """Return what the account is in the task, in words."""
    history, account = known.history, known.account
    found = ["owner"] if account == history.opened.owner else []
    if account in history.opened.aggregators:
        found.append("aggregator" if account == history.head.aggregator else "other aggregator")
    if known.reference:
        found.append("reference")
    if account in history.members or known.member.flags & MemberFlag.TRAINER:
        found.append("trainer")
    found += ["auditor"] * known.auditor
    return tuple(found or ["former trainer"])


def moves(known: Known) -> tuple[Move, ...]:
    """Return what the account must or may do, what cannot wait first. Pure."""
    found = [*_demands(known), *_dispute(known), *_working(known), *_ended(known), *_money(known), *_stake(known),
             *_auditing(known)]  # fmt: skip
    return tuple(sorted(found, key=lambda move: (not move.must, move.opens > known.now, move.until or 2**63)))


def _command(known: Known, words: str) -> str:
    return f"fl-platform {words} --wallet {known.wallet}"


def _demands(known: Known) -> Iterator[Move]:
    task = known.history.task
    for asked in known.demands:
        if known.now < asked.deadline:
            text = f"show on chain what you are asked for in round {asked.round}, or lose stake"
            yield Move(text, _command(known, f"trainer answer {task}"), must=True, until=asked.deadline)
        else:
            passed = span(known.now - asked.deadline)
            yield Move(
                f"the deadline to answer in round {asked.round} passed {passed} ago: anyone may take part of the stake "
                f"for it; `fl-platform why {known.wallet} --task {task}` says what was lost"
            )


def _dispute(known: Known) -> Iterator[Move]:
    history = known.history
    if not history.head.challenged:
        return
    round_number = next((found.number for found in history.rounds if found.challenged), history.head.round)
    seal = history.rounds[round_number].seal if round_number < len(history.rounds) else None
    if seal is not None and seal.aggregator == known.account:
        text = f"your seal of round {round_number} is disputed: answer, or lose the bond"
        yield Move(text, _command(known, f"aggregator defend {history.task}"), must=True)
    else:
        yield Move(f"a dispute about round {round_number} is open: the task stands still until it is decided")


def _working(known: Known) -> Iterator[Move]:
    head = known.history.head
    if head.phase not in WORKING or head.challenged:
        return
    if known.late:
        yield _missed(known)
        return
    if known.account == head.aggregator:
        yield from _aggregating(known)
    elif known.account in known.history.opened.aggregators and known.account not in known.history.bonded:
        yield from _standing_by(known)
    if known.reference and head.phase is Phase.OPEN:
        yield _training(known, "send the reference update", " --reference")
    if known.account in known.history.members:
        yield from _as_trainer(known)


def _auditing(known: Known) -> Iterator[Move]:
    if known.auditor and any(found.seal for found in known.history.rounds):
        run = f"fl-platform audit {known.history.task} --key {known.wallet}"
        yield Move("recompute the sealed rounds with your key to the updates", run)


def _missed(known: Known) -> Move:
    """The way on after a missed deadline: the same command for everybody, and what it means for each."""
    history, head = known.history, known.history.head
    step = "put the roster of" if head.phase is Phase.OPEN else "seal"
    ago, successor = span(known.now - known.window[1]), history.successor()
    mine = known.account == head.aggregator
    who = "you" if mine else f"aggregator 0x{head.aggregator.hex()}"
    if successor == known.account:
        then = "take over, then go on with `fl-platform aggregator run`"
    elif successor:
        then = f"let 0x{successor.hex()} take over"
    elif head.phase is Phase.OPEN:
        then = "end the task: the pots of rounds without a roster go back to the owner"
    else:
        then = "end the task: those on the roster share the round's pot and the bond by stake (compensation)"
    cost = f"; it costs you {tokens(history.fine_if_late())} tokens of your bond" if mine and history.bonded else ""
    text = f"{who} did not {step} round {head.round} in time ({ago} ago), and cannot any more{cost}. Anyone may {then}"
    return Move(text, _command(known, f"aggregator advance {history.task}"), must=successor == known.account)


def _aggregating(known: Known) -> Iterator[Move]:
    history, head, (opens, until) = known.history, known.history.head, known.window
    if known.account not in history.bonded:
        text = "lock the bond: without it you can neither roster nor seal, and the task passes to the next aggregator"
        yield Move(text, _command(known, f"aggregator bond {history.task}"), must=True, until=until)
    fine = history.fine_if_late()
    loses = f", or lose {tokens(fine)} tokens" if fine else ""
    what = "collect updates and put the roster on chain for" if head.phase is Phase.OPEN else "judge and seal"
    command = _command(known, known.stays or f"aggregator run {history.task}{' --local' * known.alone}")
    yield Move(f"{what} round {head.round}{loses}", command, must=True, opens=opens, until=until)


def _standing_by(known: Known) -> Iterator[Move]:
    history = known.history
    place = history.opened.aggregators.index(known.account)
    if place > history.head.index:
        text = "lock the bond, so that you can work and be paid when an aggregator before you is late"
        yield Move(text, _command(known, f"aggregator bond {history.task}"))


def _training(known: Known, what: str, more: str = "") -> Move:
    history, number = known.history, known.history.head.round
    if number in known.signed:
        text = (
            f"your update of round {number} is signed; keep the process running: the aggregator asks for it, and where "
            "it puts no roster on chain in time, anyone may hand the round over (`fl-platform aggregator advance "
            f"{history.task}`)"
        )
        return Move(text, until=known.window[1])
    if known.alone:
        local = f"`fl-platform aggregator run {history.task} --local`"
        return Move(f"{what} of round {number}: {local} does it for all wallets here", until=known.window[1])
    command = _command(known, known.stays or f"trainer run {history.task}{more}")
    return Move(f"{what} of round {number}: keep this running", command, until=known.window[1])


def _as_trainer(known: Known) -> Iterator[Move]:
    history, head, task = known.history, known.history.head, known.history.task
    if head.phase is Phase.OPEN:
        yield _training(known, "train and send the update")
        return
    if head.takeover or head.round not in known.signed:
        return
    last = known.window[0]  # rosters and keys may be forced in until the seal may come
    force = last - history.opened.windows.reveal
    if known.now < force:
        text = f"only if the roster of round {head.round} leaves you out: put your receipt on chain yourself"
        yield Move(text, _command(known, f"trainer force {task} {head.round}"), until=force)
    if known.now < last:
        text = f"only if your keys of round {head.round} may be called missing: put them on chain"
        yield Move(text, _command(known, f"trainer reveal {task} {head.round}"), until=last)


def _ended(known: Known) -> Iterator[Move]:
    history, head, task = known.history, known.history.head, known.history.task
    if head.phase in WORKING or head.challenged:
        return
    if not head.closed:
        last = head.round - 1 if head.phase is not Phase.DONE else history.opened.rounds - 1
        final = history.final_at(last) if last >= 0 else None
        gets = {
            Phase.REFUNDED: "pots of rounds without a roster go back to the owner",
            Phase.COMPENSATED: f"then the roster of round {head.round} can claim its pot",
        }.get(head.phase, "what no seal could allot goes to the owner")
        if known.account == history.opened.owner or head.phase is Phase.COMPENSATED:
            yield Move(f"close the books: {gets}", _command(known, f"task close {task}"), opens=final or 0)
        return
    trainer, share = (known.member.flags & flag for flag in (MemberFlag.TRAINER, MemberFlag.RESIDUAL))
    if head.phase is not Phase.COMPENSATED or known.settled is None:
        return
    claim = _command(known, f"rewards claim {task} --withdraw")
    if known.settled.swept:
        early = history.seats.get(known.account, known.settled.seats) < known.settled.seats
        if share and early and not known.member.flags & MemberFlag.RESIDUAL_PAID and known.settled.per_share:
            yield Move(f"claim your residual share of {tokens(known.settled.per_share)} tokens", claim)
    elif trainer and not known.member.flags & MemberFlag.COMPENSATED:
        until = known.settled.closed_at + history.opened.windows.unbonding
        if known.now < until:
            text = f"claim your part of the pot of round {head.round}, before you take your stake: it counts by stake"
            yield Move(text, claim, must=True, until=until)
        else:
            yield Move(f"the time to claim the pot of round {head.round} passed {span(known.now - until)} ago; it is "
                       "divided equally among the trainers that stayed")  # fmt: skip


def _money(known: Known) -> Iterator[Move]:
    history = known.history
    claim = _command(known, f"rewards claim {history.task} --withdraw")
    if known.claimable:
        yield Move(f"claim {tokens(known.claimable)} tokens", claim)
    elif known.member.credit:
        yield Move(f"withdraw {tokens(known.member.credit)} tokens", claim)
    coming = known.earned - known.final
    times = [at for record in history.rounds if (at := history.final_at(record.number)) and at > known.now]
    if coming > 0 and times:
        yield Move(f"claim {tokens(coming)} tokens more, if the seal stands", claim, opens=max(times))


def _stake(known: Known) -> Iterator[Move]:
    if not known.member.stake:
        return
    role = "aggregator" if known.member.flags & MemberFlag.AGGREGATOR else "trainer"
    command = _command(known, f"{role} leave {known.history.task}")
    locked = f"{tokens(known.member.stake)} tokens of {'bond' if role == 'aggregator' else 'stake'}"
    if known.ready_at:
        yield Move(f"take your {locked} out", command, opens=known.ready_at)
    elif known.history.head.phase not in WORKING:
        yield Move(f"ask for your {locked} back", command)


# --- what is known ----------------------------------------------------------------------------------------------------


def look(
    reader: TaskReader, contracts: Contracts, *, wallet: str, account: bytes, folder: Path, now: int,
    invited: bool = False, alone: bool = False,
) -> Known:  # fmt: skip
    """Return what is known of an account in a task; `folder`: what its role has signed, `now`: block time, seconds.

    invited: the workdir has taken over an invitation to the task, so its parties are on other machines; alone: one
    process holds the chain.

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
        auditor=seen.get(seen.auditor, False),
        alone=alone, unread="; ".join(dict.fromkeys(seen.unread)),
    )  # fmt: skip


def _stays(history: TaskHistory, account: bytes, data: str) -> str:
    """Return what keeps all that a role needs running, for parties on several machines."""
    if account == history.opened.owner:
        return f"up owner {history.task} -o hospital.toml"
    if account in history.opened.aggregators:
        return f"up aggregator {history.task} -o hospital.toml"
    return f"up trainer {history.task}{data}"


def is_auditor(reader: TaskReader, account: bytes) -> bool:
    """Whether a task's rules give an account a key to every update; False where no store here has the rules."""
    try:
        return account in {party.address for party in reader.spec.auditors}
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
        return is_auditor(self._reader, self._account)

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
