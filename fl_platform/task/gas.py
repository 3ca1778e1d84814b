"""What the calls of a task's parties cost in gas, as gas-snapshot.json has it: a test holds the two together.

Tests: tests/unit/round/test_checking.py
"""

from __future__ import annotations

from collections.abc import Mapping

GAS: Mapping[str, int] = {
    "open": 325_432, "join": 109_743, "roster": 38_456, "seal": 41_328, "claim": 53_148, "withdraw": 45_873,
}  # fmt: skip
