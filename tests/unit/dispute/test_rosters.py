"""What is read of rosters from a chain on which anybody may have sent anything that a contract does not look at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fl_platform.dispute.rosters import _talk
from fl_platform.dispute.targets import EntryShown, decoded_entry, encoded_entry
from fl_platform.errors import DocumentInvalid
from tests.support.chain import receipt_of, wallet

ENTRY = EntryShown(receipt_of(wallet(3), 7, 2), stake=5, siblings=b"\x01" * 48)
ASKER, SIGNATURE = b"\x0a" * 20, b"\x0b" * 65


def event(name: str, **values: Any) -> Any:
    return SimpleNamespace(name=name, values=values)


def asked(index: int, life: int) -> Any:
    return event("RosterAsked", index=index, life=life, asker=ASKER, deadline=100)


def shown(index: int, entry: bytes) -> Any:
    return event("RosterShown", index=index, entry=entry, signature=SIGNATURE)


@pytest.mark.parametrize(
    "data",
    [
        encoded_entry(ENTRY),
        b"\xff" * 32 + encoded_entry(ENTRY)[32:],  # the contract does not look at the first word
        encoded_entry(ENTRY)[: 32 + 32 * 16] + b"\xee" * 64,  # nor do readers need the path, or boxes
    ],
)
def test_an_entry_is_read_where_the_contract_reads_it(data: bytes) -> None:
    told = decoded_entry(data)
    assert (told.receipt, told.stake) == (ENTRY.receipt, ENTRY.stake)


def test_bytes_that_say_nothing_hide_no_other_leaf() -> None:
    with pytest.raises(DocumentInvalid, match="say nothing"):
        decoded_entry(b"\xff" * 900)
    talk = _talk([asked(0, 0), asked(1, 0), shown(0, b"\xff" * 900), shown(1, encoded_entry(ENTRY))])
    assert set(talk.shown) == {1}
    assert talk.waiting(0) == ()
    assert talk.unshown(ASKER) == ()


def test_what_was_shown_in_one_life_is_asked_for_again_in_the_next() -> None:
    talk = _talk([asked(0, 0), shown(0, encoded_entry(ENTRY)), asked(0, 1)])
    assert [one.life for one in talk.waiting(1)] == [1]
    assert [one.life for one in talk.overdue(1, 100)] == [1]
    assert [one.life for one in talk.unshown(ASKER)] == [1]
    assert talk.waiting(0) == ()
    answered = _talk([asked(0, 0), shown(0, b""), asked(0, 1), shown(0, encoded_entry(ENTRY))])
    assert answered.waiting(1) == ()
