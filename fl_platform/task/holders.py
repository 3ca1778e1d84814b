"""Which party should have an object: said where one is missing, because a store cannot know it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fl_platform.errors import StoreMissing


@contextlib.contextmanager
def held_by(party: str, *addresses: bytes, what: str) -> Iterator[None]:
    """Read what a party (with its addresses, 20 bytes each) published; where no store has it, say whose it is.

    Raises StoreMissing with the party and the option that names its store.
    """
    try:
        yield
    except StoreMissing as error:
        who = " or ".join(f"{party} 0x{address.hex()}" for address in addresses) or party
        raise StoreMissing(
            f"{what} is in no store that was asked: {error}. It is {who} that should have it: name that party's store "
            "with --store, beside your own"
        ) from error
