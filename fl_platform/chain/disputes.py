"""The disputes contract with a wallet: ask a judge for nothing, challenge a seal, accuse a trainer that signed twice.

See contracts/interfaces/ITraceDisputes.sol. Amounts in wei, times in seconds of block time.
"""

from __future__ import annotations

from eth_abi.abi import encode

from fl_platform.chain.abi import plain
from fl_platform.chain.contracts import Contracts
from fl_platform.chain.evidence import SEAL, Case, Evidence, Question
from fl_platform.chain.journal import Step
from fl_platform.chain.records import (
    SealRecord,
)
from fl_platform.chain.signer import Signer, demand_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.errors import IntegrityError, TaskClosed, TransactionReverted
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import SignedReceipt

CONTRACT = "Disputes"
_MONEY, _ENTRY, _SCREEN, _WORTH, _WORK = "MoneyJudge", "EntryJudge", "ScreenJudge", "WorthJudge", "WorkJudge"


def judge_of(question: Question) -> str:
    """Return the contract that answers a question."""
    if question in (Question.FOREIGN, Question.UNTRACED):
        return _ENTRY
    if question <= Question.DROPPED:
        return _MONEY
    if question <= Question.RULES:
        return _ENTRY
    if question <= Question.ENTRIES:
        return _SCREEN
    return _WORTH if question < Question.WORK else _WORK


class Disputes:
    """Disputes as one wallet uses them; without a signer only `refutes` and reads work."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has no disputes."""
        self._contracts, self._signer = contracts, signer
        self._contract = contracts.deployment.contract(CONTRACT)

    @property
    def contracts(self) -> Contracts:
        """The deployment that this wallet disputes in."""
        return self._contracts

    @property
    def signer(self) -> Signer | None:
        """Who sends; None: reads only."""
        return self._signer

    def case(self, task: int, round_number: int, question: Question) -> Case:
        """Return a question about the round's seal on chain. Raises TaskClosed when it is not sealed."""
        return Case(task, round_number, self.seal(task, round_number), int(question))

    def refutes(self, task: int, round_number: int, question: Question, shown: Evidence) -> bool:
        """Ask the judge whether the evidence shows a lie; what it cannot read shows none. Costs nothing."""
        return self.holds(self.case(task, round_number, question), shown)

    def holds(self, case: Case, shown: Evidence) -> bool:
        """Ask the same of a seal that need not be on chain yet."""
        judge = self._contracts.deployment.contract(judge_of(Question(case.question)))
        try:
            return bool(self._contracts.chain.read_alone(judge, "refutes", case, shown))
        except TransactionReverted:
            return False

    def challenge(self, task: int, round_number: int, question: Question, shown: Evidence) -> TxReceipt | None:
        """Send a challenge. Raises TransactionReverted (trial run, nothing paid) when it shows no lie."""
        case = self.case(task, round_number, question)
        step = self.step(task, round_number, case.record, f"challenge {question.name}")
        return self._contracts.chain.send(
            self._contract, "challenge", case, shown, self.aggregators(task), signer=self._wallet(), step=step,
            already=lambda: self._fell(task, round_number, case.record),
        )  # fmt: skip

    def bond(self, task: int) -> int:
        """Return what a demand or a game locks, wei."""
        return int(self._contracts.chain.read(self._contract, "bondOf", task))

    def approve_bond(self, task: int, step: Step) -> None:
        """Let the escrow take what `step` locks. Raises WalletError when the wallet does not hold as much."""
        self._contracts.approve(self._contracts.token_of(task), self.bond(task), step)

    def equivocation(self, first: SignedReceipt, second: SignedReceipt) -> TxReceipt | None:
        """Show two receipts that one trainer signed for one round; its stake is taken."""
        receipt = first.receipt
        step = Step(receipt.task, receipt.round, f"equivocation 0x{receipt.trainer.hex()}")
        return self._contracts.chain.send(
            self._contract, "equivocation", receipt, first.signature, second.receipt, second.signature,
            signer=self._wallet(), step=step,
            already=lambda: self._contracts.member(receipt.task, receipt.trainer).stake == 0,
        )  # fmt: skip

    def disputed_seal(self, task: int, round_number: int, digest: bytes) -> SealRecord:
        """Return the seal that a demand or game is about, also when it fell since. Raises IntegrityError: none is."""
        record = self._contracts.history(task).rounds[round_number]
        seals: tuple[SealRecord, ...] = (*record.overturned, *(() if record.seal is None else (record.seal,)))
        for seal in seals:
            if self.seal_digest(task, round_number, seal) == digest:
                return seal
        raise IntegrityError(f"task {task}: no seal of round {round_number} is the disputed one")

    @staticmethod
    def seal_digest(task: int, round_number: int, seal: SealRecord) -> bytes:
        """Return what demands and games name a seal by, 32 bytes."""
        return keccak256(encode(["uint256", "uint256", SEAL], [task, round_number, plain(seal)]))

    def aggregators(self, task: int) -> tuple[bytes, ...]:
        """Return a task's frozen list."""
        return self._contracts.history(task).opened.aggregators

    def seal(self, task: int, round_number: int) -> SealRecord:
        """Return the seal that a round has now. Raises TaskClosed when it is not sealed."""
        rounds = self._contracts.history(task).rounds
        seal = rounds[round_number].seal if round_number < len(rounds) else None
        if seal is None:
            raise TaskClosed(f"task {task}: round {round_number} is not sealed, so nothing can be disputed")
        return seal

    @staticmethod
    def step(task: int, round_number: int, record: SealRecord, name: str) -> Step:
        """Return the journal's name of a move about one seal."""
        return Step(task, round_number, f"{name} 0x{record.trace.hex()[:16]} at {record.sealed_at}")

    def _wallet(self) -> Signer:
        return demand_signer(self._signer)

    def _fell(self, task: int, round_number: int, record: SealRecord) -> bool:
        rounds = self._contracts.history(task).rounds
        return round_number >= len(rounds) or rounds[round_number].seal != record
