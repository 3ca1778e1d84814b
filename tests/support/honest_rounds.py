"""Random honest rounds on the real contracts, and every reader of each: the sealer loses nothing, whatever others do.

A sealer rosters, takes what is forced in, judges and seals by the platform's own code. Then every question of the
judges is asked about every leaf, a stranger recomputes the round without a key, and the settlement's twin settles it.
No question may hold, nothing may differ. `make fuzz` runs thousands; tests/invariants runs a fixed 200.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fl_platform.aggregation.admit import is_reference_party
from fl_platform.chain import evidence, work_evidence
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.chain.history import Forced
from fl_platform.contribution.judge import Judgement, public_directions
from fl_platform.contribution.rejudge import rejudge_public
from fl_platform.contribution.settlement_round import settlement_round
from fl_platform.contribution.tracing import trace_of
from fl_platform.contribution.validation import RevealedRow, ValidationRow, commit_rows, reveal_slice
from fl_platform.errors import (
    AuditDifference,
    NoCircuit,
    NotEnoughTrainers,
    StoreMissing,
    UpdateLengthMismatch,
)
from fl_platform.protocol.bundle import Entry, RoundBundle, TaskState
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import sign_receipt
from fl_platform.protocol.spec import ModelSpec, ScaleSpec, TaskSpec, TensorSpec
from fl_platform.updates import pack_update
from fl_platform.updates.tensors import Integers, Tensors
from tests.support.disputes import Stage
from tests.support.evm import Account, Reverted
from tests.support.rounds import (
    Place,
    Round,
    address_of,
    anchored_spec,
    build_round,
    first_state,
    make_entry,
    private_key,
    sign_keys,
    zero_model,
)
from tests.support.work import Work

VALIDATION = tuple(ValidationRow(keccak256(bytes([i])), bytes([i])) for i in range(12))
SLICES = 4
MOST_ROUNDS = 6  # from round 4 on there are as many public directions as there can be
OUTSIDERS = (0, 90, 91)  # joined before and force their receipts in: on no roster, but for the reference's party (0)
LATECOMERS = (80, 81)  # join after the roster
CALM = ("ok",) * 6 + ("flip", "copy", "replay")
WILD = ("ok",) * 6 + ("flip", "zero", "short", "long", "noise", "tiny", "copy", "copy", "replay")


@dataclass
class Found:
    """What a run of rounds brought."""

    rounds: int = 0
    faults: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)  # how often each kind of round or entry came up


@dataclass
class Draw:
    """One task: its rules, its people, and where honest work leads."""

    r: random.Random
    spec: TaskSpec
    trainers: int
    stakes: dict[int, int]  # by key number, wei
    way: np.ndarray  # (d,)
    calm: bool  # most do their work: later stages of the rule have something to decide

    @classmethod
    def of(cls, seed: int) -> Draw:
        """Draw a task."""
        r = random.Random(seed)
        spec, calm = draw_spec(r), r.random() < 0.5
        n = r.randint(5, 8) if calm else r.randint(1, 8)
        unit = r.choice((1, 10**18, 10**18, 10**18))  # in wei, a cap can be under one
        stakes = {k: r.choice((unit, unit, r.randint(1, 10 * unit))) for k in (*range(1, n + 1), *OUTSIDERS)}
        return cls(r, spec, n, stakes, np.random.default_rng(seed).normal(0, 1, spec.model.size), calm)


def draw_spec(r: random.Random) -> TaskSpec:
    """Draw rules: width, shapes, offsets, screens, selection, worth."""
    base = anchored_spec()
    shapes = (TensorSpec("w", (r.choice((3, 16, 40)), r.choice((4, 16)))), TensorSpec("b", (r.choice((1, 3, 20)),)))
    bits = r.choice((4, 8, 8, 16))
    scale = ScaleSpec(128, -12, (r.choice((0, 0, 1, 3)), r.choice((0, 2))))
    codec = replace(base.codec, bits=bits, rounding=r.choice(("stochastic", "nearest")), initial_scale=scale)
    krum = r.random() < 0.5
    rule = replace(
        base.aggregation, name="multi-krum" if krum else "fedavg", byzantine=r.choice((0, 1, 1, 2) if krum else (0, 1)),
        clip_bps=r.choice((8_000, 15_000, 20_000)), reject_bps=r.choice((20_000, 40_000, 1_000_000)),
        floor_bps=r.choice((0, 100, 1_000)), duplicate_bps=r.choice((9_000, 9_900)),
    )  # fmt: skip
    kind = r.choice(("anchored", "anchored", "anchored", "equal", "leave-one-out"))
    worth = replace(
        base.worth, kind=kind, alpha_num=r.choice((0, 1, 1)), alpha_den=r.choice((1, 2)),
        base_bps=r.choice((0, 2_000, 10_000)), stake_cap_bps=r.choice((500, 2_000, 10_000)),
    )  # fmt: skip
    if kind == "leave-one-out":
        worth = replace(worth, validation_root=commit_rows(VALIDATION), validation_slices=SLICES)
    return replace(base, model=ModelSpec("m", shapes), codec=codec, aggregation=rule, worth=worth)


def draw_update(
    draw: Draw, kind: str, earlier: Sequence[Integers] = (), direction: np.ndarray | None = None
) -> Integers:
    """Draw an update of a kind; shape (d,)."""
    r, spec = draw.r, draw.spec
    d, top = spec.model.size, 2 ** (spec.codec.bits - 1) - 1
    g = np.random.default_rng(r.getrandbits(32))
    scales = {4: (0.44, 1.5), 8: (0.3, 4.0, 30.0), 16: (1.0, 100.0)}[spec.codec.bits]
    scale = scales[1] if draw.calm else r.choice(scales)
    x = scale * (0.7 * draw.way + 0.7 * g.normal(0, 1, d))
    if kind == "flip":
        x = -x
    elif kind == "zero":
        x = x * 0
    elif kind == "short":
        x = x * r.choice((0.05, 0.2, 0.5))
    elif kind == "long":
        x = x * r.choice((2, 5, 40))
    elif kind == "noise":
        x = scale * g.normal(0, 1, d)
    elif kind == "tiny":  # near what rounding explains
        x = np.where(g.random(d) < r.choice((0.05, 0.14, 0.16)), np.sign(draw.way), 0)
    elif kind == "copy" and earlier:
        x = earlier[r.randrange(len(earlier))] * r.choice((1, 1, 0.8)) + (g.random(d) < 0.03)
    elif kind == "replay" and direction is not None:
        x = direction * (np.linalg.norm(x) / max(1e-9, float(np.linalg.norm(direction))))
    return np.clip(np.rint(x), -top, top).astype(np.int16 if spec.codec.bits == 16 else np.int8)


def draw_round(draw: Draw, place: Place, before: TaskState, models: dict[bytes, Tensors]) -> Round:
    """Draw a round: updates, who does not open, what is forced in, a stake that a predecessor wrote down wrong."""
    r, spec = draw.r, draw.spec
    direction = _replayed(draw, before, models)
    ups: list[Integers] = []
    for _ in range(draw.trainers):
        ups.append(draw_update(draw, r.choice(CALM if draw.calm else WILD), ups, direction))
    wanted = spec.worth.kind == "anchored" and r.random() > 0.12
    reference = draw_update(draw, r.choice(("ok",) * 8 + ("zero", "flip", "tiny"))) if wanted else None
    stakes = [draw.stakes[k] for k in range(1, draw.trainers + 1)]
    members = {address_of(k): stake for k, stake in draw.stakes.items()}
    made = build_round(
        spec, ups, reference=reference, stakes=stakes, before=before, models=models, members=members, place=place
    )
    if spec.worth.kind == "leave-one-out" and r.random() < 0.8:
        made.extra = {"validation": reveal_slice(VALIDATION, slices=SLICES, number=before.round), "utility": utility}
    _spoil(draw, made)
    if r.random() < 0.08:
        i = r.randrange(len(made.entries))
        if made.entries[i].stake:
            made.entries[i] = replace(made.entries[i], stake=made.entries[i].stake + 5)
    for number in r.sample((*OUTSIDERS, *LATECOMERS, 1), r.choice((0, 0, 0, 1, 2))):
        _force(draw, made, number, place)
    return made


def utility(model: Tensors, rows: Sequence[RevealedRow]) -> int:
    """How many rows a model gets right: here, whether one of its numbers is positive."""
    weights = model["w"].reshape(-1)
    return sum(int(weights[row.row.data[0] % weights.size] > 0) for row in rows)


def _replayed(draw: Draw, before: TaskState, models: dict[bytes, Tensors]) -> np.ndarray | None:
    """What replayers hand in: the last public direction, or a mix of all."""
    found = public_directions(draw.spec, before, models.__getitem__)
    if not found:
        return None
    if draw.r.random() < 0.3:
        return np.sum([d.astype(float) * draw.r.choice((0, 1, -1)) for d in found], axis=0)
    return found[0].astype(float)


def _spoil(draw: Draw, made: Round) -> None:
    """Let updates of some, or of all, not open: the reference's, too."""
    share = draw.r.choice((0, 0, 0, 0.1, 0.2) if draw.calm else (0, 0, 0, 0.2, 1.0))
    for i in range(len(made.entries)):
        if draw.r.random() < share:
            made.data[i] = draw.r.choice((UpdateLengthMismatch("short"), StoreMissing("gone")))


def _force(draw: Draw, made: Round, number: int, place: Place) -> None:
    """Append a forced entry: of a member that was left out, of one that joined too late, or a second one."""
    update = draw_update(draw, draw.r.choice(("ok", "short", "flip")))
    stake = 0 if made.context.members is None else made.context.members.get(address_of(number), 0)
    if is_reference_party(address_of(number), draw.spec):
        stake = 0
    entry = make_entry(draw.spec, made.before, number, update, stake=stake, place=place)
    if number == 1:  # another receipt than the rostered one
        receipt = replace(entry.receipt, salt=b"\1" * 32)
        key = private_key(number)
        signed = sign_receipt(receipt, place.domain, key).signature
        entry = Entry(receipt, signed, stake, entry.keys, sign_keys(receipt, key, place.domain), forced=True)
    made.entries.append(replace(entry, forced=True))
    made.data.append(pack_update(update, model=draw.spec.model, bits=draw.spec.codec.bits))


Look = Callable[[Round, RoundBundle], None]


def play(seed: int, found: Found, *, ask: bool = True, look: Look | None = None) -> None:
    """Play one random task of a few rounds and note what any reader says against it (`ask`: ask them at all).

    `look` sees every sealed round.
    """
    draw = Draw.of(seed)
    stage = Stage.open(draw.spec, stake=1, rounds=MOST_ROUNDS)
    for number in draw.stakes:
        stage.run.join(Account(private_key(number), address_of(number)), draw.stakes[number])
    place = Place(stage.world.domain, stage.run.task)
    model = zero_model(draw.spec)
    state = first_state(draw.spec, model)
    models = {state.model: model}
    for number in range(draw.r.choice((1, 2, 3, MOST_ROUNDS))):
        if number and draw.r.random() < 0.3:
            draw.way = np.random.default_rng(seed + number).normal(0, 1, draw.spec.model.size)
        made = draw_round(draw, place, state, models)
        try:
            judged = _seal(stage, made)
        except NotEnoughTrainers:
            found.seen["not sealed: too few for multi-Krum, or nobody to pay"] += 1
            return
        _note(found.seen, stage, number, judged)
        said = sorted(set(_against(stage, number, judged))) if ask else ()
        found.rounds += 1
        found.faults += [f"seed {seed} round {number}: {fault}" for fault in said]
        if look is not None:
            look(stage.rounds[number], stage.bundles[number])
        state, models = judged.after, {**models, judged.after.model: judged.model}


def _seal(stage: Stage, made: Round) -> Judgement:
    forced = [e for e in made.entries if e.forced]

    def include() -> None:
        for entry in forced:
            trainer = entry.receipt.trainer
            late = next((k for k in LATECOMERS if address_of(k) == trainer), None)
            if late is not None and not stage.run.member(trainer)[0]:
                stage.run.join(Account(private_key(late), trainer), 10**18)
            stage.world.ledger.send(trainer, "forceInclude", entry.receipt, entry.signature)

    return stage.seal(made, forced=len(forced), rostered=include)


def _against(stage: Stage, number: int, judged: Judgement) -> Iterator[str]:
    """Yield what any reader holds against an honest seal."""
    for question, shown in itertools.chain(stage.everything(number), _more(stage, number, judged)):
        try:
            if stage.refuted(number, question, shown):
                yield f"{question.name} holds"
        except Reverted as error:
            yield f"{question.name} reverts with {error.name}"
    for question, shown in _beside_the_point(stage, number):
        with contextlib.suppress(Reverted):
            if stage.refuted(number, question, shown):
                yield f"{question.name} holds beside the point"
    yield from _differences(stage, number, judged)


def _beside_the_point(stage: Stage, number: int) -> Iterator[tuple[Question, Evidence]]:
    """Yield questions that a hostile challenger asks with true leaves that are not what they are about."""
    trace, made = stage.traces[number], stage.rounds[number]
    for i, leaf in enumerate(trace.entries):
        yield Question.TWICE, evidence.twice(trace, i, i)
        yield Question.DROPPED, evidence.dropped(trace, leaf.trainer, i)
        if not leaf.row:
            yield Question.WORK, work_evidence.work(trace, i, made.entries[i].receipt)
    for row in range(len(trace.gram) + 1):
        yield Question.WORK, work_evidence.weight(trace, row)
    for i, account in enumerate(trace.standings):
        yield Question.CARRIED, evidence.carried(trace, i, None)
        if number and account.previous:
            lost = (stage.record(number - 1), stage.traces[number - 1])
            yield Question.DROPPED, evidence.dropped(trace, account.trainer, lost)


def _more(stage: Stage, number: int, judged: Judgement) -> Iterator[tuple[Question, Evidence]]:
    """Yield the questions about members, the forced list, updates and sums, which need more than the trace."""
    trace, made = stage.traces[number], stage.rounds[number]
    leaves, record = stage.run.rosters[number][1].leaves, stage.roster_record(number)
    for i in range(len(leaves)):
        yield Question.FOREIGN, evidence.roster(None, i, record, leaves)
    for i, entry in enumerate(e for e in made.entries if e.forced):
        seat = int(stage.run.tenure(entry.receipt.trainer)[3])
        yield Question.FORCED, evidence.forced(trace, i, record, Forced(entry.receipt, entry.signature, seat))
    for first, second in itertools.combinations(range(len(trace.entries)), 2):
        if trace.entries[first].trainer == trace.entries[second].trainer:
            yield Question.TWICE, evidence.twice(trace, first, second)
    yield Question.UNTRACED, evidence.untraced(made.spec.to_bytes())
    work = Work(made, judged)
    before = None if number == 0 else (stage.record(number - 1), stage.traces[number - 1])
    yield Question.LAYOUT, work_evidence.layout(trace, made.spec.to_bytes(), work.layout, before)
    for row in range(len(trace.gram)):
        if not trace.round.reference <= row < trace.round.reference + trace.round.candidates:
            yield Question.WORK, work_evidence.weight(trace, row)
    for i, leaf in enumerate(trace.entries):
        if leaf.row:
            yield Question.WORK, work_evidence.work(trace, i, made.entries[i].receipt)
    yield from _coordinates(stage, number, work, stage.traces[number].round.pot % made.spec.model.size)


def _coordinates(stage: Stage, number: int, work: Work, coordinate: int) -> Iterator[tuple[Question, Evidence]]:
    trace, index = stage.traces[number], coordinate // 128
    for row in range(trace.round.reference + trace.round.candidates):
        shown = work_evidence.out_of_range(trace, row, coordinate, leaf=work.leaf(row, index))
        yield Question.RANGE, shown
    rows = [work.leaf(row, index) for row, (_, weight) in enumerate(trace.work.rows) if weight]
    sums = work.sums_leaf(index)
    yield Question.SUM, work_evidence.coordinate_of_sum(trace, coordinate, sums=sums, rows=rows)


def _differences(stage: Stage, number: int, judged: Judgement) -> Iterator[str]:
    """Yield what a stranger without a key, the settlement's twin, or the bundle's own bytes say otherwise."""
    made, bundle = stage.rounds[number], stage.bundles[number]
    pot = made.context.pot
    assert pot is not None
    if trace_of(made.spec, RoundBundle.from_bytes(bundle.to_bytes()), pot=pot).root != stage.traces[number].root:
        yield "the document has another trace"
    again = rejudge_public(
        made.spec, made.context, made.before, bundle, sums=judged.sums, models=made.models.__getitem__, **made.extra
    )
    for name in ("verdicts", "direction_roots", "measured", "divisor", "sums_root", "after", "split"):
        if getattr(again, name) != getattr(judged, name):
            yield f"a stranger finds other {name}"
    try:
        settlement_round(made.spec, bundle, pot=pot)
    except NoCircuit:
        pass
    except AuditDifference as error:
        yield f"the settlement differs: {error}"


def _note(seen: Counter[str], stage: Stage, number: int, judged: Judgement) -> None:
    """Count which ways through the rule this round took."""
    trace = stage.traces[number]
    o, rules = trace.round, trace.rules
    seen.update(verdict.code for verdict in judged.verdicts)
    rows = [e for e in trace.entries if e.row and e.code != 1]
    groups = Counter(e.group for e in rows if e.capped)
    seen.update(
        name
        for name, holds in {
            f"bits {rules.bits}": True,
            f"worth {rules.worth}, measured {o.measured}": True,
            "multi-Krum selects": bool(o.byzantine),
            "multi-Krum has nobody to fear": bool(rules.multi_krum and rules.byzantine and not o.byzantine),
            "multi-Krum with nobody left": bool(rules.multi_krum and not any(e.capped for e in trace.entries)),
            "nobody admitted, paid by stake": not o.by_admitted,
            "a stranger beside multi-Krum": bool(rules.multi_krum and any(e.code == 8 for e in trace.entries)),
            "an eighth of a length stays": any(e.squared and e.squared - o.rounding < e.squared // 8 for e in rows),
            "near-duplicates": any(count > 1 for count in groups.values()),
            "clipped": any(e.weight < e.full for e in rows),
            "capped": any(e.capped and e.capped < e.stake for e in rows),
            "a negative score sum": any(s.score_after < 0 for s in trace.standings),
            "somebody lacks": any(s.lacking for s in trace.standings),
            f"{sum(bool(d) for d in (o.direction_0, o.direction_1, o.direction_2, o.direction_3))} directions": True,
            f"worth {rules.worth}: all scores are 0": bool(o.measured and not any(e.score for e in trace.entries)),
            "reference of zero": bool(o.reference and not o.reference_length),
        }.items()
        if holds
    )


def fuzz(rounds: int, seed: int, *, ask: bool = True, look: Look | None = None) -> Found:
    """Play random tasks from `seed` on until so many rounds were sealed. `ask`, `look`: as in `play`."""
    found = Found()
    for number in itertools.count(seed):
        if found.rounds >= rounds:
            break
        play(number, found, ask=ask, look=look)
    return found


def main() -> int:
    """Play honest rounds (`make fuzz ROUNDS=2000`) and print what was found; 4 where a seal could fall."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found, seed = Found(), given.seed
    while found.rounds < given.rounds:
        said = len(found.faults)
        play(seed, found)
        for fault in found.faults[said:]:
            print(fault, flush=True)
        seed += 1
        if seed % 25 == 0:
            print(f"{found.rounds} rounds, {len(found.faults)} faults", flush=True)
    for way, times in sorted(found.seen.items()):
        print(f"{times:7} {way}")
    print(f"{found.rounds} honest rounds, {len(found.faults)} of their seals could be refuted or differ")
    return 4 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
