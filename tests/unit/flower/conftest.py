"""Flower builds messages only inside its own processes; tests borrow an identity."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_platform.flower.identity import flower_identity


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    """Be somebody for Flower."""
    with flower_identity():
        yield
