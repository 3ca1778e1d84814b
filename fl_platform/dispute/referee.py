"""The referee contract with a wallet: what was asked and shown about a seal, and every move that can be made.

See contracts/interfaces/IReferee.sol. Amounts in wei, times in seconds of block time.

Tests: tests/adversarial/test_a07_hidden_tape.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fl_platform.chain.abi import Decoded
from fl_platform.chain.client import Planned
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer, require_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.dispute.claims import Claim
from fl_platform.dispute.questions import PART_BYTES, Answer, Node, Question, blocks_of, encoded_instruction
from fl_platform.dispute.targets import Target
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.evidence import send_evidence
from fl_platform.protocol.openings import instruction_path
from fl_platform.protocol.rows import RowLeaf

CONTRACT = "Referee"
NOTHING = bytes(32)
_OF_CELLS = frozenset({Node.SUMS, Node.ROW, Node.PREFIXES, Node.OPERAND})  # questions about one cell


@dataclass(frozen=True)
class Asked:
    """A question that waits for its answer."""

    question: Question
    asker: bytes
    deadline: int  # seconds
    times: int  # it was asked, this time counted: one that was dismissed can be asked again


@dataclass(frozen=True)
class Record:
    """What is on chain about one seal."""

    shown: Mapping[Question, Answer]
    waiting: tuple[Asked, ...]
    last: bytes  # id of the question that was shown last; zero: none
    last_at: int  # when that was, or a question was dismissed, seconds; 0: never
    times: Mapping[Question, int] = field(default_factory=dict)  # each was asked so far

    def overdue(self, now: int) -> tuple[Question, ...]:
        """Return the questions that were not answered in time."""
        return tuple(asked.question for asked in self.waiting if now >= asked.deadline)


NOTHING_ASKED = Record({}, (), NOTHING, 0)


class Referee:
    """The contract as one wallet uses it; without a signer it only reads."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has no disputes."""
        self._contracts, self._signer = contracts, signer
        self._contract = contracts.deployment.contract(CONTRACT)

    @staticmethod
    def there(contracts: Contracts) -> bool:
        """Whether the deployment has disputes."""
        return CONTRACT in contracts.deployment.contracts

    @property
    def contracts(self) -> Contracts:
        """The deployment."""
        return self._contracts

    @property
    def signer(self) -> Signer | None:
        """Who sends; None: reads only."""
        return self._signer

    # --- reading ---

    def record(self, target: Target) -> Record:
        """Return what was asked and shown about a seal."""
        shown: dict[Question, Answer] = {}
        waiting: dict[Question, Asked] = {}
        times: Counter[Question] = Counter()
        last, last_block = NOTHING, 0
        for event in self._events(target):
            values = event.values
            if event.name != "Asked":
                last_block = event.log.block
            if event.name == "Dismissed":
                waiting = {q: asked for q, asked in waiting.items() if q.id(target.key) != values["id"]}
                continue
            question = question_of(values["question"], target)
            if event.name == "Asked":
                times[question] += 1
                waiting[question] = Asked(question, values["asker"], int(values["deadline"]), times[question])
            else:
                waiting.pop(question, None)
                shown[question], last = answer_of(values), bytes(values["id"])
        block = self._contracts.chain.backend.block(last_block) if last_block else None
        return Record(shown, tuple(waiting.values()), last, 0 if block is None else block.timestamp, times)

    def is_open(self, target: Target) -> bool:
        """Whether the ledger stands still for this seal."""
        _, _, marked = self._contracts.chain.read(self._contract, "waiting", target.key)
        return bool(marked)

    def _events(self, target: Target) -> list[Decoded]:
        first = self._contracts.history(target.task).opened.place.block
        names = ("Asked", "Shown", "Dismissed")
        found = self._contracts.chain.events([self._contract], first=first, names=names)
        return [event for event in found if event.values["target"] == target.key]

    # --- moves ---

    def ask(self, target: Target, question: Question, known: Record = NOTHING_ASKED) -> TxReceipt | None:
        """Ask for a node; the wallet's ask bond is the sealer's once it is shown. Raises WalletError without as much.

        `known`: what is on chain about the seal; what waits there is not asked.
        """
        step = self._step(target, f"ask {question}", known.times.get(question, 0) + 1)
        self._contracts.approve(self._contracts.token_of(target.task), target.terms.ask_bond, step)
        return self._send(target, "ask", question.encoded(), known.last, step=step)

    def show(self, target: Target, question: Question, answer: Answer) -> TxReceipt | None:
        """Show a node; the asker's bond becomes the sealer's credit."""
        return self._sent(self.showing(target, question, answer))

    def showing(self, target: Target, question: Question, answer: Answer) -> Planned:
        """Return the call by which `show` shows a node, to be sent with others."""
        step, data = self._step(target, f"show {question}"), target.encoded(_blocks(target, question))
        return Planned(self._contract, "show", (data, question.encoded(), answer.encoded()), step)

    def dismiss(self, target: Target, asked: Asked) -> TxReceipt | None:
        """End a question that has no answer. Raises TransactionReverted (nothing paid) where it has one."""
        return self._sent(self.dismissing(target, asked))

    def dismissing(self, target: Target, asked: Asked) -> Planned:
        """Return the call by which `dismiss` ends a question, to be sent with others."""
        question = asked.question
        words: bytes = bytes(160)
        path: tuple[bytes, ...] = ()
        columns = target.program.columns
        if question.column < len(columns):
            words, path = columns[question.column].words(), instruction_path(target.program, question.column)
        instruction = encoded_instruction(words, path)
        step, data = self._step(target, f"dismiss {question}", asked.times), target.encoded(_blocks(target, question))
        return Planned(self._contract, "dismiss", (data, question.encoded(), instruction), step)

    def lapse(self, target: Target, question: Question) -> TxReceipt | None:
        """End a question that nobody answered in time: the seal falls."""
        return self._send(target, "lapse", question.encoded(), step=self._step(target, f"lapse {question}"))

    def reclaim(self, target: Target, question: Question) -> TxReceipt | None:
        """Take back the bond of a question about a seal that fell."""
        return self._send(target, "reclaim", question.encoded(), step=self._step(target, f"reclaim {question}"))

    def release(self, target: Target) -> TxReceipt | None:
        """Let a task go on whose last question was answered late."""
        return self._send(target, "release", step=self._step(target, "release"))

    def refute(
        self, target: Target, claim: Claim, blocks: tuple[int, ...] = (), *, hurried: bool = False
    ) -> TxReceipt | None:
        """Send a claim: the seal falls. Raises TransactionReverted (trial run, nothing paid) where it shows no lie.

        hurried: the window may end within a few blocks, so no commitment goes ahead that would make the reward ours.
        """
        signer, step = require_signer(self._signer), self._step(target, "refute")
        arguments = target.encoded(blocks), *claim.encoded()
        return send_evidence(
            self._contracts.chain, self._contract, self._contract, claim.function, *arguments, signer=signer, step=step,
            hurried=hurried,
        )  # fmt: skip

    def _send(self, target: Target, function: str, *arguments: Any, step: Step) -> TxReceipt | None:
        return self._sent(Planned(self._contract, function, (target.encoded(), *arguments), step))

    def _sent(self, one: Planned) -> TxReceipt | None:
        signer = require_signer(self._signer)
        return self._contracts.chain.send(one.contract, one.function, *one.arguments, signer=signer, step=one.step)

    @staticmethod
    def _step(target: Target, name: str, time: int = 1) -> Step:
        """Name what is done once about a seal (a node is shown once, a seal falls once), or for the `time`-th time."""
        again = f", time {time}" if time > 1 else ""
        return Step(target.task, target.round, f"{name} of 0x{target.key.hex()[:16]}{again}")


def _blocks(target: Target, question: Question) -> tuple[int, ...]:
    return blocks_of(question, target.program, len(target.terms.blocks))


def question_of(values: Any, target: Target) -> Question:
    """Return a question as an event says it (untrusted): with as many numbers as its column has axes, where the rest
    are 0."""
    node, column, place, leaf, level, index = values
    columns = target.program.columns
    wanted = len(columns[column].axes) if Node(node) in _OF_CELLS and column < len(columns) else 0
    shorter = tuple(place[:wanted]) if not any(place[wanted:]) else tuple(place)
    return Question(Node(node), column, shorter, leaf, level, index)


def answer_of(values: Mapping[str, Any]) -> Answer:
    """Return an answer as an event says it: what nobody else knows of it."""
    blind, body, siblings = values["leaf"]
    node = Node(values["question"][0])
    parts = bytes(values["parts"])
    sums = node is Node.SUMS
    return Answer(
        hashes=tuple(map(bytes, values["hashes"])), cells=tuple(values["cells"]),
        siblings=tuple(map(bytes, values["siblings"])),
        parts=tuple(
            int.from_bytes(parts[at : at + PART_BYTES], "big", signed=True) for at in range(0, len(parts), PART_BYTES)
        ) if sums else (),
        claims=b"" if sums else parts, above=bytes(values["above"]),
        leaf=RowLeaf(bytes(blind), bytes(body), tuple(map(bytes, siblings))),
    )  # fmt: skip
