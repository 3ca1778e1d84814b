"""A sealed round as disputes know it: what binds it, what it is evaluated from, and what its sealer published.

Watcher and defender read it alike, from chain and store. What is read once is kept as long as the seal stands.

Tests: tests/adversarial/test_a07_hidden_tape.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.questions import Answer, Node, Question
from fl_platform.dispute.round_leaves import OpenUpdates, PublicLeaves, RoundLeaves
from fl_platform.dispute.targets import EntryShown, ParentSeal, Target, allowed_refusals, shown_entry
from fl_platform.errors import FLError, RetryError
from fl_platform.judging.admit import OpenedUpdates, RoundContext, public_refusals
from fl_platform.judging.judge import past_sums, refused_of
from fl_platform.judging.program import program_of, terms_of
from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.sums import Sums
from fl_platform.judging.tapes import given_of, only_a_key_shows
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.records import pack_siblings
from fl_platform.ledger.reveals import NO_PACKAGE, Package, Reveals, ShownKey
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.bundle import Entry, RoundBundle, TaskState, claim_leaves
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.operations import Op
from fl_platform.protocol.receipt import Domain, is_signed
from fl_platform.protocol.rows import RowLeaf
from fl_platform.protocol.sources import Refused, Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.sealed_states import tape_of
from fl_platform.task.stakes import stake_among
from fl_platform.updates import update_length
from fl_platform.updates.model_row import row_root

_SOURCE = 0xFF
NOTHING_FORCED_OUT: Mapping[bytes, tuple[ShownKey, ...]] = {}


@dataclass(frozen=True)
class DisputedRound:
    """One sealed round."""

    target: Target
    entries: tuple[EntryShown, ...]
    signatures: tuple[bytes, ...]
    parent: ParentSeal | None
    seats: tuple[bytes, ...]
    known: KnownRound
    published: Tape | None  # None: no bundle tells of the sealed tape
    claims: tuple[Leaf, ...] | None  # None: nobody published claims of the sealed root

    @property
    def fitting(self) -> Tape | None:
        """The published tape, if it is as long as the chain's round."""
        return self.published if self.published and self.published.lengths == self.target.lengths else None

    def showing(self, rows: Mapping[int, tuple[RowLeaf, ...]]) -> DisputedRound:
        """Return the round with updates of which every leaf was shown, by their roots."""
        leaves = self.known.rows
        assert isinstance(leaves, RoundLeaves), "who has no key finds no closed update"
        opened = leaves.showing(rows)
        given = replace(self.known.given, rows=opened, stepper=opened)
        return replace(self, known=replace(self.known, given=given, rows=opened))


def target_of(reader: TaskReader, record: RoundHistory) -> Target:
    """Return what names a sealed round's seal on chain."""
    history, spec = reader.history(), reader.spec
    assert record.seal is not None
    assert record.roster is not None  # a sealed round has one
    return Target(
        history.task, record.number, record.seal, record.roster, terms_of(spec), program_of(spec),
        history.opened.aggregators,
    )  # fmt: skip


def disputed_round(
    reader: TaskReader, reveals: Reveals | None, record: RoundHistory, bundle: RoundBundle | None,
    opener: UpdateOpener | None, *, rostered: Sequence[Entry] = (),
) -> DisputedRound:  # fmt: skip
    """Put together what is known of a sealed round; without an opener its products of rows are the sealer's word, and
    with one those of updates that do not open.

    bundle: the published one, whose roster is that on chain; None: nobody has one, and `rostered` was shown. Raises
    what reading and opening raise.
    """
    target, spec = target_of(reader, record), reader.spec
    told = chain_entries(reader, record, rostered if bundle is None else bundle.entries)
    context = reader.round_context(record.number, target.record.aggregator, told)
    before = reader.state_before(record.number)
    published = None if bundle is None else _published(reader, target, bundle)
    fitting = published if published is not None and published.lengths == target.lengths else None
    first = reveals.first_forced(target.task) if reveals is not None else {}
    entries, signatures = shown_entries(told, first)
    allowed = _allowed(reveals, target, entries, context.missing)
    refused = _refused(reader, target, told, fitting, context, allowed)
    past, sealed = past_sums(spec, before, reader.sums_of), _sealed_rows(reader, before, bundle)
    if opener is None:
        rows: RoundLeaves | PublicLeaves = PublicLeaves(spec, target.terms.shape, past, sealed)
        given = given_of(spec, context, before, told, refused, stepper=rows, brought=_taken(target, fitting))
    else:
        keyed = _keyed(opener, told, reveals.packages(target.task) if reveals is not None else {})
        may_be = [{why} for why in refused] if fitting is not None else allowed
        opened = OpenedUpdates(opener.source(keyed), spec)
        updates = OpenUpdates(keyed, _wanted(spec, context, told, may_be), opened.read)
        rows = RoundLeaves(spec, target.terms.shape, updates, opener, past, sealed)
        given = given_of(spec, context, before, told, refused, rows=rows, stepper=rows)
        given = replace(given, brought=_claimed(target, fitting))
    return DisputedRound(
        target, entries, signatures, parent_seal(reader, record.number), context.seats,
        KnownRound(target.program, target.lengths, given, rows, allowed), published,
        None if bundle is None else _claims(target, bundle),
    )  # fmt: skip


def chain_entries(reader: TaskReader, record: RoundHistory, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return a round's entries as the chain has them: the published or shown roster, and all that trainers forced in.
    Of those a bundle only tells keys and commitments, and where it leaves one out, the chain's packages may."""
    told = {entry.receipt.struct_hash(): entry for entry in entries if entry.forced}
    rostered = tuple(entry for entry in entries if not entry.forced)
    stakes, packages = reader.history().members_at_roster(record.number), reader.forced_packages()
    forced = []
    for item in record.forced:
        known = told.get(item.receipt.struct_hash())
        keys = () if known is not None else packages.get(item.receipt.struct_hash(), ())
        bare = Entry(item.receipt, item.signature, 0, *(keys[-1] if keys else NO_PACKAGE), forced=True)
        stake = stake_among(reader, stakes, item.receipt.trainer)
        forced.append(replace(known or bare, receipt=item.receipt, signature=item.signature, stake=stake))
    return rostered + tuple(forced)


def roster_shown(target: Target, shown: Mapping[Question, Answer]) -> tuple[Entry, ...] | None:
    """Return the roster as its sealer showed it, without keys; None: some entry was not shown yet."""
    found = []
    for index in range(target.roster.count):
        answer = shown.get(Question(Node.ROSTER, index=index))
        if answer is None:
            return None
        entry, signature = shown_entry(answer)
        found.append(Entry(entry.receipt, signature, entry.stake, *NO_PACKAGE, forced=False))
    return tuple(found)


def signed_bundle(
    bundle: RoundBundle, domain: Domain, shown: Mapping[Question, Answer]
) -> tuple[RoundBundle, tuple[Question, ...]]:  # fmt: skip
    """Return a bundle with the signatures that its sealer showed in the place of such as nobody made, and what it has
    to show yet: who sealed a roster answers for each of its receipts."""
    entries, unsigned = list(bundle.entries), list[Question]()
    places = [place for place, entry in enumerate(entries) if not entry.forced]
    for index, place in enumerate(places):
        if is_signed(entries[place].signed, domain):
            continue
        question = Question(Node.ROSTER, index=index)
        if question in shown:
            entries[place] = replace(entries[place], signature=shown_entry(shown[question])[1])
        else:
            unsigned.append(question)
    return replace(bundle, entries=tuple(entries)), tuple(unsigned)


def _keyed(opener: UpdateOpener, entries: Sequence[Entry], packages: Mapping[bytes, Sequence[Package]]) -> list[Entry]:
    """Return entries with keys that are on chain, where those that came with them do not open."""
    found = []
    for entry in entries:
        receipt = entry.receipt
        some = ((entry.keys, entry.keys_signature), *packages.get(receipt.struct_hash(), ()))
        package = next((one for one in some if opener.opens(receipt, one[0])), some[0])
        found.append(replace(entry, keys=package[0], keys_signature=package[1]))
    return found


def shown_entries(
    entries: Sequence[Entry], forced_out: Mapping[bytes, tuple[ShownKey, ...]] = NOTHING_FORCED_OUT
) -> tuple[tuple[EntryShown, ...], tuple[bytes, ...]]:
    """Return a round's entries as the chain is shown them, and their trainers' signatures.

    forced_out: the boxes of the first package that was put on chain for a receipt, by its struct hash.
    """
    leaves = tuple(entry.leaf for entry in entries if not entry.forced)
    boxes = [forced_out.get(entry.receipt.struct_hash(), ()) for entry in entries]
    shown = tuple(
        EntryShown(entry.receipt, boxes=boxes[i])
        if entry.forced
        else EntryShown(entry.receipt, entry.stake, pack_siblings(merkle_sum.prove(leaves, i)), boxes[i])
        for i, entry in enumerate(entries)
    )
    return shown, tuple(entry.signature for entry in entries)


def parent_seal(reader: TaskReader, number: int) -> ParentSeal | None:
    """Return the seal before a round's, with the tape that its bundle tells of; None in round 0."""
    if number == 0:
        return None
    record = reader.history().rounds[number - 1]
    assert record.seal is not None
    assert record.roster is not None
    return ParentSeal(record.seal, record.roster, tape_of(reader, reader.bundle(number - 1)))


def _published(reader: TaskReader, target: Target, bundle: RoundBundle) -> Tape | None:
    """Return the tape that a bundle tells of, if it is the sealed one."""
    try:
        tape = tape_of(reader, bundle)
    except RetryError:
        raise
    except FLError:
        return None
    return tape if tape.root == target.record.trace else None


def _allowed(
    reveals: Reveals | None, target: Target, entries: Sequence[EntryShown], missing: frozenset[bytes]
) -> tuple[frozenset[int], ...]:  # fmt: skip
    if reveals is None:  # nothing can be shown against a seal there
        return (frozenset(map(int, Refused)),) * len(entries)
    as_of, wanted = target.record.as_of, target.terms.recipients

    def revealed(entry: EntryShown) -> bool:
        return bool(wanted) and tuple((box.recipient, box.public) for box in entry.boxes) == wanted

    return tuple(
        allowed_refusals(
            convicted=0 < reveals.convicted_at(one.receipt) <= as_of, revealed=revealed(one),
            missing=one.receipt.struct_hash() in missing,
        )
        for one in entries
    )  # fmt: skip


def _refused(
    reader: TaskReader, target: Target, entries: Sequence[Entry], published: Tape | None, context: RoundContext,
    allowed: Sequence[frozenset[int]],
) -> list[int]:  # fmt: skip
    """Return why each entry is refused: the sealer's word where it is known and the chain allows it, else one's own."""
    if published is not None and (number := source_column(target, Source.REFUSED)) is not None:
        told = [int(cell) for cell in published.columns[number]]
    else:
        refusals = public_refusals(entries, spec=reader.spec, context=context)
        told = refused_of(reader.spec, reader.domain, entries, refusals)
    return [why if why in may_be else min(may_be) for why, may_be in zip(told, allowed, strict=True)]


def _wanted(spec: TaskSpec, context: RoundContext, entries: Sequence[Entry], refused: Sequence[Set[int]]) -> list[bool]:
    """Return which updates should open: what is refused, or is of no use by its receipt, is in no product.

    refused: by entry, what its sealer says of it, or may say.
    """
    length = update_length(spec.model.size, spec.codec.bits)
    receipts = [entry.receipt for entry in entries]
    return [
        Refused.NO in why and context.is_of(one) and one.length == length and one.parent == context.parent
        for why, one in zip(refused, receipts, strict=True)
    ]


def source_column(target: Target, source: Source) -> int | None:
    """Return the column that holds a source; None where the program does not read it."""
    for number, column in enumerate(target.program.columns):
        if column.op is Op.SOURCE and column.immediate & _SOURCE == source:
            return number
    return None


def _taken(target: Target, published: Tape | None) -> Mapping[int, Array]:
    """The cells that a reader without updates takes as they are told."""
    if published is None:
        return {}
    return {number: published.columns[number] for number in only_a_key_shows(target.program)}


def _claimed(target: Target, published: Tape | None) -> Mapping[int, Array]:
    """The cells that are the sealer's word; zeros where nobody knows yet what it says."""
    columns = {n: column for n, column in enumerate(target.program.columns) if column.op is Op.CLAIMED}
    if published is None:
        return {n: np.zeros(target.lengths.shape(column.axes), dtype=object) for n, column in columns.items()}
    return {n: published.columns[n] for n in columns}


def _sealed_rows(reader: TaskReader, before: TaskState, bundle: RoundBundle | None) -> Mapping[int, Sums]:
    """The rows that sealers published, by content root: the model that the round starts from, its sums and its new
    model; without those that no store has."""
    spec, found = reader.spec, dict[int, Sums]()
    reads: list[Callable[[], Sums]] = [lambda: reader.parent_row(before)]
    if bundle is not None:
        reads += [lambda: reader.sums(bundle), lambda: reader.model_row(bundle.after.model)]
    for read in reads:
        try:
            row = read()
        except RetryError:
            raise
        except FLError:
            continue
        found[cell_of(row_root(row, spec.model))] = row
    return found


def _claims(target: Target, bundle: RoundBundle) -> tuple[Leaf, ...] | None:
    leaves = claim_leaves(bundle.after)
    root = merkle_sum.build(leaves)
    record = target.record
    sealed = (record.claim_root, record.claim_total, record.claim_count)
    return leaves if (root.digest, root.total, len(leaves)) == sealed else None
