"""From scores to wei and reputations: against a slow twin, whole pots, the same whatever trainers are called."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.program import Output
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import SOURCES, Axis, Source
from fl_platform.protocol.tape import Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.worth import SCORE_PER_ROW
from tests.support.random_programs import claimed_of
from tests.support.rule_rounds import FIRST_TRAINER, SHAPES, Entry, Federation, past_after
from tests.support.slow_rule import Slow, pay

PROGRAMS = {
    "anchored": compose(Rule()), "multi-krum": compose(Rule(selection="multi-krum")),
    "equal": compose(Rule(worth="equal")), "leave-one-out": compose(Rule(worth="leave-one-out")),
}  # fmt: skip
BY_SEAT = ("score_sum", "paid_scored", "paid_base", "reputation")


def carried_after(tape: Tape, name: str) -> Array:
    """Return what a round hands on as `name`."""
    return tape.columns[tape.program.columns[tape.program.column(name)].operands[0].column]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", range(6))
def test_it_pays_what_the_slow_twin_pays(name: str, seed: int) -> None:
    dice = random.Random(seed)
    task = Federation(dice, trainers=7, words={"base_bps": dice.choice((0, 2_000)), "memory": dice.choice((1, 8))})
    before: Tape | None = None
    for _ in range(4):
        entries = task.entries(dice.choice(SHAPES), past_after(before) if before else [])
        tape = task.played(PROGRAMS[name], entries, before)
        before = tape
        slow = Slow(task, entries, tape, multi_krum=name == "multi-krum")
        if slow.edges:
            continue
        seats = range(task.lengths.seats)
        place = {one.seat: i for i, one in reversed(list(enumerate(entries)))}
        mine = {seat: place[seat] for seat in place if slow.rostered[place[seat]]}
        capped = slow.cap([one.stake if ok else 0 for one, ok in zip(entries, slow.rostered, strict=True)])
        score = tape.named("score").tolist()
        measured = {"equal": 0, "leave-one-out": int(tape.named("measured")) if name == "leave-one-out" else 0}.get(
            name, int(slow.reference is not None and slow.energy[slow.reference] > 0)
        )
        fee, base, scored = pay(
            pot=int(tape.named("pot")), fee_bps=task.rules["fee_bps"],
            base_bps=task.rules["base_bps"] if measured else 10_000, pots=int(tape.named("scored_pots")),
            scores=[int(tape.named("score_sum")[s]) + (score[mine[s]] if s in mine else 0) for s in seats],
            paid=tape.named("paid_scored").tolist(), stakes=[capped[mine[s]] if s in mine else 0 for s in seats],
            admitted=[s in mine and slow.verdicts[mine[s]] == 0 for s in seats],
            present=[s in mine and slow.passed[mine[s]] for s in seats],
        )  # fmt: skip
        assert int(tape.named("fee")) == fee
        assert tape.named("base").tolist() == base
        assert tape.named("scored").tolist() == scored
        assert int(tape.named("dust")) == int(tape.named("pot")) - fee - sum(base) - sum(scored)
        old = tape.named("reputation").tolist()
        for seat in seats:
            wanted = old[seat]
            if seat in mine and slow.judged:
                good = score[mine[seat]] > 0 if measured else slow.verdicts[mine[seat]] == 0
                wanted += (10**6 * good - wanted) // task.rules["memory"]
            assert tape.named("new_reputation")[seat] == wanted
        own = np.array([fee if s == int(tape.named("aggregator")) else 0 for s in seats], dtype=object)
        own[REFERENCE_SEAT] += int(tape.named("dust"))
        assert np.array_equal(carried_after(tape, "paid_base"), tape.named("paid_base") + np.array(base, object) + own)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_pot_is_spent_whole_and_claims_only_grow(name: str) -> None:
    for seed in range(10):
        earned, pots, dust = np.zeros(0, object), 0, 0
        for tape in Federation(random.Random(seed)).play(PROGRAMS[name], 5):
            pots, dust = pots + int(tape.named("pot")), dust + int(tape.named("dust"))
            now = tape.output(Output.EARNED)
            assert int(now.sum()) == pots
            assert int(tape.output(Output.TOTAL)) == int(now.sum())
            assert len(earned) == 0 or (now >= earned).all()
            assert now[REFERENCE_SEAT] == dust
            earned = now


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", range(6))
def test_other_names_for_the_trainers_change_nobody_s_pay(name: str, seed: int) -> None:
    """Seats exchanged and the roster shuffled, but for the order of one trainer's own entries: pay follows.

    Multi-Krum breaks ties by the roster's order: of equal updates another may be kept.
    """
    dice = random.Random(seed)
    task, program = Federation(dice, trainers=8), PROGRAMS[name]
    seats = list(range(task.lengths.seats))
    renamed = seats[:FIRST_TRAINER] + dice.sample(seats[FIRST_TRAINER:], len(seats) - FIRST_TRAINER)
    one: Tape | None = None
    two: Tape | None = None
    for _ in range(4):
        shape = dice.choice(("mixed", "mixed", "one", "two", "all refused", "no reference"))
        entries = task.entries(shape, past_after(one) if one else [])
        lengths, given = task.given(entries, one)
        given = replace(given, brought=claimed_of(program, lengths, dice))
        one = evaluate(program, lengths, given)
        key = {seat: dice.random() for seat in seats}
        order = sorted(range(len(entries)), key=lambda i: (key[entries[i].seat], i))
        moved = {
            source: np.asarray(cells)[order] if SOURCES[source].axes == (Axis.ENTRY,) else cells
            for source, cells in given.sources.items()
        }
        moved[Source.SEAT_OF] = np.array([renamed[seat] for seat in moved[Source.SEAT_OF]], dtype=object)
        brought = {number: cells[order] if cells.ndim else cells for number, cells in given.brought.items()}
        previous = None if two is None else two.columns
        two = evaluate(program, lengths, replace(given, sources=moved, brought=brought, previous=previous))
        assert one.named("verdict")[order].tolist() == two.named("verdict").tolist()
        assert one.named("earned").tolist() == two.named("earned")[renamed].tolist()
        assert one.named("new_reputation").tolist() == two.named("new_reputation")[renamed].tolist()
        assert int(one.named("dust")) == int(two.named("dust"))


def test_leave_one_out_shares_a_marginal_among_near_duplicates_by_stake() -> None:
    shared = 0
    for seed in range(25):
        dice = random.Random(seed)
        task = Federation(dice, trainers=8)
        entries = task.entries("mixed", [])
        tape = task.played(PROGRAMS["leave-one-out"], entries)
        slow = Slow(task, entries, tape)
        marginal, measured = tape.named("marginal").tolist(), int(tape.named("measured"))
        for i, score in enumerate(tape.named("score").tolist()):
            group = slow.near(i) if slow.passed[i] else []
            together = sum(slow.passed_stake[j] for j in group)
            wanted = SCORE_PER_ROW * marginal[i] * slow.passed_stake[i] // together if group and measured else 0
            assert score == wanted
            shared += len(group) > 1
    assert shared


def test_pay_of_a_doubled_update_is_that_of_one() -> None:
    """Two trainers with half the stake each and the same update together score what one with all of it does."""
    scores = []
    for halves in (False, True):
        task = Federation(random.Random(3), trainers=4, words={"stake_cap_bps": 10_000})
        entries = [one for one in task.entries("all equal", []) if one.seat == REFERENCE_SEAT]
        for seat in range(3):
            entry = Entry(FIRST_TRAINER + seat, 10**18, task.row(1, 1))
            entries.append(entry)
        if halves:
            entries[-1].stake //= 2
            entries.append(replace(entries[-1], seat=FIRST_TRAINER + 3))
        tape = task.played(PROGRAMS["anchored"], entries)
        scores.append(tape.named("score").tolist())
    one, two = scores[0][-1], scores[1][-2:]
    # and the largest stake of the two is what their score counts: a copy adds nothing
    assert abs(sum(two) * 2 - one) < one * 1e-6
    assert two[0] == two[1] > 0
