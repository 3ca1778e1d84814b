"""Leave-one-out on committed rows, through the judge: a real linear classifier and its counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fl_platform.judging.validation import RevealedRow, ValidationRow, commit_rows, reveal_slice
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates.tensors import Tensors
from tests.support.rounds import Round, address_of, anchored_spec, build_round


def utility(model: Tensors, rows: Sequence[RevealedRow]) -> int:
    """Count rows that a 3-class linear model on 4 features gets right (a row is 4 signed bytes and a label)."""
    right = 0
    for row in rows:
        features = np.frombuffer(row.row.data[:4], dtype=np.int8).astype(np.float64)
        logits = model["weight"].astype(np.float64) @ features + model["bias"].astype(np.float64)
        right += int(np.argmax(logits)) == row.row.data[4]
    return right


def data_rows() -> list[ValidationRow]:
    """Class k has feature k large."""
    rng = np.random.default_rng(3)
    rows = []
    for index in range(60):
        label = index % 3
        features = rng.integers(-10, 10, 4).astype(np.int8)
        features[label] += 60
        rows.append(ValidationRow(rng.bytes(32), features.tobytes() + bytes([label])))
    return rows


def learner(classes: Sequence[int]) -> np.ndarray:
    """An update that teaches these classes."""
    weight = np.zeros((3, 4), dtype=np.int8)
    for label in classes:
        weight[label, label] = 8
    return np.concatenate([weight.reshape(-1), np.zeros(3, dtype=np.int8)])


def round_with(updates: Sequence[np.ndarray], number: int = 0) -> Round:
    rows = data_rows()
    spec: TaskSpec = anchored_spec()
    worth = replace(spec.worth, kind="leave-one-out", validation_root=commit_rows(rows), validation_slices=4)
    spec = replace(spec, worth=worth)
    round_ = build_round(spec, list(updates), reference=None)
    round_.extra = {"validation": reveal_slice(rows, slices=4, number=number), "utility": utility}
    return round_


def scores(round_: Round) -> dict[int, int]:
    judgement = round_.judge()
    assert judgement.measured
    return {n: next(v.score for v in judgement.verdicts if v.trainer == address_of(n)) for n in range(1, 5)}


def test_who_teaches_more_earns_more_and_harm_is_negative() -> None:
    """1 alone knows class 0; 2 and 3 both know class 1; 4 teaches class 2 as class 1."""
    wrong = np.zeros((3, 4), dtype=np.int8)
    wrong[1, 2] = 8
    found = scores(round_with([learner([0]), learner([1]), learner([1, 2]), np.append(wrong.reshape(-1), [0, 0, 0])]))
    assert found[1] > 0
    assert found[3] > found[2]
    assert found[4] < 0 < found[3]


def test_copies_leave_together_and_share() -> None:
    alone = scores(round_with([learner([0]), learner([1]), learner([2]), learner([1, 2])]))
    copied = scores(round_with([learner([0]), learner([0]), learner([1]), learner([2])]))
    assert copied[1] == copied[2]
    assert copied[1] + copied[2] <= alone[1] + 1
    assert copied[1] > 0


def test_no_reveal_no_measure() -> None:
    round_ = round_with([learner([0]), learner([1]), learner([2]), learner([1, 2])])
    wrong_slice = round_with([learner([0])] * 4, number=1).extra["validation"]
    for validation in ((), wrong_slice, round_.extra["validation"][:-1]):
        round_.extra = {"validation": validation, "utility": utility}
        judgement = round_.judge()
        assert not judgement.measured
        assert sum(judgement.split.base) > 0
        assert all(v.score == 0 for v in judgement.verdicts)
