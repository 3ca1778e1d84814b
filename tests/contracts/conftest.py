"""Every contract test starts from the same deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.support.contracts import World, fresh_world
from tests.support.evm import Reverted

Reverts = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def world() -> World:
    """The platform, freshly deployed."""
    return fresh_world()


@pytest.fixture
def reverts() -> Reverts:
    """`with reverts(name, *arguments):` the block must revert with exactly this error."""

    @contextmanager
    def expect(name: str, *arguments: Any) -> Iterator[None]:
        with pytest.raises(Reverted) as caught:
            yield
        assert (caught.value.name, caught.value.values) == (name, arguments), str(caught.value)

    return expect
