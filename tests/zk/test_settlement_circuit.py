"""Circuits of the shipped rules over random rounds: they give what the tape gives, and nothing else has a witness."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fl_platform.errors import NoCircuit
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tape import Place, Tape
from fl_platform.rules.compose import Rule, compose
from tests.support.circuits import free_signals, numbers, unsatisfied
from tests.support.rule_rounds import SHAPES, Federation
from tests.support.settlements import AGGREGATORS, provable
from tests.unit.rules.own_rule import by_cosine
from zk.circuits.plan import Shape
from zk.curve.bn254 import ORDER
from zk.groth16 import files
from zk.settlement.binding import value_at
from zk.settlement.circuit import PUBLIC, REPUTATION_SHIFT, WEIGHT_BITS, WEIGHTS_A_NUMBER, Circuit

RULES = {
    "anchored": Rule(), "multi-krum": Rule(selection="multi-krum"), "leave-one-out": Rule(worth="leave-one-out"),
    "equal": Rule(worth="equal", shares=False), "no sharing": Rule(shares=False),
    "bare": Rule(screens=(), worth="equal", directions=0, shares=False), "two directions": Rule(directions=2),
    "a rule of one's own": Rule(weighting=by_cosine),
}  # fmt: skip
TRAINERS = 7
RHO = 12_345


@cache
def circuit(name: str) -> Circuit:
    return Circuit(compose(RULES[name]), Shape(TRAINERS, RULES[name].directions, AGGREGATORS))


def rounds(name: str, seed: int, count: int) -> list[Tape]:
    """Return some rounds of a task, each from what the one before handed on."""
    dice = random.Random(seed)
    bits, spread = dice.choice(((4, 16), (8, 32), (8, 32), (16, 256)))
    words = {"bits": bits, "spread": spread, "stochastic": dice.randrange(2), "byzantine": dice.randrange(3)}
    trainers = dice.choice((2, 5, TRAINERS - 2))  # some have two entries
    task = Federation(dice, trainers=trainers, directions=RULES[name].directions, words=words)
    return task.play(circuit(name).program, count)


def listed(tape: Tape, room: int) -> list[int]:
    """Return the list that a round's tape gives."""
    earned, reputation = (tape.output(each) for each in (Output.EARNED, Output.REPUTATION))
    claims = [int(wei) + (int(part) << REPUTATION_SHIFT) for wei, part in zip(earned, reputation, strict=True)]
    claims += [0] * (TRAINERS + 9 - len(claims))
    weights = [int(one) for one in tape.named("weight")] + [0] * (room - len(tape.named("weight")))
    packed = [
        sum(one << WEIGHT_BITS * k for k, one in enumerate(weights[at : at + WEIGHTS_A_NUMBER]))
        for at in range(0, room, WEIGHTS_A_NUMBER)
    ]
    return [*claims, *packed, int(tape.output(Output.DIVISOR))]


def check(name: str, tape: Tape) -> None:
    made = circuit(name)
    settled = made.settle(tape, lambda _, __: RHO)
    assert list(settled.values) == listed(tape, TRAINERS + 1)
    assert settled.commitment == tape.cell(made.program.outputs[Output.SETTLEMENT], ())
    values = numbers(settled.witness)
    assert values[1 : PUBLIC + 1] == [settled.commitment, value_at(settled.values, RHO), RHO]
    assert unsatisfied(made.system, values) is None
    for signal in (1, 2):  # another commitment, or another list
        changed = [*values]
        changed[signal] += 1
        assert unsatisfied(made.system, changed) is not None


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_a_round_gives_what_its_tape_gives(name: str, seed: int) -> None:
    for tape in rounds(name, seed, 3):
        check(name, tape)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_five_hundred_rounds_of_all_rules_give_what_their_tapes_give(name: str) -> None:
    for seed in range(100, 116):
        for tape in rounds(name, seed, 4):
            check(name, tape)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_round_has_a_witness(shape: str) -> None:
    task = Federation(random.Random(3), trainers=5)
    first = task.round(circuit("anchored").program, None)
    check("anchored", task.round(circuit("anchored").program, first, shape))


class Filled(Tape):
    """A round whose prover puts something behind the last entry and the last seat, where there is nothing."""

    def cell(self, column: int, place: Place) -> int:
        """Return one cell; any allowed number outside of the column."""
        inside = all(at < length for at, length in zip(place, self.columns[column].shape, strict=True))
        if inside:
            return super().cell(column, place)
        axes = self.program.columns[column].axes
        if Axis.SEAT in axes and place[axes.index(Axis.SEAT)] < 9:
            return 0
        if self.program.columns[column].name == "seat_of":
            return 9
        low, high = self.program.columns[column].bounds
        return max(low, min(high, 1 + sum(place)))


@pytest.mark.parametrize("name", RULES)
def test_what_lies_behind_the_last_entry_counts_for_nothing(name: str) -> None:
    tape = rounds(name, 5, 2)[1]
    filled = Filled(tape.program, tape.lengths, tape.columns)
    one, other = (circuit(name).settle(each, lambda _, __: RHO) for each in (tape, filled))
    assert (one.commitment, one.values) == (other.commitment, other.values)
    assert unsatisfied(circuit(name).system, numbers(other.witness)) is None


def test_every_given_number_is_under_the_commitment() -> None:
    """Another given number has another commitment, or is none of the round's."""
    made = circuit("anchored")
    tape = rounds("anchored", 2, 2)[1]
    right = made.settle(tape)
    seen = 0
    for number in made.plan.numbers:
        cells = tape.columns[number]
        column = tape.program.columns[number]
        if not made.plan.is_given(number) or column.op is Op.EQ or column.name == "count":
            continue
        there = np.argwhere(made.plan.cells[number])
        places = [tuple(map(int, place)) for place in there if _inside(place, cells.shape)]
        if not places:
            continue
        changed = cells.astype(object)
        place = random.Random(number).choice(places)
        mirror = (*place[:-2], place[-1], place[-2]) if made.plan.is_symmetric(number) else place
        changed[place] = changed[mirror] = changed[place] + (1 if changed[place] < column.bounds[1] else -1)
        columns = tuple(changed if n == number else one for n, one in enumerate(tape.columns))
        try:
            other = made.settle(replace(tape, columns=columns))
        except NoCircuit:
            continue
        seen += 1
        assert other.commitment != right.commitment, column.name
    assert seen > 30


def _inside(place: Place, shape: Place) -> bool:
    return all(at < length for at, length in zip(place, shape, strict=True))


def test_no_signal_is_free_but_a_factor_of_zero() -> None:
    made = provable()
    values = numbers(made.circuit.settle(made.tape, lambda _, __: RHO).witness)
    free = list(free_signals(made.circuit.system, values))
    for signal in free:
        for row in made.circuit.system.rows:
            if any(signal in side.terms for side in row):
                assert signal not in row[2].terms
                others = [side for side in row[:2] if signal not in side.terms]
                assert len(others) == 1
                assert sum(f * values[s] for s, f in others[0].terms.items()) % ORDER == 0
    assert len(free) <= 120


def test_a_circuit_is_a_function_of_program_and_shape() -> None:
    again = Circuit(compose(RULES["bare"]), Shape(3, 0, AGGREGATORS))
    assert again.r1cs() == provable().circuit.r1cs()
    parsed = files.read_r1cs(again.r1cs())
    wanted = again.system.constraints, again.system.signals, PUBLIC
    assert (parsed.constraints, parsed.signals, parsed.public) == wanted


def test_a_round_with_more_than_there_is_room_for_says_so() -> None:
    task = Federation(random.Random(1), trainers=9)
    with pytest.raises(NoCircuit, match="the circuit has room for 8 and 16"):
        circuit("anchored").settle(task.played(circuit("anchored").program, task.crowd(9)))
