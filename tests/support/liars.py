"""Aggregators that seal what they know to be false: they do not ask first whether it would be found out."""

from __future__ import annotations

from fl_platform.attacks.lying import bend_sums
from fl_platform.contribution.judge import Judgement
from fl_platform.protocol.bundle import Entry
from fl_platform.roles.aggregator import Aggregator, SealedRound


class Liar(Aggregator):
    """Seals whatever its bundle says."""

    def _question(self, sealed: SealedRound) -> None:
        """Send it unasked."""


class SumsBent(Aggregator):
    """Gets one coordinate of the sums wrong by one, and takes the model from them: by mistake, it asks all the same."""

    def _store(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> SealedRound:
        before = self.reader.current_state()
        bent = bend_sums(self.reader.spec, before, self.reader.model(before.model), judged)
        return super()._store(round_number, entries, bent, validation)


class BendsSums(Liar, SumsBent):
    """Does the same on purpose."""
