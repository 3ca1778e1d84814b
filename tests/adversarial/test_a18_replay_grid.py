"""A18: a receipt signed in one context is refused in every other: chain, contract, task, round, trainer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from eth_account import Account

from fl_platform.errors import RejectedInput
from fl_platform.judging.admit import RoundContext, check_receipt
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.receipt import Domain, Receipt, sign_receipt
from fl_platform.updates import update_length
from tests.support.specs import small_spec

KEYS = [bytes([number]) * 32 for number in (1, 2)]
TRAINERS = [bytes.fromhex(Account.from_key(key).address[2:]) for key in KEYS]
PARENT = b"p" * 32
SPEC = small_spec()


@dataclass(frozen=True)
class Place:
    chain: int = 31337
    ledger: bytes = b"\x11" * 20
    task: int = 1
    round: int = 4
    life: int = 0
    trainer: int = 0

    @property
    def domain(self) -> Domain:
        return Domain(self.chain, self.ledger)


PLACES = {
    "home": Place(),
    "other chain": Place(chain=1),
    "other contract": Place(ledger=b"\x12" * 20),
    "other task": Place(task=2),
    "other round": Place(round=5),
    "other life": Place(life=3),
    "other trainer": Place(trainer=1),
}


def signed_at(place: Place) -> Entry:
    length = update_length(SPEC.model.size, SPEC.codec.bits)
    receipt = Receipt(
        place.task, place.round, place.life, place.round, TRAINERS[place.trainer], PARENT, b"u" * 32, length,
        b"k" * 32, b"l" * 32, b"c" * 32,
        bytes(32), 5, b"s" * 32,
    )  # fmt: skip
    return Entry(receipt, sign_receipt(receipt, place.domain, KEYS[place.trainer]).signature, 10, (), b"", forced=False)


def present(entry: Entry, place: Place) -> None:
    context = RoundContext(
        domain=place.domain,
        task=place.task,
        round=place.round,
        aggregator=b"a" * 20,
        parent=PARENT,
        members={TRAINERS[place.trainer]: 10},
        seats=(),
        life=place.life,
    )
    check_receipt(entry, spec=SPEC, context=context, seen=frozenset())


@pytest.mark.parametrize("there", PLACES)
@pytest.mark.parametrize("here", PLACES)
def test_a_receipt_counts_only_where_it_was_signed(here: str, there: str) -> None:
    entry = signed_at(PLACES[here])
    if here == there:
        present(entry, PLACES[there])
        return
    with pytest.raises(RejectedInput):
        present(entry, PLACES[there])


@pytest.mark.parametrize("there", [name for name in PLACES if name != "home"])
def test_rewriting_the_receipt_for_the_other_place_breaks_the_signature(there: str) -> None:
    place = PLACES[there]
    entry = signed_at(PLACES["home"])
    receipt = replace(entry.receipt, task=place.task, round=place.round, trainer=TRAINERS[place.trainer])
    with pytest.raises(RejectedInput):
        present(replace(entry, receipt=receipt), place)
