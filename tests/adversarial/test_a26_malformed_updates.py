"""A26: oversized, truncated, reordered, mislabelled updates: a distinct error each, and no memory spent on them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.aggregation.admit import check_update
from fl_platform.errors import UpdateHeaderMismatch, UpdateLengthMismatch, UpdateRangeExceeded
from fl_platform.updates import pack_update
from tests.support.rounds import anchored_spec, happy_round, ints_like, place_of

SPEC = anchored_spec()
GOOD = pack_update(ints_like(SPEC, 1), model=SPEC.model, bits=8)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64) | st.binary(min_size=len(GOOD), max_size=len(GOOD)))
def test_random_bytes_are_refused_by_length_or_header(data: bytes) -> None:
    try:
        check_update(data, spec=SPEC)
    except UpdateLengthMismatch:
        assert len(data) != len(GOOD)
    except UpdateHeaderMismatch:
        assert len(data) == len(GOOD)
        assert data[:32] != GOOD[:32]
    else:
        raise AssertionError("random bytes passed")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_changed_byte_is_an_error_or_another_valid_integer(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        integers = check_update(bytes(data), spec=SPEC)
    except UpdateHeaderMismatch:
        assert place < 32
    except UpdateRangeExceeded:
        assert data[place] == 0x80
    else:
        assert place >= 32
        assert int(integers.min()) >= -127


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


def test_a_header_that_claims_more_than_the_spec_is_refused_unread() -> None:
    claims = GOOD[:8] + (2**34).to_bytes(8, "little") + GOOD[16:]
    tracemalloc.start()
    with pytest.raises(UpdateHeaderMismatch, match="'size'"):
        check_update(claims, spec=SPEC)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
