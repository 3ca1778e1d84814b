"""Reputation: an exponential moving average of "handed in, admitted, and worth something", in integers.

    rep' = rep + floor((target - rep) / 8),   target = REPUTATION_ONE for good work, 0 otherwise

rounded so that it stays within [0, REPUTATION_ONE] and a bad round always costs something. It changes with a final
round only, and only for those on the round's roster. Six bad rounds undo half of what a long record built.
"""

from __future__ import annotations

REPUTATION_ONE = 10**6
START = 0  # a fresh identity has no record: nothing is gained by leaving and coming back
MEMORY = 8  # rounds


def next_reputation(reputation: int, *, good: bool) -> int:
    """Return the reputation after one round on the roster; `reputation` in 0 .. REPUTATION_ONE.

    Gains round down, losses round up (in size): floor division does both.
    """
    target = REPUTATION_ONE if good else 0
    return reputation + (target - reputation) // MEMORY
