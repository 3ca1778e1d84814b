"""A28: screening ranks as exact arithmetic does; Krum's float32 formula on whole weights does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.spec import CodecRule
from fl_platform.protocol.tape import Tape
from fl_platform.updates.tensors import Integers
from tests.support.rounds import address_of, anchored_spec, build_round

SIZE, PEOPLE, BYZANTINE = 100_000, 10, 2
MODEL = ModelSpec("m", (TensorSpec("w", (SIZE,)),))


def nearest(distances: np.ndarray) -> list[int]:
    """Krum's scores: for each of n updates the sum of its n - f - 2 least distances to others."""
    return [int(np.sort(np.delete(row, i))[: PEOPLE - BYZANTINE - 2].sum()) for i, row in enumerate(distances)]


def direct(rows: list[Integers]) -> np.ndarray:
    """Squared distances in 64-bit integers, taken from the differences themselves."""
    wide = [row.astype(np.int64) for row in rows]
    return np.array([[int(((a - b) ** 2).sum()) for b in wide] for a in wide], dtype=object)


def judged(rows: list[Integers], byzantine: int = BYZANTINE) -> tuple[Tape, list[int]]:
    """Judge a round of these updates by multi-Krum; return its tape and each trainer's place among the entries."""
    base = anchored_spec(model=MODEL, codec=CodecRule(8, "nearest", ScaleSpec((-5,))))
    rule = replace(base.aggregation, selection="multi-krum", byzantine=byzantine, floor_bps=0, reject_bps=1_000_000)
    worth = replace(base.worth, kind="equal", shares=False)
    made = build_round(replace(base, aggregation=rule, worth=worth), rows, reference=None)
    owners = [entry.receipt.trainer for entry in made.entries]
    return made.judge().tape, [owners.index(address_of(number)) for number in range(1, len(rows) + 1)]


def test_exact_where_float32_names_another_winner() -> None:
    """Updates of 10^-4 of the weights: |x|^2 + |y|^2 - 2xy in float32 drowns them, integers of the deltas do not."""
    wrong, negative = 0, 0
    for trial in range(6):
        rng = np.random.default_rng(trial)
        integers = [rng.integers(-10, 11, SIZE).astype(np.int8) for _ in range(PEOPLE)]
        tape, places = judged(integers)
        exact = nearest(direct(integers))
        assert [int(tape.named("distance")[place]) for place in places] == exact
        farthest = set(np.argsort(exact)[-BYZANTINE:])
        assert {i for i, place in enumerate(places) if not tape.named("weight")[place]} == farthest
        weights = [(1.0 + q.astype(np.float64) * 1e-5).astype(np.float32) for q in integers]
        stacked = np.stack(weights)
        squares = (stacked * stacked).sum(axis=1)
        naive = squares[:, None] + squares[None, :] - 2 * (stacked @ stacked.T)
        sums = [np.sort(np.delete(row, i))[: PEOPLE - BYZANTINE - 2].sum() for i, row in enumerate(naive)]
        wrong += int(np.argmin(sums)) != int(np.argmin(exact))
        negative += bool((naive[~np.eye(PEOPLE, dtype=bool)] < 0).any() or (np.diag(naive) < 0).any())
    assert wrong >= 2
    assert negative >= 1


def test_distances_of_equal_updates_are_zero_and_of_any_two_not_negative() -> None:
    rng = np.random.default_rng(0)
    update = rng.integers(-10, 11, SIZE).astype(np.int8)
    near = update.copy()
    near[17] += 1
    tape, places = judged([update, update, near], byzantine=0)
    distance = [int(tape.named("distance")[place]) for place in places]
    assert distance == [0, 0, 1]  # n - f - 2 = 1 other: the nearest one
