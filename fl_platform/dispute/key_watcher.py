"""What a reader of updates does about a trainer whose update does not open for it: prove it on chain, or demand.

For every sealed round that can still be asked about, and every entry of a trainer:

- a signed box that does not hold the committed key: `badWrap`, with this reader's shared point;
- no signed box for this reader: `demandKey`; what answers is looked at like any other package;
- the key opens a file with other integers than the receipt binds: `demandContent` leaf by leaf, each leaf's path
  leading on to the part of the tree that is not what it should be, until a block can be shown: `badOpening`.

Demands of one's own that nobody answered are ended, which costs the trainer stake. Everything asks the chain first, so
a watcher may be stopped and started at any point.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fl_platform.chain.signer import Signer
from fl_platform.errors import EnvelopeInvalid, FLError, RetryError, StoreUnavailable
from fl_platform.judging.program import terms_of
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import ContentLeafRecord, ring_size
from fl_platform.ledger.reveals import (
    CipherLeaf,
    RevealDemand,
    Reveals,
    ShownInteger,
    ShownPackage,
    boxes_of,
)
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.leaves import LeafTable
from fl_platform.protocol.receipt import Receipt
from fl_platform.store.envelope import decrypt, open_leaf
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.updates.codec import HEADER_BYTES, update_length
from fl_platform.updates.content import ContentLeaf, content_root, open_content
from zk.commitment.dleq import DleqProof
from zk.curve.bn254 import GENERATOR

logger = logging.getLogger(__name__)

BLOCK_BYTES = 16
BLOCKS_PER_CIPHER_LEAF = 64


@dataclass(frozen=True)
class KeyFinding:
    """An update that does not open as it should, and what was done about it."""

    round: int
    trainer: bytes
    what: str  # "bad wrap proved", "bad opening proved", "key demanded", "content demanded", "silence proved"

    def __str__(self) -> str:
        """One line for a person."""
        return f"round {self.round}: update of 0x{self.trainer.hex()}: {self.what}"


ShownLeaf = tuple[int, ContentLeafRecord]  # a content leaf that is on chain, with its place


@dataclass(frozen=True)
class _Known:
    """What is on chain about one receipt."""

    packages: list[ShownPackage]
    leaves: list[ShownLeaf]


@dataclass(frozen=True)
class _Opened:
    """An update that this reader decrypted."""

    key: bytes
    data: bytes  # ciphertext
    payload: bytes
    table: LeafTable
    bits: int

    def leaf(self, index: int) -> ContentLeaf:
        """What leaf `index` should have been."""
        return open_content(self.payload, index, table=self.table, bits=self.bits, key=self.key)


class KeyWatcher:
    """One reader of one task, with a wallet that sends. Does nothing where the deployment has no reveals contract."""

    def __init__(
        self,
        reader: TaskReader,
        contracts: Contracts,
        signer: Signer,
        opener: UpdateOpener,
        *,
        watch: Callable[[KeyFinding], None] = lambda _: None,
    ) -> None:
        """Create a watcher; `opener` holds the recipient's key, `watch` is told of every finding."""
        self._reader, self._signer, self._opener, self._watch = reader, signer, opener, watch
        self._settled: set[tuple[bytes, int, int]] = set()  # receipts with what was on chain when they were looked at
        self._reveals = Reveals(contracts, reader.spec, signer) if Reveals.there(contracts) else None
        self.unread: set[int] = set()  # rounds of which a store did not deliver something at the last look

    def step(self, now: int) -> list[KeyFinding]:
        """Look at all entries of sealed rounds that can be asked about, and end own demands. Raises RetryError."""
        if self._reveals is None:
            return []
        found = self._end_demands(self._reveals, now)
        self.unread = set()
        known_of = self._on_chain(self._reveals)
        for entry in self._entries():
            known = known_of(entry.receipt)
            state = entry.receipt.struct_hash(), len(known.packages), len(known.leaves)
            if state not in self._settled and not self._reveals.convicted_at(entry.receipt):
                try:
                    found += self._look(self._reveals, entry, known)
                except StoreUnavailable as error:  # whoever keeps a store silent hides no other update
                    self._unread(entry.receipt.round, error)
                    continue
                self._settled.add(state)
        for finding in found:
            self._watch(finding)
        return found

    def convict(self, entries: Iterable[Entry], now: int) -> list[KeyFinding]:
        """Do the same about entries of a round that is not sealed yet, which its aggregator has. Raises RetryError."""
        if self._reveals is None:
            return []
        found, known_of = self._end_demands(self._reveals, now), self._on_chain(self._reveals)
        for entry in entries:
            if not self._reveals.convicted_at(entry.receipt):
                found += self._look(self._reveals, entry, known_of(entry.receipt))
        for finding in found:
            self._watch(finding)
        return found

    def _on_chain(self, reveals: Reveals) -> Callable[[Receipt], _Known]:
        """Return what tells what is on chain about a receipt now."""
        shown, leaves = reveals.shown_packages(self._reader.task), reveals.shown_content(self._reader.task)

        def known_of(receipt: Receipt) -> _Known:
            name = receipt.struct_hash()
            return _Known(shown.get(name, []), leaves.get(name, []))

        return known_of

    def _unread(self, round_number: int, error: StoreUnavailable) -> None:
        logger.warning("round %d: read again later: %s", round_number, error)
        self.unread.add(round_number)

    def _entries(self) -> Iterator[Entry]:
        """Entries of trainers in sealed rounds that can still be asked about."""
        history, ring = self._reader.history(), ring_size(self._reader.spec.windows)
        for record in history.rounds:
            if record.seal is None or record.number + ring <= history.head.round:
                continue
            try:
                entries = self._reader.bundle(record.number).entries
            except StoreUnavailable as error:
                self._unread(record.number, error)
                continue
            except RetryError:
                raise
            except FLError as error:  # the aggregator's fault, and the other watcher's matter
                logger.warning("round %d: no entries to look at: %s", record.number, error)
                continue
            yield from (entry for entry in entries if entry.stake)

    def waits(self) -> bool:
        """Whether demands of this watcher wait for an answer or their deadline. Raises RetryError."""
        return self._reveals is not None and bool(self._own_demands(self._reveals))

    def waits_until(self) -> int | None:
        """Return when the last own demand that is open ends, seconds; None: none is. Raises RetryError."""
        open_ = [] if self._reveals is None else self._own_demands(self._reveals)
        return max((made.deadline for made in open_), default=None)

    def _own_demands(self, reveals: Reveals) -> list[RevealDemand]:
        return [made for made in reveals.demands(self._reader.task) if made.challenger == self._signer.address]

    def _look(self, reveals: Reveals, entry: Entry, known: _Known) -> list[KeyFinding]:
        """Act on one entry; whatever the chain refuses (no stake left, somebody was first) is only logged."""
        receipt = entry.receipt
        try:
            what = self._act(reveals, entry, known)
        except RetryError:
            raise
        except FLError as error:  # e.g. the update is not in the store: no fault that a contract sees
            logger.warning("round %d: 0x%s: %s", receipt.round, receipt.trainer.hex(), error)
            return []
        return [KeyFinding(receipt.round, receipt.trainer, what)] if what else []

    def _act(self, reveals: Reveals, entry: Entry, known: _Known) -> str:
        receipt, spec = entry.receipt, self._reader.spec
        mine = next((p for p in (*spec.aggregators, *spec.auditors) if p.address == self._opener.recipient), None)
        if mine is None:
            return ""
        packages = list(known.packages)
        if has_package(entry, self._reader.domain, spec):
            packages.insert(0, ShownPackage(boxes_of(entry.keys, spec), entry.keys_signature))
        places = [(p, i) for p in packages for i, box in enumerate(p.boxes) if box.is_for(mine)]
        for package, place in places:
            if not self._opener.opens(receipt, (package.boxes[place].wrapped,)):
                self._accuse(reveals, entry, package, place)
                return "bad wrap proved"
        if not places:
            return "key demanded" if reveals.demand_key(entry.signed, mine) is not None else ""
        package, place = places[0]
        opened = self._opened(receipt, self._opener.unwrap(receipt, (package.boxes[place].wrapped,)))
        if opened is None or _root(opened) == receipt.content_root:
            return ""
        return self._against_content(reveals, entry, opened, known.leaves)

    def _accuse(self, reveals: Reveals, entry: Entry, package: ShownPackage, place: int) -> None:
        try:
            shared, proof = self._opener.show(entry.receipt, package.boxes[place].wrapped)
        except EnvelopeInvalid:  # on no point of the curve: the contract wants no proof, any will do
            shared, proof = GENERATOR, DleqProof(0, 0)
        reveals.bad_wrap(entry.signed, package, place, shared=shared, proof=proof)

    def _opened(self, receipt: Receipt, key: bytes) -> _Opened | None:
        """Decrypt an update; None where it has another length than the task's, which everybody sees."""
        data, spec = self._opener.sealed(receipt), self._reader.spec
        plain = decrypt(data, key=key, expected_key_hash=receipt.key_hash)
        if len(plain) != update_length(spec.model.size, spec.codec.bits):
            return None
        return _Opened(key, data, plain[HEADER_BYTES:], spec.model.leaves, spec.codec.bits)

    def _against_content(self, reveals: Reveals, entry: Entry, opened: _Opened, leaves: list[ShownLeaf]) -> str:
        terms = terms_of(self._reader.spec)
        for index, leaf in leaves:
            wrong = _wrong_integer(opened, index, leaf)
            if wrong is not None:
                reveals.bad_opening(entry.signed, opened.key, wrong, terms)
                return "bad opening proved"
        wanted = _next_leaf(opened, leaves)
        if wanted is None or reveals.demand_content(entry.signed, wanted, terms) is None:
            return ""
        return "content demanded"

    def _end_demands(self, reveals: Reveals, now: int) -> list[KeyFinding]:
        found = []
        for made in self._own_demands(reveals):
            if now >= made.deadline:
                reveals.expire(made)
                found.append(KeyFinding(made.round, made.trainer, "silence proved"))
        return found


def _root(opened: _Opened) -> bytes:
    return content_root(opened.payload, table=opened.table, bits=opened.bits, key=opened.key)


def _wrong_integer(opened: _Opened, index: int, leaf: ContentLeafRecord) -> ShownInteger | None:
    """Return the first integer of a shown leaf that the ciphertext does not hold; behind a tensor's end it holds 0."""
    honest, bits = opened.leaf(index).body, opened.bits
    wrong = next((at for at in range(len(honest)) if leaf.body[at] != honest[at]), None)
    if wrong is None:
        return None
    # of two integers in a byte the low nibble is the first
    place = 8 * wrong // bits + int(bits == 4 and not (leaf.body[wrong] ^ honest[wrong]) & 0x0F)
    part = opened.table.span(index)
    if place >= part.stop - part.start:
        return ShownInteger(CipherLeaf(b"", ()), leaf, index, place)
    number = (HEADER_BYTES + (part.start + place) * bits // 8) // BLOCK_BYTES
    cipher = open_leaf(opened.data, number // BLOCKS_PER_CIPHER_LEAF)
    return ShownInteger(CipherLeaf(cipher.leaf, cipher.path), leaf, index, place)


def _next_leaf(opened: _Opened, leaves: list[ShownLeaf]) -> int | None:
    """Return which leaf to ask for: the first of the smallest part of the tree that is known to be another.

    None where all that was shown is as it should be: then only blinds differ, which no integer depends on.
    """
    if not leaves:
        return 0
    count, asked = opened.table.count, {index for index, _ in leaves}
    best: tuple[int, int] | None = None
    for index, leaf in leaves:
        honest = opened.leaf(index)
        for level, (told, right) in enumerate(zip(leaf.siblings, honest.path, strict=False)):
            first = (index >> level ^ 1) << level
            if told != right and first < count and first not in asked and (best is None or level < best[0]):
                best = level, first
    return None if best is None else best[1]
