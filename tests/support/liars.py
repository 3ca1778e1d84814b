"""Aggregators that seal what they know to be false."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.cli.demo.lying import LyingAggregator
from fl_platform.judging.judge import Judgement
from fl_platform.protocol.bundle import Entry, RoundBundle


def telling(lie: str, *, when: int = 0) -> type[LyingAggregator]:
    """Return an aggregator that tells one of `attacks.lying.LIES` in round `when`."""
    return type("Liar", (LyingAggregator,), {"lie": lie, "when": when})


class Hiding(LyingAggregator):
    """Publishes a bundle of other cells than it seals in round `when`: of its tape nobody knows but the root."""

    told: RoundBundle | None = None  # what it would have published

    def _bundle(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> RoundBundle:
        bundle = super()._bundle(round_number, entries, judged, validation)
        if round_number != self.when:
            return bundle
        self.told = bundle
        number = next(i for i, cells in enumerate(bundle.columns) if len(cells) == len(entries))
        other = (bundle.columns[number][0] + 1, *bundle.columns[number][1:])
        return replace(bundle, columns=(*bundle.columns[:number], other, *bundle.columns[number + 1 :]))


def hiding(lie: str) -> type[Hiding]:
    """Return an aggregator that tells a lie and hides it."""
    return type("HidingLiar", (Hiding,), {"lie": lie})


class HidesTheTruth(Hiding):
    """Does so about an honest tape."""

    def _judge(self, *arguments: object) -> Judgement:
        return super(LyingAggregator, self)._judge(*arguments)  # type: ignore[arg-type]
