"""Who is missing, and the chain's time between its blocks."""

from __future__ import annotations

import pytest

from fl_platform.errors import RpcUnavailable
from fl_platform.round.waiting import LOOK_S, BlockClock, Waiting, margin, span

ALICE, BOB = b"\x01" * 20, b"\x02" * 20


class Chain:
    """A chain and a clock here, set by hand."""

    def __init__(self) -> None:
        self.here, self.block, self.fails, self.looks = 0.0, 1_000, False, 0

    def next_time(self) -> int:
        """Return the time of the next block."""
        self.looks += 1
        if self.fails:
            raise RpcUnavailable("gone")
        return self.block


def test_time_goes_on_between_blocks_and_never_back() -> None:
    chain = Chain()
    clock = BlockClock(chain.next_time, passing=lambda: chain.here)
    assert (clock(), chain.looks) == (1_000.0, 1)
    chain.here = LOOK_S / 2
    assert (clock(), chain.looks) == (1_000 + LOOK_S / 2, 1)
    chain.here = LOOK_S
    assert (clock(), chain.looks) == (1_000 + LOOK_S, 2)  # no new block: reckoned on
    chain.here, chain.block = 2 * LOOK_S, 1_500  # somebody moved a development chain's clock
    assert clock() == 1_500.0
    chain.here, chain.block = 3 * LOOK_S, 1_400  # a reorganisation
    assert clock() == 1_500 + LOOK_S


def test_a_chain_that_does_not_answer_is_reckoned_on() -> None:
    chain = Chain()
    clock = BlockClock(chain.next_time, passing=lambda: chain.here)
    clock()
    chain.fails, chain.here = True, 5 * LOOK_S
    assert clock() == 1_000 + 5 * LOOK_S


def test_who_is_missing_follows_the_answers_and_the_chain() -> None:
    now, members, answered = [0.0], {ALICE}, set[bytes]()
    waiting = Waiting(lambda: frozenset(members), answered, until=lambda: 100.0, clock=lambda: now[0])
    assert (waiting.missing(), waiting.left()) == ({ALICE}, 100.0)
    answered.add(ALICE)
    assert (waiting.missing(), waiting.left()) == (frozenset(), 0.0)
    members.add(BOB)
    now[0] = LOOK_S  # then the chain is looked at again
    assert (waiting.left(), waiting.missing()) == (100 - LOOK_S, {BOB})
    now[0] = 101.0
    assert waiting.left() == 0.0


def test_members_that_cannot_be_read_now_stay_those_read_before() -> None:
    now, fails = [0.0], [False]

    def members() -> frozenset[bytes]:
        if fails[0]:
            raise RpcUnavailable("gone")
        return frozenset({ALICE})

    waiting = Waiting(members, (), until=lambda: 100.0, clock=lambda: now[0])
    now[0], fails[0] = LOOK_S, True
    assert (waiting.left(), waiting.missing()) == (100 - LOOK_S, {ALICE})


@pytest.mark.parametrize(("window", "seconds"), [(3600, 180), (900, 45), (120, 30), (40, 20), (10, 5)])
def test_the_margin_before_a_deadline(window: float, seconds: float) -> None:
    assert margin(window) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(660, "in 11 min"), (120, "in 2 min"), (119, "in 119 s"), (1, "in 1 s"), (0, "now"), (-5, "now")],
)
def test_when_something_is_due(seconds: float, text: str) -> None:
    assert span(seconds) == text
