"""A13: inner-product manipulation (Xie 2019): the aggregate keeps going the honest mean's way."""

from __future__ import annotations

import pytest

from fl_platform.attacks.poisoning import InnerProduct
from tests.support.federations import play_task


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_the_aggregate_agrees_with_the_honest_mean(epsilon: float) -> None:
    task = play_task(5, [InnerProduct(epsilon)] * 3, rounds=2)
    for judgement in task.judged:
        weights = judgement.tape.named("weight")
        honest = [i for i, weight in enumerate(weights) if weight]
        # <aggregate, honest mean> from the integers alone
        inner = int((weights @ judgement.tape.named("pairs"))[honest].sum())
        assert len(honest) == 5
        assert inner > 0
    assert task.hostile_pay() == [0, 0, 0]
