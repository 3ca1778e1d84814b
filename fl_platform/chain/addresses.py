"""Addresses as people read and write them: EIP-55, where the case of the letters is a checksum.

Files, logs and JSON keep lower case.
"""

from __future__ import annotations

import re

from fl_platform.errors import ConfigError
from fl_platform.protocol.keccak import keccak256

_WRITTEN = re.compile(r"0x([0-9a-fA-F]{40})")
_SHOWN = re.compile(r"\b0x[0-9a-f]{40}\b")  # 20 bytes exactly: digests and keys are longer


def checksum_address(address: bytes) -> str:
    """Return the EIP-55 form of a 20-byte address."""
    digits = address.hex()
    case = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(bit, 16) >= 8 else letter for letter, bit in zip(digits, case, strict=False)
    )


def checksummed(text: str) -> str:
    """Return a text for people with every lower-case address in it in its EIP-55 form, of the same length."""
    return _SHOWN.sub(lambda found: checksum_address(bytes.fromhex(found[0][2:])), text)


def parse_address(text: str) -> bytes | None:
    """Return the 20 bytes of an address that a person wrote, None when the text is none.

    All letters in one case say nothing; in both cases they are a checksum. Raises ConfigError when it does not hold.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    address, digits = bytes.fromhex(found[1]), found[1]
    right = checksum_address(address)
    if digits not in (digits.lower(), digits.upper(), right[2:]):
        raise ConfigError(
            f"{text} has a wrong checksum: a digit of it may be mistyped. Compare it with where you have it from; "
            f"with these digits it is {right}"
        )
    return address


__all__ = ["checksum_address", "checksummed", "parse_address"]
