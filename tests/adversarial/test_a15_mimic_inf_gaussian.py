"""A15: ByzFL's simple catalogue: infinities never become integers, Gaussian noise is refused, a mimic is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.attacks import Attack, View, parse_attacks
from fl_platform.attacks.base import Delta
from fl_platform.errors import UpdateNotFinite
from tests.support.federations import play_task


class Infinite(Attack):
    """Sends infinity in one place."""

    def forge(self, view: View) -> Delta:
        forged = {name: value.copy() for name, value in view.honest.items()}
        next(iter(forged.values())).reshape(-1)[7] = np.float32(np.inf)
        return forged


def test_infinity_is_refused_by_name_before_it_is_rounded() -> None:
    with pytest.raises(UpdateNotFinite, match="flat index 7"):
        play_task(3, [Infinite()], rounds=1)


def test_gaussian_noise_does_not_move_the_model_at_all() -> None:
    noisy = play_task(5, parse_attacks(["noise=2"]), rounds=3)
    clean = play_task(5, parse_attacks(["free-rider=2"]), rounds=3)
    assert noisy.judged[-1].model_bytes == clean.judged[-1].model_bytes
    assert noisy.hostile_pay() == [0, 0]


def test_mimics_do_not_crowd_out_the_others() -> None:
    task = play_task(5, parse_attacks(["mimic=2"]), rounds=3)
    shared = task.earned(1) + sum(task.hostile_pay())
    assert shared <= 2 * sorted(task.honest_pay())[2]
    assert task.accuracy[-1] > 0.85
