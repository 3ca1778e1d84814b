"""One thing wrong at a time. What anybody can check is a refusal of its own, and none stops the round; what does not
open is no verdict: whoever judges is told which entries, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_platform.errors import (
    CidMismatch,
    DocumentInvalid,
    EnvelopeInvalid,
    FLError,
    ReceiptDuplicate,
    ReceiptForeign,
    ReceiptParentMismatch,
    ReceiptReplayed,
    StoreMissing,
    StoreUnavailable,
    UpdateHashMismatch,
    UpdateLengthMismatch,
    UpdatesNotOpened,
)
from fl_platform.judging.admit import (
    CONVICTED,
    MISSING,
    Admission,
    OpenedUpdates,
    UpdateSource,
    admit_entries,
    public_refusals,
)
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.keypackage import package_digest, recipients
from fl_platform.protocol.receipt import sign_digest, sign_receipt
from fl_platform.protocol.spec import Party
from fl_platform.updates import decode_update, pack_update
from fl_platform.updates.codec import HEADER_BYTES
from tests.support.rounds import DOMAIN, Round, address_of, anchored_spec, happy_round, private_key

TRAINER = 2  # the key number of the trainer that misbehaves


def admit(round_: Round, updates: UpdateSource | None = None) -> Admission:
    opened = OpenedUpdates(updates or round_.updates, round_.spec)
    return admit_entries(round_.entries, opened, spec=round_.spec, context=round_.context)


def place(round_: Round, number: int = TRAINER) -> int:
    return next(i for i, e in enumerate(round_.entries) if e.receipt.trainer == address_of(number))


def edit(round_: Round, **changes: object) -> None:
    round_.sign(place(round_), TRAINER, **changes)


def stake(round_: Round, wei: int) -> None:
    index = place(round_)
    round_.entries[index] = replace(round_.entries[index], stake=wei)


def stranger(round_: Round) -> None:
    """A trainer that never joined signs a perfect receipt."""
    index = place(round_)
    receipt = replace(round_.entries[index].receipt, trainer=address_of(77))
    signed = sign_receipt(receipt, DOMAIN, private_key(77))
    round_.entries[index] = replace(round_.entries[index], receipt=receipt, signature=signed.signature)


def other_signer(round_: Round) -> None:
    index = place(round_)
    signed = sign_receipt(round_.entries[index].receipt, DOMAIN, private_key(3))
    round_.entries[index] = replace(round_.entries[index], signature=signed.signature)


def other_contract(round_: Round) -> None:
    index = place(round_)
    domain = replace(DOMAIN, ledger=b"\x99" * 20)
    signed = sign_receipt(round_.entries[index].receipt, domain, private_key(TRAINER))
    round_.entries[index] = replace(round_.entries[index], signature=signed.signature)


def no_key(round_: Round) -> None:
    index = place(round_)
    round_.entries[index] = replace(round_.entries[index], keys=())


def boxes(round_: Round, pick: Callable[[tuple[WrappedKey, ...]], Sequence[WrappedKey]]) -> None:
    """The trainer signs other boxes than one for each recipient, in order."""
    entry = round_.entries[place(round_)]
    keys = tuple(pick(entry.keys))
    signature = sign_digest(package_digest(entry.receipt, keys, DOMAIN, round_.spec), private_key(TRAINER))
    round_.entries[place(round_)] = replace(entry, keys=keys, keys_signature=signature)


def others_package(round_: Round) -> None:
    """The boxes are signed, but for another trainer's receipt."""
    other = round_.entries[place(round_, 3)]
    index = place(round_)
    round_.entries[index] = replace(round_.entries[index], keys=other.keys, keys_signature=other.keys_signature)


def said_on_chain(field: str) -> Callable[[Round], None]:
    def apply(round_: Round) -> None:
        who = frozenset({round_.entries[place(round_)].receipt.struct_hash()})
        round_.context = replace(round_.context, **{field: who})  # type: ignore[arg-type]

    return apply


def bytes_with(change: Callable[[bytes], bytes]) -> Callable[[Round], None]:
    def apply(round_: Round) -> None:
        index = place(round_)
        data = round_.data[index]
        assert isinstance(data, bytes)
        round_.data[index] = change(data)

    return apply


def raises(error: FLError) -> Callable[[Round], None]:
    def apply(round_: Round) -> None:
        fails(round_, TRAINER, error)

    return apply


def fails(round_: Round, number: int, error: FLError) -> None:
    data: list[Any] = round_.data
    data[place(round_, number)] = error


def five_readers() -> Round:
    """A round whose task has two more recipients: a second aggregator and an auditor."""
    spec = anchored_spec()
    more = tuple(Party(bytes([0xB0 + n]) * 20, bytes(63) + bytes([n])) for n in range(2))
    return happy_round(aggregators=(*spec.aggregators, more[0]), auditors=(more[1],))


REFUSED: list[tuple[str, Callable[[Round], None], str]] = [
    ("not a member", stranger, ReceiptForeign.__name__),
    ("another task", lambda r: edit(r, task=8), ReceiptReplayed.__name__),
    ("another round", lambda r: edit(r, round=1), ReceiptReplayed.__name__),
    ("another life", lambda r: edit(r, life=1), ReceiptReplayed.__name__),
    ("another parent", lambda r: edit(r, parent=b"\x01" * 32), ReceiptParentMismatch.__name__),
    ("2 GiB declared", lambda r: edit(r, length=2**31), UpdateLengthMismatch.__name__),
    ("one byte less declared", lambda r: edit(r, length=46), UpdateLengthMismatch.__name__),
    ("never revealed", no_key, EnvelopeInvalid.__name__),
    ("revealed for another receipt", others_package, EnvelopeInvalid.__name__),
    ("a box too few", lambda r: boxes(r, lambda keys: keys[:-1]), EnvelopeInvalid.__name__),
    ("a box too many", lambda r: boxes(r, lambda keys: (*keys, keys[0])), EnvelopeInvalid.__name__),
    ("boxes out of order", lambda r: boxes(r, lambda keys: keys[::-1]), EnvelopeInvalid.__name__),
    ("convicted on chain", said_on_chain("convicted"), CONVICTED),
    ("not to be had, as the witnesses say", said_on_chain("missing"), MISSING),
]


@pytest.mark.parametrize("change", [other_signer, other_contract])
def test_a_round_with_an_entry_that_nobody_signed_is_not_judged(change: Callable[[Round], None]) -> None:
    """Its roster cannot be shown when asked for: whoever would seal it passes instead."""
    round_ = happy_round()
    change(round_)
    with pytest.raises(DocumentInvalid, match="round 0"):
        round_.judge()


@pytest.mark.parametrize(("change", "code"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_each_fault_that_anybody_sees_has_its_own_refusal_and_harms_nobody_else(
    change: Callable[[Round], None], code: str
) -> None:
    round_ = five_readers()
    assert len(round_.entries[0].keys) == len(recipients(round_.spec)) == 3
    index = place(round_)
    change(round_)
    asked: list[int] = []

    def updates(entry: int) -> bytes:
        asked.append(entry)
        return round_.updates(entry)

    admission = admit(round_, updates)
    refusal = admission.refusals[index]
    assert refusal is not None
    assert refusal.code == code
    assert sum(r is not None for r in admission.refusals) == 1
    assert sorted(asked) == [i for i in range(5) if i != index]  # nothing is read of what is refused
    assert public_refusals(round_.entries, spec=round_.spec, context=round_.context) == list(admission.refusals)


NOT_OPENED: list[tuple[str, Callable[[Round], None], type[FLError]]] = [
    ("not in the store", raises(StoreMissing("/some/path")), StoreMissing),
    ("other bytes in the store", raises(CidMismatch("/some/path")), CidMismatch),
    ("a key that does not open it", raises(EnvelopeInvalid("for recipient 0x12")), EnvelopeInvalid),
    ("other integers than its receipt binds", raises(UpdateHashMismatch("for recipient 0x12")), UpdateHashMismatch),
    ("truncated", bytes_with(lambda d: d[:-1]), UpdateLengthMismatch),
    ("longer", bytes_with(lambda d: d + b"\0"), UpdateLengthMismatch),
    ("empty", bytes_with(lambda d: b""), UpdateLengthMismatch),
    ("a header alone", bytes_with(lambda d: d[:HEADER_BYTES]), UpdateLengthMismatch),
]


@pytest.mark.parametrize(("change", "error"), [c[1:] for c in NOT_OPENED], ids=[c[0] for c in NOT_OPENED])
def test_what_does_not_open_is_no_verdict_but_said_to_who_judges(
    change: Callable[[Round], None], error: type[FLError]
) -> None:
    round_ = happy_round()
    index = place(round_)
    change(round_)
    with pytest.raises(UpdatesNotOpened, match=f"entry {index} does not open") as found:
        admit(round_)
    assert {i: type(reason) for i, reason in found.value.reasons.items()} == {index: error}
    # What only one party saw (its paths, its recipient) is not for others to read.
    assert "/some/path" not in str(found.value)
    assert "0x12" not in str(found.value)
    # Nobody without a key sees it, so nobody is refused for it.
    assert public_refusals(round_.entries, spec=round_.spec, context=round_.context) == [None] * 5
    # With a ground on chain it is left out, and nobody else is harmed.
    round_.context = replace(round_.context, missing=frozenset({round_.entries[index].receipt.struct_hash()}))
    refusals = admit(round_).refusals
    assert [refusal and refusal.code for refusal in refusals] == [MISSING if i == index else None for i in range(5)]


def test_all_that_do_not_open_are_named_at_once() -> None:
    round_ = happy_round()
    round_.data[place(round_, 0)] = StoreMissing("gone")  # the reference's counts as all others
    round_.data[place(round_, 1)] = b"FLU1"
    round_.data[place(round_, 3)] = EnvelopeInvalid("no key fits")
    no_key(round_)  # of trainer 2, who is refused for that and not asked for more
    fails(round_, 2, CidMismatch("not read"))
    with pytest.raises(UpdatesNotOpened, match="and 2 more") as found:
        admit(round_)
    kinds = {0: StoreMissing, 1: UpdateLengthMismatch, 3: EnvelopeInvalid}
    reasons = {index: type(reason) for index, reason in found.value.reasons.items()}
    assert reasons == {place(round_, number): kind for number, kind in kinds.items()}
    with pytest.raises(UpdatesNotOpened):
        judged_as_it_stands(round_)


def judged_as_it_stands(round_: Round) -> Judgement:
    """Judge without the ground on chain that `Round.judge` gives."""
    return judge_round(
        round_.spec, round_.context, round_.before, round_.entries, updates=round_.updates,
        models=round_.parent_row, sums=round_.sums.__getitem__,
    )  # fmt: skip


READ_AS: list[tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
    ("another magic", lambda d: b"FLU2" + d[4:], lambda d: d),
    ("another width", lambda d: d[:5] + b"\x10" + d[6:], lambda d: d),
    ("another size", lambda d: d[:8] + b"\xff" * 8 + d[16:], lambda d: d),
    ("another model", lambda d: d[:31] + bytes([d[31] ^ 1]) + d[32:], lambda d: d),
    ("no header at all", lambda d: bytes(HEADER_BYTES) + d[HEADER_BYTES:], lambda d: d),
    ("the forbidden integer", lambda d: d[:-1] + b"\x80", lambda d: d[:-1] + b"\x00"),
]


@pytest.mark.parametrize(("change", "same"), [c[1:] for c in READ_AS], ids=[c[0] for c in READ_AS])
def test_a_file_of_the_right_length_is_read_as_contracts_read_it(
    change: Callable[[bytes], bytes], same: Callable[[bytes], bytes]
) -> None:
    round_, twin = happy_round(), happy_round()
    bytes_with(change)(round_)
    bytes_with(same)(twin)
    assert round_.data != twin.data
    assert admit(round_).refusals == (None,) * 5
    told, wanted = judged_as_it_stands(round_), judged_as_it_stands(twin)
    assert (told.tape.root, told.verdicts, told.after) == (wanted.tape.root, wanted.verdicts, wanted.after)


def test_the_happy_round_is_admitted_whole() -> None:
    round_ = happy_round()
    admission = admit(round_)
    assert admission.refusals == (None,) * 5
    assert admission.seeds == {}  # without layer P nothing is blinded


def test_what_the_chain_says_comes_before_what_the_receipt_says() -> None:
    """Convicted, then not to be had, then the receipt's words: one code, whoever looks."""
    round_ = happy_round()
    edit(round_, parent=b"\x01" * 32)
    said_on_chain("missing")(round_)
    assert [refusal and refusal.code for refusal in admit(round_).refusals].count(MISSING) == 1
    who = round_.context.missing
    round_.context = replace(round_.context, convicted=who)
    assert [refusal and refusal.code for refusal in admit(round_).refusals].count(CONVICTED) == 1


def test_grounds_against_other_receipts_refuse_nobody() -> None:
    round_ = happy_round()
    other = replace(round_.entries[place(round_)].receipt, salt=b"\x01" * 32).struct_hash()
    round_.context = replace(round_.context, missing=frozenset({other}), convicted=frozenset({bytes(32)}))
    assert admit(round_).refusals == (None,) * 5


def test_a_second_entry_of_a_trainer_is_a_duplicate_and_the_first_counts() -> None:
    round_ = happy_round()
    index = place(round_)
    round_.entries.append(replace(round_.entries[index], forced=True))
    round_.data.append(round_.data[index])
    admission = admit(round_)
    assert admission.refusals[index] is None
    assert admission.refusals[-1] is not None
    assert admission.refusals[-1].code == ReceiptDuplicate.__name__


def test_nothing_is_fetched_for_a_receipt_that_fails() -> None:
    round_ = happy_round()
    edit(round_, parent=b"\x01" * 32)
    asked: list[int] = []

    def updates(index: int) -> bytes:
        asked.append(index)
        return round_.updates(index)

    admit(round_, updates)
    assert place(round_) not in asked


def test_a_transport_failure_is_nobodys_fault_and_goes_up() -> None:
    round_ = happy_round()

    def updates(index: int) -> bytes:
        raise StoreUnavailable("the daemon did not answer")

    with pytest.raises(StoreUnavailable):
        admit(round_, updates)


@pytest.mark.parametrize("wei", [0, 1, 10**18 + 1, 2**100])
def test_a_stake_that_a_rosters_author_wrote_down_wrong_shuts_nobody_out(wei: int) -> None:
    """The chain says what a stake is, and a contract reads no other: whoever seals such a roster must not, either."""
    round_ = happy_round()
    honest = round_.judge()
    stake(round_, wei)
    assert admit(round_).refusals == (None,) * 5
    judged = round_.judge()
    assert (judged.tape.root, judged.after) == (honest.tape.root, honest.after)


def test_a_stake_beside_the_reference_makes_it_no_trainer() -> None:
    round_ = happy_round()
    index = place(round_, 0)
    honest = round_.judge()
    round_.entries[index] = replace(round_.entries[index], stake=10**18)
    assert admit(round_).refusals == (None,) * 5
    judged = round_.judge()
    assert judged.tape.root == honest.tape.root
    assert judged.verdicts[index].code == "reference"
    assert judged.verdicts[index].weight == 0


@pytest.mark.parametrize(("limit", "openings"), [(1 << 20, [1] * 5), (0, [3] * 5), (44, [1, 1, 3, 3, 3])])
def test_an_update_is_opened_once_while_it_fits_into_memory(limit: int, openings: list[int]) -> None:
    """An update of the small task is 15 bytes of integers: two fit into 44, and none into 0."""
    round_ = happy_round()
    asked: list[int] = []

    def updates(index: int) -> bytes:
        asked.append(index)
        return round_.updates(index)

    opened = OpenedUpdates(updates, round_.spec, limit=limit)
    admission = admit_entries(round_.entries, opened, spec=round_.spec, context=round_.context)
    for _ in range(2):
        for index in range(5):
            wanted = decode_update(round_.updates(index), model=round_.spec.model, bits=round_.spec.codec.bits)
            assert np.array_equal(opened.read(index), wanted)
    assert admission.refusals == (None,) * 5
    assert [asked.count(index) for index in range(5)] == openings


def test_an_update_that_does_not_open_is_not_kept_and_all_others_are() -> None:
    round_ = happy_round()
    round_.data[place(round_)] = b"FLU1"
    asked: list[int] = []

    def updates(index: int) -> bytes:
        asked.append(index)
        return round_.updates(index)

    opened = OpenedUpdates(updates, round_.spec)
    for _ in range(2):
        with pytest.raises(UpdatesNotOpened):
            admit_entries(round_.entries, opened, spec=round_.spec, context=round_.context)
    assert [asked.count(index) for index in range(5)] == [2 if i == place(round_) else 1 for i in range(5)]
    with pytest.raises(UpdateLengthMismatch):
        opened.read(place(round_))


@pytest.mark.parametrize(("last", "wanted"), [(b"\x80", 0), (b"\x81", -127), (b"\x7f", 127)])
def test_the_range_is_symmetric_however_an_update_is_read(last: bytes, wanted: int) -> None:
    round_ = happy_round()
    plain = pack_update(np.ones(round_.spec.model.size, np.int8), model=round_.spec.model, bits=8)
    opened = OpenedUpdates(lambda _: plain[:-1] + last, round_.spec)
    for _ in range(2):  # opened, and kept
        assert opened.read(0).tolist() == [1] * (round_.spec.model.size - 1) + [wanted]
