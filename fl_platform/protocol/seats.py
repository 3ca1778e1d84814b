"""The seats of a task: what its accounts are counted by, from the opening on.

The listed aggregators have the seats before REFERENCE_SEAT, in their order; the party of the reference has that one;
trainers have those from FIRST_SEAT on, in the order of joining. Twins: Heads.FIRST_SEATS and IEscrow.Tenure.

Tests: tests/contracts/test_reputation.py
"""

from __future__ import annotations

REFERENCE_SEAT = 8
OWNER_SEAT = REFERENCE_SEAT  # no entry of it is paid, so its account is the owner's, who gets what rounding leaves
FIRST_SEAT = REFERENCE_SEAT + 1
