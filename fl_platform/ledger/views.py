"""What the platform's contracts say, typed. Needs no wallet; everything is a read.

Tests: tests/unit/ledger/test_history.py
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.types import ZERO_ADDRESS, BlockRef
from fl_platform.errors import RpcUnavailable, UnknownTask
from fl_platform.ledger import events as ev
from fl_platform.ledger.deploy import CONTRACTS, TOKEN, Deployment
from fl_platform.ledger.folding import Fold
from fl_platform.ledger.history import TaskHistory
from fl_platform.ledger.records import Account, ClosedBooks, Head, Member, TaskRecord, Tenure, struct


@dataclass
class _Cache:
    """Events read so far, and the blocks that vouch for them."""

    upto: BlockRef | None = None
    folds: dict[int, Fold] = field(default_factory=dict)
    histories: dict[int, TaskHistory] = field(default_factory=dict)


@dataclass(frozen=True)
class Reputed:
    """A trainer's reputation as the contract keeps it."""

    value: int  # fixed point, 10^6 is 1
    round: int
    known: bool


class Views:
    """The platform's contracts on one chain, read. Safe to share between threads."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        self.chain, self.deployment = chain, deployment
        self.escrow, self.registry, self.ledger, self.settlement, self.reputation, self.ledger_views = (
            deployment.contract(name) for name in CONTRACTS
        )
        self._caches = {False: _Cache(), True: _Cache()}
        self._guard = threading.Lock()

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self.chain.chain_id

    @property
    def ledger_address(self) -> bytes:
        """Address of RoundLedger, 20 bytes: the verifying contract of receipts."""
        return self.ledger.address

    @property
    def faucet(self) -> Contract:
        """The faucet token. Raises ConfigError where none was deployed."""
        return self.deployment.contract(TOKEN)

    def token(self, address: bytes) -> Contract:
        """Return any ERC-20 by its address."""
        from fl_platform.chain.artifacts import load

        return Contract("token", address, load(TOKEN).abi)

    def token_balance(self, token: bytes, account: bytes) -> int:
        """Return an account's balance of a token, wei."""
        return int(self.chain.read(self.token(token), "balanceOf", account))

    # --- one value ---

    def now(self) -> int:
        """Return the newest block's time, seconds."""
        return self.chain.now()

    def task_count(self) -> int:
        """Return the number of the last task; tasks are numbered from 1."""
        return int(self.chain.read(self.registry, "taskCount"))

    def task(self, task: int) -> TaskRecord:
        """Return what the registry keeps. Raises UnknownTask."""
        found = struct(TaskRecord, self.chain.read(self.registry, "task", task))
        if found.owner == ZERO_ADDRESS:
            raise self._unknown(task)
        return found

    def head(self, task: int, block: int | None = None) -> Head:
        """Return the head slot."""
        return struct(Head, self.chain.read(self.ledger, "head", task, block=block))

    def window(self, task: int) -> tuple[int, int]:
        """Return [from, to) of the head's next step, seconds; zeros when there is none."""
        first, last = self.chain.read(self.ledger_views, "window", task)
        return int(first), int(last)

    def ring_digest(self, task: int, round_number: int) -> bytes:
        """Return the digest in the ring slot where the round lies (it may be another round's)."""
        return bytes(self.chain.read(self.ledger_views, "ringDigest", task, round_number))

    def allotted(self, task: int, round_number: int) -> int:
        """Return what a seal of the round would have to allot now, in all rounds up to it, wei."""
        return int(self.chain.read(self.ledger_views, "allotted", task, round_number))

    def forced_count(self, task: int) -> int:
        """Return how many receipts are forced into the head's round."""
        return int(self.chain.read(self.ledger, "forcedCount", task))

    def as_of(self, task: int) -> int:
        """Return up to when a seal takes note of what was shown, seconds: the beginning of its window.

        So who judges inside the window has seen all of it, and nothing shown meanwhile makes the seal a lie.
        """
        return self.window(task)[0] - 1

    def member(self, task: int, account: bytes) -> Member:
        """Return an account's place in a task; zeros when it has none."""
        return struct(Member, self.chain.read(self.escrow, "member", task, account))

    def tenure(self, task: int, account: bytes) -> Tenure:
        """Return when an account was a trainer of a task; zeros when it never was."""
        return struct(Tenure, self.chain.read(self.escrow, "tenure", task, account))

    def seats(self, task: int) -> int:
        """Return how many seats a task has: FIRST_SEAT and one for every trainer that ever joined."""
        return int(self.chain.read(self.ledger_views, "seats", task))

    def account(self, task: int) -> Account:
        """Return a task's pot."""
        return struct(Account, self.chain.read(self.escrow, "account", task))

    def ready_at(self, task: int, account: bytes) -> int:
        """Return when an account's stake can leave, seconds; 0 when it never asked."""
        return int(self.chain.read(self.escrow, "readyAt", task, account))

    def token_of(self, task: int) -> bytes:
        """Return a task's token. Raises UnknownTask."""
        token = bytes(self.chain.read(self.escrow, "tokenOf", task))
        if token == ZERO_ADDRESS:
            raise self._unknown(task)
        return token

    def settled(self, task: int) -> ClosedBooks:
        """Return compensation and residual money of a closed task."""
        return struct(ClosedBooks, self.chain.read(self.settlement, "settlement", task))

    def reputation_of(self, task: int, trainer: bytes) -> Reputed:
        """Return a trainer's reputation."""
        return struct(Reputed, self.chain.read(self.reputation, "reputationOf", task, trainer))

    # --- histories ---

    def history(self, task: int, *, final: bool = False) -> TaskHistory:
        """Return a task's history up to the newest confirmed block, or (`final`) the newest that cannot be undone.

        Reads only the blocks since the last call; after a reorganisation it starts over. Raises UnknownTask,
        IntegrityError (the end point hides events), RpcUnavailable.
        """
        with self._guard:
            cache = self._refresh(final=final)
            assert cache.upto is not None
            known = cache.histories.get(task)
            if known is not None and known.block == cache.upto:
                return known
            folded = cache.folds.get(task)
            history = folded.history(self.head(task, cache.upto.number), cache.upto) if folded else None
            if history is None:
                raise self._unknown(task)
            cache.histories[task] = history
            return history

    def histories(self, *, final: bool = False) -> tuple[TaskHistory, ...]:
        """Return all tasks' histories, by number."""
        with self._guard:
            numbers = sorted(self._refresh(final=final).folds)
        return tuple(self.history(number, final=final) for number in numbers)

    def _refresh(self, *, final: bool) -> _Cache:
        cache = self._caches[final]
        head = self.chain.final_head() if final else self.chain.confirmed_head()
        if cache.upto == head:
            return cache
        if cache.upto is not None and not self._continues(cache.upto, head):
            cache = self._caches[final] = _Cache()
        first = self.deployment.first_block if cache.upto is None else cache.upto.number + 1
        fresh = self._events(first, head.number)
        still = self.chain.backend.block(head.number)
        if still is None or still.hash != head.hash:
            self._caches[final] = _Cache()
            raise RpcUnavailable(f"{self.chain.backend.name}: the chain was reorganised while it was read; ask again")
        for event in fresh:
            cache.folds.setdefault(event.task, Fold()).add(event)
        cache.upto = head
        return cache

    def _continues(self, old: BlockRef, new: BlockRef) -> bool:
        """Whether what was read up to `old` is still part of the chain that ends in `new`."""
        if new.number < old.number:
            return False
        same = self.chain.backend.block(old.number)
        return same is not None and same.hash == old.hash

    def _events(self, first: int, last: int) -> list[ev.Event]:
        contracts = (self.escrow, self.registry, self.ledger, self.settlement, self.reputation)
        found = (ev.typed(decoded) for decoded in self.chain.events(contracts, first=first, last=last))
        return [event for event in found if event is not None]

    def _unknown(self, task: int) -> UnknownTask:
        return UnknownTask(
            f"there is no task {task} on {self.chain.network.name}; `fl-platform task list` shows those there are"
        )
