"""From the words of a command line to a store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.store.disk import DiskStore
from fl_platform.store.fallback import FallbackStore
from fl_platform.store.gateway import GatewayStore
from fl_platform.store.interface import Store
from fl_platform.store.ipfsclient import IpfsClientStore
from fl_platform.store.kubo import DEFAULT_URL, KuboStore
from fl_platform.store.pinning import PinnedStore, PinningService, pinned
from fl_platform.store.remote import Timeouts
from fl_platform.store.replicas import ReplicatedStore
from fl_platform.store.s3 import S3Address, S3Store
from fl_platform.store.served import ServedStore
from fl_platform.store.upload import Signing

FORMS = (
    "disk:FOLDER, http://HOST:PORT (a `fl-platform store serve`), ipfs (a daemon on this machine), "
    "kubo:http://127.0.0.1:5001, gateway:https://HOST, s3://BUCKET[/PREFIX][?endpoint=URL], "
    "ipfshttpclient:/ip4/127.0.0.1/tcp/5001/http, ipfshttpclient-any:/ip4/...; beside ipfs or kubo also pin:https://HOST"
)


def open_store(
    where: str,
    *,
    timeouts: Timeouts | None = None,
    signing: Signing | None = None,
    copies: int = 1,
    own: Path | None = None,
    written: Counter[str] | None = None,
    pin_token: str | None = None,
) -> Store:
    """Open the store that `where` names (see FORMS), or several with commas between.

    Several: folders are this machine's own and get everything; of the others, `copies` do, and all are read.
    signing: unlocks the wallet that uploads to a served store. own: what the word `disk` alone means. written: counts
    what is put, by store of others. pin_token: what pinning services know us by.
    Raises ConfigError and what the back ends raise.
    """
    words = [f"disk:{own}" if word == "disk" and own is not None else word for word in where.split(",")]
    waits = timeouts or Timeouts()
    services = [PinningService(word[4:], token=pin_token) for word in dict.fromkeys(words) if word.startswith("pin:")]
    named = [word for word in dict.fromkeys(words) if not word.startswith("pin:")]
    opened = [(word, pinned(_open_one(word, waits, signing), services, written)) for word in named]
    if services and not any(isinstance(store, PinnedStore) for _, store in opened):
        raise ConfigError(f"{services[0].name} keeps what an IPFS daemon has: name ipfs or kubo:URL beside it")
    folders = [store for _, store in opened if isinstance(store, DiskStore)]
    others = [(word, store) for word, store in opened if not isinstance(store, DiskStore)]
    if copies > max(1, len(others)):
        raise ConfigError(f"{copies} copies need as many stores of others; --store names {len(others)}")
    if not others:
        return folders[0] if len(folders) == 1 else FallbackStore(folders[0], folders[1:], publish_to=folders[1:])
    shared = ReplicatedStore(others, copies=copies, written=written)
    if not folders:
        return shared
    return FallbackStore(folders[0], [*folders[1:], shared], publish_to=[*folders[1:], shared])


def _open_one(where: str, waits: Timeouts, signing: Signing | None) -> Store:
    if where == "ipfs":
        where = f"kubo:{DEFAULT_URL}"
    if where.startswith(("http://", "https://")):
        return ServedStore(where, signing=signing, timeouts=waits)
    kind, separator, rest = where.partition(":")
    if not separator or not rest:
        raise ConfigError(f"{where!r} does not name a store: give one of {FORMS}")
    match kind:
        case "disk":
            return DiskStore(_folder(Path(rest)))
        case "kubo":
            return KuboStore(_checked_url(rest), timeouts=waits)
        case "gateway":
            return GatewayStore(_checked_url(rest), timeouts=waits)
        case "s3":
            return S3Store(S3Address.parse(where), timeouts=waits)
        case "ipfshttpclient" | "ipfshttpclient-any":
            return IpfsClientStore(rest, any_version=kind.endswith("-any"), timeout_s=waits.read_s)
        case _:
            raise ConfigError(f"{kind!r} is no kind of store: give one of {FORMS}")


def _folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():  # else each object would just be missing
        raise ConfigError(f"{path} is a file: --store disk:FOLDER names a folder")
    return path


def _checked_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not an address: it starts with http:// or https://")
    return url
