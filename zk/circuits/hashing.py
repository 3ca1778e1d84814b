"""Poseidon of eight elements as constraints: 405 a permutation (zk/poseidon.py has it in integers).

Mixing costs nothing: an S-box reads a linear expression of the inputs or of earlier S-boxes. Those expressions are the
same for every permutation, so they are worked out once.

Tests: tests/zk/test_gates.py
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from zk.circuits.system import Linear, System, Value, linear
from zk.curve.bn254 import ORDER
from zk.poseidon import FULL_ROUNDS, PARTIAL_ROUNDS, WIDTH, constants

_Expression = dict[int, int]  # -> factor; -1: the number 1; 0 to 7: an input; 8 and on: what an S-box gives


def permutation(system: System, inputs: Sequence[Value]) -> Value:
    """Return the first lane after the permutation of (0, *inputs); eight inputs, negative ones modulo r."""
    boxes, last = _layout()
    if system.concrete:
        known = [int(value) % ORDER for value in inputs if isinstance(value, int)]
        for expression in boxes:
            read = _evaluated(expression, known)
            square = read * read % ORDER
            fourth = square * square % ORDER
            known.append(fourth * read % ORDER)
            system.values += (square, fourth, known[-1])
        system.signals += 3 * len(boxes)
        return _evaluated(last, known)
    signals = [linear(value) for value in inputs]
    for expression in boxes:
        read = _substituted(expression, signals)
        square = linear(system.product(read, read))
        fourth = linear(system.product(square, square))
        signals.append(linear(system.product(fourth, read)))
    return _substituted(last, signals)


def _evaluated(expression: _Expression, known: Sequence[int]) -> int:
    return sum(factor if key < 0 else factor * known[key] for key, factor in expression.items()) % ORDER


def _substituted(expression: _Expression, signals: Sequence[Linear]) -> Linear:
    terms: dict[int, int] = {}
    for key, factor in expression.items():
        for signal, each in ((0, 1),) if key < 0 else signals[key].terms.items():
            terms[signal] = (terms.get(signal, 0) + factor * each) % ORDER
    return Linear(terms)


@functools.cache
def _layout() -> tuple[tuple[_Expression, ...], _Expression]:
    """Return what each S-box reads, in order, and what the first lane is at the end."""
    fixed = constants(WIDTH)
    state: list[_Expression] = [{}, *({place: 1} for place in range(WIDTH - 1))]
    boxes: list[_Expression] = []
    for number, line in enumerate(fixed.rounds):
        state = [_plus(lane, {-1: constant}, 1) for lane, constant in zip(state, line, strict=True)]
        half = FULL_ROUNDS // 2
        partial = half <= number < half + PARTIAL_ROUNDS[WIDTH]
        for lane in range(1 if partial else WIDTH):
            boxes.append(state[lane])
            state[lane] = {WIDTH - 2 + len(boxes): 1}
        state = [functools.reduce(lambda done, k: _plus(done, state[k], row[k]), range(WIDTH), {}) for row in fixed.matrix]
    return tuple(boxes), state[0]


def _plus(one: _Expression, other: _Expression, factor: int) -> _Expression:
    found = dict(one)
    for key, each in other.items():
        found[key] = (found.get(key, 0) + factor * each) % ORDER
    return found
