"""The anchored score: how far an update goes the way the owner's reference goes, beyond what is public.

With r the reference, P the span of earlier rounds' sums, tau the median length, r_perp = r - alpha * Proj_P r:

    s_i = c_i / sum c * [<u_i, r> > 0] * <u_i, r_perp> / (max(|u_i|, tau / 8) * |r|)

- Division by |u_i| makes length worthless; the floor tau / 8 keeps a tiny update from speaking with a full voice.
- |u_i| is the length before rounding, which a longer delta would drown: scaling by 5 would earn 2 % more at int8.
- r_perp takes out what anyone can copy from the chain. One direction stops a replay of the last sum, but not one of the
  sum before it or of a fading mix of old ones (17 to 43 % of an honest mean); four leave those under 6 %.
- A cosine with r_perp below `noise_sigmas` / sqrt(d) is what random vectors of d parameters have: it counts as 0.

Everything is a sum of products of cosines, rounded down.

Tests: tests/unit/rules/test_rule.py
"""

from __future__ import annotations

from fl_platform.protocol.building import Cells
from fl_platform.protocol.operations import Op
from fl_platform.rules.cosines import ONE
from fl_platform.rules.duplicates import shared
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.stakes import PART_ONE
from fl_platform.rules.worth import Worth

SCORE_BITS = 40  # of an update along r by a trainer that holds the whole stake
_FARTHEST = ONE << 14  # no quality is over 8^.5 * (1 + alpha), and alpha is 1,000 at most
_SHIFT = SCORE_BITS - (PART_ONE * ONE).bit_length() + 1


def anchored(entries: Entries, chosen: Chosen) -> Worth:
    """Write down s_i, parts of 2^SCORE_BITS; not measured where there is no reference, or it is zero."""
    b = entries.b
    worth = b.name("quality", quality(entries))
    made = shared(entries, chosen.part, worth) if entries.shares else chosen.part * worth
    return Worth(b.shift(made, _SHIFT), entries.has_reference)


def quality(entries: Entries) -> Cells:
    """Return <u_i, r_perp> / (max(|u_i|, tau / 8) * |r|), parts of ONE; 0 where it is against r, or noise."""
    b, toward = entries.b, entries.toward_reference
    num, den = b.word("alpha_num"), b.word("alpha_den")
    inside, own = b.select(toward, 0, 0), b.const(0)  # <Proj u, r> and |Proj r|^2, parts of ONE^2
    for one in entries.components:
        of_reference = entries.of_reference(one)
        inside = b.plain(Op.MULADD, one, of_reference, inside)
        own = b.plain(Op.MULADD, of_reference, of_reference, own)
    beyond = toward - inside * num // (den * ONE)
    # |r_perp|^2 = |r|^2 - (2 alpha - alpha^2) |Proj r|^2
    rest = b.maximum(ONE * ONE - own * (num * den * 2 - num * num) // (den * den), 0)
    heard = beyond * beyond * b.word("size") > rest * b.word("noise_sigmas_squared")
    longest = b.maximum(entries.length, b.shift(entries.median_length, 0 - b.word("least_length_shift")))
    near = b.clamp(b.muldiv(beyond, entries.length, longest), -_FARTHEST, _FARTHEST)
    return b.select(b.select(heard, toward > 0, 0), near, 0)
