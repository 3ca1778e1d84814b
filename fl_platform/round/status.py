"""What an account must or may do now in a task, by when, and what it loses otherwise: `fl-platform status`. Pure: from
what is known (`account_view`) to a list of moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fl_platform.chain.types import Phase
from fl_platform.ledger.records import MemberFlag
from fl_platform.round.account_view import Known
from fl_platform.round.membership import WORKING
from fl_platform.task.tokens import tokens


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
    found += ["auditor"] * known.auditor + ["witness"] * known.witness
    return tuple(found or ["former trainer"])


def moves(known: Known) -> tuple[Move, ...]:
    """Return what the account must or may do, what cannot wait first. Pure."""
    found = [*_demands(known), *_dispute(known), *_working(known), *_ended(known), *_money(known), *_stake(known),
             *_auditing(known), *_witnessing(known)]  # fmt: skip
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
    if known.roster_due:
        text = f"leaves of your roster of round {history.head.round} are asked for: show them, or lose the bond"
        yield Move(text, _command(known, f"aggregator defend {history.task}"), must=True, until=known.roster_due)
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


def _witnessing(known: Known) -> Iterator[Move]:
    """A witness loses nothing by silence: the round is handed on, or ends, and its honest trainers lose it."""
    if known.wanted and not known.history.head.challenged:
        some = "an update" if known.wanted == 1 else f"{known.wanted} updates"
        text = f"say whether {some} of round {known.history.head.round} can be had: the aggregator waits for your word"
        yield Move(text, _command(known, f"witness run {known.history.task}"), until=known.window[1])


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
        local = f"`fl-platform aggregator run {history.task} --local --wallet {known.sealer or 'NAME'}`"
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
        gets = {
            Phase.REFUNDED: "pots of rounds without a roster go back to the owner",
            Phase.COMPENSATED: f"then the roster of round {head.round} can claim its pot",
        }.get(head.phase, "what no seal could allot goes to the owner")
        if known.account == history.opened.owner or head.phase is Phase.COMPENSATED:
            yield Move(f"close the books: {gets}", _command(known, f"task close {task}"), opens=history.closes_at())
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
