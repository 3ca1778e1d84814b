"""How one party names another across machines: ADDRESS:WRAPKEY, both public, printed by `wallet show`."""

from __future__ import annotations

import re

from fl_platform.chain.addresses import parse_address
from fl_platform.errors import ConfigError, PointInvalid
from fl_platform.protocol.spec import Party
from zk.curve import bn254

_PARTY = re.compile(r"(0x[0-9a-fA-F]{40}):0x([0-9a-fA-F]{128})")

_ASK = "ask it for the line `party` of `fl-platform wallet show NAME`"


def party_text(party: Party) -> str:
    """Return what to hand to a task owner."""
    return f"0x{party.address.hex()}:0x{party.wrap_key.hex()}"


def parse_party(text: str) -> Party:
    """Read a party that somebody else wrote (unverified). Raises ConfigError, PointInvalid (an unusable key)."""
    found = _PARTY.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} names no party; {_ASK}")
    address = parse_address(found[1])
    assert address is not None
    party = Party(address, bytes.fromhex(found[2]))
    try:
        bn254.decode(party.wrap_key)
    except PointInvalid as error:
        text = f"the key of party {found[1]} is none, a digit of it may be mistyped ({error}); {_ASK}"
        raise PointInvalid(text) from error
    return party
