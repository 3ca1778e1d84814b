"""Every attacker as a small class, by name: `--attack NAME=COUNT`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fl_platform.attacks.base import Attack, Delta, View
from fl_platform.attacks.freeriding import (
    FreeRider,
    LeakedCopies,
    Mimic,
    NotANumber,
    RandomHashes,
    ReplayFirstLayer,
    ReplayLast,
    ReplayLayer,
    ReplayMix,
    ReplayNoise,
    ReplayScaled,
    SybilClones,
    Whisper,
    Zero,
)
from fl_platform.attacks.poisoning import InnerProduct, LabelFlip, LittleIsEnough, Noise, Scale, SignFlip
from fl_platform.errors import ConfigError

_CLASSES: tuple[Callable[[], Attack], ...] = (
    FreeRider, InnerProduct, LabelFlip, LeakedCopies, LittleIsEnough, Mimic, Noise, NotANumber, RandomHashes,
    ReplayFirstLayer, ReplayLast, ReplayLayer, ReplayMix, ReplayNoise, ReplayScaled, Scale, SignFlip, SybilClones,
    Whisper, Zero,
)  # fmt: skip

ATTACKS: Mapping[str, Callable[[], Attack]] = {make().name: make for make in _CLASSES}


def make_attack(name: str) -> Attack:
    """Return a fresh attacker by name. Raises ConfigError."""
    if name not in ATTACKS:
        raise ConfigError(f"attack {name!r} is unknown; use one of {', '.join(sorted(ATTACKS))}")
    return ATTACKS[name]()


def parse_attacks(texts: Sequence[str]) -> tuple[Attack, ...]:
    """Turn "NAME=COUNT" (or "NAME") into one attacker per trainer; those of one text share an object, as Sybils must.

    Raises ConfigError.
    """
    attackers: list[Attack] = []
    for text in texts:
        name, separator, count = text.partition("=")
        if separator and not (count.isascii() and count.isdigit()):
            raise ConfigError(f"attack {text!r}: write NAME=COUNT, for instance label-flip=2")
        attackers += [make_attack(name)] * (int(count) if separator else 1)
    return tuple(attackers)


__all__ = ["ATTACKS", "Attack", "Delta", "View", "make_attack", "parse_attacks"]
