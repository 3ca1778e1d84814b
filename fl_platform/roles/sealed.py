"""A sealed round as who contradicts it has it: trace and claims that the seal itself binds, with what the bundle adds.

The trace is the bundle's where that is the sealed one. Where it is not, the sealer can be made to show the sealed one
on chain, and then that is it: its words are whatever a liar picked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from fl_platform.chain.demands import Demands
from fl_platform.chain.history import RoundHistory
from fl_platform.chain.records import RosterRecord, SealRecord
from fl_platform.contribution.judge import address_text
from fl_platform.errors import FLError, RetryError
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import Entry, RoundBundle, claim_leaves
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.merkle_sum import Leaf, Node
from fl_platform.protocol.trace import Code, StandingLeaf, Trace
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.tracing import sealed_trace

logger = logging.getLogger(__name__)

Before = tuple[SealRecord, Trace]
T = TypeVar("T")


def readable(read: Callable[[], T]) -> T | None:
    """Return what a liar's documents yield; None where they cannot be read, for whatever reason. Raises RetryError.

    Who watches must not be stopped by a document that breaks its reader in a way that nobody thought of.
    """
    try:
        return read()
    except RetryError:
        raise
    except FLError as error:
        logger.debug("not readable: %s", error)
    except Exception:
        logger.warning("a sealed document broke its reader", exc_info=True)
    return None


@dataclass(frozen=True)
class Sealed:
    """One sealed round."""

    record: RoundHistory
    seal: SealRecord
    roster: RosterRecord
    trace: Trace  # its root is the seal's
    hidden: bool  # the trace is not its bundle's: it was shown on chain
    claims: tuple[Leaf, ...] | None  # their root is the seal's; None: nobody has shown them
    bundle: RoundBundle | None  # entries and Gram rows as the trace has them; None where they cannot be had
    whole: bool  # the bundle has every entry of the trace, and signed keys of every judged one
    before: Before | None  # the round before, where its trace is known

    @property
    def number(self) -> int:
        """The round."""
        return self.record.number


class SealedRounds:
    """Reads sealed rounds of one task."""

    def __init__(self, reader: TaskReader, demands: Demands) -> None:
        self._reader, self._demands = reader, demands

    def read(self, number: int) -> Sealed | None:
        """Return a sealed round; None where its trace is not known. Raises RetryError."""
        record = self._reader.history().rounds[number]
        trace, bundle, hidden = self._trace(number)
        if record.seal is None or record.roster is None or trace is None:
            return None
        whole = bundle is not None and readable(partial(self._has_entries, bundle, trace)) is True
        if not whole:
            shown = readable(lambda: self._demands.shown_entries(self._reader.task, number, trace))
            if shown is not None:
                bundle = self._rebuilt(number, record.seal, shown) if bundle is None else replace(bundle, entries=shown)
                whole = bundle is not None
        if bundle is not None and hidden:
            bundle = self._fitted(bundle, trace)
        before, claims = self.before(number), self._claims(number, record.seal, trace, bundle)
        return Sealed(record, record.seal, record.roster, trace, hidden, claims, bundle, whole, before)

    def _has_entries(self, bundle: RoundBundle, trace: Trace) -> bool:
        told = [int.from_bytes(entry.receipt.struct_hash(), "big") for entry in bundle.entries]
        if told != [leaf.receipt for leaf in trace.entries]:
            return False
        judged = (entry for entry, leaf in zip(bundle.entries, trace.entries, strict=True) if leaf.row)
        return all(has_package(entry, self._reader.domain, self._reader.spec) for entry in judged)

    def _rebuilt(self, number: int, seal: SealRecord, entries: tuple[Entry, ...]) -> RoundBundle | None:
        """A bundle of what was shown on chain; what stays unknown is empty."""
        reader, nothing = self._reader, bytes(32)
        before = readable(lambda: reader.state_before(number))
        if before is None:
            return None
        # a trace that is nobody's bundle's is hidden: `_fitted` adds its rows
        return RoundBundle(
            chain_id=reader.domain.chain_id, ledger=reader.domain.ledger, task=reader.task, round=number,
            spec=reader.spec.digest, aggregator=seal.aggregator, before=before, entries=entries, verdicts=(), rows=(),
            gram=(), direction_roots=(), validation=(), measured=False, divisor=0, aggregate=nothing,
            sums_root=nothing, after=before,
        )  # fmt: skip

    def _trace(self, number: int) -> tuple[Trace | None, RoundBundle | None, bool]:
        """The sealed trace, the published bundle, and whether the trace is another than the bundle's."""
        seal = self._reader.history().rounds[number].seal
        if seal is None:
            return None, None, False
        bundle = self._bundle(number)
        told = None if bundle is None else self._told(bundle)
        if told is not None and told.root == seal.trace:
            return told, bundle, False
        shown = self._demands.shown_trace(self._reader.task, number)
        if shown is None or shown.root != seal.trace:
            return None, bundle, True
        return shown, bundle, True

    def _bundle(self, number: int) -> RoundBundle | None:
        return readable(lambda: self._reader.bundle(number))

    def _told(self, bundle: RoundBundle) -> Trace | None:
        return readable(lambda: sealed_trace(self._reader, bundle))

    def _fitted(self, bundle: RoundBundle, trace: Trace) -> RoundBundle | None:
        """A bundle whose rows are those of a trace that is not its own, on the state that the round began with."""
        before = readable(lambda: self._reader.state_before(bundle.round))
        return None if before is None else replace(bundle, rows=rows_of(trace), before=before)

    def before(self, number: int) -> Before | None:
        """Return seal and trace of the round before; None in round 0, and where its trace is not known."""
        if number == 0:
            return None
        seal, (trace, _, _) = self._reader.history().rounds[number - 1].seal, self._trace(number - 1)
        return None if seal is None or trace is None else (seal, trace)

    def claims(self, number: int) -> tuple[Leaf, ...] | None:
        """Return the claims under a sealed root: the trace's, the bundle's or what was shown; None: not known."""
        seal, (trace, bundle, _) = self._reader.history().rounds[number].seal, self._trace(number)
        return None if seal is None else self._claims(number, seal, trace, bundle)

    def _claims(
        self, number: int, seal: SealRecord, trace: Trace | None, bundle: RoundBundle | None
    ) -> tuple[Leaf, ...] | None:
        shown = self._demands.shown_claims(self._reader.task, number)
        accounts = () if trace is None else _claims_of(trace.standings)
        for leaves in (accounts, () if bundle is None else claim_leaves(bundle.after), shown):
            if leaves and readable(partial(merkle_sum.build, leaves)) == Node(seal.claim_root, seal.claim_total):
                return leaves
        return None


def rows_of(trace: Trace) -> tuple[str, ...]:
    """Return what the Gram rows of a trace (unverified) are called, as bundles call them."""
    names: list[str | None] = [None] * len(trace.gram)
    for entry in trace.entries:
        if 0 < entry.row <= len(names) and entry.trainer < 1 << 160:
            own = address_text(entry.trainer.to_bytes(20, "big"))
            names[entry.row - 1] = "reference" if entry.code == Code.REFERENCE else own
    first = sum(name is not None for name in names)
    return tuple(name or f"direction:{row - first + 1}" for row, name in enumerate(names))


def _claims_of(standings: tuple[StandingLeaf, ...]) -> tuple[Leaf, ...]:
    """The claims that accounts stand for; none where a number is not a claim's."""
    leaves = []
    for s in standings:
        amount = s.scored_after + s.base_after
        if s.trainer >> 160 or amount >> 128:
            return ()
        leaves.append(Leaf(s.trainer.to_bytes(20, "big"), amount, s.reputation_after.to_bytes(32, "big")))
    return tuple(leaves)
