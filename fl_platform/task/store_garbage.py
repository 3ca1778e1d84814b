"""Which objects of a task nobody needs any more: what `store gc` removes from a folder of this machine.

The rule. Of a sealed round that is final and not among the last `keep` final ones go the updates, the sums and the
model after it, the same of its overturned seals, and nothing else. What any other round needs stays, whichever task
it is of: its parent model, the sums and models that it looks back at, its own updates, sums and model. Rules, first
models, frozen bases, bundles, rosters and bindings always stay, so claims, `why`, reputations and the accounts of every
round can be read for ever; the rounds that were kept can be audited (`audit --since`), and those that went cannot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from fl_platform.chain.types import RoundState
from fl_platform.errors import FLError
from fl_platform.ledger.history import RoundHistory, TaskHistory
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.unixfs import root_codec
from fl_platform.task.reading import TaskReader
from fl_platform.updates import model_length

logger = logging.getLogger(__name__)

KEEP = 2  # final rounds whose updates stay: the last one, and the one that it is compared with


@dataclass(frozen=True)
class Garbage:
    """What a collection of one task removes."""

    task: int
    rounds: tuple[int, ...]  # whose updates, sums and models go
    objects: tuple[Cid, ...]  # those that are in the folder, sorted
    size: int  # bytes, as they lie there
    kept_from: int  # the first round that can still be audited; 0: all


def find_garbage(readers: Sequence[TaskReader], tasks: Collection[int], disk: DiskStore, *, now: int,
                 keep: int = KEEP) -> tuple[Garbage, ...]:  # fmt: skip
    """Return what can go of `tasks`, removing nothing.

    readers: of every task on the chain, each reading `disk`. now: block time. keep: final rounds that stay, >= 1.
    Raises StoreMissing, CidMismatch, DocumentInvalid when it cannot be told what a round of these tasks needs.
    """
    if keep < 1:
        raise ValueError("the last final round is always kept: the next one starts from it")
    needed: set[Cid] = set()
    for reader in readers:
        if reader.task in tasks:
            needed |= _needed(reader, _cut(reader.history(), now, keep))
        else:
            needed |= _needed_by_another(reader)
    found = []
    for reader in readers:
        if reader.task in tasks:
            cut = _cut(reader.history(), now, keep)
            rounds = [one for one in reader.history().rounds[:cut] if one.seal is not None]
            gone = {cid for one in rounds for cid in _removable(reader, one)} - needed
            there = sorted(cid for cid in gone if disk.has(cid))
            size = sum(disk.path_of(cid).stat().st_size for cid in there)
            found.append(Garbage(reader.task, tuple(one.number for one in rounds), tuple(there), size, cut))
    return tuple(found)


def collect(garbage: Garbage, disk: DiskStore) -> int:
    """Remove the objects and return the bytes that are free now; killed and called again, it goes on."""
    return sum(disk.remove(cid) for cid in garbage.objects)


def _cut(history: TaskHistory, now: int, keep: int) -> int:
    """Return the first round that stays."""
    final = [one.number for one in history.rounds
             if one.seal is not None and history.state(one.number, now) is RoundState.FINAL]  # fmt: skip
    return final[-keep] if len(final) >= keep else 0


def _needed(reader: TaskReader, cut: int) -> set[Cid]:
    """Return what must stay for the rounds from `cut` on, and for the task as a whole."""
    spec = reader.spec
    models, sums = {spec.initial_model}, set[bytes]()
    kept: set[Cid] = set()
    for record in reader.history().rounds[cut:]:
        if record.seal is not None:
            bundle = reader.bundle(record.number)
            kept |= set(_own(reader, bundle))
            for state in (bundle.before, bundle.after):
                models |= {state.model, *state.previous_models}
                sums |= {*state.sums}
    base = set(_both(spec.base_model)) if spec.base_model else set()
    return kept | {_model(reader, digest) for digest in models} | {_sums(reader, digest) for digest in sums} | base


def _needed_by_another(reader: TaskReader) -> set[Cid]:
    """Return what a task that is not collected needs; nothing where its documents are not in this folder."""
    try:
        return _needed(reader, 0)
    except FLError as error:
        logger.info("task %d holds nothing here: %s", reader.task, error)
        return set()


def _removable(reader: TaskReader, record: RoundHistory) -> Iterator[Cid]:
    """Yield what a round that nobody audits again leaves, overturned seals included."""
    yield from _own(reader, reader.bundle(record.number))
    for seal in record.overturned:
        try:
            yield from _own(reader, RoundBundle.from_bytes(reader.object(seal.bundle)))
        except FLError as error:  # its liar may never have published it
            logger.info("an overturned bundle of round %d cannot be read: %s", record.number, error)


def _own(reader: TaskReader, bundle: RoundBundle) -> Iterator[Cid]:
    """Yield a round's updates, sums and model."""
    for entry in bundle.entries:
        yield Cid(root_codec(entry.receipt.length), entry.receipt.update)
    yield _sums(reader, bundle.aggregate)
    yield _model(reader, bundle.after.model)


def _sums(reader: TaskReader, digest: bytes) -> Cid:
    return Cid(root_codec(4 * reader.spec.model.size), digest)


def _model(reader: TaskReader, digest: bytes) -> Cid:
    return Cid(root_codec(model_length(reader.spec.model)), digest)


def _both(digest: bytes) -> tuple[Cid, Cid]:
    """Return both names that an object of unknown length may have."""
    return Cid(root_codec(0), digest), Cid(root_codec(1 << 30), digest)

