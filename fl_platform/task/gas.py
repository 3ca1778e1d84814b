"""What the calls of a task's parties cost in gas, as gas-snapshot.json has it: a test holds the two together.

Tests: tests/unit/round/test_checking.py
"""

from __future__ import annotations

from collections.abc import Mapping

GAS: Mapping[str, int] = {
    "open": 325_713, "join": 109_817, "roster": 38_474, "seal": 41_334, "claim": 53_268, "withdraw": 45_885,
}  # fmt: skip
