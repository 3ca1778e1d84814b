"""A round's entries as all parts of a rule see them: what is measured of each, and what screens left.

What is measured is written down at its first use, so a program holds what its parts ask for and no more.

Tests: tests/unit/rules/test_compose.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fl_platform.protocol.building import Builder, Cells
from fl_platform.rules.admission import Admission
from fl_platform.rules.carried import Carried
from fl_platform.rules.cosines import cosine, length_of
from fl_platform.rules.directions import components
from fl_platform.rules.stakes import capped, lower_median

# Stochastic rounding adds f(1 - f) per parameter for a fraction f: 1/6 if fractions are uniform, less where deltas
# crowd around zero. Measured on MNIST deltas at int8: 1/6.9.
ROUNDING_SHARE = 7
LONGEST_LENGTH = (0, 2**46)  # of 2^28 integers of 16 bits


@dataclass(frozen=True, eq=False)
class Entries:
    """What parts of a rule read."""

    b: Builder
    carried: Carried
    admission: Admission
    directions: int  # how many sums of earlier rounds are looked at
    shares: bool  # whether near-duplicates share a score

    @cached_property
    def stake(self) -> Cells:
        """Capped stake of those admitted, wei; else 0."""
        b, taken = self.b, self.admission
        mine = b.select(taken.verdict, 0, taken.stake)
        return b.name("stake_of_admitted", capped(b, mine, b.word("stake_cap_bps")))

    @cached_property
    def energy(self) -> Cells:
        """Squared length, squared steps."""
        content = self.admission.content
        return self.b.name("energy", self.b.dot(content, content))

    @cached_property
    def clean_energy(self) -> Cells:
        """The same without what rounding adds on average; of the reference, whose rounding is the owner's, with it.

        At least an eighth of it stays: where a step is so coarse that most parameters round to 0 or one step, rounding
        adds less than usual, and an honest round must not vanish for it.
        """
        b = self.b
        rounding = b.word("stochastic") * (b.word("size") // ROUNDING_SHARE)
        clean = b.maximum(self.energy - rounding, self.energy // 8)
        return b.select(self.admission.reference, self.energy, clean)

    @cached_property
    def length(self) -> Cells:
        """Square root of the clean energy, 2^-16 steps."""
        return self.b.name("clean_length", length_of(self.b, self.clean_energy))

    @cached_property
    def median_length(self) -> Cells:
        """Of those admitted, by capped stake; 0 where there are none."""
        return self.b.name("median_length", lower_median(self.b, self.length, self.stake, LONGEST_LENGTH))

    @cached_property
    def has_reference(self) -> Cells:
        """1: there is a reference, and it is not zero."""
        return self.of_reference(self.energy) > 0

    @cached_property
    def toward_reference(self) -> Cells:
        """Cosine with the reference, parts of `cosines.ONE`; 0 without one."""
        b = self.b
        product = b.dot(self.admission.content, self.of_reference(self.admission.content))
        return b.name("toward_reference", cosine(b, product, self.length, self.of_reference(self.length)))

    @cached_property
    def components(self) -> tuple[Cells, ...]:
        """Cosines with each of an orthonormal basis of the span of earlier rounds' sums, parts of ONE."""
        if not self.directions:
            return ()
        return components(self.b, self.admission.content, self.length, self.carried, self.directions)

    @cached_property
    def pairs(self) -> Cells:
        """Inner products of all pairs, squared steps."""
        content = self.admission.content
        return self.b.name("pairs", self.b.dot(content, content.swapped()))

    def of_reference(self, cells: Cells) -> Cells:
        """Return the reference's cell of a column of entries; 0 where there is none."""
        return self.b.gather(cells, self.admission.reference_place)


@dataclass(frozen=True)
class Chosen:
    """What screens and selection left."""

    verdict: Cells
    passed: Cells  # 1: passed the screens, so that its work is measured
    summed: Cells  # 1: in the sum
    stake: Cells  # capped stake of those that passed, wei; else 0
    part: Cells  # of it in theirs together, parts of `stakes.PART_ONE`
    judged: Cells | None  # of the round: 0 where the rule could not keep its promise; None: it always can
