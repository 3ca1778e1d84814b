"""The program against `aggregation.rules` and `contribution.anchored`, which judge until programs do, and then go.

They agree but for what was decided anew: near-duplicates share with their own neighbours instead of in chains, at most
one reference is taken, a round with too few for multi-Krum can be sealed, and cosines are 2^-30 fine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from math import isqrt

import pytest

from fl_platform.aggregation import rules as today
from fl_platform.aggregation.gram import Gram
from fl_platform.aggregation.projection import independent
from fl_platform.contribution.anchored import SCORE_ONE, Anchor, Scored, anchored_scores
from fl_platform.errors import NotEnoughTrainers
from fl_platform.protocol.spec import AggregationRule
from fl_platform.protocol.tape import Tape
from fl_platform.rules.anchored import SCORE_BITS
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.verdicts import Verdict
from tests.support.rule_rounds import SHAPES, Entry, Federation, past_after

PROGRAMS = {"fedavg": compose(Rule()), "multi-krum": compose(Rule(selection="multi-krum"))}
CODES = {
    today.ADMITTED: Verdict.ADMITTED, today.NO_WORK: Verdict.NO_WORK, today.TOO_LONG: Verdict.TOO_LONG,
    today.NOT_SELECTED: Verdict.NOT_SELECTED, today.REPLAY: Verdict.REPLAY, today.OFF_REFERENCE: Verdict.OFF_REFERENCE,
}  # fmt: skip


def gram_of(task: Federation, tape: Tape, rows: list[int]) -> tuple[Gram, int]:
    """Return the exact Gram matrix of some entries' rows and the sums carried in, and how many of those there are."""
    past, before, now = (tape.named(name) for name in ("past", "past_moved", "moved"))
    vectors = [[int(q) for q in task.rows.rows[root][task.rows.place(None)]] for root in rows]
    known = [k for k, root in enumerate(past) if root]
    for k in known:
        shifts = [int(before[b, k] - now[b]) for b in range(task.counting)]
        scaled: list[int] = []
        for b, shift in enumerate(shifts):
            scaled += [int(q) << (shift - min(shifts)) for q in task.rows.rows[int(past[k])][task.rows.place(b)]]
        vectors.append(scaled)
    values = tuple(tuple(sum(a * b for a, b in zip(u, v, strict=True)) for v in vectors) for u in vectors)
    return Gram(tuple(str(i) for i in range(len(vectors))), values), len(known)


def decided(task: Federation, entries: list[Entry], tape: Tape, name: str) -> tuple[today.Decision, list[Fraction]]:
    """Return what today's modules decide and score. Raises NotEnoughTrainers."""
    verdicts = tape.named("admission").tolist()
    live = [i for i, v in enumerate(verdicts) if v == Verdict.ADMITTED]
    reference = [i for i, v in enumerate(verdicts) if v == Verdict.REFERENCE]
    # a receipt without a content root is no update today
    empty = task.rows.add(task.truth * 0)
    gram, known = gram_of(task, tape, [entries[i].content or empty for i in (*reference, *live)])
    first, words = len(reference), task.rules
    rows = range(first, first + len(live))
    directions = independent(range(first + len(live), first + len(live) + known), gram)
    rule = AggregationRule(
        name,
        words["byzantine"],
        words["clip_bps"],
        words["reject_bps"],
        words["floor_bps"],
        words["duplicate_bps"],
        1,
        1,
    )
    reach = today_reach(words)
    decision = today.decide(
        [today.Candidate(row, i.to_bytes(20, "big"), entries[i].stake) for row, i in zip(rows, live, strict=True)],
        gram, rule=rule, stake_cap_bps=words["stake_cap_bps"],
        bounds=today.Bounds(reach**2, words["size"] // 7 if words["stochastic"] else 0, directions,
                            0 if reference and gram.at(0, 0) else None),
        refused=sum(map(int, tape.named("rostered"))) - len(live),
    )  # fmt: skip
    paid = [k for k, item in enumerate(decision.screened) if item.capped]
    groups = today.duplicate_groups(
        [rows[k] for k in paid], [decision.screened[k].energy for k in paid], gram, duplicate_bps=words["duplicate_bps"]
    )
    scores = [Fraction(0)] * len(live)
    if reference and gram.at(0, 0):
        anchor = Anchor(0, directions, words["alpha_num"], words["alpha_den"], decision.median_norm, words["size"])
        scored = [
            Scored(rows[k], decision.screened[k].capped, decision.screened[k].energy, group)
            for k, group in zip(paid, groups, strict=True)
        ]
        for k, score in zip(paid, anchored_scores(scored, gram, anchor), strict=True):
            scores[k] = Fraction(score, SCORE_ONE)
    return decision, scores


def today_reach(words: dict[str, int]) -> int:
    """Return the length that no honest encoder exceeds."""
    room = 2 * (2 ** (words["bits"] - 1) - 1)
    return isqrt(room * room * words["size"] // words["spread"] ** 2) + 1 + isqrt(words["size"]) + 1


def compared(name: str, seed: int) -> Iterator[bool]:
    """Play rounds and compare each; yield whether all decisions agree."""
    dice = random.Random(seed)
    task = Federation(dice, trainers=dice.choice((4, 9, 12)))
    previous: Tape | None = None
    for _ in range(4):
        entries = task.entries(dice.choice(SHAPES), past_after(previous) if previous else [])
        previous = tape = task.played(PROGRAMS[name], entries, previous)
        live = [i for i, v in enumerate(tape.named("admission")) if v == Verdict.ADMITTED]
        verdicts = [Verdict(int(tape.named("verdict")[i])) for i in live]
        try:
            decision, scores = decided(task, entries, tape, name)
        except NotEnoughTrainers:
            assert set(verdicts) <= set(Verdict) - {Verdict.ADMITTED, Verdict.NOT_SELECTED}
            assert Verdict.TOO_FEW in verdicts or not live
            continue
        if [CODES[item.code] for item in decision.screened] != verdicts:
            yield False
            continue
        assert [item.weight for item in decision.screened] == [int(tape.named("weight")[i]) for i in live]
        assert decision.divisor == int(tape.named("divisor"))
        assert decision.median_norm == int(tape.named("median_length"))
        found = [Fraction(int(tape.named("score")[i]), 1 << SCORE_BITS) for i in live]
        yield all(abs(a - b) < Fraction(1, 10**5) for a, b in zip(found, scores, strict=True))


@pytest.mark.parametrize("name", PROGRAMS)
def test_today_s_modules_decide_the_same(name: str) -> None:
    agreed = [same for seed in range(25) for same in compared(name, seed)]
    assert len(agreed) > 50
    assert agreed.count(False) <= len(agreed) // 40, "only thresholds met to within rounding, and chains of duplicates"
