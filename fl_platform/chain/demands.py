"""The demands contract with a wallet: make a sealer show what it hides, show it, read what was shown.

See contracts/interfaces/IDemands.sol. Amounts in wei, times in seconds of block time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from eth_abi.abi import decode

from fl_platform.chain.disputes import Disputes
from fl_platform.chain.entries_shown import entries_from, shown_from
from fl_platform.chain.evidence import opened
from fl_platform.chain.journal import Step
from fl_platform.chain.records import (
    ContentLeafRecord,
    RosterRecord,
    pack_leaves,
    struct,
    unpack_leaves,
)
from fl_platform.chain.signer import Signer, demand_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.errors import DocumentInvalid, TaskClosed, TransactionPending, TransactionReverted
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.trace import Header, Kind, Trace
from fl_platform.protocol.trace_pages import leaves_of, pages, rebuilt

CONTRACT = "Demands"
_CONTENT_LEAF = "(bytes32,bytes,bytes32[])"
_SHOWN_PAGE = ("uint32[6]", "bytes32[6]", "uint256", "uint256", "bytes")


class Subject(IntEnum):
    """What a sealer can be asked to show."""

    TRACE = 0
    ENTRIES = 1
    CLAIMS = 2
    SUMS = 3


@dataclass(frozen=True)
class Demand:
    """IDemands.Demand."""

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


class Demands:
    """Demands as one wallet makes and answers them; without a signer only reading works."""

    def __init__(self, disputes: Disputes) -> None:
        """Raises ConfigError where the deployment has none."""
        self._disputes, self._contracts, self._signer = disputes, disputes.contracts, disputes.signer
        self._contract = self._contracts.deployment.contract(CONTRACT)

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

    def demand(self, task: int, round_number: int, subject: Subject, index: int = 0) -> int:
        """Ask for a trace, entries, claims or (`index`: the node) sums; locks the bond. Returns the demand's number."""
        record, chain = self._disputes.seal(task, round_number), self._contracts.chain
        step = self._disputes.step(task, round_number, record, f"demand {subject.name} {index}")
        self._disputes.approve_bond(task, step)
        chain.send(
            self._contract, "demand", task, round_number, record, int(subject), index, signer=self._wallet(), step=step
        )
        return self._made(self._disputes.seal_digest(task, round_number, record), int(subject), index)

    def open_demand(self, number: int) -> Demand | None:
        """Return a demand; None when it has ended."""
        found = struct(Demand, self._contracts.chain.read(self._contract, "demandOf", number))
        return found if any(found.challenger) else None

    def answer_trace(self, number: int, trace: Trace) -> None:
        """Show a trace from the next page on; the last one answers the demand, whoever shows it.

        Goes on behind what others show meanwhile. Raises TransactionReverted when a page is refused for another reason.
        """
        made = self._demand(number)
        record, header = self._disputes.seal(made.task, made.round), trace.header
        while not made.answered:
            page = next(pages(trace, made.kind, made.index))
            made = self._next(number, made, f"answer {number} {page.kind.name} {page.first}", partial(
                self._contracts.chain.send, self._contract, "answerTrace", number, record, header.counts, header.roots,
                (page.level, page.words, page.siblings), signer=self._wallet(),
            ))  # fmt: skip

    def _next(self, number: int, made: Demand, name: str, send: Callable[..., object]) -> Demand:
        """Send a part of an answer; return the demand as it then stands."""
        try:
            send(step=Step(made.task, made.round, name))
        except TransactionReverted:
            if self._demand(number) == made:
                raise
        after = self._demand(number)
        if after == made:
            raise TransactionPending(f"a part of the answer to demand {number} is not confirmed yet; run again")
        return after

    def answer_entries(
        self, number: int, entries: tuple[Entry, ...], trace: Trace, roster: RosterRecord, spec: TaskSpec
    ) -> None:
        """Show a round's entries from the next one on; the last one answers the demand, whoever shows it.

        Raises as `answer_trace`.
        """
        made = self._demand(number)
        record, header = self._disputes.seal(made.task, made.round), trace.header
        while not made.answered:
            shown = shown_from(entries, made.index, trace, spec)
            made = self._next(number, made, f"answer {number} from {made.index}", partial(
                self._contracts.chain.send, self._contract, "answerEntries", number, record, roster, header.counts,
                header.roots, shown, signer=self._wallet(),
            ))  # fmt: skip

    def answer_claims(self, number: int, leaves: tuple[Leaf, ...]) -> TxReceipt | None:
        """Show all claim leaves."""
        made = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "answerClaims", number, self._disputes.seal(made.task, made.round), pack_leaves(leaves),
            signer=self._wallet(), step=Step(made.task, made.round, f"answer {number}"),
        )  # fmt: skip

    def shown_trace(self, task: int, round_number: int) -> Trace | None:
        """Return the trace of a round's seal that was shown on chain; None while it was not, or not all of it."""
        shown: dict[tuple[Kind, int], bytes] = {}
        header: Header | None = None
        for _, content in self._answers(task, round_number, Subject.TRACE):
            counts, roots, kind, first, words = decode(_SHOWN_PAGE, content)
            header = Header(counts, roots)
            shown |= leaves_of(header, Kind(kind), first, words)  # pages of several demands may overlap
        try:
            return None if header is None else rebuilt(header, shown)
        except DocumentInvalid:  # the contract has checked every page: what lacks was not shown yet
            return None

    def shown_entries(self, task: int, round_number: int, trace: Trace) -> tuple[Entry, ...] | None:
        """Return the entries of a round's seal that were shown on chain; None while not all of them were."""
        found: dict[int, Entry] = {}
        for _, content in self._answers(task, round_number, Subject.ENTRIES):
            found |= entries_from(content, trace)
        whole = len(found) == len(trace.entries) and found
        return tuple(found[place] for place in sorted(found)) if whole else None

    def shown_claims(self, task: int, round_number: int) -> tuple[Leaf, ...] | None:
        """Return the claim leaves of a round's seal that were shown on chain; None while they were not."""
        found = self._answers(task, round_number, Subject.CLAIMS)
        return unpack_leaves(found[-1][1]) if found else None

    def answer_sums(self, number: int, trace: Trace, nodes: Sequence[bytes], leaf: ContentLeafRecord) -> None:
        """Show what lies below a node of the tree over the sums."""
        made, header = self._demand(number), trace.header
        record = self._disputes.seal(made.task, made.round)
        openings = (opened(trace, Kind.RULES, 0), opened(trace, Kind.WORK, 0))
        self._contracts.chain.send(
            self._contract, "answerSums", number, record, header.counts, header.roots, openings, tuple(nodes),
            leaf, signer=self._wallet(), step=Step(made.task, made.round, f"answer {number}"),
        )  # fmt: skip

    def shown_sums(self, task: int, round_number: int) -> dict[int, tuple[tuple[bytes, ...], ContentLeafRecord]]:
        """Return what was shown on chain of the tree over a seal's sums, by node: the nodes below, and the leaf."""
        shown = {}
        for made, content in self._answers(task, round_number, Subject.SUMS):
            nodes, (blind, body, siblings) = decode(["bytes32[]", _CONTENT_LEAF], content)
            shown[made.index] = (tuple(nodes), ContentLeafRecord(blind, body, tuple(siblings)))
        return shown

    def _answers(self, task: int, round_number: int, subject: Subject) -> list[tuple[Demand, bytes]]:
        """All answers to demands about one subject of the seal that a round has now, oldest first."""
        seal = self._disputes.seal_digest(task, round_number, self._disputes.seal(task, round_number))
        about: dict[int, Demand] = {}
        found = []
        for event in self._contracts.chain.events([self._contract], names=["Demanded", "Answered"]):
            number = int(event.values["id"])
            if event.name == "Demanded":
                made = struct(Demand, event.values["demand"])
                about |= {number: made} if (made.seal, made.subject) == (seal, subject) else {}
            elif number in about:
                found.append((about[number], bytes(event.values["content"])))
        return found

    def expire(self, number: int) -> TxReceipt | None:
        """End a demand: unanswered past its deadline the seal falls, answered the task goes on."""
        made = self._demand(number)
        record = self._disputes.disputed_seal(made.task, made.round, made.seal)
        return self._contracts.chain.send(
            self._contract, "expire", number, record, self._disputes.aggregators(made.task), signer=self._wallet(),
            step=Step(made.task, made.round, f"expire {number}"), already=lambda: self.open_demand(number) is None,
        )  # fmt: skip

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

    def _wallet(self) -> Signer:
        return demand_signer(self._signer)
