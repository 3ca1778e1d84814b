"""Aggregators that seal what they know to be false: they do not ask first whether it would be found out."""

from __future__ import annotations

from fl_platform.roles.aggregator import Aggregator, SealedRound


class Liar(Aggregator):
    """Seals whatever its bundle says."""

    def _question(self, sealed: SealedRound) -> None:
        """Send it unasked."""
