"""The store in memory passes the shared suite."""

from __future__ import annotations

import pytest

from fl_platform.store import MemoryStore
from tests.support.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
