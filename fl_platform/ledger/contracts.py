"""The platform's contracts with a wallet: every call a role makes, typed, sent once, and never twice after a crash.

Each call looks at the chain first ("is it done already?") and is journalled under (task, round, step). Amounts in wei,
addresses 20 bytes, times in seconds of block time. All raise TransactionReverted with the decoded custom error,
WalletError, TransactionPending and RpcUnavailable.

Tests: tests/unit/ledger/test_history.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import TASKLESS, Step
from fl_platform.chain.signer import Signer, require_signer
from fl_platform.chain.types import ZERO_ADDRESS, Admission, Phase, TxReceipt
from fl_platform.errors import IntegrityError, TaskClosed, TransactionReverted, WalletError
from fl_platform.ledger import events as ev
from fl_platform.ledger.deploy import Deployment
from fl_platform.ledger.records import (
    NO_CLAIMS,
    NO_ROSTER,
    ClaimRecord,
    LeafRecord,
    MemberFlag,
    SealInput,
    TaskParams,
    Ticket,
    pack_leaves,
    pack_siblings,
)
from fl_platform.ledger.views import Views
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import TaskSpec

logger = logging.getLogger(__name__)

OPEN_TICKET = Ticket()
NO_ROOT = bytes(32)  # of a task that no program decides
LOCK_ATTEMPTS = 5  # of a lock whose allowance other processes of the wallet use up


class Contracts(Views):
    """The contracts as one wallet uses them. Without a signer it only reads."""

    def __init__(self, chain: Chain, deployment: Deployment, signer: Signer | None = None) -> None:
        super().__init__(chain, deployment)
        self._signer = signer

    @property
    def address(self) -> bytes:
        """The wallet's address; zero without one."""
        return ZERO_ADDRESS if self._signer is None else self._signer.address

    @property
    def signer(self) -> Signer:
        """The wallet that sends. Raises WalletError without one."""
        return require_signer(self._signer)

    def with_signer(self, signer: Signer) -> Contracts:
        """Return the same contracts for another wallet."""
        return Contracts(self.chain, self.deployment, signer)

    # --- owner ---

    def open_task(
        self, spec: TaskSpec, *, program: bytes = NO_ROOT, rules: bytes = NO_ROOT,
        admission: Admission = Admission.OPEN, allow_root: bytes = bytes(32),
    ) -> int:  # fmt: skip
        """Escrow the whole bounty, open the task and return its number. One spec digest opens one task a wallet.

        `program`, `rules`: roots of what judges its rounds.
        """
        money = spec.money
        params = TaskParams(
            token=money.token,
            bounty=money.pot * money.rounds,
            pot=money.pot,
            stake=money.stake,
            bond=money.bond,
            rounds=money.rounds,
            admission=admission,
            fee_bps=money.fee_bps,
            allow_root=allow_root,
            spec=spec.digest,
            program=program,
            rules=rules,
            windows=spec.windows,
            aggregators=tuple(party.address for party in spec.aggregators),
        )
        step = _opening(spec)

        def send() -> TxReceipt | None:
            return self._send(self.registry, "openTask", params, step=step)

        receipt = self._lock(money.token, params.bounty, step, send, once=True)
        for event in self._events_of(receipt):
            if isinstance(event, ev.TaskOpened):
                return event.task
        raise IntegrityError("openTask was mined without a TaskOpened event; is the deployment file of this chain?")

    def has_begun_opening(self, spec: TaskSpec) -> bool:
        """Whether this wallet's journal has sent a task with these rules: `open_task` escrows nothing more."""
        return bool(self.chain.progress(_opening(spec), self.signer).attempts)

    def sign_consent(self, task: int, trainer: bytes, deadline: int) -> Ticket:
        """Return the owner's consent that lets `trainer` join before `deadline` (admission by consent)."""
        digest = bytes(self.chain.read(self.registry, "consentDigest", task, trainer, deadline))
        return Ticket(deadline=deadline, signature=self.signer.sign_digest(digest))

    def close_task(self, task: int) -> TxReceipt | None:
        """Close the books of a task that has ended: what trainers have no right to goes to the owner. Anyone."""
        history = self.history(task)
        last = history.claim_record(history.head.round - 1) or NO_CLAIMS
        failed = history.rounds[history.head.round :]
        roster = (failed[0].roster if failed else None) or NO_ROSTER
        step = Step(task, TASKLESS, self._name("close", task))
        arguments, already = (task, last, roster), lambda: self.head(task).closed
        return self._send(self.settlement, "closeTask", *arguments, step=step, already=already)

    # --- trainer ---

    def join(self, task: int, stake: int, binding: bytes, ticket: Ticket = OPEN_TICKET) -> TxReceipt | None:
        """Lock a stake and become a trainer. `binding` is the digest of the two-sided key binding (`binding.py`)."""
        if self._has(task, MemberFlag.TRAINER):
            return None
        step = Step(task, TASKLESS, "join")

        def already() -> bool:  # by another process of this wallet
            return self._has(task, MemberFlag.TRAINER)

        def send() -> TxReceipt | None:
            arguments = (task, stake, binding, ticket)
            return self._send(self.registry, "join", *arguments, step=step, already=already, repeat=True)

        return self._lock(self.token_of(task), stake, step, send)

    def leave(self, task: int) -> TxReceipt | None:
        """Stop training and ask for the stake; `exit` pays it out after unbonding."""
        step = Step(task, TASKLESS, "leave")
        if self._has(task, MemberFlag.LEAVING):
            return None
        return self._send(self.registry, "leaveTask", task, step=step, repeat=True)

    def force_include(self, receipt: Receipt, signature: bytes) -> TxReceipt | None:
        """Put a signed receipt on chain that the roster left out."""
        step = Step(receipt.task, receipt.round, self._name(f"force 0x{receipt.trainer.hex()}", receipt.task))

        def already() -> bool:
            rounds = self.history(receipt.task).rounds
            return any(item.receipt.trainer == receipt.trainer for item in rounds[receipt.round].forced)

        return self._send(self.ledger, "forceInclude", receipt, signature, step=step, already=already)

    # --- aggregator ---

    def bond_aggregator(self, task: int, bond: int) -> TxReceipt | None:
        """Lock this aggregator's bond."""
        if self._has(task, MemberFlag.AGGREGATOR):
            return None
        order = self.history(task).opened.aggregators
        index = order.index(self.address) if self.address in order else 0
        step = Step(task, TASKLESS, "bond")

        def already() -> bool:
            return self._has(task, MemberFlag.AGGREGATOR)

        def send() -> TxReceipt | None:
            arguments = (task, order, index, bond)
            return self._send(self.ledger, "bondAggregator", *arguments, step=step, already=already, repeat=True)

        return self._lock(self.token_of(task), bond, step, send)

    def unbond_aggregator(self, task: int) -> TxReceipt | None:
        """Ask for the bond; `exit` pays it out after unbonding."""
        if self._has(task, MemberFlag.LEAVING):
            return None
        return self._send(self.ledger, "unbondAggregator", task, step=Step(task, TASKLESS, "unbond"), repeat=True)

    def roster_round(self, task: int, round_number: int, root: bytes, count: int, total_stake: int) -> TxReceipt | None:
        """Put a round's roster on chain."""

        def already() -> bool:
            head = self.head(task)
            return head.round > round_number or (head.round == round_number and head.phase is not Phase.OPEN)

        step = Step(task, round_number, self._name("roster", task))
        arguments = (task, round_number, root, count, total_stake)
        return self._send(self.ledger, "rosterRound", *arguments, step=step, already=already)

    def seal_round(
        self, task: int, round_number: int, bundle_digest: bytes, bundle: RoundBundle, *, trace: bytes = bytes(32),
        as_of: int | None = None,
    ) -> TxReceipt | None:  # fmt: skip
        """Seal a rostered round with its bundle and its trace's root (zero: none), as of a time (None: the first)."""
        given = self.seal_input(task, bundle_digest, bundle, trace=trace, as_of=as_of)
        return self.seal_with(task, round_number, given)

    def seal_input(
        self, task: int, bundle_digest: bytes, bundle: RoundBundle, *, trace: bytes, as_of: int | None = None
    ) -> SealInput:  # fmt: skip
        """Return what a seal of a bundle says."""
        return SealInput(
            bundle=bundle_digest, model=bundle.after.model_root, trace=trace,
            as_of=self.as_of(task) if as_of is None else as_of, claim_root=bundle.claims.digest,
            claim_total=bundle.claims.total, claim_count=len(bundle.after.standings),
        )  # fmt: skip

    def seal_with(self, task: int, round_number: int, given: SealInput) -> TxReceipt | None:
        """Seal a rostered round with any input (the contract decides whether it is acceptable)."""
        step = Step(task, round_number, self._name("seal", task))
        return self._send(
            self.ledger, "sealRound", task, round_number, given, step=step,
            already=lambda: self.head(task).round > round_number,
        )  # fmt: skip

    def advance(self, task: int) -> TxReceipt | None:
        """After a missed deadline: cut the late aggregator's bond and hand over, or end the task. Anyone."""
        history = self.history(task)
        head = history.head
        if head.phase not in (Phase.OPEN, Phase.ROSTERED):
            raise TaskClosed(f"task {task} is {head.phase.name}: nobody is late")
        step = Step(task, head.round, self._name(f"advance {head.phase.name} past {head.index}", task))

        def already() -> bool:
            now = self.head(task)
            return (now.round, now.index, now.phase) != (head.round, head.index, head.phase)

        return self._send(self.ledger, "advance", task, history.opened.aggregators, step=step, already=already)

    def pass_round(self, task: int, round_number: int) -> TxReceipt | None:
        """Say that this aggregator cannot seal a rostered round: the next one takes over, nobody is fined."""
        step = Step(task, round_number, self._name("pass", task))

        def already() -> bool:
            found = (item for item in self.history(task).replacements if item.passed)
            return any((item.round, item.late) == (round_number, self.address) for item in found)

        arguments = (task, round_number, self.history(task).opened.aggregators)
        return self._send(self.ledger, "passRound", *arguments, step=step, already=already)

    # --- money, anyone ---

    def claim(self, task: int, round_number: int, leaves: tuple[Leaf, ...], owner: bytes) -> TxReceipt | None:
        """Credit what `owner`'s leaf in a final round's claim tree has earned beyond earlier claims."""
        index = _index(leaves, owner, f"round {round_number}'s claims")
        leaf = leaves[index]
        seal = self._sealed(task, round_number)
        step = Step(task, round_number, self._name(f"claim 0x{owner.hex()}", task))
        path = pack_siblings(merkle_sum.prove(leaves, index))
        return self._send(
            self.ledger, "claim", task, round_number, seal, LeafRecord.of(index, leaf), path, step=step,
            already=lambda: self.member(task, owner).claimed >= leaf.amount,
        )  # fmt: skip

    def claim_compensation(self, task: int, leaves: tuple[Leaf, ...], owner: bytes) -> TxReceipt | None:
        """Credit a rostered trainer's part of a COMPENSATED round; `leaves` are the roster's."""
        head = self.head(task)
        record = self.history(task).rounds[head.round].roster
        if record is None:
            raise TaskClosed(f"task {task}: round {head.round} has no roster to compensate")
        index = _index(leaves, owner, f"round {head.round}'s roster")
        path = pack_siblings(merkle_sum.prove(leaves, index))
        step = Step(task, head.round, self._name(f"compensation 0x{owner.hex()}", task))
        return self._send(
            self.settlement, "claimCompensation", task, head.round, record, LeafRecord.of(index, leaves[index]), path,
            step=step, already=lambda: self._has(task, MemberFlag.COMPENSATED, owner),
        )  # fmt: skip

    def sweep_compensation(self, task: int) -> TxReceipt | None:
        """Divide what nobody claimed as compensation into residual shares."""
        step = Step(task, TASKLESS, self._name("sweep", task))
        return self._send(
            self.settlement, "sweepCompensation", task, step=step, already=lambda: self.settled(task).swept
        )

    def claim_residual(self, task: int, trainer: bytes) -> TxReceipt | None:
        """Credit one residual share of what was swept."""
        step = Step(task, TASKLESS, self._name(f"residual 0x{trainer.hex()}", task))
        return self._send(
            self.settlement, "claimResidual", task, trainer, step=step,
            already=lambda: self._has(task, MemberFlag.RESIDUAL_PAID, trainer),
        )  # fmt: skip

    def exit(self, task: int) -> TxReceipt | None:
        """Turn this wallet's stake into credit once unbonding is over."""
        if not self._has(task, MemberFlag.LEAVING) and self.member(task, self.address).stake == 0:
            return None
        return self._send(self.escrow, "exit", task, step=Step(task, TASKLESS, "exit"), repeat=True)

    def withdraw(self, task: int, account: bytes | None = None) -> TxReceipt | None:
        """Pay an account's credit to its own wallet (this wallet's when none is named); None when there is none."""
        owner = self.address if account is None else account
        if self.member(task, owner).credit == 0:
            return None
        step = Step(task, TASKLESS, f"withdraw 0x{owner.hex()}")
        return self._send(self.escrow, "withdraw", task, owner, step=step, repeat=True)

    def record_reputation(self, task: int, round_number: int, leaves: tuple[Leaf, ...]) -> TxReceipt | None:
        """Write the reputation of every claim leaf of a final round."""
        seal, packed = self._sealed(task, round_number), pack_leaves(leaves)
        step = Step(task, round_number, self._name("reputation", task))

        def already() -> bool:
            return any(done >= round_number for done in self.history(task).reputation_rounds)

        return self._send(self.reputation, "record", task, round_number, seal, packed, step=step, already=already)

    # --- token ---

    def mint(self, account: bytes, amount: int) -> TxReceipt | None:
        """Draw `amount` wei of the faucet token for an account (networks with a faucet)."""
        return self.chain.send(self.faucet, "mint", account, amount, signer=self.signer)

    def approve(self, token: bytes, amount: int, step: Step, *, once: bool = False) -> None:
        """Let the escrow take the wei of `token` that `step` locks.

        Nothing to do when it is under way; when done, only if done `once`. Raises WalletError for an empty wallet.
        """
        progress = self.chain.progress(step, self.signer)
        if progress.attempts and (once or progress.outcome != "done"):
            return
        contract = self.token(token)
        if self.chain.read(contract, "allowance", self.address, self.escrow.address) >= amount:
            return
        balance = self.chain.read(contract, "balanceOf", self.address)
        if balance < amount:
            raise WalletError(
                f"wallet 0x{self.address.hex()} holds {balance} wei of token 0x{token.hex()}, {step.name} locks "
                f"{amount}; get more of it (`fl-platform wallet fund NAME --tokens N` where there is a faucet) and run "
                "again"
            )
        approve = Step(step.task, step.round, f"approve {step.name}")
        self._send(contract, "approve", self.escrow.address, amount, step=approve, repeat=True)

    # --- helpers ---

    def _lock(
        self, token: bytes, amount: int, step: Step, send: Callable[[], TxReceipt | None], *, once: bool = False
    ) -> TxReceipt | None:
        """Approve what `step` locks, and send it.

        An allowance is the wallet's, not the step's: another process of this wallet that locks something at the same
        time may use it up in between. Then it is approved again.
        """
        for _ in range(LOCK_ATTEMPTS - 1):
            self.approve(token, amount, step, once=once)
            try:
                return send()
            except TransactionReverted as error:
                if "allowance" not in str(error).lower():
                    raise
                logger.info("%s: another process used up the allowance; approving again", step.name)
        self.approve(token, amount, step, once=once)
        return send()

    def _has(self, task: int, flag: MemberFlag, account: bytes | None = None) -> bool:
        return bool(self.member(task, self.address if account is None else account).flags & flag)

    def _name(self, name: str, task: int) -> str:
        """Return a step's name that is fresh after every upheld dispute, which reopens rounds."""
        voids = self.history(task).voids
        return f"{name} after {voids} voids" if voids else name

    def _sealed(self, task: int, round_number: int) -> ClaimRecord:
        record = self.history(task).claim_record(round_number)
        if record is None:
            raise TaskClosed(f"task {task}: round {round_number} is not sealed, so nothing can be claimed from it yet")
        return record

    def _send(
        self, contract: Contract, function: str, *arguments: Any, step: Step,
        already: Callable[[], bool] | None = None, repeat: bool = False,
    ) -> TxReceipt | None:  # fmt: skip
        return self.chain.send(
            contract, function, *arguments, signer=self.signer, step=step, already=already, repeat=repeat
        )

    def _events_of(self, receipt: TxReceipt | None) -> list[ev.Event]:
        logs = () if receipt is None else receipt.logs
        decoded = (self.registry.abi.decode_log(log) for log in logs if log.address == self.registry.address)
        typed = (ev.typed(item) for item in decoded if item is not None)
        return [event for event in typed if event is not None]


def _index(leaves: tuple[Leaf, ...], owner: bytes, where: str) -> int:
    own = [index for index, leaf in enumerate(leaves) if leaf.owner == owner]
    if own:
        return max(own, key=lambda index: leaves[index].amount)
    raise WalletError(f"0x{owner.hex()} is not in {where}; `fl-platform why 0x{owner.hex()}` says what became of it")


def _opening(spec: TaskSpec) -> Step:
    return Step(TASKLESS, TASKLESS, f"open 0x{spec.digest.hex()}")
