"""Complaints: when who said that an update is not to be had, kept as it was first said."""

from __future__ import annotations

from tests.support.bound_rounds import referee_world
from tests.support.evm import account

RECEIPT, OTHER = b"\x01" * 32, b"\x02" * 32
WITNESSES = tuple(account(f"witness {i}") for i in range(3))


def test_what_was_said_first_keeps_its_time_and_counts_from_then_on() -> None:
    world = referee_world()
    first = world.evm.now
    done = world.complaints.send(WITNESSES[0], "complain", 1, 0, [RECEIPT])
    assert done.event("Complained") == {
        "task": 1, "round": 0, "witness": WITNESSES[0].address, "receipts": (RECEIPT,),
    }  # fmt: skip
    world.wait(first + 10)
    world.complaints.send(WITNESSES[0], "complain", 1, 0, [RECEIPT, OTHER])
    world.complaints.send(WITNESSES[1], "complain", 1, 0, [RECEIPT])
    asked = [who.address for who in WITNESSES]
    counts = [world.complaints.call("countOf", RECEIPT, asked, at) for at in (first - 1, first, first + 9, first + 10)]
    assert counts == [0, 1, 1, 2]
    assert world.complaints.call("complainedAt", RECEIPT, WITNESSES[0].address) == first
    assert world.complaints.call("complainedAt", OTHER, WITNESSES[0].address) == first + 10
    assert world.complaints.call("complainedAt", RECEIPT, WITNESSES[2].address) == 0
    assert world.complaints.call("countOf", RECEIPT, [], first + 10) == 0
