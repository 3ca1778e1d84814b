"""What a party's own code raises comes out as one line of ours: which method, on what, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError, DocumentInvalid, FLError, TaskCodeError
from fl_platform.learning.batches import Batch
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.evaluation import measure
from fl_platform.learning.metrics import Metric
from fl_platform.learning.own_code import described, own_code
from fl_platform.learning.parameters import initial_state
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import HandTask, LearningTask
from fl_platform.learning.train import train_locally

PLAN = TrainPlan(epochs=1, batch_size=8, learning_rate=0.1)
GOOD = Labelled(np.zeros((20, 4), np.float32), np.arange(20) % 3)


def linear() -> nn.Module:
    return nn.Linear(4, 3)


@dataclass
class Own(LearningTask):
    """A task of which each method may be replaced."""

    rows: Any = field(default_factory=lambda: GOOD)
    make: Callable[[], nn.Module] = linear

    def model(self) -> nn.Module:
        return self.make()

    def train_data(self) -> Any:
        return self.rows() if callable(self.rows) else self.rows

    def validation_data(self) -> Any:
        return self.train_data()


def learn(task: LearningTask) -> None:
    train_locally(task, initial_state(linear, seed=1), plan=PLAN, seed=1)


def unopened() -> Labelled:
    raise FileNotFoundError("rows.csv not found.")  # numpy's words, without an error number


class Nothing(torch.utils.data.IterableDataset[object]):
    """A stream that ends at once."""

    def __iter__(self) -> Iterator[object]:
        return iter(())


class Frame:
    """What is known of a Pandas frame without Pandas."""

    iloc = None


def missing() -> Labelled:
    return Labelled(*np.load("/nowhere/rows.npz"))


class LosesAll(Own):
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise KeyError("weights")


class LosesEach(Own):
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets, reduction="none")


class LosesNumbers(Own):
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets).item()  # type: ignore[return-value]


class Detached(Own):
    def training_step(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        return self.loss(module(batch.inputs).detach(), batch.targets)


class Overwrites(Own):
    def training_step(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        outputs = torch.sigmoid(module(batch.inputs))
        twice = outputs * 2
        outputs += 1
        return self.loss(twice, batch.targets)


class StepsWrong(Own):
    def training_step(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        return self.loss(module(batch.inputs["image"]), batch.targets)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (Own(rows=missing), r"Own\.train_data raised FileNotFoundError.*at test_own_code\.py:\d+.*correct it"),
        (Own(rows=unopened), r"Own\.train_data raised FileNotFoundError: rows\.csv not found\..*Path\(__file__\)"),
        (Own(rows=iter([GOOD])), r"Own\.train_data: a list_iterator is no data set that can be read twice"),
        (Own(rows=Frame()), r"Own\.train_data: a Frame .*sources\.from_frame"),
        (Own(rows=7), r"Own\.train_data: int is no data set"),
        (Own(rows=(GOOD.x,)), r"Own\.train_data: .*no data set"),
        (Own(rows=Labelled(GOOD.x, GOOD.y + 1)), r"Own\.train_data: label 3 .*3 outputs.*number the classes from 0"),
        (Own(rows=Labelled(GOOD.x, GOOD.y - 1)), r"Own\.train_data: label -1 in row 0"),
        (Own(rows=(GOOD.x, np.array(["a"] * 20))), r"Own\.train_data: "),
        (Own(make=lambda: 3), r"Own\.model returned a int; return a torch\.nn\.Module"),  # type: ignore[arg-type, return-value]
        (Own(rows=(np.zeros((20, 5), np.float32), GOOD.y)), r"Own\.training_step .*\(8, 5\) float32.*first layer"),
        (LosesAll(), r"LosesAll\.training_step raised KeyError: 'weights'; at test_own_code\.py:\d+; given \(8, 4\)"),
        (LosesEach(), r"LosesEach\.training_step raised ValueError: the loss has shape \(8,\).*take the mean"),
        (LosesNumbers(), r"LosesNumbers\.training_step raised .*the loss is a float: return the tensor"),
        (Detached(), r"Detached\.training_step raised .*given \(8, 4\) float32.*leave out detach"),
        (Overwrites(), r"Overwrites\.training_step raised .*leave out inplace=True"),
        (Own(rows=(GOOD.x, GOOD.y.astype(np.float32))), r"Own\.training_step .*class labels are whole numbers"),
        (Own(rows=(GOOD.x.astype(np.uint8), GOOD.y)), r"Own\.training_step .*give inputs and model one dtype"),
        (StepsWrong(), r"StepsWrong\.training_step raised .*given \(8, 4\) float32, \(8,\) int64"),
    ],
)
def test_each_method_is_named_with_what_it_was_given_and_what_to_do(task: LearningTask, says: str) -> None:
    with pytest.raises(TaskCodeError, match=says) as caught:
        learn(task)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_failing_metric_is_named_too() -> None:
    class Broken(Own):
        def metric(self) -> Metric:
            raise ZeroDivisionError("no classes")

    with pytest.raises(TaskCodeError, match=r"Broken\.metric raised ZeroDivisionError: no classes"):
        measure(Broken(), initial_state(linear, seed=1))

    class NoMetric(Own):
        def metric(self) -> Metric:
            return 0.5  # type: ignore[return-value]

    with pytest.raises(TaskCodeError, match=r"NoMetric\.metric raised TypeError: this is a float: return a metrics\.M"):
        measure(NoMetric(), initial_state(linear, seed=1))


class Divides(Metric):
    name = "share"

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        pass

    def value(self) -> float:
        return 1 / 0


class Nameless(Metric):
    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        pass

    def value(self) -> float:
        return 1.0


@pytest.mark.parametrize(("metric", "says"), [(Divides, "ZeroDivisionError"), (Nameless, "AttributeError.*'name'")])
def test_what_a_metric_comes_to_is_the_partys_own_too(metric: type[Metric], says: str) -> None:
    class Counts(Own):
        def metric(self) -> Metric:
            return metric()

    with pytest.raises(TaskCodeError, match=rf"Counts\.metric raised {says}"):
        measure(Counts(), initial_state(linear, seed=1))


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def test_a_model_that_fails_while_its_statistics_are_estimated_is_named() -> None:
    task = Own(rows=(np.zeros((20, 6), np.float32), GOOD.y), make=normed)
    with pytest.raises(TaskCodeError, match=r"Own\.model raised .*given \(\(20, 6\) float32\); .*first layer"):
        measure(task, initial_state(normed, seed=1))


@dataclass
class Held(Own):
    """Good rows to learn from, any to validate on."""

    held: Any = None

    def validation_data(self) -> Any:
        return self.held


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Labelled(GOOD.x, GOOD.y + 5), "label 7 in row 2 has no output: a model of 3 outputs"),
        (torch.utils.data.TensorDataset(torch.full((4, 4), torch.nan), torch.zeros(4)), "NaN in row 0"),
        (list(zip(np.full((4, 4), np.nan), range(4), strict=True)), "NaN in row 0"),
        ([{"x": 1, "y": 2}], "row 0 of list: a dict, but a row must be a pair"),
        (Nothing(), "gave no rows"),
    ],
)
def test_bad_rows_are_of_the_method_that_returned_them(held: Any, says: str) -> None:
    with pytest.raises(TaskCodeError, match=rf"^Held\.validation_data: .*{says}"):
        measure(Held(held=held), initial_state(linear, seed=1))


def test_outputs_and_targets_of_tokens_are_held_against_each_other_before_their_labels() -> None:
    def tokens() -> nn.Module:
        return nn.Sequential(nn.Embedding(30, 4), nn.Linear(4, 30))

    ids = np.arange(60).reshape(5, 12) % 30
    task = Own(rows=Labelled(ids, ids), make=tokens)
    with pytest.raises(TaskCodeError, match=r"\(5, 12, 30\) float32 for targets \(5, 12\) int64.*token_cross_entropy"):
        train_locally(task, initial_state(tokens, seed=1), plan=PLAN, seed=1)


def test_a_task_inside_one_of_ours_is_called_by_its_own_name() -> None:
    with pytest.raises(TaskCodeError, match=r"^Own\.train_data: label 3 .*has no output"):
        learn(HandTask(Own(), Labelled(GOOD.x, GOOD.y + 1)))
    with pytest.raises(TaskCodeError, match=r"^Detached\.training_step raised"):
        learn(HandTask(Detached(), GOOD))


class Thaws(nn.Linear):
    """Learns its bias from the second batch on."""

    def __init__(self, *, before: bool, after: bool) -> None:
        super().__init__(4, 3)
        self.bias.requires_grad_(before)
        self.after = after

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        scores = super().forward(rows)
        self.bias.requires_grad_(self.after)
        return scores


@pytest.mark.parametrize("before", [True, False])
def test_a_model_that_freezes_or_unfreezes_as_it_goes_is_refused_in_its_first_round(*, before: bool) -> None:
    task = Own(make=lambda: Thaws(before=before, after=not before))
    with pytest.raises(TaskCodeError, match=r"Own\.model changes what it learns .*'bias' .*decide it in model\(\)"):
        train_locally(task, initial_state(task.make, seed=1), plan=PLAN, seed=1)


def test_a_data_set_that_breaks_half_way_is_named() -> None:
    class Rows(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            if index == 13:
                raise OSError("row 13 is damaged")
            return torch.zeros(4), index % 3

    with pytest.raises(TaskCodeError, match=r"Own\.train_data raised OSError: row 13 is damaged"):
        learn(Own(rows=Rows()))


class Length(torch.utils.data.Dataset[Any]):
    """A data set that fails in one of its methods."""

    def __init__(self, length: Any = 20, row: type[Exception] | None = None, together: int | None = None) -> None:
        self.length, self.row = length, row
        if together is not None:
            self.__getitems__ = lambda numbers: [self[0]] * together

    def __len__(self) -> int:
        if self.length is None:
            raise LookupError("nobody counted")
        return int(self.length)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if self.row is not None and index == 13:
            raise self.row("no more")
        return torch.zeros(4), 0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (Length(None), "raised LookupError: nobody counted; at test_own_code"),
        (Length(row=StopIteration), "raised RuntimeError: StopIteration"),  # would drop the rest of its batch
        (Length(together=5), "raised ValueError: __getitems__ returned 5 rows for 8 numbers"),
        ((np.ma.masked_equal(GOOD.x, 0), GOOD.y), ": the inputs hold masked values"),
    ],
)
def test_no_row_is_left_out_in_silence(rows: Any, says: str) -> None:
    with pytest.raises(TaskCodeError, match=rf"^Own\.train_data ?{says}"):
        learn(Own(rows=rows))


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match="as it is") as caught, own_code(object(), "loss"):
        raise ConfigError("as it is")
    assert type(caught.value) is ConfigError


def test_what_rejects_ones_own_files_is_ones_own_codes() -> None:
    """RejectedInput is answered to whoever sent the order, text and all."""
    with pytest.raises(TaskCodeError, match=r"object\.train_data raised DocumentInvalid: ward 7"), own_code(
        object(), "train_data"
    ):
        raise DocumentInvalid("ward 7, patients.csv: label 3")


def test_a_stop_is_no_failure_of_the_partys_code() -> None:
    with pytest.raises(KeyboardInterrupt), own_code(object(), "loss"):
        raise KeyboardInterrupt


def test_an_exit_is_one_and_ends_no_thread_without_a_word() -> None:
    with pytest.raises(TaskCodeError, match=r"object\.train_data raised SystemExit: 3"), own_code(
        object(), "train_data"
    ):
        raise SystemExit(3)


def test_values_are_never_shown_and_a_long_text_is_cut() -> None:
    assert described({"ids": torch.zeros(2, 3, dtype=torch.int64)}) == "{'ids': (2, 3) int64}"
    with pytest.raises(FLError) as caught, own_code(object(), "loss", np.full(3, 0.123456)):
        raise RuntimeError("x" * 10_000 + "\nmore")
    assert "0.123456" not in str(caught.value)
    assert len(str(caught.value)) < 600
