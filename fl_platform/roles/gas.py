"""What the calls of a task's parties cost in gas, as gas-snapshot.json has it: a test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping

GAS: Mapping[str, int] = {
    "open": 325_339, "join": 109_367, "roster": 38_478, "seal": 41_481, "claim": 53_900, "withdraw": 45_865,
}  # fmt: skip
