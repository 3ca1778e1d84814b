"""The state after a round is read from the first bytes of its bundle, and is the one that all of it gives."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import Carried, RoundBundle, RoundStart, TaskState, read_start
from fl_platform.protocol.model_spec import ScaleSpec
from tests.adversarial.test_x_hostile_documents import BUNDLE

digests = st.binary(min_size=32, max_size=32)
scales = st.builds(
    ScaleSpec, st.lists(st.integers(-200, 200), min_size=1, max_size=1).map(tuple)
)
NAMES = ("score_sum", "paid_scored", "paid_base", "reputation")


@st.composite
def states(draw: st.DrawFn) -> TaskState:
    seats = draw(st.lists(st.binary(min_size=20, max_size=20), max_size=3))
    state = tuple(Carried(name, tuple(draw(st.integers(0, 9)) for _ in seats)) for name in NAMES)
    models, sums = (tuple(draw(st.lists(digests, max_size=4))) for _ in range(2))
    path = tuple(draw(st.lists(digests, max_size=3)))
    told = draw(st.integers()), draw(digests), draw(digests), models, draw(scales)
    return TaskState(*told, path, tuple(seats), state, sums)


def start_of(state: TaskState) -> RoundStart:
    return RoundStart(**{field.name: getattr(state, field.name) for field in fields(RoundStart)})


@given(states(), states())
def test_it_is_the_state_after_the_round_and_not_the_one_before(before: TaskState, after: TaskState) -> None:
    data = replace(BUNDLE, before=before, after=after).to_bytes()
    assert read_start(data) == start_of(RoundBundle.from_bytes(data).after)


def test_it_takes_no_more_than_what_comes_before_the_seats() -> None:
    data = BUNDLE.to_bytes()
    end = data.index(b'"seats":[') + len(b'"seats":[')
    assert read_start(data[:end]) == start_of(BUNDLE.after)
    for cut in range(end):
        with pytest.raises(DocumentInvalid):
            read_start(data[:cut])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"after":', b'{ "after":'),
        (b'{"after":', b'{"aftes":'),
        (b'"round":0', b'"round":00'),
        (b'"round":0', b'"round":0.0'),
        (b'"round":0', b'"round":false'),
        (b'"round":0', b'"round":"0"'),
        (b'"round":0', b'"round":0,"round":1'),
        (b'"round":0,', b""),
        (b'"round":0,', b'"extra":0,"round":0,'),
        (b'"exponents":[7]', b'"exponents":[201]'),
        (b'"exponents":[7]', b'"exponents":[-201]'),
        (b'"model":"0x', b'"model":"0X'),
        (b'"round":0', b'"round":[' + b"[" * 100 + b"]" * 101),
    ],
)
def test_a_beginning_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    data = BUNDLE.to_bytes()
    assert old in data
    with pytest.raises(DocumentInvalid):
        read_start(data.replace(old, new, 1))


def test_a_scale_that_no_codec_has_is_refused() -> None:
    hostile = replace(BUNDLE, after=replace(BUNDLE.after, scale=ScaleSpec((2**40,))))
    with pytest.raises(DocumentInvalid, match="scale exponent 1099511627776 must be"):
        read_start(hostile.to_bytes())
