"""Attackers that want pay without work.

Tests: tests/unit/attacks/test_attacks.py
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fl_platform.attacks.base import Attack, Delta, View, combine, noise_like, zero_like


class FreeRider(Attack):
    """Returns the global model as it got it: a zero delta; expected: refused as no work (A03)."""

    name: ClassVar[str] = "free-rider"
    attacker: ClassVar[str] = "a trainer without data"
    expected: ClassVar[str] = "refused (NoWork), no pay"

    def forge(self, view: View) -> Delta:
        return zero_like(view.honest)


class Zero(FreeRider):
    """Sends zeros; the same thing by another name."""

    name: ClassVar[str] = "zero"


class ReplayLast(Attack):
    """Sends the last applied aggregate, which anyone can compute; expected: refused as a replay (A03)."""

    name: ClassVar[str] = "replay-last"
    attacker: ClassVar[str] = "a trainer that copies the chain"
    expected: ClassVar[str] = "refused (Replay; NoWork in round 0), no pay"

    def forge(self, view: View) -> Delta:
        if not view.previous:
            return zero_like(view.honest)  # nothing to copy yet
        return self.disguise(combine([(1.0, view.parent), (-1.0, view.previous[0])]), view)

    def disguise(self, replay: Delta, view: View) -> Delta:
        """Return the replayed aggregate as it is sent."""
        return replay


class ReplayScaled(ReplayLast):
    """The last aggregate, three times as long; expected: refused as a replay."""

    name: ClassVar[str] = "replay-scaled"

    def disguise(self, replay: Delta, view: View) -> Delta:
        return combine([(3.0, replay)])


class ReplayNoise(ReplayLast):
    """The last aggregate with half its length of noise, which hides it from the replay screen; expected: score 0, as
    both parts are worthless against what the reference adds to the public directions.
    """

    name: ClassVar[str] = "replay-noise"
    expected: ClassVar[str] = "no pay by score (NoWork in round 0)"

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def disguise(self, replay: Delta, view: View) -> Delta:
        return combine([(1.0, replay), (self.share, noise_like(replay, view.rng))])


class ReplayMix(ReplayLast):
    """A fading mix of the last aggregates (weights 1, 0.7, 0.49, ...): the best public guess at where the model goes.

    Not stopped by taking out one public direction; expected: at most 10 % of an honest mean with four.
    """

    name: ClassVar[str] = "replay-mix"
    expected: ClassVar[str] = "little or no pay by score"

    def disguise(self, replay: Delta, view: View) -> Delta:
        chain = (view.parent, *view.previous)
        terms = [
            (0.7**k * sign, model)
            for k in range(len(chain) - 1)
            for sign, model in ((1.0, chain[k]), (-1.0, chain[k + 1]))
        ]
        return combine(terms)


class ReplayLayer(ReplayLast):
    """The last tensors of the last aggregate (the output layer: weight and bias), zeros elsewhere, 32 times as long.

    The replay screen and the worth rule take out whole public aggregates, not their parts. Lengths are in steps, so a
    layer with few of the parameters is short; stretched it passes the floor, and length earns nothing. Expected:
    **paid** (benchmark `worth`).
    """

    name: ClassVar[str] = "replay-layer"
    expected: ClassVar[str] = "paid by the rule of today (NoWork in round 0)"
    kept: ClassVar[slice] = slice(-2, None)  # of the tensors
    stretch: ClassVar[float] = 32.0

    def disguise(self, replay: Delta, view: View) -> Delta:
        kept = list(replay)[self.kept]
        longer = combine([(self.stretch, replay)])
        return {name: value if name in kept else np.zeros_like(value) for name, value in longer.items()}


class ReplayFirstLayer(ReplayLayer):
    """The first tensors of the last aggregate (weight and bias), zeros elsewhere: most of a model's parameters."""

    name: ClassVar[str] = "replay-first-layer"
    kept: ClassVar[slice] = slice(2)
    stretch: ClassVar[float] = 1.0


class LeakedCopies(Attack):
    """Several identities send one leaked update, each under its own noise of `share` of its length.

    The noise hides them from the bound on near-duplicates. Expected: each **paid** nearly what its victim gets.
    """

    name: ClassVar[str] = "leaked-copies"
    attacker: ClassVar[str] = "a trainer with several stakes that got another's update before the roster closed"
    expected: ClassVar[str] = "each paid like its victim by the rule of today"

    def __init__(self, share: float = 0.3) -> None:
        self.share = share

    def forge(self, view: View) -> Delta:
        leaked = view.others[0] if view.others else view.honest
        return combine([(1.0, leaked), (self.share, noise_like(leaked, view.rng))])


class Mimic(Attack):
    """Sends what one honest trainer sends (Karimireddy 2022); expected: the two share one score (A15)."""

    name: ClassVar[str] = "mimic"
    attacker: ClassVar[str] = "a trainer that got another's update before the roster closed"
    expected: ClassVar[str] = "half of one honest pay: near-duplicates share a score"

    def forge(self, view: View) -> Delta:
        return view.others[0] if view.others else view.honest


class SybilClones(Attack):
    """Several identities send one made-up vector of honest length; expected: nothing, as for one of them (A04).

    One object serves all clones, so that they send the same vector (each rounds it with its own seed).
    """

    name: ClassVar[str] = "sybil-clones"
    attacker: ClassVar[str] = "one person with several stakes"
    expected: ClassVar[str] = "no pay by score; honest clones would share one score"

    def __init__(self) -> None:
        self._sent: dict[int, Delta] = {}

    def forge(self, view: View) -> Delta:
        if view.round not in self._sent:
            self._sent[view.round] = noise_like(view.honest, view.rng)
        return self._sent[view.round]


class RandomHashes(Attack):
    """Commits hashes of nothing (what the closest public peer pays for); expected: refused, no pay."""

    name: ClassVar[str] = "random-hashes"
    attacker: ClassVar[str] = "a trainer that signs and stores nothing"
    expected: ClassVar[str] = "refused (StoreMissing), no pay"

    def tamper(self, data: bytes) -> bytes | None:
        return None


class NotANumber(Attack):
    """Seals float NaNs where integers belong, under a valid header; expected: refused by length, as they read as huge
    integers. (A NaN delta never gets that far: the encoder refuses it.)
    """

    name: ClassVar[str] = "nan"
    attacker: ClassVar[str] = "a trainer with a broken or hostile encoder"
    expected: ClassVar[str] = "refused (UpdateNormExceeded), no pay"

    def tamper(self, data: bytes) -> bytes | None:
        body = len(data) - 32
        pattern = np.full(body // 4 + 1, np.nan, dtype="<f4").tobytes()
        return data[:32] + pattern[:body]


class Whisper(Attack):
    """Sends its honest delta at a twentieth of its length, to be paid for next to nothing put at risk; expected: paid
    less, as lengths under tau / 8 count as tau / 8, or refused below the floor.
    """

    name: ClassVar[str] = "whisper"
    attacker: ClassVar[str] = "a trainer that hides its data in rounding noise"
    expected: ClassVar[str] = "less than honest pay"

    def forge(self, view: View) -> Delta:
        return combine([(0.05, view.honest)])
