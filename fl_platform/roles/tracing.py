"""The trace of a sealed round, as every role gets it: from chain and bundle alone."""

from __future__ import annotations

from fl_platform.contribution.tracing import trace_of
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Trace
from fl_platform.roles.reading import TaskReader

NO_TRACE = bytes(32)


def sealed_trace(reader: TaskReader, bundle: RoundBundle) -> Trace:
    """Return the trace that a bundle stands for. Raises DocumentInvalid when it has none."""
    context = reader.round_context(bundle.round, bundle.aggregator)
    return trace_of(reader.spec, bundle, pot=reader.spec.money.pot if context.pot is None else context.pot)


def trace_root(reader: TaskReader, bundle: RoundBundle) -> bytes:
    """Return what a seal carries: the trace's root; zero in tasks outside integer arithmetic."""
    return sealed_trace(reader, bundle).root if reader.spec.exact else NO_TRACE
