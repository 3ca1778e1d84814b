"""The optional adapter where its package is not installed; with it and a real daemon: tests/e2e."""

from __future__ import annotations

import sys

import pytest

from fl_platform.errors import ConfigError
from fl_platform.store.ipfsclient import IpfsClientStore
from fl_platform.store.opening import open_store


@pytest.mark.parametrize("open_it", [IpfsClientStore, lambda: open_store("ipfshttpclient:/ip4/127.0.0.1/tcp/1/http")])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, open_it: type[IpfsClientStore]) -> None:
    monkeypatch.setitem(sys.modules, "ipfshttpclient", None)
    with pytest.raises(ConfigError, match=r"pip install 'fl-platform\[ipfs\]'"):
        open_it()
