"""Who has earned what, and getting it (step 10): read from sealed bundles and the escrow, paid by pull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_platform.chain.contracts import Contracts
from fl_platform.chain.types import Phase
from fl_platform.errors import TaskClosed, WalletError
from fl_platform.protocol.bundle import RoundBundle, Standing, claim_leaves, parse_roster
from fl_platform.roles.reading import MAX_BUNDLE_BYTES, TaskReader
from fl_platform.store.cid import Cid


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
class Paid:
    """What a claim did for one account, wei."""

    account: bytes
    claimed: int
    withdrawn: int


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
    return {standing.trainer: standing for standing in reader.bundle(round_number).after.standings}


def final_bundle(reader: TaskReader, *, now: int) -> RoundBundle:
    """Return the bundle of the newest final round. Raises TaskClosed with the time to wait for when there is none."""
    history = reader.history()
    final = history.last_final(now)
    if final is not None:
        return reader.bundle(final.number)
    times = [at for record in history.rounds if (at := history.final_at(record.number)) is not None]
    if not times:
        raise TaskClosed(f"task {reader.task}: no round is sealed yet, so nothing can be claimed")
    raise TaskClosed(
        f"task {reader.task}: no round is past its challenge window yet; the first one will be in {min(times) - now} s "
        "of block time (a local chain's clock can be moved: --fast-forward)"
    )


def claim(
    reader: TaskReader, contracts: Contracts, accounts: Sequence[bytes], *, now: int, withdraw: bool
) -> tuple[Paid, ...]:
    """Claim for accounts (anyone may, for anyone) from the newest final round; pay out when `withdraw`.

    Raises TaskClosed (nothing final), WalletError (an account has no leaf), TransactionReverted.
    """
    bundle = final_bundle(reader, now=now)
    leaves = claim_leaves(bundle.after)
    known = {leaf.owner: leaf.amount for leaf in leaves}
    paid = []
    for account in accounts:
        if account not in known:
            raise WalletError(
                f"0x{account.hex()} has earned nothing in task {reader.task} up to round {bundle.round}; "
                f"`fl-platform why 0x{account.hex()}` says what became of it"
            )
        before = contracts.member(reader.task, account).claimed
        if known[account] > before:
            contracts.claim(reader.task, bundle.round, leaves, account)
        after = contracts.member(reader.task, account)
        if withdraw:
            contracts.withdraw(reader.task, account)
        paid.append(Paid(account, after.claimed - before, after.credit if withdraw else 0))
    return tuple(paid)


def compensate(
    reader: TaskReader, contracts: Contracts, accounts: Sequence[bytes], *, roster: bytes, withdraw: bool
) -> tuple[Paid, ...]:
    """Claim a COMPENSATED round's pot by the roster document (bytes from the store, checked against the chain).

    Raises TaskClosed (the round was not compensated), AuditDifference (another roster), TransactionReverted.
    """
    head = reader.history().head
    if head.phase is not Phase.COMPENSATED:
        raise TaskClosed(f"task {reader.task} is {head.phase.name.lower()}: there is no compensation to claim")
    entries = parse_roster(roster)
    reader.check_roster(head.round, entries)
    leaves = tuple(entry.leaf for entry in entries)
    paid = []
    for account in accounts:
        before = contracts.member(reader.task, account).credit
        contracts.claim_compensation(reader.task, leaves, account)
        credit = contracts.member(reader.task, account).credit
        if withdraw:
            contracts.withdraw(reader.task, account)
        paid.append(Paid(account, credit - before, credit if withdraw else 0))
    return tuple(paid)


def all_final_at(reader: TaskReader) -> int:
    """Return when the newest sealed round is past its challenge window, seconds; 0 when none is sealed."""
    sealed = last_sealed(reader)
    return (reader.history().final_at(sealed) or 0) if sealed is not None else 0


def roster_document(reader: TaskReader, cid: str) -> bytes:
    """Return a roster document by its CID. Raises CidInvalid, StoreMissing, CidMismatch."""
    return reader.store.get(Cid.parse(cid), max_bytes=MAX_BUNDLE_BYTES)
