"""Compositions: what the package's own are, to the byte; parts by name or by function; sizes; no sight of scale."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.protocol.operations import WIDEST, Op
from fl_platform.protocol.program import SHAPES, Program
from fl_platform.protocol.sources import Axis, Kind
from fl_platform.rules.compose import SELECTIONS, WORTHS, Rule, compose
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.verdicts import COLUMNS, WORDS, Verdict, reason
from fl_platform.rules.weights import Weights
from tests.support.rule_rounds import FIRST_TRAINER, LENGTH, Entry, Federation
from tests.unit.rules.own_rule import by_cosine

RULES = {
    "mean, anchored": Rule(),
    "multi-krum, anchored": Rule(selection="multi-krum"),
    "mean, equal": Rule(worth="equal"),
    "mean, leave-one-out": Rule(worth="leave-one-out"),
    "mean, anchored, no sharing": Rule(shares=False),
    "multi-krum, anchored, 16 directions": Rule(selection="multi-krum", directions=16),
    "no screens, equal": Rule(screens=(), worth="equal", directions=0),
}
PROGRAMS = {name: compose(rule) for name, rule in RULES.items()}
# What tasks froze. Another root is another rule: tasks that run keep theirs, and this table says that new ones differ.
ROOTS = {
    "mean, anchored": "54e7b397bf8174cb3bbad9be0475f898",
    "multi-krum, anchored": "c72c6fb42ff40de9d7b40e9c2160bfe0",
    "mean, equal": "0ce55554cf8b6bd03487486034326170",
    "mean, leave-one-out": "d8d48f2ca702a3a0db0f58798e92a212",
    "mean, anchored, no sharing": "e78a47a4d3061f16ecef82b24612471d",
    "multi-krum, anchored, 16 directions": "73581a87f6d0dca725a9f39be728f2ca",
    "no screens, equal": "4d5fc62ca4f8b0d6b4e5b4aa54021dfc",
}


@pytest.mark.parametrize("name", RULES)
def test_a_composition_has_one_root(name: str) -> None:
    assert compose(RULES[name]).root.hex()[:32] == ROOTS[name]


@pytest.mark.parametrize("name", RULES)
def test_it_is_read_back_from_its_bytes_and_has_all_outputs(name: str) -> None:
    program = PROGRAMS[name]
    assert Program.from_bytes(program.to_bytes()) == program
    assert set(program.outputs) == set(SHAPES)


@pytest.mark.parametrize(
    ("name", "columns", "pairs", "hints"),
    [("mean, anchored", 780, 9, 4), ("multi-krum, anchored", 880, 18, 6), ("mean, equal", 675, 0, 4),
     ("mean, anchored, no sharing", 710, 0, 4), ("multi-krum, anchored, 16 directions", 1_260, 18, 6)],
)  # fmt: skip
def test_it_has_a_size(name: str, columns: int, pairs: int, hints: int) -> None:
    program = PROGRAMS[name]
    assert len(program.columns) <= columns
    assert sum(Axis.OTHER in one.axes for one in program.columns) == pairs
    assert sum(one.op in (Op.LEAST, Op.INVERSE) for one in program.columns) == hints
    numbers = [one.bounds for one in program.columns if one.kind is Kind.NUMBER]
    assert max(max(-low, high) for low, high in numbers) <= WIDEST


@pytest.mark.parametrize(
    ("rule", "says"),
    [(Rule(selection="median"), "no part of a rule is called 'median'; choose from mean, multi-krum"),
     (Rule(screens=("size",)), "'size'"), (Rule(worth="shapley"), "'shapley'"),
     (Rule(weighting="samples"), "'samples'"),
     (Rule(directions=17), "17 directions"), (Rule(directions=0), "0 directions")],
)  # fmt: skip
def test_what_is_no_part_is_refused(rule: Rule, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(rule)


def test_all_parts_go_together() -> None:
    """Any choice of parts is a program, and an empty round and a mixed one of it can be sealed."""
    screens = ((), ("length",), ("direction", "length"), ("replay", "direction"))
    choices = itertools.product(screens, SELECTIONS, ("stake",), WORTHS, (0, 1, 3), (True, False))
    rules = [Rule(*choice) for choice in choices if "replay" not in choice[0] or choice[4]]
    for rule in random.Random(1).sample(rules, 30):
        task = Federation(random.Random(1), directions=rule.directions)
        for shape in ("empty", "mixed"):
            assert list(task.round(compose(rule), None, shape).broken()) == [], rule


@pytest.mark.parametrize("name", RULES)
def test_every_check_holds_on_honest_tapes(name: str) -> None:
    program = PROGRAMS[name]
    for seed in range(8):
        task = Federation(random.Random(seed), directions=RULES[name].directions)
        for tape in task.play(program, 3):
            assert list(tape.broken()) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_block_that_is_stored_larger_gives_the_same_tape(seed: int) -> None:
    """The same integers, with the first block's exponent 10 higher: only the exponents say so."""
    program = PROGRAMS["multi-krum, anchored"]
    one, two = (Federation(random.Random(seed), scale_of_first=bits).play(program, 4) for bits in (0, 10))
    seen = ("first_exponent", "exponent")
    for left, right in zip(one, two, strict=True):
        for column, a, b in zip(program.columns, left.columns, right.columns, strict=True):
            assert np.array_equal(a, b) == (column.name not in seen), column
        assert (right.named("exponent") - left.named("exponent")).tolist() == [10, 0, 0]


def test_a_new_rule_is_one_file() -> None:
    """A weighting of one's own, by the public parts: what points the reference's way counts more."""
    program = compose(Rule(weighting=by_cosine))
    task = Federation(random.Random(5), sizes=(400,), counting=1)
    reference = Entry(8, 0, task.row(1, 0))
    entries = [reference, *(Entry(FIRST_TRAINER + k, 10**18, task.row(1, noise)) for k, noise in enumerate((0, 1, 3)))]
    tape = task.played(program, entries)
    weight, toward = tape.named("weight").tolist(), tape.named("toward_reference").tolist()
    assert weight[0] == 0
    assert weight[1:] == [(toward[k] << 16) // sum(toward[1:]) for k in (1, 2, 3)]
    assert weight[1] > weight[2] > weight[3] > 0
    assert list(tape.broken()) == []


def test_weights_of_any_rule_sum_to_one_at_most() -> None:
    """A weighting that hands out too much, or less than nothing, is cut: a sum of rows must fit 32 bits."""

    def greedy(entries: Entries, chosen: Chosen) -> Weights:
        wild = entries.b.gather(entries.admission.stake, entries.b.numbers(entries.admission.stake)) - 20_000
        return Weights(wild, wild)

    program = compose(Rule(screens=(), worth="equal", directions=0, weighting=greedy))
    task = Federation(random.Random(1), directions=0)
    stakes = (10_000, 50_000, 60_000, 90_000)
    tape = task.played(program, [Entry(FIRST_TRAINER + k, stake, task.row(1, 1)) for k, stake in enumerate(stakes)])
    assert tape.named("weight").tolist() == [0, 30_000, 2**16 - 30_000, 0]


def test_people_read_why() -> None:
    """Each verdict has words, each column that they ask about is there, and a cut weight says so."""
    assert set(WORDS) == set(Verdict)
    program = PROGRAMS["multi-krum, anchored"]
    assert set(COLUMNS) <= {column.name for column in program.columns}
    task = Federation(random.Random(2), words={"byzantine": 0, "floor_bps": 5_000})
    rows = [task.rows.rows[task.row(1, 0.1)] for _ in range(3)]
    entries = [Entry(FIRST_TRAINER + k, 10**18, task.rows.add(row)) for k, row in enumerate([*rows, rows[0] * 2])]
    entries[1].length = LENGTH + 1
    tape = task.played(program, [*entries, Entry(FIRST_TRAINER + 4, 10**18, 0)])
    said = [reason(tape, k) for k in range(5)]
    assert said[0] == "in the sum"
    assert "declares another length" in said[1]
    assert said[3] == "in the sum; longer than the clip bound, so it weighs less"
    assert "no work" in said[4]


def test_words_are_asked_for_by_the_parts_that_read_them() -> None:
    """A rule reads no word that its parts do not need."""

    def words(program: Program) -> set[str]:
        return {one.name for one in program.columns if one.op is Op.SOURCE}

    plain = words(PROGRAMS["no screens, equal"])
    assert "byzantine" not in plain
    assert "reference_bps" not in plain
    assert {"byzantine", "reference_bps"} <= words(PROGRAMS["multi-krum, anchored"])
