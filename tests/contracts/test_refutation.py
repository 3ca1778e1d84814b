"""One cell decided on chain: in random programs and rounds no true cell falls, every changed one does."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.openings import OTHER_KINDS, Opened, Refutation, instruction_path, opened, refutation_of
from fl_platform.protocol.operations import HINTS, Op, wrap
from fl_platform.protocol.sources import Axis, Kind, Map, Source
from fl_platform.protocol.tape import Given, Tape
from tests.support.contracts import World
from tests.support.evm import Contract, Reverted, account
from tests.support.random_programs import Author, claimed_of, round_of

TAKEN = OTHER_KINDS - {Op.SOURCE, *HINTS}  # as they are, where a hint alone is another


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The library, on a chain of its own."""
    return World().evm.create(account("deployer").address, "OperationsHarness")


def is_refuted(harness: Contract, tape: Tape, claim: Refutation) -> bool:
    """Ask the contract."""
    lengths = [0, *(tape.lengths.of(axis) for axis in Axis)]
    known = (tape.program.root, tape.root, len(tape.program.columns), lengths)
    operands = [one or Opened(0, ()) for one in claim.operands]
    place = [*claim.place, *[0] * (3 - len(claim.place))]
    words = [claim.words[i : i + 32] for i in range(0, 160, 32)]
    cells = [(one.value, list(one.siblings)) for one in (claim.claimed, *operands)]
    answer = harness.call("isRefuted", known, (claim.column, place, words, list(claim.path), cells[0], cells[1:]))
    assert isinstance(answer, bool)
    return answer


def some_round(seed: int) -> tuple[random.Random, Tape]:
    """Return a random round of a random program."""
    dice = random.Random(seed)
    program = Author(dice).program(55)
    lengths, given = round_of(dice)
    return dice, evaluate(program, lengths, replace(given, brought=claimed_of(program, lengths, dice)))


def decidable(tape: Tape) -> list[tuple[int, tuple[int, ...]]]:
    """Return the cells that are decided by cells at named places."""
    return [
        (number, tuple(int(at) for at in place))
        for number, column in enumerate(tape.program.columns)
        if column.op not in OTHER_KINDS
        for place in np.ndindex(tape.columns[number].shape)
    ]


def changed(tape: Tape, number: int, place: tuple[int, ...], value: int) -> Tape:
    """Return the tape of a sealer that says another value there."""
    columns = list(tape.columns)
    columns[number] = columns[number].astype(object)
    columns[number][place] = value
    return Tape(tape.program, tape.lengths, tuple(columns))


@pytest.mark.parametrize("seed", range(60))
def test_no_true_cell_falls_and_every_changed_one_does(harness: Contract, seed: int) -> None:
    dice, tape = some_round(seed)
    cells = decidable(tape)
    for number, place in dice.sample(cells, min(10, len(cells))):
        assert not is_refuted(harness, tape, refutation_of(tape, number, place)), tape.program.columns[number]
        other = wrap(tape.cell(number, place) + dice.choice((1, -1, 2**60, -(2**130))))
        liar = changed(tape, number, place, other)
        assert is_refuted(harness, liar, refutation_of(liar, number, place)), tape.program.columns[number]


def test_every_kind_of_cell_and_map_is_among_them() -> None:
    columns = [
        tape.program.columns[number] for seed in range(60) for tape in [some_round(seed)[1]]
        for number in {number for number, _ in decidable(tape)}
    ]  # fmt: skip
    assert {column.op for column in columns} == set(Op) - OTHER_KINDS
    assert {column.kind for column in columns} >= {Kind.NUMBER, Kind.UPDATE, Kind.SUMS}
    assert len({operand.map for column in columns for operand in column.operands}) == len(Map)


@pytest.mark.parametrize("seed", range(12))
def test_a_hint_that_is_not_the_right_one_falls_by_its_check(harness: Contract, seed: int) -> None:
    """A sealer brings another value and computes everything after it: then a check is 0, and that fells the seal."""
    dice = random.Random(seed)
    tape = None
    while tape is None:
        _, drawn = some_round(dice.randrange(10**6))
        hints = [n for n, one in enumerate(drawn.program.columns) if one.op in HINTS and drawn.columns[n].size]
        tape = drawn if hints else None
    number = dice.choice(hints)
    low, high = tape.program.columns[number].bounds
    brought = tape.columns[number].copy()
    place = tuple(dice.randrange(length) for length in brought.shape)
    brought[place] = dice.choice([v for v in (low, high, low + 1, low - 3, high + 3) if v != brought[place]])
    given = {n: tape.columns[n] for n, one in enumerate(tape.program.columns) if one.op in TAKEN}
    sources = {Source(one.immediate): tape.columns[n] for n, one in enumerate(tape.program.columns)
               if one.op is Op.SOURCE and one.immediate < 256 and one.immediate != Source.WORD}  # fmt: skip
    words = {one.immediate >> 8: int(tape.columns[n]) for n, one in enumerate(tape.program.columns)
             if one.op is Op.SOURCE and one.immediate & 255 == Source.WORD}  # fmt: skip
    liar = evaluate(tape.program, tape.lengths, Given(sources, words, brought={**given, number: brought}))
    broken, at = next(liar.broken())
    assert is_refuted(harness, liar, refutation_of(liar, broken, at))


def mangled(claim: Refutation, dice: random.Random) -> Refutation:
    """Return a claim that is not about the tape."""
    opened = claim.claimed
    siblings = list(opened.siblings)
    kind = dice.randrange(6)
    if kind == 0:
        return replace(claim, claimed=replace(opened, value=wrap(opened.value + 1)))
    if kind == 1:
        return replace(claim, claimed=replace(opened, siblings=tuple(siblings[:-1])))
    if kind == 2:
        return replace(claim, claimed=replace(opened, siblings=(*siblings, bytes(32))))
    if kind == 3:
        return replace(claim, words=claim.words[:-1] + bytes([claim.words[-1] ^ 1]))
    if kind == 4:
        return replace(claim, operands=(*claim.operands, opened))
    return replace(claim, column=claim.column ^ 1)


@pytest.mark.parametrize("seed", range(40))
def test_a_claim_about_another_tape_reverts(harness: Contract, seed: int) -> None:
    dice, tape = some_round(seed)
    number, place = dice.choice(decidable(tape))
    claim = mangled(refutation_of(tape, number, place), dice)
    with pytest.raises(Reverted):
        is_refuted(harness, tape, claim)


def test_an_inner_node_does_not_pass_for_a_cell(harness: Contract) -> None:
    """Depths follow from the lengths: a shorter path, with the node's preimage as a cell, is not taken."""
    dice, tape = next((d, t) for d, t in map(some_round, range(99)) if t.lengths.entries > 2)
    number, place = next((n, p) for n, p in decidable(tape) if len(p) == 1 and tape.columns[n].shape[0] > 2)
    claim = refutation_of(tape, number, place)
    shorter = replace(claim, claimed=Opened(dice.randrange(2**200), claim.claimed.siblings[1:]))
    with pytest.raises(Reverted, match="Refutation_WrongLength"):
        is_refuted(harness, tape, shorter)


@pytest.mark.parametrize("op", sorted(OTHER_KINDS), ids=lambda op: op.name)
def test_other_kinds_are_not_decided_here(harness: Contract, op: Op) -> None:
    for seed in range(99):
        _, tape = some_round(seed)
        numbers = [n for n, one in enumerate(tape.program.columns) if one.op is op and tape.columns[n].size]
        if numbers:
            break
    column = tape.program.columns[numbers[0]]
    place = (0,) * len(column.axes)
    cell = next((n, p) for n, p in decidable(tape))
    model = refutation_of(tape, *cell)
    operands = tuple(opened(tape, o.column, (0,) * len(o.axes)) if tape.columns[o.column].size else None
                     for o in column.operands)  # fmt: skip
    claim = replace(
        model, column=numbers[0], place=place, words=column.words(), path=instruction_path(tape.program, numbers[0]),
        claimed=opened(tape, numbers[0], place), operands=operands,
    )  # fmt: skip
    with pytest.raises(Reverted, match=rf"Refutation_OtherKind\(op={int(op)}\)"):
        is_refuted(harness, tape, claim)
