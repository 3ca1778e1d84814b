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
    values, measured = record.values, _validated(record)
    if "rows" not in values:
        return f"the model after round {record.round - 1}: {measured or 'not measured'}"
    parts = [
        f"{_losses(values)}{values['steps']} steps on {values['rows']} rows in {values['training_seconds']:.3g} s",
        "the update was clipped" if values.get("clipped") else "",
        f"it was halved {values['halvings']} times" if values.get("halvings") else "",
        f"the model before: {measured}" if measured else "",
    ]
    return f"round {record.round} trained and signed: {'; '.join(filter(None, parts))}"


def _validated(record: Record) -> str:
    values = record.values
    if "validation_rows" not in values:
        return ""
    metrics = [f"{named.label} {named.value:.4g}" for named in record if named.metric.name == "validation_metric"]
    loss = f"loss {values['validation_loss']:.4g}"
    return f"{', '.join([*metrics, loss])} on {values['validation_rows']} validation rows"


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
    if "reference_absent" in values:
        parts.append("the owner's reference is absent")
    if values.get("worth_measured") == 0:
        parts.append("worth was not measured: paid by stake")
    seconds = [f"{named.label} {named.value:.1f} s" for named in record if named.metric.name == "step_seconds"]
    return f"round {record.round} sealed: {'; '.join(parts)}{'; ' if seconds else ''}{', '.join(seconds)}"
