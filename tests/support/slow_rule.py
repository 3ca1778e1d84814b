"""Today's rule once more, slowly: exact fractions, floats where a root is asked for, one entry after the other.

Written from the formulas and apart from `fl_platform.rules`, which tests hold against it. Of the round before it takes
what the tape says was carried; all else is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.tape import Tape
from fl_platform.rules.verdicts import Verdict as V
from tests.support.rule_rounds import PARENT, Entry, Federation

Floats = npt.NDArray[np.float64]
EDGE = 1e-6  # decisions nearer to their threshold than this, relatively, may go either way


@dataclass
class Slow:
    """One round's decisions."""

    task: Federation
    entries: Sequence[Entry]
    before: Tape  # this round's tape, for what was carried into it
    multi_krum: bool = False
    replay: bool = True
    verdicts: list[int] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)  # thresholds that were met to within EDGE

    def __post_init__(self) -> None:
        self.words = self.task.rules
        self.admit()
        self.measure()
        self.screen_length()
        if self.replay:
            self.screen_replay()
        self.screen_direction()
        self.passed = [v == 0 for v in self.verdicts]
        self.select()
        self.weigh()

    def over(self, name: str, value: float | Fraction, limit: float | Fraction) -> bool:
        """Whether a value is over a limit; notes when it nearly is not, or nearly is."""
        if abs(float(value - limit)) <= EDGE * max(abs(float(limit)), 1e-9):
            self.edges.append(name)
        return bool(value > limit)

    # --- admission ----------------------------------------------------------------------------------------------------

    def admit(self) -> None:
        seen: set[int] = set()
        self.reference: int | None = None
        self.rostered: list[bool] = []
        for number, one in enumerate(self.entries):
            party = one.seat == REFERENCE_SEAT
            fault = 0
            if not party and one.stake == 0:
                fault = V.STRANGER
            elif not party and one.seat in seen:
                fault = V.DUPLICATE
            elif one.parent != PARENT:
                fault = V.OTHER_PARENT
            elif one.length != self.words["update_length"]:
                fault = V.OTHER_LENGTH
            elif one.refused:
                fault = one.refused + 1
            elif party and self.reference is not None:
                fault = V.DUPLICATE
            elif party:
                self.reference, fault = number, V.REFERENCE
            self.rostered.append(not party and fault not in (V.STRANGER, V.DUPLICATE))
            seen.add(one.seat)
            self.verdicts.append(fault)

    # --- what is measured ---------------------------------------------------------------------------------------------

    def vector(self, root: int, exponents: Sequence[int] | None = None) -> Floats:
        """Return a row over what counts, in today's steps."""
        size = sum(self.task.sizes)
        row = self.task.rows.rows[root].astype(float) if root else np.zeros(size)
        if exponents is not None:
            row = row * np.repeat([2.0**e for e in exponents], self.task.sizes)
        return np.asarray(row[: sum(self.task.sizes[: self.task.counting])])

    def measure(self) -> None:
        rounding = self.words["size"] // 7 if self.words["stochastic"] else 0
        self.vectors = [
            self.vector(one.content if v in (V.ADMITTED, V.REFERENCE) else 0)
            for one, v in zip(self.entries, self.verdicts, strict=True)
        ]
        self.energy = [int(u @ u) for u in self.vectors]
        self.clean = [e if i == self.reference else max(e - rounding, e // 8) for i, e in enumerate(self.energy)]
        self.length = [isqrt(e << 32) for e in self.clean]
        self.stake = self.cap([one.stake if v == 0 else 0 for one, v in zip(self.entries, self.verdicts, strict=True)])
        self.median = self.median_of(self.length, self.stake)

    def cap(self, stakes: Sequence[int]) -> list[int]:
        ceiling = max(1, sum(stakes) * self.words["stake_cap_bps"] // 10_000)
        return [min(stake, ceiling) for stake in stakes]

    def median_of(self, values: Sequence[Any], weights: Sequence[int]) -> Any:
        for value in sorted({v for v, w in zip(values, weights, strict=True) if w}):
            if 2 * sum(w for v, w in zip(values, weights, strict=True) if v <= value) >= sum(weights):
                return value
        return 0

    def left(self) -> list[int]:
        return [i for i, v in enumerate(self.verdicts) if v == 0]

    # --- screens ------------------------------------------------------------------------------------------------------

    def screen_length(self) -> None:
        words = self.words
        floor, limit = (self.median * words[name] // 10_000 for name in ("floor_bps", "reject_bps"))
        q_max = 2 ** (words["bits"] - 1) - 1
        reach = (words["clip_factor"] * q_max) ** 2 * words["size"]
        longest = isqrt(reach // words["spread"] ** 2) + isqrt(words["size"]) + 2
        for i in self.left():
            if self.energy[i] > longest**2:
                self.verdicts[i] = V.TOO_LONG
            elif self.length[i] == 0 or self.length[i] < floor:
                self.verdicts[i] = V.NO_WORK
            elif self.length[i] > limit:
                self.verdicts[i] = V.TOO_LONG

    def basis(self) -> Floats:
        """Return an orthonormal basis of the span of earlier sums, one a row, by least squares on the vectors."""
        past, moved = self.before.named("past"), self.before.named("past_moved")
        now = self.before.named("moved")
        found: list[Floats] = []
        for k, root in enumerate(past):
            row = self.vector(int(root), [int(moved[b, k] - now[b]) for b in range(len(now))])
            if not row.any():
                continue
            unit = row / np.linalg.norm(row)
            rest = unit - sum((unit @ e) * e for e in found)
            rest = rest - sum((rest @ e) * e for e in found)
            if float(rest @ rest) >= 2.0**-16:
                found.append(rest / np.linalg.norm(rest))
        return np.array(found).reshape(len(found), sum(self.task.sizes[: self.task.counting]))

    def screen_replay(self) -> None:
        basis = self.basis()
        for i in self.left():
            inside = float(((basis @ self.vectors[i]) ** 2).sum()) / self.clean[i]
            if self.over(f"replay {i}", inside, self.words["duplicate_bps"] / 10_000):
                self.verdicts[i] = V.REPLAY

    def cosine(self, i: int) -> float:
        """Return an update's cosine with the reference."""
        assert self.reference is not None
        r = self.vectors[self.reference]
        return float(self.vectors[i] @ r) / (self.clean[i] * self.energy[self.reference]) ** 0.5

    def screen_direction(self) -> None:
        if self.reference is None or not self.energy[self.reference]:
            return
        left = self.left()
        cosines = {i: self.cosine(i) for i in left}
        median = max(0.0, self.median_of([cosines[i] for i in left], [self.stake[i] for i in left]))
        for i in left:
            little = self.over(f"direction {i}", median * self.words["reference_bps"] / 10_000, cosines[i])
            if not self.over(f"against {i}", cosines[i], 0.0) or little:
                self.verdicts[i] = V.OFF_REFERENCE

    # --- selection, weights -------------------------------------------------------------------------------------------

    def select(self) -> None:
        left = self.left()
        self.judged = True
        if not self.multi_krum:
            return
        f = max(0, self.words["byzantine"] - (sum(self.rostered) - len(left)))
        if f and len(left) < 2 * f + 3:
            self.judged, self.passed = False, [False] * len(self.entries)
            for i in left:
                self.verdicts[i] = V.TOO_FEW
            return

        def apart(i: int, j: int) -> int:
            return int(((self.vectors[i] - self.vectors[j]) ** 2).sum())

        score = {i: sum(sorted(apart(i, j) for j in left if j != i)[: max(0, len(left) - f - 2)]) for i in left}
        for i in sorted(left, key=lambda i: (score[i], i))[len(left) - f :]:
            self.verdicts[i] = V.NOT_SELECTED

    def weigh(self) -> None:
        self.passed_stake = self.cap([e.stake if p else 0 for e, p in zip(self.entries, self.passed, strict=True)])
        self.parts = self.parts_of(self.passed_stake)
        shares = self.parts_of([s if v == 0 else 0 for s, v in zip(self.parts, self.verdicts, strict=True)])
        limit = self.median * self.words["clip_bps"] // 10_000
        self.full = [s >> 16 for s in shares]
        self.weights = [s * min(limit, n) // (n << 16) if s else 0 for s, n in zip(shares, self.length, strict=True)]

    def parts_of(self, stakes: Sequence[int]) -> list[int]:
        return [(s << 32) // sum(stakes) if s else 0 for s in stakes]

    # --- worth --------------------------------------------------------------------------------------------------------

    def near(self, i: int) -> list[int]:
        """Return an update's near-duplicates, itself among them."""

        def same(j: int) -> bool:
            inner = int(self.vectors[i] @ self.vectors[j])
            return j == i or (
                inner > 0 and inner**2 * 10_000 > self.words["duplicate_bps"] * self.clean[i] * self.clean[j]
            )

        return [j for j, passed in enumerate(self.passed) if passed and same(j)]

    def qualities(self) -> list[float]:
        """Return <u, r_perp> / (max(|u|, tau / 8) |r|) of each entry."""
        basis, alpha = self.basis(), self.words["alpha_num"] / self.words["alpha_den"]
        assert self.reference is not None
        r = self.vectors[self.reference]
        beyond = r - alpha * ((basis @ r) @ basis)
        found = []
        for i, u in enumerate(self.vectors):
            inner, size = float(u @ beyond), self.clean[i] ** 0.5
            noise = inner**2 * self.words["size"] / max(self.clean[i], 1)
            heard = self.over(f"noise {i}", noise, self.words["noise_sigmas_squared"] * float(beyond @ beyond))
            floor = max(size, self.median / 2**16 / 2 ** self.words["least_length_shift"], 1e-9)
            found.append(inner / floor / float(r @ r) ** 0.5 if heard and u @ r > 0 else 0.0)
        return found

    def scores(self) -> list[float]:
        """Return the anchored scores, parts of one; near-duplicates share."""
        total = sum(self.passed_stake)
        if self.reference is None or not self.energy[self.reference] or not total:
            return [0.0] * len(self.entries)
        return self.share([q / total for q in self.qualities()])

    def share(self, qualities: Sequence[float]) -> list[float]:
        found, stake = [0.0] * len(self.entries), self.passed_stake
        for i, passed in enumerate(self.passed):
            if passed:
                group = self.near(i)
                together = sum(stake[j] for j in group)
                mean = sum(qualities[j] * stake[j] for j in group) / together
                found[i] = mean * sum(stake[j] ** 2 for j in group) / together * stake[i] / together
        return found

    # --- steps --------------------------------------------------------------------------------------------------------

    def exponents(self, moved: Sequence[int]) -> list[int]:
        """Return the next exponents, less the first ones."""
        found = []
        q_max = 2 ** (self.words["bits"] - 1) - 1
        chosen = [i for i, v in enumerate(self.verdicts) if v == 0]
        for block, at in enumerate(moved):
            place = self.task.rows.place(block)
            energies = [int((self.task.rows.rows[self.entries[i].content][place] ** 2).sum()) for i in chosen]
            median = self.median_of(energies, [self.passed_stake[i] for i in chosen])
            square = Fraction(self.words["spread"] ** 2 * median, q_max**2 * self.task.sizes[block])
            # the nearest exponent: of steps 2^-1, 1, 2, the one within a factor of 2^.5
            step = 0 if Fraction(1, 2) <= square < 2 else (1 if square >= 2 else -1)
            found.append(min(max(at + (step if chosen else 0), -20), 8))
        return found


def pay(
    *, pot: int, fee_bps: int, base_bps: int, pots: int, scores: Sequence[int], paid: Sequence[int],
    stakes: Sequence[int], admitted: Sequence[bool], present: Sequence[bool],
) -> tuple[int, list[int], list[int]]:  # fmt: skip
    """Return fee, wei by stake and wei by worth, each rounded down."""
    fee = pot * fee_bps // 10_000
    rest = pot - fee
    worth = rest - rest * base_bps // 10_000
    positive = [max(0, score) for score in scores]
    entitled = split(pots + worth, positive)
    due = [e if here else 0 for e, here in zip(entitled, present, strict=True)]
    lacking = [max(0, d - p) for d, p in zip(due, paid, strict=True)]
    scored = split(worth, lacking if any(lacking) else due)
    voices = [s if ok else 0 for s, ok in zip(stakes, admitted, strict=True)]
    base = split(rest - (worth if any(scored) else 0), voices if any(voices) else stakes)
    return fee, base, scored


def split(whole: int, shares: Sequence[int]) -> list[int]:
    """Return a whole by shares, rounded down."""
    return [int(Fraction(whole * share, sum(shares))) if share else 0 for share in shares]
