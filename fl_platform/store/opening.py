"""From the words of a command line to a store."""

from __future__ import annotations

from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.store.disk import DiskStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.interface import Store
from fl_platform.store.ipfsclient import IpfsClientStore
from fl_platform.store.kubo import DEFAULT_URL, KuboStore
from fl_platform.store.remote import Timeouts

FORMS = (
    "disk:FOLDER, ipfs (a daemon on this machine), kubo:http://127.0.0.1:5001, gateway:https://HOST, "
    "ipfshttpclient:/ip4/127.0.0.1/tcp/5001/http, ipfshttpclient-any:/ip4/..."
)


def open_store(where: str, *, timeouts: Timeouts | None = None) -> Store:
    """Open the store that `where` names (see FORMS). Raises ConfigError and what the back end raises."""
    if where == "ipfs":
        where = f"kubo:{DEFAULT_URL}"
    kind, separator, rest = where.partition(":")
    if not separator or not rest:
        raise ConfigError(f"{where!r} does not name a store: give one of {FORMS}")
    waits = timeouts or Timeouts()
    match kind:
        case "disk":
            return DiskStore(Path(rest))
        case "kubo":
            return KuboStore(_checked_url(rest), timeouts=waits)
        case "gateway":
            return GatewayStore(_checked_url(rest), timeouts=waits)
        case "ipfshttpclient" | "ipfshttpclient-any":
            return IpfsClientStore(rest, any_version=kind.endswith("-any"), timeout_s=waits.read_s)
        case _:
            raise ConfigError(f"{kind!r} is no kind of store: give one of {FORMS}")


def _checked_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not an address: it starts with http:// or https://")
    return url
