"""A26: oversized, truncated, reordered, mislabelled updates: each is refused for its length, or read as contracts read
it; and no memory is spent on them.
"""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import UpdateLengthMismatch, UpdatesNotOpened
from fl_platform.judging.admit import check_update
from fl_platform.protocol.rows import integers_of
from fl_platform.updates import pack_update
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import open_file
from tests.support.rounds import anchored_spec, content_key, happy_round, ints_like, place_of

SPEC = anchored_spec()
GOOD = pack_update(ints_like(SPEC, 1), model=SPEC.model, bits=8)


def as_contracts_read(data: bytes) -> list[int]:
    """Every leaf of a file, read with the task's width."""
    table, found = SPEC.model.leaves, list[int]()
    for index in range(table.count):
        own = table.span(index)
        body = open_file(data, index, table=table, bits=8, key=content_key(1)).body
        found += integers_of(body, 8)[: own.stop - own.start].tolist()
    return found


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64) | st.binary(min_size=len(GOOD), max_size=len(GOOD)))
def test_random_bytes_are_refused_for_their_length_or_read_as_contracts_read_them(data: bytes) -> None:
    if len(data) != len(GOOD):
        with pytest.raises(UpdateLengthMismatch):
            check_update(data, spec=SPEC)
        return
    integers = check_update(data, spec=SPEC)
    assert int(integers.min()) >= -127
    assert integers.tolist() == as_contracts_read(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_changed_byte_is_of_no_meaning_or_another_valid_integer(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    integers, wanted = check_update(bytes(data), spec=SPEC), check_update(GOOD, spec=SPEC).tolist()
    if place >= HEADER_BYTES:
        value = int.from_bytes(data[place : place + 1], signed=True)
        wanted[place - HEADER_BYTES] = 0 if value == -128 else value
    assert integers.tolist() == wanted


@pytest.mark.parametrize("cut", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, len(GOOD) - 1, len(GOOD) + 1, 2 * len(GOOD)])
def test_a_file_of_another_length_is_no_verdict_and_everybody_else_is_judged_once_it_is_settled(cut: int) -> None:
    """Whoever opens it convicts its trainer by what a contract can see; until then who seals has no verdict."""
    round_ = happy_round()
    index = place_of(round_, 2)
    data = round_.data[index]
    assert isinstance(data, bytes)
    round_.data[index] = (data * 2)[:cut]
    with pytest.raises(UpdatesNotOpened) as found:
        round_.judge()
    assert {i: type(reason) for i, reason in found.value.reasons.items()} == {index: UpdateLengthMismatch}
    convicted = frozenset({round_.entries[index].receipt.struct_hash()})
    round_.context = dataclasses.replace(round_.context, convicted=convicted)
    codes = [verdict.code for verdict in round_.judge().verdicts]
    assert codes[index] == "Convicted"
    assert codes.count("admitted") == 3


def test_reordered_integers_are_another_update_and_read_as_they_lie() -> None:
    """Its trainer's receipt binds it, so it is its work: judged for what it is worth, as everybody's."""
    turned = GOOD[:HEADER_BYTES] + GOOD[HEADER_BYTES:][::-1]
    assert turned != GOOD
    assert check_update(turned, spec=SPEC).tolist() == check_update(GOOD, spec=SPEC).tolist()[::-1]
    assert as_contracts_read(turned) == as_contracts_read(GOOD)[::-1]


def test_two_gibibytes_claimed_with_ten_bytes_behind_cost_nothing() -> None:
    round_ = happy_round()
    index = place_of(round_, 2)
    round_.sign(index, 2, length=2**31)
    round_.data[index] = b"ten bytes!"
    tracemalloc.start()
    judgement = round_.judge()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert judgement.verdicts[index].code == "UpdateLengthMismatch"
    assert "2147483648" in judgement.verdicts[index].evidence
    assert peak < 64 << 20


@pytest.mark.parametrize(
    "header",
    [
        GOOD[:8] + (2**34).to_bytes(8, "little") + GOOD[16:32],
        GOOD[:8] + b"\xff" * 8 + GOOD[16:32],
        GOOD[:8] + bytes(8) + GOOD[16:32],
        GOOD[:5] + b"\x04" + GOOD[6:32],
        bytes(HEADER_BYTES),
        b"\xff" * HEADER_BYTES,
    ],
)
def test_a_header_that_claims_more_than_the_spec_is_not_believed(header: bytes) -> None:
    tracemalloc.start()
    integers = check_update(header + GOOD[HEADER_BYTES:], spec=SPEC)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(integers, check_update(GOOD, spec=SPEC))
    assert peak < 1 << 20
