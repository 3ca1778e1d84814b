"""Philox4x64-10 in plain Python integers (Salmon et al., SC'11), to hold the codec's generator against."""

from __future__ import annotations

from collections.abc import Iterator

_MASK = 2**64 - 1
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

Block = tuple[int, int, int, int]


def philox_block(counter: Block, key: tuple[int, int]) -> Block:
    """Return the four 64-bit words of one counter."""
    for _ in range(10):
        left, right = _MULTIPLIERS[0] * counter[0], _MULTIPLIERS[1] * counter[2]
        counter = (
            (right >> 64) ^ counter[1] ^ key[0],
            right & _MASK,
            (left >> 64) ^ counter[3] ^ key[1],
            left & _MASK,
        )
        key = ((key[0] + _WEYL[0]) & _MASK, (key[1] + _WEYL[1]) & _MASK)
    return counter


def philox_words(seed: bytes) -> Iterator[int]:
    """Yield 32-bit words as the codec draws them: key and first counter from the seed, low half of a word first."""
    key = (int.from_bytes(seed[:8], "little"), int.from_bytes(seed[8:16], "little"))
    number = int.from_bytes(seed[16:], "little")
    while True:
        number = (number + 1) % 2**256  # numpy steps the counter before it draws
        counter = tuple((number >> (64 * i)) & _MASK for i in range(4))
        for word in philox_block(counter, key):  # type: ignore[arg-type]
            yield word & 0xFFFFFFFF
            yield word >> 32
