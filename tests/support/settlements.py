"""Rounds for settlement tests: small integer vectors, their Gram matrix, and the platform's own spec around them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from zk.settlement.inputs import padded
from zk.settlement.statement import Round, Rule, Slot


@dataclass(frozen=True)
class Shape:
    """What a made-up round looks like."""

    trainers: int
    size: int = 400  # parameters
    krum: bool = False
    byzantine: int = 0
    directions: int = 1
    reference: bool = True
    spread: int = 40  # noise against the common direction; coordinates stay below 128


def vectors(shape: Shape, rng: random.Random) -> tuple[list[list[int]], list[int], list[int]]:
    """Return updates, reference, direction."""
    way = [rng.randint(-30, 30) for _ in range(shape.size)]

    def near(strength: float) -> list[int]:
        return [max(-127, min(127, round(strength * w + rng.gauss(0, shape.spread / 2)))) for w in way]

    updates = [near(rng.choice((1.0, 0.9, 1.2, 0.6))) for _ in range(shape.trainers)]
    return updates, near(1.0), near(0.5)


def dot(left: list[int], right: list[int]) -> int:
    """Inner product."""
    return sum(a * b for a, b in zip(left, right, strict=True))


BASE = Rule(
    krum=0, byzantine=0, clip_bps=15_000, reject_bps=40_000, floor_bps=1_000, duplicate_bps=9_000, alpha_num=1,
    alpha_den=1, base_bps=2_000, stake_cap_bps=4_000, fee_bps=500, size=400, longest=1 << 40, rounding=40,
    pot=10**18, pots_before=3 * 10**18, reference=1, directions=1, given=0, measured=1, aggregator=0,
)  # fmt: skip


def made_round(shape: Shape, seed: int, **rule: int) -> Round:
    """Return a round with honest, short, long, flipped and missing updates among the trainers."""
    rng = random.Random(seed)
    updates, reference, direction = vectors(shape, rng)
    slots = []
    for i in range(shape.trainers):
        fault = rng.choice(("", "", "", "", "flip", "short", "long", "gone", "idle"))
        if fault == "flip":
            updates[i] = [-v for v in updates[i]]
        elif fault == "short":
            updates[i] = [v // 40 for v in updates[i]]
        elif fault == "long":
            updates[i] = [v * 9 for v in updates[i]]
        here = fault not in ("gone", "idle")
        if not here:
            updates[i] = [0] * shape.size
        slots.append(
            Slot(
                address=(i + 1) << 100 | rng.getrandbits(90),
                stake=0 if fault == "idle" else rng.randint(10**18, 10**19),
                rostered=int(fault != "idle"),
                candidate=int(here),
                score_sum=rng.randint(-(10**11), 3 * 10**11),
                paid_scored=rng.randint(0, 10**18),
                paid_base=rng.randint(0, 10**18),
                reputation=rng.randint(0, 10**6),
                given_score=0,
                given_replay=0,
                squared=dot(updates[i], updates[i]),
                inner=dot(updates[i], reference) if shape.reference else 0,
                along=dot(updates[i], direction) if shape.directions else 0,
            )
        )
    between = [[dot(a, b) for b in updates] for a in updates]
    shared = [
        dot(reference, reference) * shape.reference,
        dot(reference, direction) * shape.reference * shape.directions,
        dot(direction, direction) * shape.directions,
    ]
    chosen = replace(
        BASE, krum=int(shape.krum), byzantine=shape.byzantine, size=shape.size, directions=shape.directions,
        reference=int(shape.reference), measured=int(shape.reference),
    )  # fmt: skip
    return padded(replace(chosen, **rule), shared, slots, between)
