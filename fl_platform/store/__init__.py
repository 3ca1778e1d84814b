"""Content-addressed storage with true CIDs, verified on every read; encryption and key wrapping of updates."""

from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.envelope import Sealed, seal, unseal
from fl_platform.store.interface import Store
from fl_platform.store.keywrap import RevealKey, WrapContext, WrappedKey, unwrap_key, wrap_key
from fl_platform.store.memory import MemoryStore
from fl_platform.store.unixfs import PROFILE, cid_of, root_codec

__all__ = [
    "PROFILE",
    "Cid",
    "DiskStore",
    "MemoryStore",
    "RevealKey",
    "Sealed",
    "Store",
    "WrapContext",
    "WrappedKey",
    "cid_of",
    "root_codec",
    "seal",
    "unseal",
    "unwrap_key",
    "wrap_key",
]
