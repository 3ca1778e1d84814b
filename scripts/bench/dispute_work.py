"""Gas of disputes about the work at d = 1,663,370, and what content trees cost: part of the benchmark `dispute`.

A coordinate of the sums touches every update. A game about a Gram entry is opened with a row of the matrix and every
update's content root; its other moves touch two updates. Pages of a trace that is demanded are as long as it is.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from fl_platform.aggregation.products import split_range
from fl_platform.chain import work_evidence
from fl_platform.chain.bisections import Game
from fl_platform.chain.demands import Subject
from fl_platform.chain.entries_shown import AT_ONCE
from fl_platform.chain.evidence import Question, opened
from fl_platform.chain.records import pack_leaves, struct
from fl_platform.contribution.judge import direction_roots, sums_root
from fl_platform.contribution.tracing import trace_of
from fl_platform.protocol.bundle import RoundBundle, claim_leaves
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.trace import COORDINATES, Kind, Trace
from fl_platform.protocol.trace_pages import pages
from fl_platform.updates.content import content_root, leaf_count
from scripts.bench.harness import Row, at_most
from tests.support.disputes import Stage
from tests.support.evm import Outcome, account
from tests.support.shown import shown_entries
from tests.support.work import Work, big_round, big_spec

CNN = ((32, 1, 5, 5), (32,), (64, 32, 5, 5), (64,), (512, 3136), (512,), (10, 512), (10,))  # McMahan's, 1,663,370
D = "d=1,663,370"
PLACE = 900_000  # the coordinate that lies
WRONG = 70  # the part of a split that lies
SUBJECTS = (
    ("trace", Subject.TRACE), ("entries", Subject.ENTRIES), ("claims", Subject.CLAIMS), ("sums", Subject.SUMS),
)  # fmt: skip


def cnn_spec(bits: int = 8) -> TaskSpec:
    """Return an anchored task of the MNIST CNN."""
    spec = big_spec(*CNN, offsets=(1, 0, 2, 0, 3, 0, 1, 0))
    return replace(spec, codec=replace(spec.codec, bits=bits))


def work_rows(count: int, *, bar: int, point: int, bits: int) -> list[Row]:
    """Measure every dispute about the work of `count` updates. `bar`, `point`: gas where all, or few, are touched."""
    made = big_round(cnn_spec(bits), trainers=count)
    stage = Stage.start(made)
    mark = stage.world.evm.snapshot()
    honest = stage.judge(made)[1]
    work = Work(made, honest)
    where = f"n={count} int{bits}"
    rows = [at_most(f"sum {where}", _sum(stage, made.spec, honest.sums, work), bar, unit="gas")]
    stage.world.evm.restore(mark)
    stage.run.seals, stage.run.rosters = {}, {}
    gas = _game(stage, made.spec, work, honest.gram.values)
    bars = {"open": bar}
    rows += [at_most(f"gram {move} {where}", used, bars.get(move, point), unit="gas") for move, used in gas.items()]
    stage.world.evm.restore(mark)
    stage.run.seals, stage.run.rosters = {}, {}
    return rows + _demands(stage, work, where)


def _demands(stage: Stage, work: Work, where: str) -> list[Row]:
    """Demand a trace, claims and the sums' root of an honest seal and show them; a trace's pages together."""
    stage.seal(work.made)
    record, trace, listed = stage.record(0), stage.traces[0], stage.run.params.aggregators
    send, challenger = stage.world.demands.send, account("challenger")
    made = {name: send(challenger, "demand", stage.run.task, 0, record, subject, 1) for name, subject in SUBJECTS}
    number = {name: int(done.output[0]) for name, done in made.items()}
    header = (record, trace.header.counts, trace.header.roots)
    shown = [
        send(challenger, "answerTrace", number["trace"], *header, (page.level, page.words, page.siblings))
        for page in pages(trace)
    ]
    entries = 0
    for first in range(0, len(stage.bundles[0].entries), AT_ONCE):
        part, roster = shown_entries(stage, first), stage.roster_record(0)
        head = (record, roster, trace.header.counts, trace.header.roots)
        entries += send(challenger, "answerEntries", number["entries"], *head, part).gas
    openings = (opened(trace, Kind.RULES, 0), opened(trace, Kind.WORK, 0))
    nodes, leaf = work.below_sums(1)
    claims = pack_leaves(claim_leaves(stage.bundles[0].after))
    gas = {
        "demand": made["claims"].gas,
        f"show a trace, {len(shown)} pages": sum(done.gas for done in shown),
        "show entries and keys": entries,
        "show claims": send(challenger, "answerClaims", number["claims"], record, claims).gas,
        "show sums": send(challenger, "answerSums", number["sums"], *header, openings, nodes, leaf).gas,
        "end a demand": send(challenger, "expire", number["claims"], record, listed).gas,
    }
    return [Row(case=f"{what} {where}", value=used, unit="gas") for what, used in gas.items()]


def _sum(stage: Stage, spec: TaskSpec, sums: np.ndarray, work: Work) -> int:
    bent = sums.copy()
    bent[PLACE] += 1

    def lie(bundle: RoundBundle) -> RoundBundle:
        return replace(bundle, sums_root=sums_root(spec, bent))

    stage.seal(work.made, bundle=lie)
    trace, index = stage.traces[0], PLACE // COORDINATES
    rows = [work.leaf(row, index) for row, (_, weight) in enumerate(trace.work.rows) if weight]
    shown = work_evidence.coordinate_of_sum(
        trace, PLACE, sums=work.sums_leaf(index, bent), rows=rows
    )
    return stage.challenge(0, Question.SUM, shown).gas


def _game(stage: Stage, spec: TaskSpec, work: Work, gram: tuple[tuple[int, ...], ...]) -> dict[str, int]:
    """Play one game down to its leaf; return gas by move."""

    def lie(trace: Trace) -> Trace:
        rows = [list(row) for row in gram]
        rows[1][2] += 1
        rows[2][1] += 1
        return replace(trace, gram=tuple(tuple(row) for row in rows))

    stage.seal(work.made, trace=lie)
    games, record, sealer = stage.world.bisections, stage.record(0), stage.run.params.aggregators[0]
    challenger, products = account("challenger"), work.products(1, 2)
    shown = work_evidence.gram_entry(stage.traces[0], 1, 2)
    done = games.send(challenger, "open", stage.case(0, Question.SUM), shown)
    gas = {"open": done.gas}
    number, first, count = int(done.output[0]), 0, leaf_count(spec.model.size)
    game, statement = _told(done), work_evidence.statement_of(stage.traces[0], 1, 2)
    while True:
        expected, width = work_evidence.parts_of(count)
        wrong = min(WRONG, expected - 1)
        parts = list(split_range(products, first=first, count=count, width=width))
        parts[wrong] += 1
        done = games.send(sealer, "split", number, game, record, statement, parts, work.layout)
        game, gas["split"] = _told(done), done.gas
        first, count = first + wrong * width, min(width, first + count - (first + wrong * width))
        if count == 1:
            break
        done = games.send(challenger, "pick", number, game, record, parts, wrong)
        game, gas["pick"] = _told(done), done.gas
    product, listed = work.product(1, 2, first), stage.run.params.aggregators
    shown_last = (number, game, record, statement, parts, wrong, product, listed)
    return gas | {"prove": games.send(challenger, "prove", *shown_last).gas}


def _told(done: Outcome) -> Game:
    """Return a game as its last event tells it."""
    (values,) = [values for name, values in done.events if name.startswith("Bisection")]
    return struct(Game, values["game"])


def content_rows() -> list[Row]:
    """Measure the content trees: what each update, and each round, costs beside the arithmetic."""
    rows = []
    size = cnn_spec().model.size
    for bits in (8, 16):
        payload = np.random.default_rng(bits).bytes(size * bits // 8)
        seconds = _seconds(partial(content_root, payload, size=size, bits=bits, key=bytes(32)))
        rows.append(Row(case=f"content tree of an update, int{bits}, {D}", value=round(seconds, 4), unit="CPU-s"))
    return rows


def trace_rows(count: int) -> list[Row]:
    """Measure a round's whole trace at d = 1,663,370: content roots of updates, directions and sums, and all leaves."""
    made = big_round(cnn_spec(), trainers=count)
    stage = Stage.start(made)
    honest = stage.seal(made)
    spec, bundle, pot = made.spec, stage.bundles[0], stage.traces[0].round.pot
    work = Work(made, honest)
    payloads = [work.row(row).tobytes() for row in range(count + 1)]
    size = spec.model.size

    def build() -> None:
        for payload in payloads:
            content_root(payload, size=size, bits=8, key=bytes(32))
        direction_roots(spec, [work.row(1).astype(np.int16)] * 4)
        sums_root(spec, honest.sums)
        _ = trace_of(spec, bundle, pot=pot).root

    seconds = _seconds(build)
    tracemalloc.start()
    build()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    case = f"trace with content trees, n={count}, {D}"
    return [Row(case=case, value=round(seconds, 3), unit="CPU-s"), Row(case=case, value=round(peak, 1), unit="MB peak")]


def _seconds(action: Callable[[], object]) -> float:
    action()  # compiles
    start = time.process_time()
    action()
    return time.process_time() - start

