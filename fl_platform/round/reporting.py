"""What a role says of a round, as a record for `sinks`: made beside the work, sent to nobody."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fl_platform.errors import FLError
from fl_platform.judging.admit import ADMITTED, REFERENCE
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.waiting import Progress
from fl_platform.sinks.names import AGGREGATOR
from fl_platform.sinks.record import Record, Value, labelled
from fl_platform.task.reading import TaskReader
from fl_platform.task.stakes import anchor
from fl_platform.updates.model_row import saturated

if TYPE_CHECKING:
    from fl_platform.learning.evaluation import Measured
    from fl_platform.round.trainer import Trainer, TrainingReport

logger = logging.getLogger(__name__)

NAMED = 100  # absent members in a record; `absent` counts all. MLflow takes 1,000 values at once
_TIMED = ("train", "roster", "judge", "seal")


class RoundsSealed:
    """Watches an aggregator and makes one record of each round it seals."""

    def __init__(self, reader: TaskReader, *, who: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._who, self._clock = reader, who, clock
        self._refused: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._since: tuple[str, float] | None = None

    def step(self, progress: Progress) -> None:
        """Take one step of the round: an aggregator's `Watch`."""
        if progress.step == "refuse":
            self._refused[progress.detail] += 1
        elif progress.step in _TIMED:
            now = self._clock()
            if self._since is not None:
                name, start = self._since
                self._seconds[name] = self._seconds.get(name, 0.0) + now - start
            self._since = None if progress.step == "seal" else (progress.step, now)

    def record(self, sealed: SealedRound) -> Record:
        """Return what became of a round, and start counting anew."""
        bundle, judged = sealed.bundle, sealed.judgement
        members = self._reader.history().members_at_roster(bundle.round).keys()
        answered = {entry.receipt.trainer for entry in bundle.entries} & members
        codes = Counter(verdict.code for verdict in bundle.verdicts)
        refused = self._refused + Counter({c: n for c, n in codes.items() if c not in (ADMITTED, REFERENCE)})
        values: dict[str, Value] = {
            "members": len(members),
            "answered": len(answered),
            "absent": len(members - answered),
            "in_sum": codes[ADMITTED],
            "worth_measured": bundle.measured,
            "update_bytes": sum(entry.receipt.length for entry in bundle.entries),
            "sealed_bytes": len(judged.model_bytes) + len(judged.aggregate_bytes),
            "model": "0x" + bundle.after.model.hex(),
        }
        named = sorted(members - answered)[:NAMED]
        values |= {labelled("absent_member", f"0x{who.hex()}"): 1 for who in named}
        if not anchor(self._reader.spec) <= {entry.receipt.trainer for entry in bundle.entries}:
            values["reference_absent"] = 1
        values |= {labelled("refused", code): count for code, count in sorted(refused.items())}
        values |= {labelled("step_seconds", name): seconds for name, seconds in self._seconds.items()}
        ends = saturated(judged.row, self._reader.spec.model)
        values |= {labelled("model_saturated", name): count for name, count in ends.items()}
        self._refused, self._seconds = Counter(), {}
        return Record(AGGREGATOR, self._reader.task, bundle.round, values, who=self._who)


class RoundsLearned:
    """Watches a trainer and tells one record of each round it trained; what is told stays in this process."""

    def __init__(
        self, task: int, tell: Callable[[Record], None], *, role: str, who: str = "", validate: bool = False
    ) -> None:
        """`validate`: also measure the model that each round starts from, on the trainer's own validation rows."""
        self._task, self._tell, self._role, self._who, self._validate = task, tell, role, who, validate
        self.told = 0  # records so far

    def trained(self, report: TrainingReport) -> None:
        """Take one round's training: a trainer's `watch`."""
        update, encoded = report.update, report.encoded
        values: dict[str, Value] = {
            "rows": update.samples,
            "steps": update.steps,
            "training_seconds": report.seconds,
            "loss_first": update.first_loss,
            "loss_last": update.last_loss,
            "loss_mean": update.mean_loss,
            "clipped": encoded.clipped,
            "halvings": encoded.halvings,
            "saturated": encoded.saturated,
            "update_bytes": len(encoded.data),
        }
        self._say(report.round, values | self._measured(report.measure))

    def over(self, trainer: Trainer) -> None:
        """Say what the last model is worth, once the task is over; nothing where nobody measures."""
        if not self._validate:
            return
        try:
            state = trainer.reader.current_state()
        except FLError as error:
            logger.warning("the last model is not measured: %s", error)
            return
        if state.round and (values := self._measured(lambda: trainer.measure(state.model))):
            self._say(state.round, values)

    def _say(self, round_number: int, values: Mapping[str, Value]) -> None:
        self.told += 1
        self._tell(Record(self._role, self._task, round_number, values, who=self._who))

    def _measured(self, measure: Callable[[], Measured]) -> dict[str, Value]:
        if not self._validate:
            return {}
        try:
            found = measure()
        except Exception as error:  # rows and metric are the party's own code: a round must not fall with them
            self._validate = False
            logger.warning("the validation rows are not measured any more: %s", error)
            return {}
        return {
            "validation_loss": found.loss,
            labelled("validation_metric", found.metric): found.value,
            "validation_rows": found.rows,
        }
