"""Gas of each dispute for n = 8, 16 and 64 updates, seam and settlement of the bond included, and the trace's own cost.

Every figure is a whole `Disputes.challenge` of a seal that lies in one word, mined by py-evm under Shanghai's rules:
the evidence's calldata, the judge's arithmetic, and `overturnSeal`. The rounds have four public directions, as every
anchored round from the fifth on.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fl_platform.chain import evidence
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.contribution.tracing import trace_of
from fl_platform.protocol.trace import Trace
from scripts.bench.dispute_work import content_rows, trace_rows, work_rows
from scripts.bench.harness import Row, at_most
from scripts.bench.reveals import reveal_gas
from tests.support.disputes import Stage
from tests.support.rounds import Round, anchored_spec, build_round, ints_like

UPDATES = (8, 16, 64)
WARM_UP = 5  # rounds before the one that lies: four directions
POINT = 200_000  # bar of a dispute that touches a few leaves


def per_update(count: int) -> int:
    """Bar of a dispute that touches every update, or a row of the Gram matrix."""
    return 60_000 + 26_000 * count


def first_round(count: int) -> Round:
    """A multi-Krum round of `count` trainers and the owner's reference."""
    made = anchored_spec()
    spec = replace(made, aggregation=replace(made.aggregation, name="multi-krum", byzantine=1))
    reference = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=reference, share=0.7) for seed in range(1, count + 1)]
    return build_round(spec, updates, reference=reference)


def _entry(**changes: Callable[[Any], Any]) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        index = _admitted(t)
        told = replace(t.entries[index], **{k: v(getattr(t.entries[index], k)) for k, v in changes.items()})
        return replace(t, entries=(*t.entries[:index], told, *t.entries[index + 1 :]))

    return lie


def _standing(**changes: Callable[[Any], Any]) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        told = replace(t.standings[1], **{k: v(getattr(t.standings[1], k)) for k, v in changes.items()})
        return replace(t, standings=(t.standings[0], told, *t.standings[2:]))

    return lie


def _round(**changes: Callable[[Any], Any]) -> Callable[[Trace], Trace]:
    return lambda t: replace(t, round=replace(t.round, **{k: v(getattr(t.round, k)) for k, v in changes.items()}))


def _gram(t: Trace) -> Trace:
    first, second, *rest = t.gram
    return replace(t, gram=(first, (second[0] + 1, *second[1:]), *rest))


def _admitted(t: Trace) -> int:
    return next(i for i, e in enumerate(t.entries) if e.code == 0)


def _called_replay(t: Trace) -> int:
    return next(i for i, e in enumerate(t.entries) if e.code == 5 and e.capped)


def _up(value: int) -> int:
    return value + 1


Shown = Callable[[Stage, Trace], Evidence]
# question -> (lie, evidence, whether it touches every update)
CASES: dict[Question, tuple[Callable[[Trace], Trace], Shown, bool]] = {
    Question.STANDING: (_standing(scored_after=_up), lambda s, t: evidence.standing(t, 1), False),
    Question.CARRIED: (
        _standing(score_before=_up),
        lambda s, t: evidence.carried(t, 1, (s.record(WARM_UP - 1), s.traces[WARM_UP - 1])),
        False,
    ),
    Question.ROSTER: (
        _entry(receipt=_up),
        lambda s, t: evidence.roster(t, _admitted(t), s.roster_record(WARM_UP), s.run.rosters[WARM_UP][1].leaves),
        False,
    ),
    Question.RULES: (
        lambda t: replace(t, rules=replace(t.rules, fee_bps=t.rules.fee_bps + 1)),
        lambda s, t: evidence.rules(t, s.rounds[WARM_UP].spec.to_bytes()),
        False,
    ),
    Question.SCORE: (_entry(score=_up), lambda s, t: evidence.score(t, _admitted(t)), False),
    Question.TOTALS: (_round(due_total=_up), lambda s, t: evidence.totals(t), True),
    Question.ENTRY: (_entry(weight=_up), lambda s, t: evidence.entry(t, _admitted(t)), True),
    Question.ENTRIES: (_round(divisor=_up), lambda s, t: evidence.entries(t), True),
    Question.SYMMETRY: (_gram, lambda s, t: evidence.symmetry(t, 0, 1), True),
    Question.SOLUTION: (_round(solution_3=_up), lambda s, t: evidence.solution(t), True),
    Question.QUALITY: (_entry(quality=_up), lambda s, t: evidence.quality(t, _admitted(t)), True),
    Question.GROUP: (_entry(group_stake=_up), lambda s, t: evidence.group(t, _admitted(t)), True),
    Question.KRUM: (_entry(krum=_up), lambda s, t: evidence.krum(t, _admitted(t)), True),
    Question.REPLAY: (_entry(code=lambda _: 5), lambda s, t: evidence.replay(t, _called_replay(t)), True),
}  # fmt: skip


def prepare(count: int) -> tuple[Stage, Round]:
    """Seal the rounds before the one that lies; return it unsealed."""
    made = first_round(count)
    stage = Stage.start(made, rounds=WARM_UP + 2)
    reference = ints_like(made.spec, 0)
    for number in range(WARM_UP):
        judged = stage.seal(made)
        updates = [
            ints_like(made.spec, 100 * (number + 1) + seed, towards=reference, share=0.6) for seed in range(count)
        ]
        made = made.next_round(judged, updates, reference=reference)
    return stage, made


def gas_of(count: int) -> dict[Question, int]:
    """Return gas by question for `count` updates."""
    stage, made = prepare(count)
    mark = stage.world.evm.snapshot()
    found: dict[Question, int] = {}
    for question, (lie, shown, _) in CASES.items():
        stage.world.evm.restore(mark)
        stage.seal(made, trace=lie)
        found[question] = stage.challenge(WARM_UP, question, shown(stage, stage.traces[WARM_UP])).gas
    return found


def trace_cost(count: int) -> tuple[float, float]:
    """Return CPU-seconds and peak MB of building a round's trace from its bundle (any d)."""
    stage, made = prepare(count)
    stage.seal(made)
    bundle, spec = stage.bundles[WARM_UP], made.spec
    start = time.process_time()
    _ = trace_of(spec, bundle, pot=stage.traces[WARM_UP].round.pot).root
    seconds = time.process_time() - start
    tracemalloc.start()
    _ = trace_of(spec, bundle, pot=stage.traces[WARM_UP].round.pot).root
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return seconds, peak


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure every dispute."""
    del args
    for count in UPDATES:
        for question, gas in gas_of(count).items():
            bar = per_update(count) if CASES[question][2] else POINT
            yield at_most(f"{question.name.lower()} n={count}", gas, bar, unit="gas")
    yield from (at_most(name, gas, POINT, unit="gas") for name, gas in reveal_gas().items())
    for count in UPDATES:
        yield from work_rows(count, bar=per_update(count), point=POINT, bits=8)
    yield from work_rows(16, bar=per_update(16), point=POINT, bits=16)
    yield from content_rows()
    for count in (16, 64):
        yield from trace_rows(count)
        seconds, peak = trace_cost(count)
        yield Row(case=f"trace n={count}, any d", value=round(seconds, 4), unit="CPU-s")
        yield Row(case=f"trace n={count}, any d", value=round(peak, 2), unit="MB peak")
