"""Content-addressed storage with true CIDs, verified on every read; encryption and key wrapping of updates.

`keywrap` is imported by name: it needs the curve, which whoever reads documents does not.
"""

from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.envelope import EncryptedUpdate, decrypt, encrypt
from fl_platform.store.interface import Store
from fl_platform.store.memory import MemoryStore
from fl_platform.store.unixfs import PROFILE, cid_of, root_codec

__all__ = [
    "PROFILE",
    "Cid",
    "DiskStore",
    "EncryptedUpdate",
    "MemoryStore",
    "Store",
    "cid_of",
    "decrypt",
    "encrypt",
    "root_codec",
]
