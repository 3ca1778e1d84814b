"""What the calls of a task's parties cost in gas, as gas-snapshot.json has it: a test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping

GAS: Mapping[str, int] = {
    "open": 323_747, "join": 83_834, "roster": 38_167, "seal": 41_701, "claim": 53_903, "withdraw": 45_843,
}  # fmt: skip
