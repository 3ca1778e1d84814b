"""How an aggregator behaves where nobody looks: between judging a round and sealing it. Attacks come in here alone.

Tests: tests/adversarial/test_a08_lying_aggregator.py
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_platform.judging.judge import Judgement
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.task.reading import TaskReader


class AggregatorConduct:
    """Honest: it seals what it judged, and publishes what it sealed."""

    def judge(
        self, reader: TaskReader, round_number: int, aggregator: bytes, entries: Sequence[Entry], honest: Judgement
    ) -> Judgement:
        """Return what is sealed of a judgement; `aggregator`: address of who seals, 20 bytes."""
        return honest

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        """Return the bundle that goes into the store, whose digest is sealed."""
        return bundle
