"""The disputes contract with a wallet: ask a judge for nothing, challenge a seal, demand what a sealer hides.

See contracts/interfaces/ITraceDisputes.sol. Amounts in wei, times in seconds of block time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import decode, encode

from fl_platform.chain.abi import plain
from fl_platform.chain.contracts import Contracts
from fl_platform.chain.evidence import SEAL, Case, Evidence, Question
from fl_platform.chain.journal import Step
from fl_platform.chain.records import RosterRecord, SealRecord, pack_leaves, struct, unpack_leaves
from fl_platform.chain.signer import Signer, demand_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.errors import DocumentInvalid, IntegrityError, TaskClosed, TransactionPending, TransactionReverted
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import SignedReceipt
from fl_platform.protocol.trace import Header, Kind, Trace
from fl_platform.protocol.trace_pages import pages, rebuilt

CONTRACT = "Disputes"
_SHOWN_PAGE = ("uint32[6]", "bytes32[6]", "uint256", "uint256", "bytes")
_MONEY, _ENTRY, _SCREEN, _WORTH, _WORK = "MoneyJudge", "EntryJudge", "ScreenJudge", "WorthJudge", "WorkJudge"


class Subject(IntEnum):
    """What a sealer can be asked to show."""

    TRACE = 0
    RECEIPT = 1
    CLAIMS = 2


@dataclass(frozen=True)
class Demand:
    """ITraceDisputes.Demand."""

    challenger: bytes
    deadline: int
    round: int
    subject: int
    kind: int
    answered: bool
    index: int
    bond: int
    task: int
    seal: bytes


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

    def demands_on(self, task: int, sealer: bytes) -> tuple[tuple[int, Demand], ...]:
        """Return the numbers and contents of open demands about seals of one aggregator that stand."""
        found = []
        for event in self._contracts.chain.events([self._contract], names=["Demanded"]):
            number = int(event.values["id"])
            made = self.open_demand(number) if event.values["task"] == task else None
            if made is None:
                continue
            rounds = self._contracts.history(task).rounds
            seal = rounds[made.round].seal if made.round < len(rounds) else None
            if seal is not None and seal.aggregator == sealer:
                found.append((number, made))
        return tuple(found)

    def case(self, task: int, round_number: int, question: Question) -> Case:
        """Return a question about the round's seal on chain. Raises TaskClosed when it is not sealed."""
        return Case(task, round_number, self._seal(task, round_number), int(question))

    def refutes(self, task: int, round_number: int, question: Question, shown: Evidence) -> bool:
        """Ask the judge whether the evidence shows a lie; what it cannot read shows none. Costs nothing."""
        judge = self._contracts.deployment.contract(judge_of(question))
        case = self.case(task, round_number, question)
        try:
            return bool(self._contracts.chain.read(judge, "refutes", case, shown))
        except TransactionReverted:
            return False

    def challenge(self, task: int, round_number: int, question: Question, shown: Evidence) -> TxReceipt | None:
        """Send a challenge. Raises TransactionReverted (trial run, nothing paid) when it shows no lie."""
        case = self.case(task, round_number, question)
        step = self._step(task, round_number, case.record, f"challenge {question.name}")
        return self._contracts.chain.send(
            self._contract, "challenge", case, shown, self._aggregators(task), signer=self._wallet(), step=step,
            already=lambda: self._fell(task, round_number, case.record),
        )  # fmt: skip

    def bond(self, task: int) -> int:
        """Return what a demand costs, wei."""
        return int(self._contracts.chain.read(self._contract, "bondOf", task))

    def approve_bond(self, task: int, step: Step) -> None:
        """Let the escrow take what `step` locks. Raises WalletError when the wallet does not hold as much."""
        self._contracts.approve(self._contracts.token_of(task), self.bond(task), step)

    def demand(self, task: int, round_number: int, subject: Subject, index: int = 0) -> int:
        """Ask for its trace, a roster entry's receipt or its claims; locks the bond. Returns its number."""
        record, chain = self._seal(task, round_number), self._contracts.chain
        step = self._step(task, round_number, record, f"demand {subject.name} {index}")
        self.approve_bond(task, step)
        chain.send(
            self._contract, "demand", task, round_number, record, int(subject), index, signer=self._wallet(), step=step
        )
        return self._made(self.seal_digest(task, round_number, record), int(subject), index)

    def open_demand(self, number: int) -> Demand | None:
        """Return a demand; None when it has ended."""
        found = struct(Demand, self._contracts.chain.read(self._contract, "demandOf", number))
        return found if any(found.challenger) else None

    def answer_trace(self, number: int, trace: Trace) -> None:
        """Show a trace from the next page on; with the last one the bond goes to the sealer, whoever shows it."""
        made = self._demand(number)
        record, header = self._seal(made.task, made.round), trace.header
        for page in pages(trace, made.kind, made.index):
            self._contracts.chain.send(
                self._contract, "answerTrace", number, record, header.counts, header.roots,
                (page.level, page.words, page.siblings), signer=self._wallet(),
                step=Step(made.task, made.round, f"answer {number} {page.kind.name} {page.first}"),
            )  # fmt: skip

    def answer_receipt(
        self, number: int, signed: SignedReceipt, *, roster: RosterRecord, stake: int, siblings: bytes
    ) -> TxReceipt | None:
        """Show a roster entry's signed receipt; the demand's bond goes to the sealer."""
        made = self._demand(number)
        record = self._seal(made.task, made.round)
        return self._contracts.chain.send(
            self._contract, "answerReceipt", number, record, roster, signed.receipt, signed.signature, stake, siblings,
            signer=self._wallet(), step=Step(made.task, made.round, f"answer {number}"),
        )  # fmt: skip

    def answer_claims(self, number: int, leaves: tuple[Leaf, ...]) -> TxReceipt | None:
        """Show all claim leaves; the demand's bond goes to the sealer."""
        made = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "answerClaims", number, self._seal(made.task, made.round), pack_leaves(leaves),
            signer=self._wallet(), step=Step(made.task, made.round, f"answer {number}"),
        )  # fmt: skip

    def shown_trace(self, task: int, round_number: int) -> Trace | None:
        """Return the trace of a round's seal that was shown on chain; None while it was not, or not all of it."""
        shown: dict[tuple[Kind, int], bytes] = {}
        header: Header | None = None
        for content in self._answers(task, round_number, Subject.TRACE):
            counts, roots, kind, first, words = decode(_SHOWN_PAGE, content)
            header, shown[Kind(kind), first] = Header(counts, roots), words
        try:
            return None if header is None else rebuilt(header, shown)
        except DocumentInvalid:  # the contract has checked every page: what lacks was not shown yet
            return None

    def shown_claims(self, task: int, round_number: int) -> tuple[Leaf, ...] | None:
        """Return the claim leaves of a round's seal that were shown on chain; None while they were not."""
        found = self._answers(task, round_number, Subject.CLAIMS)
        return unpack_leaves(found[-1]) if found else None

    def _answers(self, task: int, round_number: int, subject: Subject) -> list[bytes]:
        """Contents of all answers to demands about one subject of the seal that a round has now, oldest first."""
        seal = self.seal_digest(task, round_number, self._seal(task, round_number))
        about, found = set(), []
        for event in self._contracts.chain.events([self._contract], names=["Demanded", "Answered"]):
            number = int(event.values["id"])
            if event.name == "Demanded":
                made = struct(Demand, event.values["demand"])
                about |= {number} if (made.seal, made.subject) == (seal, subject) else set()
            elif number in about:
                found.append(bytes(event.values["content"]))
        return found

    def expire(self, number: int) -> TxReceipt | None:
        """End a demand: unanswered past its deadline the seal falls, answered the task goes on."""
        made = self._demand(number)
        record = self.disputed_seal(made.task, made.round, made.seal)
        return self._contracts.chain.send(
            self._contract, "expire", number, record, self._aggregators(made.task), signer=self._wallet(),
            step=Step(made.task, made.round, f"expire {number}"), already=lambda: self.open_demand(number) is None,
        )  # fmt: skip

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

    def _wallet(self) -> Signer:
        return demand_signer(self._signer)

    def _made(self, seal: bytes, *wanted: int) -> int:
        """Return the number of this wallet's last demand for `wanted`; the contract's counter may be another's."""
        numbers = []
        for event in self._contracts.chain.events([self._contract], names=["Demanded"]):
            made = struct(Demand, event.values["demand"])
            own = (made.challenger, made.seal) == (self._wallet().address, seal)
            if own and (made.subject, made.index) == wanted:
                numbers.append(int(event.values["id"]))
        if not numbers:
            raise TransactionPending("the demand was sent and its event is not confirmed yet; run again")
        return max(numbers)

    def _demand(self, number: int) -> Demand:
        found = self.open_demand(number)
        if found is None:
            raise TaskClosed(f"demand {number} has ended or never was")
        return found

    def _aggregators(self, task: int) -> tuple[bytes, ...]:
        return self._contracts.history(task).opened.aggregators

    def _seal(self, task: int, round_number: int) -> SealRecord:
        rounds = self._contracts.history(task).rounds
        seal = rounds[round_number].seal if round_number < len(rounds) else None
        if seal is None:
            raise TaskClosed(f"task {task}: round {round_number} is not sealed, so nothing can be disputed")
        return seal

    def _fell(self, task: int, round_number: int, record: SealRecord) -> bool:
        rounds = self._contracts.history(task).rounds
        return round_number >= len(rounds) or rounds[round_number].seal != record

    def _step(self, task: int, round_number: int, record: SealRecord, name: str) -> Step:
        return Step(task, round_number, f"{name} 0x{record.trace.hex()[:16]} at {record.sealed_at}")
