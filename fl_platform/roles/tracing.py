"""The trace of a sealed round, as every role gets it: from chain and bundle alone."""

from __future__ import annotations

from itertools import chain, zip_longest

from fl_platform.contribution.tracing import trace_of
from fl_platform.errors import AuditDifference
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.trace import Kind, Trace
from fl_platform.roles.reading import TaskReader

NO_TRACE = bytes(32)


def sealed_trace(reader: TaskReader, bundle: RoundBundle) -> Trace:
    """Return the trace that a bundle stands for. Raises DocumentInvalid when it has none."""
    context = reader.round_context(bundle.round, bundle.aggregator)
    return trace_of(reader.spec, bundle, pot=reader.spec.money.pot if context.pot is None else context.pot)


def trace_root(reader: TaskReader, bundle: RoundBundle) -> bytes:
    """Return what a seal carries: the trace's root; zero in tasks outside integer arithmetic."""
    return sealed_trace(reader, bundle).root if reader.spec.exact else NO_TRACE


def demand_true_trace(reader: TaskReader, round_number: int) -> None:
    """Raise AuditDifference when the round before was sealed with a trace that its own bundle does not have.

    What that seal hands on is known to its liar only: whoever builds on it can be made to lose its own bond.
    """
    seal = reader.history().rounds[round_number - 1].seal if round_number else None
    if seal is not None and trace_root(reader, reader.bundle(round_number - 1)) != seal.trace:
        raise AuditDifference(
            f"round {round_number - 1} of task {reader.task} was sealed with trace 0x{seal.trace.hex()}, not its "
            f"bundle's; rostering on it risks the bond: dispute that seal first (`fl-platform watch`)"
        )


def all_places(trace: Trace) -> list[tuple[Kind, int]]:
    """Every leaf that a question starts from."""
    kinds = (Kind.ROUND, Kind.STANDING, Kind.ENTRY, Kind.RULES)
    return list(chain.from_iterable([(kind, i) for i in range(len(trace.leaves[kind]))] for kind in kinds))


def differing(trace: Trace, honest: Trace) -> list[tuple[Kind, int]]:
    """Leaves that are not the recomputed ones: entries first, for what is wrong there is wrong in all that follows."""
    found = []
    for kind in (Kind.RULES, Kind.ENTRY, Kind.STANDING, Kind.ROUND):
        pairs = zip_longest(trace.leaves[kind], honest.leaves[kind])
        found += [(kind, i) for i, (told, right) in enumerate(pairs) if told != right and told is not None]
    return found
