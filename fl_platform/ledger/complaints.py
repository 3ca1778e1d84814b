"""The complaints contract: ask a task's witnesses for updates, say that one is not to be had, and read who said so.

See contracts/interfaces/IComplaints.sol. Receipts that come out of events are as their senders wrote them.

Tests: tests/unit/round/test_witness.py
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from fl_platform.chain.abi import Decoded
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer, require_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import struct
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import TaskSpec

CONTRACT = "Complaints"
AT_ONCE = 64  # receipts in one transaction


class Complaints:
    """Complaints as one wallet uses them; without a signer only reads work."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has none."""
        self._contracts, self._signer = contracts, signer
        self._contract = contracts.deployment.contract(CONTRACT)

    @classmethod
    def there(cls, contracts: Contracts) -> bool:
        """Say whether the deployment has this contract."""
        return CONTRACT in contracts.deployment.contracts

    def want(self, task: int, round_number: int, receipts: Sequence[Receipt]) -> None:
        """Ask the task's witnesses for these updates; of what was asked before nothing is sent."""
        me = require_signer(self._signer).address
        known = {receipt.struct_hash() for receipt in self.wanted(task, askers={me})}
        for some in _parts([receipt for receipt in receipts if receipt.struct_hash() not in known]):
            self._send(task, round_number, "want", some, list(some), already=lambda: False)

    def complain(self, task: int, round_number: int, receipts: Sequence[Receipt]) -> None:
        """Say that these updates are not to be had; nothing is said twice."""
        me = require_signer(self._signer).address
        for some in _parts([receipt for receipt in receipts if not self.complained_at(receipt, me)]):
            names = [receipt.struct_hash() for receipt in some]
            last = some[-1]
            self._send(
                task, round_number, "complain", some, names,
                already=partial(self._has_said, last, me),
            )  # fmt: skip

    def _has_said(self, receipt: Receipt, witness: bytes) -> bool:
        return self.complained_at(receipt, witness) != 0

    def complained_at(self, receipt: Receipt, witness: bytes) -> int:
        """Return when a witness said that an update was not to be had, seconds; 0: never."""
        return int(self._contracts.chain.read(self._contract, "complainedAt", receipt.struct_hash(), witness))

    def missing(self, spec: TaskSpec, task: int, receipts: Iterable[Receipt], as_of: int) -> frozenset[bytes]:
        """Return the struct hashes of those of which by `as_of` (seconds) enough of the task's witnesses complained."""
        said = {name for event in self._events(task, "Complained") for name in event.values["receipts"]}
        return frozenset(
            name
            for name in said.intersection(receipt.struct_hash() for receipt in receipts)
            if self.count_of(spec, name, as_of) >= spec.complaints_needed > 0
        )

    def count_of(self, spec: TaskSpec, name: bytes, as_of: int) -> int:
        """Return how many of a task's witnesses had complained of a receipt (struct hash) by `as_of`, seconds."""
        return int(self._contracts.chain.read(self._contract, "countOf", name, list(spec.witnesses), as_of))

    def wanted(self, task: int, *, askers: Collection[bytes]) -> list[Receipt]:
        """Return the receipts (unverified) whose updates these accounts asked for, oldest first."""
        found = [event for event in self._events(task, "UpdatesWanted") if event.values["asker"] in askers]
        return [struct(Receipt, receipt) for event in found for receipt in event.values["receipts"]]

    def _events(self, task: int, name: str) -> list[Decoded]:
        first, last = self._contracts.deployment.first_block, self._contracts.chain.head().number
        found = self._contracts.chain.events([self._contract], first=first, last=last, names=[name])
        return [event for event in found if event.values["task"] == task]

    def _send(
        self, task: int, round_number: int, what: str, some: Sequence[Receipt], argument: object, *,
        already: Callable[[], bool],
    ) -> TxReceipt | None:  # fmt: skip
        mark = keccak256(b"".join(receipt.struct_hash() for receipt in some)).hex()[:16]
        return self._contracts.chain.send(
            self._contract, what, task, round_number, argument, signer=require_signer(self._signer),
            step=Step(task, round_number, f"{what} 0x{mark}"), already=already,
        )  # fmt: skip


def _parts(receipts: Sequence[Receipt]) -> list[Sequence[Receipt]]:
    return [receipts[at : at + AT_ONCE] for at in range(0, len(receipts), AT_ONCE)]
