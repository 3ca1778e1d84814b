"""The state after a round is read from the first bytes of its bundle, and is the one that all of it gives."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import RoundBundle, RoundStart, Standing, TaskState, read_start
from fl_platform.protocol.spec import ScaleSpec
from tests.adversarial.test_x_hostile_documents import BUNDLE

digests = st.binary(min_size=32, max_size=32)
scales = st.builds(
    ScaleSpec, st.integers(128, 255), st.integers(-200, 200), st.lists(st.integers(0, 4), max_size=3).map(tuple)
)
standings = st.builds(
    Standing, st.binary(min_size=20, max_size=20), st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9),
    st.integers(0, 9),
)  # fmt: skip
states = st.builds(
    TaskState, st.integers(), digests, st.lists(digests, max_size=4).map(tuple), scales, st.integers(), st.integers(),
    st.lists(standings, max_size=3).map(tuple),
)  # fmt: skip


def start_of(state: TaskState) -> RoundStart:
    return RoundStart(**{field.name: getattr(state, field.name) for field in fields(RoundStart)})


@given(states, states)
def test_it_is_the_state_after_the_round_and_not_the_one_before(before: TaskState, after: TaskState) -> None:
    data = replace(BUNDLE, before=before, after=after).to_bytes()
    assert read_start(data) == start_of(RoundBundle.from_bytes(data).after)


def test_it_takes_no_more_than_what_comes_before_the_standings() -> None:
    data = BUNDLE.to_bytes()
    end = data.index(b'"standings":[') + len(b'"standings":[')
    assert read_start(data[:end]) == start_of(BUNDLE.after)
    for cut in range(end):
        with pytest.raises(DocumentInvalid):
            read_start(data[:cut])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"after":', b'{ "after":'),
        (b'{"after":', b'{"aftes":'),
        (b'"dust":0', b'"dust":00'),
        (b'"dust":0', b'"dust":0.0'),
        (b'"dust":0', b'"dust":false'),
        (b'"dust":0', b'"dust":"0"'),
        (b'"dust":0', b'"dust":0,"dust":1'),
        (b'"dust":0,', b""),
        (b'"dust":0,', b'"dust":0,"extra":0,'),
        (b'"mantissa":128', b'"mantissa":0'),
        (b'"mantissa":128', b'"mantissa":99999999'),
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
    hostile = replace(BUNDLE, after=replace(BUNDLE.after, scale=ScaleSpec(128, 0, (2**40,))))
    with pytest.raises(DocumentInvalid, match="scale offsets"):
        read_start(hostile.to_bytes())
