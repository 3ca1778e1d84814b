"""Near-duplicates share one score.

Two updates are near-duplicates when their cosine is positive and its square is over `duplicate_bps` / 10,000, lengths
taken without expected rounding noise: else one delta rounded with two seeds would pass for two. Measured at int8:
copies 0.985 to 1.004, honest pairs up to 0.977 (two trainers with the same two digits). Each update shares with its own
near-duplicates, itself among them, and not with theirs: chains would make strangers share, and who makes a chain is
not asked.

A group earns its mean quality times its mean stake, both by stake: as much as one of them, whose stake that is.

Tests: tests/unit/rules/test_payment.py
"""

from __future__ import annotations

from fl_platform.protocol.building import Cells
from fl_platform.protocol.sources import Axis
from fl_platform.rules.cosines import LENGTH_BITS
from fl_platform.rules.entries import Entries
from fl_platform.rules.stakes import BASIS

_FINE = 24  # bits of the square of a bound on cosines
_LENGTH_BITS = 8  # of a length, behind the point, where pairs are compared: there are many of them
_LARGEST = 1 << 80  # of a quality times parts of the stake


def near(entries: Entries) -> Cells:
    """Return 1 for each pair of near-duplicates; an update that is not zero is its own, whatever the bound."""
    b = entries.b
    bps = b.minimum(b.word("duplicate_bps"), BASIS - 1)
    limit = b.root(bps * (1 << _FINE) // BASIS)
    length = entries.length // (1 << LENGTH_BITS - _LENGTH_BITS)
    product = entries.pairs * (1 << _FINE // 2 + 2 * _LENGTH_BITS)
    return b.name("near", product > length * length.swapped() * limit)


def stake_near(entries: Entries, stake: Cells) -> Cells:
    """Return the stake of each update's near-duplicates together."""
    return entries.b.sum(near(entries), Axis.OTHER, weight=stake.swapped())


def shared(entries: Entries, stake: Cells, quality: Cells) -> Cells:
    """Return each update's part of what it and its near-duplicates make: mean quality * mean stake * its share.

    Alone that is quality * stake.
    """
    b = entries.b
    pair, together = near(entries), stake_near(entries, stake)
    made = b.sum(pair, Axis.OTHER, weight=(stake * quality).swapped())
    squares = b.sum(pair, Axis.OTHER, weight=(stake * stake).swapped())
    own = b.clamp(b.muldiv(made, stake, together), -_LARGEST, _LARGEST)
    return b.clamp(b.muldiv(own, squares, together * together), -_LARGEST, _LARGEST)
