"""One clear line a round, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from fl_platform.sinks.names import AGGREGATOR
from fl_platform.sinks.record import Record, Value

SHOWN = 3  # absent members named in a line


def line_of(record: Record) -> str:
    """Return a record in words."""
    return _sealed(record) if record.role == AGGREGATOR else _learned(record)


def _learned(record: Record) -> str:
    values = record.values
    parts = []
    if "rows" in values:
        seconds = f" in {values['training_seconds']:.3g} s" if "training_seconds" in values else ""
        parts.append(f"{_losses(values)}{values['steps']} steps on {values['rows']} rows{seconds}")
    if values.get("clipped"):
        parts.append("the update was clipped")
    if values.get("halvings"):
        parts.append(f"the update was halved {values['halvings']} times")
    if values.get("validation_rows"):
        measured = [f"{n.label} {n.value:.4g}" for n in record if n.metric.name == "validation_metric"]
        measured += [f"loss {values['validation_loss']:.4g}"] if "validation_loss" in values else []
        parts.append(f"the model it starts from: {', '.join(measured)} on {values['validation_rows']} validation rows")
    return f"round {record.round}: {'; '.join(parts) or 'nothing to report'}"


def _losses(values: Mapping[str, Value]) -> str:
    if "loss_first" in values and "loss_last" in values:
        return f"loss {values['loss_first']:.4g} -> {values['loss_last']:.4g}, "
    return f"loss {values['loss_mean']:.4g}, " if "loss_mean" in values else ""


def _sealed(record: Record) -> str:
    values = record.values
    parts = [f"{values['in_sum']} in the sum", f"{values['answered']} of {values['members']} members answered"]
    absent = [named.label for named in record if named.metric.name == "absent_member"]
    if absent:
        more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        parts.append(f"absent {', '.join(absent[:SHOWN])}{more}")
    parts += [f"{named.value} {named.label}" for named in record if named.metric.name == "refused"]
    if values.get("worth_measured") == 0:
        parts.append("worth was not measured: paid by stake")
    seconds = [f"{named.label} {named.value:.1f} s" for named in record if named.metric.name == "step_seconds"]
    return f"round {record.round} sealed: {'; '.join(parts)}{'; ' if seconds else ''}{', '.join(seconds)}"
