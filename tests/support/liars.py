"""Aggregators that seal what they know to be false."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.attacks.lying import Lying
from fl_platform.protocol.bundle import RoundBundle


class Hiding(Lying):
    """Publishes a bundle of other cells than it seals in round `when`: of its tape nobody knows but the root."""

    told: RoundBundle | None = None  # what it would have published

    def publish(self, bundle: RoundBundle) -> RoundBundle:
        """Change a cell of what is published, and keep what was not."""
        if bundle.round != self.when:
            return bundle
        self.told = bundle
        number = next(i for i, cells in enumerate(bundle.columns) if len(cells) == len(bundle.entries))
        other = (bundle.columns[number][0] + 1, *bundle.columns[number][1:])
        return replace(bundle, columns=(*bundle.columns[:number], other, *bundle.columns[number + 1 :]))
