"""One thing wrong at a time: each way of being malformed has its own error, and none stops the round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.aggregation.admit import Admission, OpenedUpdates, UpdateSource, admit_entries
from fl_platform.errors import (
    CidMismatch,
    EnvelopeInvalid,
    FLError,
    ReceiptDuplicate,
    ReceiptForeign,
    ReceiptParentMismatch,
    ReceiptReplayed,
    ReceiptSignatureInvalid,
    StoreMissing,
    StoreUnavailable,
    UpdateHeaderMismatch,
    UpdateLengthMismatch,
    UpdateRangeExceeded,
)
from fl_platform.protocol.receipt import sign_receipt
from fl_platform.updates import decode_update
from tests.support.rounds import DOMAIN, Round, address_of, happy_round, private_key

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


def bytes_with(change: Callable[[bytes], bytes]) -> Callable[[Round], None]:
    def apply(round_: Round) -> None:
        index = place(round_)
        data = round_.data[index]
        assert isinstance(data, bytes)
        round_.data[index] = change(data)

    return apply


def raises(error: FLError) -> Callable[[Round], None]:
    def apply(round_: Round) -> None:
        round_.data[place(round_)] = error  # type: ignore[assignment]

    return apply


CASES: list[tuple[str, Callable[[Round], None], type[FLError]]] = [
    ("not a member", stranger, ReceiptForeign),
    ("another task", lambda r: edit(r, task=8), ReceiptReplayed),
    ("another round", lambda r: edit(r, round=1), ReceiptReplayed),
    ("another parent", lambda r: edit(r, parent=b"\x01" * 32), ReceiptParentMismatch),
    ("2 GiB declared", lambda r: edit(r, length=2**31), UpdateLengthMismatch),
    ("one byte less declared", lambda r: edit(r, length=46), UpdateLengthMismatch),
    ("signed by somebody else", other_signer, ReceiptSignatureInvalid),
    ("signed for another contract", other_contract, ReceiptSignatureInvalid),
    ("never revealed", no_key, EnvelopeInvalid),
    ("not in the store", raises(StoreMissing("/some/path")), StoreMissing),
    ("other bytes in the store", raises(CidMismatch("/some/path")), CidMismatch),
    ("a key that does not open it", raises(EnvelopeInvalid("for recipient 0x12")), EnvelopeInvalid),
    ("truncated", bytes_with(lambda d: d[:-1]), UpdateLengthMismatch),
    ("longer", bytes_with(lambda d: d + b"\0"), UpdateLengthMismatch),
    ("empty", bytes_with(lambda d: b""), UpdateLengthMismatch),
    ("another magic", bytes_with(lambda d: b"FLU2" + d[4:]), UpdateHeaderMismatch),
    ("another width", bytes_with(lambda d: d[:5] + b"\x10" + d[6:]), UpdateHeaderMismatch),
    ("another model", bytes_with(lambda d: d[:31] + bytes([d[31] ^ 1]) + d[32:]), UpdateHeaderMismatch),
    ("the forbidden integer", bytes_with(lambda d: d[:-1] + b"\x80"), UpdateRangeExceeded),
]


@pytest.mark.parametrize(("change", "error"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_fault_has_its_own_error_and_harms_nobody_else(
    change: Callable[[Round], None], error: type[FLError]
) -> None:
    round_ = happy_round()
    index = place(round_)
    change(round_)
    admission = admit(round_)
    refusal = admission.refusals[index]
    assert refusal is not None
    assert refusal.code == error.__name__
    assert sum(r is not None for r in admission.refusals) == 1
    assert index not in admission.trainers()
    assert len(admission.trainers()) == 3
    # What only one party saw (its paths, its recipient) is no evidence that another could recompute.
    assert "/some/path" not in refusal.evidence
    assert "0x12" not in refusal.evidence


def test_the_happy_round_is_admitted_whole() -> None:
    round_ = happy_round()
    admission = admit(round_)
    assert admission.refusals == (None,) * 5
    assert admission.reference == place(round_, 0)


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
    assert admit(round_).reference == index
    assert round_.judge().tape.root == honest.tape.root


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


def test_a_refused_update_is_not_kept() -> None:
    round_ = happy_round()
    round_.data[place(round_)] = b"FLU1"
    opened = OpenedUpdates(round_.updates, round_.spec)
    admit_entries(round_.entries, opened, spec=round_.spec, context=round_.context)
    with pytest.raises(UpdateLengthMismatch):
        opened.read(place(round_))
