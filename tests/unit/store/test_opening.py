"""Naming a store on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import ConfigError
from fl_platform.store import DiskStore
from fl_platform.store.fallback import FallbackStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.kubo import KuboStore
from fl_platform.store.opening import open_store
from fl_platform.store.replicas import ReplicatedStore
from fl_platform.store.served import ServedStore


def test_each_form_opens_its_back_end(tmp_path: Path) -> None:
    assert isinstance(open_store(f"disk:{tmp_path}"), DiskStore)
    for where, kind in (
        ("ipfs", KuboStore), ("kubo:http://127.0.0.1:5001", KuboStore),
        ("gateway:https://gateway.example", GatewayStore), ("https://store.example", ServedStore),
    ):  # fmt: skip
        opened = open_store(where)
        assert isinstance(opened, ReplicatedStore)
        ((name, inner),) = opened._line
        assert (name, type(inner)) == (where, kind)


def test_several_are_folders_of_ones_own_in_front_of_others_copies(tmp_path: Path) -> None:
    two = "http://127.0.0.1:1,http://127.0.0.1:2"
    assert isinstance(open_store(two, copies=2), ReplicatedStore)
    assert isinstance(open_store(f"disk,{two}", own=tmp_path), FallbackStore)
    both = open_store(f"disk:{tmp_path / 'a'},disk", own=tmp_path / "b")
    cid = both.put(b"hello")
    assert DiskStore(tmp_path / "a").has(cid)
    assert DiskStore(tmp_path / "b").has(cid)


@pytest.mark.parametrize("where", ["http://127.0.0.1:1", "http://127.0.0.1:1,disk:x"])
def test_more_copies_than_stores_of_others_are_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 copies need as many stores of others; --store names 1"):
        open_store(where, copies=2)


@pytest.mark.parametrize("where", ["", "disk", "disk:", "ftp:host", "kubo:127.0.0.1:5001", "gateway:file:///etc"])
def test_anything_else_names_the_forms(where: str) -> None:
    with pytest.raises(ConfigError, match=r"give one of|starts with http"):
        open_store(where)
