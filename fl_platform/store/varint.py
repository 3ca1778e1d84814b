"""Unsigned varints of multiformats: minimal, at most nine bytes (63 bits)."""

from __future__ import annotations

from fl_platform.errors import CarInvalid

MAX_VARINT_BYTES = 9


def encode_varint(value: int) -> bytes:
    """Encode 0 <= value < 2^63."""
    if not 0 <= value < 1 << 63:
        raise ValueError(f"{value} is outside the varint range")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a varint at `offset` (untrusted bytes); return (value, offset behind it).

    Raises CarInvalid when it is truncated, longer than nine bytes or not minimal.
    """
    value = 0
    for index in range(MAX_VARINT_BYTES):
        if offset + index >= len(data):
            raise CarInvalid("a length is truncated: the file ends inside a varint")
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise CarInvalid("a length is not in its shortest form")
            return value, offset + index + 1
    raise CarInvalid(f"a length has more than {MAX_VARINT_BYTES} bytes")
