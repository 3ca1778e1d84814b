"""Reputation stays in bounds, always moves, and forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fl_platform.reputation.ema import MEMORY, REPUTATION_ONE, START, next_reputation


@given(st.integers(0, REPUTATION_ONE), st.booleans())
def test_bounds_and_direction(reputation: int, good: bool) -> None:
    after = next_reputation(reputation, good=good)
    assert 0 <= after <= REPUTATION_ONE
    assert after >= reputation if good else after < reputation or after == 0
    exact = reputation + ((REPUTATION_ONE if good else 0) - reputation) / MEMORY
    assert exact - 1 < after <= exact


@given(st.lists(st.booleans(), max_size=60))
def test_one_bad_round_more_never_helps(rounds: list[bool]) -> None:
    def play(history: list[bool]) -> int:
        reputation = START
        for good in history:
            reputation = next_reputation(reputation, good=good)
        return reputation

    for index, good in enumerate(rounds):
        if good:
            worse = [*rounds[:index], False, *rounds[index + 1 :]]
            assert play(worse) <= play(rounds)


def test_a_fresh_identity_has_nothing_to_lose_and_nothing() -> None:
    assert START == 0
    assert next_reputation(START, good=False) == 0


def test_half_of_a_long_record_is_gone_after_six_bad_rounds() -> None:
    reputation = REPUTATION_ONE
    for _ in range(6):
        reputation = next_reputation(reputation, good=False)
    assert REPUTATION_ONE * 4 // 10 < reputation < REPUTATION_ONE // 2
