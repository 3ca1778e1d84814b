"""Every value that a record may hold: name, label, unit, who writes it. docs/METRICS.md is written from this table.

Tests: tests/unit/sinks/test_record.py
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINER, REFERENCE, AGGREGATOR = "trainer", "reference", "aggregator"
LEARNERS = (TRAINER, REFERENCE)


@dataclass(frozen=True)
class Metric:
    """One kind of value."""

    name: str
    unit: str
    roles: tuple[str, ...]
    about: str
    label: str = ""  # what stands in brackets behind the name, as in refused[NotSelected]; empty: nothing does
    text: bool = False  # a string: in JSONL only, the others hold numbers


_MODEL_BEFORE = "of the model that the round starts from, on this party's validation rows"

_ALL = (
    Metric("rows", "rows", LEARNERS, "rows learned from"),
    Metric("steps", "steps", LEARNERS, "optimizer steps"),
    Metric("training_seconds", "seconds", LEARNERS, "wall time of local training, without encoding"),
    Metric("loss_first", "the loss's", LEARNERS, "mean training loss of the first ten steps: about the parent model's"),
    Metric("loss_last", "the loss's", LEARNERS, "mean training loss of the last ten steps"),
    Metric("loss_mean", "the loss's", LEARNERS, "mean training loss of all steps"),
    Metric("validation_loss", "the loss's", LEARNERS, f"loss {_MODEL_BEFORE}"),
    Metric("validation_metric", "the metric's", LEARNERS, f"the task's metric {_MODEL_BEFORE}", "metric"),
    Metric("validation_rows", "rows", LEARNERS, "validation rows measured"),
    Metric("clipped", "0 or 1", LEARNERS, "whether the length clip shortened the update"),
    Metric("halvings", "times", LEARNERS, "how often the update was halved to keep saturation in bounds"),
    Metric("saturated", "coordinates", LEARNERS, "coordinates cut off at the largest integer"),
    Metric("update_bytes", "bytes", (*LEARNERS, AGGREGATOR), "the update; at the aggregator all that it was given"),
    Metric("members", "trainers", (AGGREGATOR,), "members of the task when the roster closed"),
    Metric("answered", "trainers", (AGGREGATOR,), "members with a receipt in the round"),
    Metric("absent", "trainers", (AGGREGATOR,), "members without one"),
    Metric("absent_member", "1", (AGGREGATOR,), "each of them by address, 100 at most", "member"),
    Metric("reference_absent", "1", (AGGREGATOR,), "there where the owner's reference did not answer"),
    Metric("refused", "updates", (AGGREGATOR,), "answers refused on arrival, updates not in the sum, by code", "code"),
    Metric("in_sum", "updates", (AGGREGATOR,), "updates in the sum"),
    Metric("worth_measured", "0 or 1", (AGGREGATOR,), "whether worth was measured; 0: the round is paid by stake"),
    Metric("step_seconds", "seconds", (AGGREGATOR,), "wall time of train, roster and judge, see below", "step"),
    Metric("sealed_bytes", "bytes", (AGGREGATOR,), "model and sums put into the store"),
    Metric("model", "digest", (AGGREGATOR,), "of the new model", text=True),
    Metric(
        "model_saturated", "parameters", (AGGREGATOR,), "at the end of their range, by tensor; none: left out", "tensor"
    ),
)
METRICS = {metric.name: metric for metric in _ALL}
