"""Who has earned what, and getting it (step 10): read from sealed bundles and the escrow, paid by pull."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from fl_platform.chain.types import Phase
from fl_platform.errors import ConfigError, FLError, TaskClosed, WalletError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import MemberFlag
from fl_platform.protocol.bundle import RoundBundle, Standing, by_account, claim_leaves, parse_roster
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.task.reading import MAX_BUNDLE_BYTES, TaskReader
from fl_platform.task.tokens import tokens

MAX_ROSTER_BYTES = 16 * 1024 * 1024  # searched for; 10,000 trainers are about 10 MB


@dataclass(frozen=True)
class Reward:
    """One account's money in one task, wei."""

    account: bytes  # 20 bytes
    earned: int  # by all sealed rounds, cumulative
    final: int  # by rounds past their challenge window, cumulative: what can be claimed in all
    claimed: int  # credited by claims so far
    credit: int  # waits to be withdrawn
    withdrawn: int
    stake: int  # locked
    score: int  # signed sum so far

    @property
    def claimable(self) -> int:
        """What a claim would credit now."""
        return max(0, self.final - self.claimed)


@dataclass(frozen=True)
class Wish:
    """What is to be claimed."""

    accounts: Sequence[bytes]  # anyone may claim for anyone
    withdraw: bool = False  # pay out, too
    roster: str | None = None  # CID of the roster document of a compensated round; None: it is in this store


@dataclass(frozen=True)
class Paid:
    """What a claim did for one account, wei."""

    account: bytes
    credited: int
    withdrawn: int


def is_compensated(reader: TaskReader) -> bool:
    """Whether the task ended with a round that nobody sealed, whose pot goes to its roster."""
    return reader.history().head.phase is Phase.COMPENSATED


def last_sealed(reader: TaskReader) -> int | None:
    """Return the number of the newest sealed round, None when there is none."""
    sealed = [record.number for record in reader.history().rounds if record.seal is not None]
    return max(sealed, default=None)


def rewards(reader: TaskReader, contracts: Contracts, *, now: int) -> tuple[Reward, ...]:
    """Return everybody's account in the task, by address. Needs the bundles of the last sealed and last final round.

    Raises StoreMissing, CidMismatch, DocumentInvalid.
    """
    history, sealed = reader.history(), last_sealed(reader)
    final = history.last_final(now)
    earned = _standings(reader, sealed)
    fixed = _standings(reader, None if final is None else final.number)
    accounts = sorted({*earned, *history.stakes, *history.claimed, *history.released})
    return tuple(_reward(reader, contracts, account, earned, fixed) for account in accounts)


def _reward(
    reader: TaskReader,
    contracts: Contracts,
    account: bytes,
    earned: dict[bytes, Standing],
    fixed: dict[bytes, Standing],
) -> Reward:
    member = contracts.member(reader.task, account)
    return Reward(
        account=account,
        earned=earned[account].earned if account in earned else 0,
        final=fixed[account].earned if account in fixed else 0,
        claimed=member.claimed,
        credit=member.credit,
        withdrawn=reader.history().withdrawn.get(account, 0),
        stake=member.stake,
        score=earned[account].score_sum if account in earned else 0,
    )


def _standings(reader: TaskReader, round_number: int | None) -> dict[bytes, Standing]:
    if round_number is None:
        return {}
    return by_account(reader.bundle(round_number).after)


def final_bundle(reader: TaskReader, *, now: int) -> RoundBundle:
    """Return the bundle of the newest final round. Raises TaskClosed with the time to wait for when there is none."""
    history = reader.history()
    final = history.last_final(now)
    if final is not None:
        return reader.bundle(final.number)
    times = [at for record in history.rounds if (at := history.final_at(record.number)) is not None]
    if not times and history.head.phase is Phase.REFUNDED:
        task = reader.task
        bounty = (
            "the bounty is its owner's, who takes it out with --withdraw" if history.head.closed
            else f"the owner gets its bounty back by `fl-platform task close {task}`"
        )  # fmt: skip
        raise TaskClosed(
            f"task {task} ended without a sealed round, so nobody earned anything in it; {bounty}; a trainer "
            f"gets its stake back by `fl-platform trainer leave {task}`"
        )
    if not times:
        raise TaskClosed(f"task {reader.task}: no round is sealed yet, so nothing can be claimed; `fl-platform status` "
                         "says what the round waits for")
    raise TaskClosed(
        f"task {reader.task}: no round is past its challenge window yet; the first one will be in {min(times) - now} s "
        "of block time (a local chain's clock can be moved: --fast-forward)"
    )


def collect(reader: TaskReader, contracts: Contracts, wish: Wish, *, now: int) -> tuple[Paid, ...]:
    """Claim what final rounds earned, and the pot of a round that was compensated; pay out when wished.

    Raises TaskClosed (nothing final; books not closed), WalletError (an account has nothing here), ConfigError (no
    roster document), TransactionReverted.
    """
    before = {account: contracts.member(reader.task, account) for account in wish.accounts}
    if is_compensated(reader):
        _compensate(reader, contracts, wish)
    if not is_compensated(reader) or reader.history().last_final(now) is not None:
        try:
            _claim(reader, contracts, wish, now=now)
        except (TaskClosed, WalletError):  # nothing to claim, but refunds, bonds and rewards may wait
            if not wish.withdraw or not any(member.credit for member in before.values()):
                raise
    paid = []
    for account, old in before.items():
        member = contracts.member(reader.task, account)
        if wish.withdraw:
            contracts.withdraw(reader.task, account)
        paid.append(Paid(account, member.credit - old.credit, member.credit if wish.withdraw else 0))
    return tuple(paid)


def what_is_left(reader: TaskReader, account: bytes, *, now: int) -> str:
    """Say what more an account can claim when all seals are final; empty: nothing."""
    final = reader.history().last_final(now)
    fixed, earned = _standings(reader, None if final is None else final.number), _standings(reader, last_sealed(reader))
    coming = sum(at[account].earned * sign for at, sign in ((earned, 1), (fixed, -1)) if account in at)
    if coming <= 0:
        return ""
    return f"{tokens(coming)} tokens more in {all_final_at(reader) - now} s of block time, if the seals stand"


def why_nothing(reader: TaskReader, contracts: Contracts, account: bytes) -> str:
    """Say why a claim did nothing for an account that has earned something; read after the claim."""
    member = contracts.member(reader.task, account)
    parts = []
    if member.claimed:
        parts.append(f"all that final rounds earned it, {tokens(member.claimed)} tokens, was claimed before")
    if member.credit:
        parts.append(f"{tokens(member.credit)} tokens wait for it: --withdraw pays them out")
    return "; ".join(parts) or "nothing of it is left in this task"


def earners(reader: TaskReader, *, now: int) -> tuple[bytes, ...]:
    """Return everybody for whom `collect` could do something: those with a final leaf, and a compensated roster."""
    found = set(reader.history().rounds[reader.history().head.round].stakes) if is_compensated(reader) else set()
    if not found or reader.history().last_final(now) is not None:
        found |= {who for who, one in by_account(final_bundle(reader, now=now).after).items() if one.earned}
    return tuple(sorted(found))


def _claim(reader: TaskReader, contracts: Contracts, wish: Wish, *, now: int) -> None:
    bundle = final_bundle(reader, now=now)
    leaves = claim_leaves(bundle.after)
    known = {who: one.earned for who, one in by_account(bundle.after).items()}
    for account in wish.accounts:
        if account not in known and not is_compensated(reader):
            raise WalletError(
                f"0x{account.hex()} has earned nothing in task {reader.task} up to round {bundle.round}; "
                f"`fl-platform why 0x{account.hex()}` says what became of it"
            )
        if known.get(account, 0) > contracts.member(reader.task, account).claimed:
            contracts.claim(reader.task, bundle.round, leaves, account)


def _compensate(reader: TaskReader, contracts: Contracts, wish: Wish) -> None:
    """Claim a compensated round's pot by its roster document, which is checked against the chain."""
    head = reader.history().head
    if not head.closed:
        raise TaskClosed(
            f"task {reader.task} ended without a seal of round {head.round}: close its books first, "
            f"`fl-platform task close {reader.task}`, then its roster can claim"
        )
    settled = contracts.settled(reader.task)
    over = contracts.now() >= settled.closed_at + reader.history().opened.windows.unbonding
    if over and not settled.swept:
        contracts.sweep_compensation(reader.task)
    if over or settled.swept:  # its window is over, or the roster left trainers out: residual shares divide it
        _take_residuals(reader, contracts, wish)
        return
    if reader.history().rounds[head.round].roster is None:
        raise TaskClosed(
            f"round {head.round}'s roster is void, so nobody claims by it: run this again from block time "
            f"{settled.closed_at + reader.history().opened.windows.unbonding}, when its pot is divided equally"
        )
    entries = parse_roster(roster_document(reader, wish.roster))
    reader.check_roster(head.round, entries)
    leaves = tuple(entry.leaf for entry in entries)
    rostered = {leaf.owner for leaf in leaves if leaf.amount}
    for account in wish.accounts:
        if account in rostered:
            contracts.claim_compensation(reader.task, leaves, account)


def _take_residuals(reader: TaskReader, contracts: Contracts, wish: Wish) -> None:
    """Claim equal parts for those who have a residual share and did not take it yet."""
    seats, end = reader.history().seats, contracts.settled(reader.task).seats
    for account in wish.accounts:
        early = account in seats and seats[account] < end
        if early and contracts.member(reader.task, account).flags & MemberFlag.RESIDUAL:
            contracts.claim_residual(reader.task, account)


def all_final_at(reader: TaskReader) -> int:
    """Return when the newest sealed round is past its challenge window, seconds; 0 when none is sealed."""
    sealed = last_sealed(reader)
    return (reader.history().final_at(sealed) or 0) if sealed is not None else 0


def roster_document(reader: TaskReader, cid: str | None) -> bytes:
    """Return a roster document by its CID; None: look for the current round's in this machine's own store.

    Raises CidInvalid, StoreMissing, CidMismatch, and ConfigError when it must be named.
    """
    if cid is not None:
        return reader.store.get(Cid.parse(cid), max_bytes=MAX_BUNDLE_BYTES)
    if isinstance(reader.store, DiskStore):
        for known in reader.store.cids():
            with suppress(FLError):  # most objects are something else
                data = reader.store.get(known, max_bytes=MAX_ROSTER_BYTES)
                if data.startswith(b"[{"):
                    reader.check_roster(reader.history().head.round, parse_roster(data))
                    return data
    raise ConfigError(
        f"the roster document of task {reader.task} is not in this store; ask the aggregator (its log names it) or "
        "another trainer for its CID and give it with --roster"
    )
