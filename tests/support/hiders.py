"""Aggregators that publish one bundle and seal another, and what they seal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Trace
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.tracing import sealed_trace

Told = Callable[[RoundBundle], RoundBundle]
Lie = Callable[[Trace], Trace]


def nothing(bundle: RoundBundle) -> RoundBundle:
    """Change nothing."""
    return bundle


def greedy(bundle: RoundBundle) -> RoundBundle:
    """Move half of every trainer's base pay to the aggregator."""
    own = next(s for s in bundle.after.standings if s.trainer == bundle.aggregator)
    cut = {s.trainer: s.paid_base // 2 for s in bundle.after.standings if s is not own}
    cut[own.trainer] = -sum(cut.values())
    paid = tuple(replace(s, paid_base=s.paid_base - cut[s.trainer]) for s in bundle.after.standings)
    return replace(bundle, after=replace(bundle.after, standings=paid))


class Hider(Aggregator):
    """Seals trace and claims of `told` (and `lie` of that trace), and publishes `shown`, of what it found."""

    told: Told
    shown: Told | None  # None: nothing under the digest that it seals
    lie: Lie
    sealed: Trace

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        honest = self._contracts.seal_round

        def seal(task: int, number: int, _: bytes, bundle: RoundBundle, **__: Any) -> Any:
            told = self.told(bundle)
            self.sealed = self.lie(sealed_trace(self.reader, told))
            named = b"\x55" * 32
            if self.shown is not None:
                named = self.reader.store.put(self.shown(bundle).to_bytes()).digest
            return honest(task, number, named, told, trace=self.sealed.root)

        self._contracts.seal_round = seal  # type: ignore[method-assign]
