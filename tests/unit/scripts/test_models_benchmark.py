"""The benchmark of model kinds, its smallest part: one model, one seed."""

from __future__ import annotations

from argparse import Namespace

import pytest

from scripts.bench import models
from scripts.bench.zoo import ZOO


@pytest.mark.slow
def test_a_batch_norm_network_loses_nothing_at_int8() -> None:
    rows = list(models.run(Namespace(models="batchnorm-cnn", seeds=3, quick=True)))
    sent, accuracy, loss, last, largest = rows
    assert (sent.value, sent.reference_value) == (6_138, 0)
    assert accuracy.value is not None
    assert accuracy.value > 95
    assert loss.holds, loss
    assert last.value is not None
    assert abs(last.value) < 2
    assert loss.value == largest.value


def test_every_kind_of_the_issue_is_measured() -> None:
    assert [setting.model for setting in models.SETTINGS] == list(ZOO)
    assert {setting.model: setting.arm.bits for setting in models.SETTINGS} == {**dict.fromkeys(ZOO, 8), "lora": 16}
    with pytest.raises(StopIteration):
        next(models.run(Namespace(models="none", seeds=1, quick=True)))
