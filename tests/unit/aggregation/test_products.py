"""Comparing what a sealer says with what is right: its numbers may be of any size."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.aggregation.products import first_difference


def test_the_first_difference_is_exact_whatever_the_sealer_writes() -> None:
    big = 2**63  # beside a negative number an array of it would be of floats
    assert first_difference((big, -(2**60)), (big, -(2**60))) is None
    assert first_difference((big, -(2**60) - 1), (big, -(2**60))) == 1
    assert first_difference((2**200, 3), (2**200, 4)) == 1
    assert first_difference(np.array([1, 2, 3]), np.array([1, 2, 4])) == 2
    assert first_difference((1, 2), np.array([1, 2])) is None
    with pytest.raises(ValueError, match="zip"):
        first_difference((1,), (1, 2))
