"""Naming a store on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import ConfigError
from fl_platform.store import DiskStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.kubo import KuboStore
from fl_platform.store.opening import open_store


def test_each_form_opens_its_back_end(tmp_path: Path) -> None:
    assert isinstance(open_store(f"disk:{tmp_path}"), DiskStore)
    assert isinstance(open_store("ipfs"), KuboStore)
    assert isinstance(open_store("kubo:http://127.0.0.1:5001"), KuboStore)
    assert isinstance(open_store("gateway:https://gateway.example"), GatewayStore)


@pytest.mark.parametrize("where", ["", "disk", "disk:", "ftp:host", "kubo:127.0.0.1:5001", "gateway:file:///etc"])
def test_anything_else_names_the_forms(where: str) -> None:
    with pytest.raises(ConfigError, match=r"give one of|starts with http"):
        open_store(where)
