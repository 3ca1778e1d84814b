"""How a person reads which round is meant: rounds are numbered from 0, as in the contracts, the files and every
command's arguments; how many there are, or how many are done, is a count.
"""

from __future__ import annotations


def name_round(number: int) -> str:
    """Name a round, as in "round 0" for a task's first one."""
    return f"round {number}"


def at_round(number: int, rounds: int) -> str:
    """Say where a task of `rounds` rounds stands that works on round `number`, or has ended before it."""
    if number >= rounds:
        return f"{rounds} of {rounds} rounds"
    return f"{name_round(number)} ({number} of {rounds} done)"
