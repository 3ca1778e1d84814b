"""What is no data to learn from is refused in words: value, row, remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fl_platform.errors import ConfigError
from fl_platform.learning.rows import (
    Collated,
    Labels,
    Refusal,
    as_tensor,
    collate,
    common_length,
    host_array,
    looked_through,
    taken,
)


def check_labels(targets: Any, classes: int) -> None:
    """Look at all targets, then hold them against so many outputs."""
    labels = Labels()
    labels.look(host_array(targets, "targets"), "targets", range(len(targets)))
    labels.require(classes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 10], "label 10 in row 2 has no output.* 10 outputs takes labels 0 to 9.*11 outputs"),
        ([3, -1, 2], "label -1 in row 1 of the targets is negative: number the classes from 0"),
        ([[3, 1], [1, -7]], "label -7 in row 1 of the targets is negative"),
    ],
)
def test_labels_without_an_output_are_refused(labels: Any, message: str) -> None:
    for targets in (np.array(labels), torch.tensor(labels), np.array(labels, dtype=np.int16)):
        with pytest.raises(ConfigError, match=message):
            check_labels(targets, 10)


@pytest.mark.parametrize(
    "labels",
    [np.array([0, 9, -100]), np.array([[0, -100], [9, 1]]), np.array([True]), np.array([2.5]), np.array([], int)],
)
def test_labels_with_an_output_and_targets_that_are_none_pass(labels: Any) -> None:
    check_labels(labels, 10)


def test_one_class_too_few_or_enough() -> None:
    check_labels(np.array([0, 3]), 4)
    with pytest.raises(ConfigError, match="label 3 in row 1"):
        check_labels(np.array([0, 3]), 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array(["cat", "dog"]), "the targets are text: encode them as numbers"),
        (np.array([b"cat"]), "the targets are text"),
        (np.array([], dtype="U3"), "the targets are text"),
        (np.array([1, None]), "the targets are object values"),
        (np.array(["2020-01-01"], dtype="M8[D]"), r"datetime64\[D\] values"),
        ([[1, 2], [3]], "no array: .*give every row the same shape"),
    ],
)
def test_what_is_no_number_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        host_array(value, "targets")


def test_a_label_that_no_int64_holds_is_refused_and_does_not_become_another() -> None:
    with pytest.raises(ConfigError, match="a label in the targets is over 9223372036854775807"):
        check_labels(np.array([0, 2**63 + 1], np.uint64), 3)


def test_no_error_shows_a_value_of_a_row() -> None:
    for what in (np.array(["Jane Doe"]), np.array([{"name": "Jane Doe"}])):
        with pytest.raises(ConfigError) as caught:
            host_array(what, "inputs")
        assert "Jane" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        common_length(np.zeros(3), np.float64(0.125))
    assert "0.125" not in str(caught.value)


def test_arrays_and_tensors_are_not_copied() -> None:
    array, tensor = np.zeros((4, 2), np.float32), torch.zeros(4, 2)
    assert host_array(array, "inputs") is array
    host_array(tensor, "inputs")[0, 0] = 5
    assert tensor[0, 0] == 5
    assert np.shares_memory(as_tensor(array).numpy(), array)
    assert host_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True), "inputs").tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (">f4", torch.float32),
        (">i8", torch.int64),
        (np.uint8, torch.uint8),
        (np.int16, torch.int16),
        (np.uint16, torch.int32),
        (np.uint32, torch.int64),
        (np.uint64, torch.int64),
        (np.longdouble, torch.float64),
        (np.float16, torch.float16),
        (np.bool_, torch.bool),
    ],
)
def test_every_number_becomes_one_that_torch_computes_with(dtype: Any, wanted: torch.dtype) -> None:
    tensor = as_tensor(np.array([[0, 1], [1, 0]], dtype=dtype)[::-1])
    assert tensor.dtype == wanted
    assert tensor.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("array", [np.arange(12).reshape(4, 3), np.arange(12).reshape(3, 4).T, np.arange(12)[::-3]])
def test_rows_are_taken_from_any_layout(array: Any) -> None:
    rows = np.array([3, 0, 3])
    assert np.array_equal(taken({"a": (array,)}, rows)["a"][0], array[rows])


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (np.zeros((3, 1)), np.zeros(2), "same number of rows, not 3 inputs, 2 targets"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, np.zeros(3), r"3 inputs\['a'\], 4 inputs\['b'\], 3 targets"),
        (np.zeros(3), np.float64(1), "the targets are one number, not rows"),
        ((), (), "not no arrays"),
    ],
)
def test_unequal_lengths_are_refused(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        common_length(inputs, targets)


@pytest.mark.parametrize("row", [0, 1234, 2999])
def test_nan_is_found_wherever_it_stands(row: int) -> None:
    x, y = np.zeros((3000, 800), np.float32), np.zeros(3000, np.int64)  # more than two blocks
    x[:, 3], x[:, 4] = np.inf, -np.inf  # infinities are no NaN, though they sum to one
    assert looked_through(x, y, 3000).largest == 0
    x[row, 7] = np.nan
    with pytest.raises(ConfigError, match=rf"inputs\['a'\] hold NaN in row {row} at \[7\]: fill the missing"):
        looked_through({"a": x}, y, 3000)
    with pytest.raises(ConfigError, match=f"targets hold NaN in row {row}"):
        looked_through(y, x[:, 7], 3000)


def test_the_largest_label_is_remembered_with_its_row() -> None:
    y = np.zeros(3_000_000, np.int8)
    y[2_500_000] = 12
    labels = looked_through(np.zeros(3_000_000, np.int8), y, 3_000_000)
    assert (labels.largest, labels.row) == (12, 2_500_000)
    with pytest.raises(ConfigError, match="label 12 in row 2500000"):
        labels.require(12)
    labels.require(13)


def test_rows_are_put_together() -> None:
    batch = collate([({"a": np.ones(2), "b": 3}, 1), [{"a": np.zeros(2), "b": 4}, 0]])
    assert isinstance(batch, Collated)
    assert batch.inputs["a"].tolist() == [[1, 1], [0, 0]]
    assert (batch.inputs["b"].tolist(), batch.targets.tolist(), batch.rows) == ([3, 4], [1, 0], 2)


def test_rows_that_may_not_be_written_to_are_put_together_without_a_warning() -> None:
    whole = np.arange(6.0).reshape(3, 2)
    whole.flags.writeable = False
    batch = collate([(row, row) for row in whole])
    assert isinstance(batch, Collated)
    assert batch.inputs.tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("rows", "place", "reason"),
    [
        ([(1, 2), {"image": 1}], 1, "a dict, but a row must be a pair"),
        ([(1, 2), (1, 2), (1,)], 2, "a tuple of 1, but"),
        ([(1, 2, 3)], 0, "a tuple of 3, but"),
        ([torch.zeros(2)], 0, "a Tensor, but"),
        (
            [(np.zeros(2), 0), (np.zeros(3), 0)],
            1,
            r"\(input \[3\], target int beside input \[2\], target int\); give .*pad",
        ),
        ([(object(), 0)], 0, "does not go together .default_collate"),
        ([({"a": 1}, 0), ({"b": 1}, 0)], 1, r"\(input\['b'\] int, .* beside input\['a'\]"),
    ],
)
def test_rows_that_do_not_go_together_say_why(rows: list[Any], place: int, reason: str) -> None:
    refusal = collate(rows)
    assert isinstance(refusal, Refusal)
    assert (refusal.place, refusal.rows) == (place, len(rows))
    with pytest.raises(ConfigError, match=reason):
        raise ConfigError(refusal.reason)
