"""Circuits held to their witnesses: constraints that do not hold, signals that nothing holds, hints that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from zk.circuits.system import Linear, System, Value
from zk.curve.bn254 import ORDER
from zk.groth16.files import Words

STEP = 12_345_678_901_234_567_890


def numbers(witness: Words) -> list[int]:
    """Return a witness as integers."""
    return [int.from_bytes(row.tobytes(), "little") for row in witness]


def unsatisfied(system: System, values: Sequence[int]) -> int | None:
    """Return the first constraint that does not hold for all signals' values; None: all hold."""
    assert len(values) == system.signals
    for number, (one, other, product) in enumerate(system.rows):
        if (_at(one, values) * _at(other, values) - _at(product, values)) % ORDER:
            return number
    bad = (len(system.rows) + k for k, signal in enumerate(system.booleans) if values[signal] not in (0, 1))
    return next(bad, None)


def _at(expression: Linear, values: Sequence[int]) -> int:
    return sum(factor * values[signal] for signal, factor in expression.terms.items()) % ORDER


def free_signals(system: System, values: Sequence[int]) -> Iterator[int]:
    """Yield the signals that can be changed alone without breaking a constraint."""
    uses: dict[int, list[tuple[int, int, int, int]]] = {}
    sides = [tuple(_at(side, values) for side in row) for row in system.rows]
    for number, row in enumerate(system.rows):
        for signal in {*row[0].terms, *row[1].terms, *row[2].terms}:
            a, b, c = (side.terms.get(signal, 0) for side in row)
            uses.setdefault(signal, []).append((number, a, b, c))
    held = set(system.booleans)
    for signal in range(1, system.signals):
        if signal in held:
            continue
        broken = any(
            ((sides[k][0] + a * STEP) * (sides[k][1] + b * STEP) - sides[k][2] - c * STEP) % ORDER
            for k, a, b, c in uses.get(signal, [])
        )
        if not broken:
            yield signal


@dataclass
class Lying(System):
    """A concrete system whose maker brings other values for some hints, and goes on honestly from there."""

    about: tuple[int, ...] = ()  # which hints
    lie: Callable[[int], int] = field(default=lambda value: value + 1)
    hints: int = 0

    def hint(self, compute: Callable[[], int]) -> Value:
        """Bring the right value, or the lie."""
        self.hints += 1
        about = self.hints - 1 in self.about
        return super().hint(lambda: self.lie(compute()) if about else compute())
