"""A task's witness: says whether an update is to be had, where whoever must seal asks.

It looks for the ciphertext, which needs no key. One that it gets, as the receipt describes it, it puts into its own
store, where the aggregator finds it. One that no store has, or that is another than the receipt's, it complains of on
chain once its patience is over. A store that does not answer proves nothing: then it looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Phase
from fl_platform.errors import ConfigError, FLError, RetryError
from fl_platform.ledger.complaints import Complaints
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.receipt import Receipt
from fl_platform.task.decrypting import sealed_update
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace
from fl_platform.updates import update_length

logger = logging.getLogger(__name__)

PATIENCE_S = 60.0  # a store may learn late of what another one has


@dataclass(frozen=True)
class Statement:
    """What a witness found of one update."""

    round: int
    trainer: bytes
    had: bool  # and handed over; else: complained of

    def __str__(self) -> str:
        """One line for a person."""
        what = "is to be had, and lies in this store now" if self.had else "is not to be had: said so on chain"
        return f"round {self.round}: the update of 0x{self.trainer.hex()} {what}"


class Witness:
    """One witness of one task, with a wallet that sends."""

    def __init__(
        self, reader: TaskReader, contracts: Contracts, signer: Signer, *, patience_s: float = PATIENCE_S,
        watch: Callable[[Statement], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """patience_s: how long an update is looked for before a complaint, seconds.

        Raises ConfigError where the task's rules name others, or the deployment has no such contract.
        """
        if signer.address not in reader.spec.witnesses:
            named = ", ".join("0x" + each.hex() for each in reader.spec.witnesses) or "nobody"
            raise ConfigError(f"0x{signer.address.hex()} is no witness of task {reader.task}; its rules name {named}")
        self._reader, self._complaints = reader, Complaints(contracts, signer)
        self._patience_s, self._watch = patience_s, watch
        self._settled: set[bytes] = set()  # struct hashes: handed over, or complained of
        self._lacking_since: dict[bytes, float] = {}

    def step(self, now: float) -> list[Statement]:
        """Look for all that is wanted in the round being worked on; `now`: the chain's seconds. Raises RetryError."""
        head = self._reader.history().head
        if head.phase is not Phase.ROSTERED:
            return []
        wanted = [receipt for receipt in self._wanted(head.round) if receipt.struct_hash() not in self._settled]
        had, lacking = [], []
        for receipt in wanted:
            there = self._look(receipt)
            if there is None:
                continue
            since = now if there else self._lacking_since.setdefault(receipt.struct_hash(), now)
            if there:
                had.append(receipt)
            elif now - since >= self._patience_s:
                lacking.append(receipt)
        if lacking:
            self._complaints.complain(self._reader.task, head.round, lacking)
        self._settled.update(receipt.struct_hash() for receipt in (*had, *lacking))
        found = [Statement(one.round, one.trainer, True) for one in had]
        found += [Statement(one.round, one.trainer, False) for one in lacking]
        for statement in found:
            self._watch(statement)
        return found

    def _wanted(self, round_number: int) -> list[Receipt]:
        """What an aggregator of the task asks for; of another length it is in no sum anyway, and is not looked for."""
        spec, task = self._reader.spec, self._reader.task
        length = update_length(spec.model.size, spec.codec.bits)
        asked = self._complaints.wanted(task, askers={party.address for party in spec.aggregators})
        return [one for one in asked if (one.task, one.round, one.length) == (task, round_number, length)]

    def _look(self, receipt: Receipt) -> bool | None:
        """Look for an update; one that is there is put into the own store. None: nobody can tell now."""
        try:
            self._reader.store.put(sealed_update(self._reader.store, receipt))
        except RetryError as error:
            logger.warning("round %d: looked for again: %s", receipt.round, error)
            return None
        except FLError as error:
            logger.info("round %d: 0x%s: %s", receipt.round, receipt.trainer.hex(), error)
            return False
        return True


def is_witness(reader: TaskReader, contracts: Contracts, signer: Signer) -> bool:
    """Whether a task names a wallet as a witness, on a deployment that hears witnesses."""
    return signer.address in reader.spec.witnesses and Complaints.there(contracts)


def witnesses_here(workspace: Workspace, task: int, signers: Iterable[Signer]) -> Callable[[], None]:
    """Return what lets those of these wallets that a task names as witnesses take a look, and complain at once.

    For rehearsals: one process holds all stores that there are.
    """
    reader = workspace.reader(task)
    here = [
        Witness(reader, workspace.contracts(signer), signer, patience_s=0.0)
        for signer in signers
        if is_witness(reader, workspace.contracts(), signer)
    ]

    def look() -> None:
        for witness in here:
            witness.step(workspace.chain.now())

    return look
