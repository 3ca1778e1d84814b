"""What each attacker earns beside an honest trainer: MNIST and digits, IID to 2-shard, through the integer path.

Twenty honest trainers and the owner's reference train every round; every attacker's update is made and encoded as well,
and one Gram matrix is taken over all. Then each case (the honest and one kind of attacker) is judged by itself: screen,
weights, scores, catch-up payout, all as `judge_round` does it. So that one training serves every case, the model
follows the honest updates; an attacker's own weight in it (1 of 21) is left out.

`value` of an attacker's case is its whole pay (four Sybils: together) over the mean honest trainer's in the same case,
the worst of the seeds. Scaling is the mean relative change of the scaler's own pay over all trainers, each scaled in
its own case, the worst of the seeds. Bars hold at the recommended alpha = 1; other alphas are printed beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from fl_platform.aggregation import rules
from fl_platform.aggregation.gram import Gram, GramRow, from_triangle, gram_matrix
from fl_platform.aggregation.projection import independent
from fl_platform.aggregation.server import apply_sums
from fl_platform.aggregation.sums import tensor_energies, weighted_sum
from fl_platform.aggregation.weights import weighted_median
from fl_platform.attacks import Attack, View, make_attack
from fl_platform.attacks.base import Delta
from fl_platform.attacks.poisoning import LabelFlip
from fl_platform.contribution.anchored import Anchor, Scored, anchored_scores
from fl_platform.contribution.judge import DIRECTIONS
from fl_platform.learning import (
    DataTask,
    Federation,
    Labelled,
    TrainPlan,
    evaluate,
    federate,
    initial_state,
    load_split,
    model_spec,
    train_locally,
)
from fl_platform.protocol.payout import split_pot
from fl_platform.protocol.spec import AggregationRule, ModelSpec, ScaleSpec
from fl_platform.protocol.trace import DIRECTION_BITS
from fl_platform.updates import (
    encode_update,
    measured_scale,
    next_scale,
    norm_bound_squared,
    quantise_direction_nearest,
    rounding_seed,
)
from fl_platform.updates.codec import decode_update
from fl_platform.updates.tensors import Integers
from scripts.bench.harness import Row, at_least, at_most

BITS = 8
STAKE = 10**18
POT = 10**18
SCALED = 5.0
RULE = AggregationRule(
    name="fedavg", byzantine=0, clip_bps=20_000, reject_bps=1_000_000, floor_bps=1_000, duplicate_bps=9_800,
    server_lr_num=1, server_lr_den=1,
)  # fmt: skip
ALPHAS = (Fraction(0), Fraction(1, 2), Fraction(1))
RECOMMENDED = Fraction(1)
# Attackers with a bar: at most a tenth of one mean honest trainer.
BARRED = ("replay-last", "replay-scaled", "replay-noise", "zero", "noise", "sybils-noise", "sybils-replay")
# What today's rule does not stop: parts of an aggregate, last round's reference in a friend's hands, a leaked update.
OPEN = ("replay-layer", "last-reference", "leaked-copies")
INFORMATIVE = ("replay-mix", "label-flip", "sign-flip", "mimic", *OPEN)
SYBILS = 4


@dataclass(frozen=True)
class Setting:
    """One federation to measure."""

    data: str
    model: str
    partition: str
    trainers: int
    rounds: int
    root_rows: int
    plan: TrainPlan
    seed: int

    @property
    def name(self) -> str:
        """File name of the cached run."""
        return f"{self.data}-{self.partition.replace(':', '')}-{self.trainers}x{self.rounds}-{self.seed}"


@dataclass(frozen=True)
class RoundRecord:
    """All that worth depends on in one round."""

    gram: Gram
    longest: int  # squared base units
    rounding: int  # squared base units
    size: int
    accuracy: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mnist", type=Path, default=None, help="folder with MNIST's four idx files")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps Gram matrices between runs")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure MNIST over partitions and seeds, then digits as the demo runs it."""
    quick = bool(args.quick)
    rounds, seeds = (4, 1) if quick else (args.rounds, args.seeds)
    for partition in ("iid",) if quick else ("iid", "dirichlet:0.3", "2-shard"):
        settings = [
            Setting("mnist", "mnist-mlp", partition, 20, rounds, 1_000, TrainPlan(1, 32, 0.05), seed)
            for seed in range(1, seeds + 1)
        ]
        records = [_records(setting, args) for setting in settings]
        yield from _rows(f"mnist {partition}", records, 20, judged=RECOMMENDED)
    digits = [
        Setting("digits", "digits-mlp", "iid", 5, 5, 150, TrainPlan(5, 16, 0.1), seed) for seed in range(1, 6)
    ]
    yield from _rows("digits iid", [_records(setting, args) for setting in digits], 5, judged=RECOMMENDED)


def _rows(name: str, runs: Sequence[Sequence[RoundRecord]], trainers: int, *, judged: Fraction) -> list[Row]:
    """Return the rows of one partition: `runs` has one list of rounds per seed."""
    rows = [Row(f"{name}: accuracy after {len(runs[0])} rounds", statistics.mean(r[-1].accuracy for r in runs))]
    for alpha in ALPHAS:
        label = f"{name} alpha={alpha}"
        barred = alpha == judged
        for case in (*BARRED, *INFORMATIVE):
            worst = max(_attack_share(records, case, trainers, alpha) for records in runs)
            held = barred and case in BARRED
            rows.append(
                Row(
                    f"{label}: {case}", worst, "of a mean honest pay", "mean honest trainer", 1.0, worst,
                    "<= 0.1" if held else None, worst <= 0.1 if held else None,
                )
            )  # fmt: skip
        rows += _honest_rows(label, runs, trainers, alpha, barred=barred, digits=name.startswith("digits"))
    return rows


def _honest_rows(
    label: str, runs: Sequence[Sequence[RoundRecord]], trainers: int, alpha: Fraction, *, barred: bool, digits: bool
) -> list[Row]:
    honest = [f"honest-{i}" for i in range(trainers)]
    pays = [_pays(records, honest, alpha) for records in runs]
    lowest = min(min(pay) / statistics.mean(pay) for pay in pays)
    changes = [_scaling_changes(records, honest, pay, alpha) for records, pay in zip(runs, pays, strict=True)]
    mean_change = max(abs(statistics.mean(change)) for change in changes)
    largest = max(abs(c) for change in changes for c in change)
    scaled = f"{label}: scaling by {SCALED:g}"
    unit = "of the mean honest pay"
    return [
        at_least(f"{label}: honest minimum", lowest, 0.25, unit=unit)
        if digits and barred
        else Row(f"{label}: honest minimum", lowest, unit),
        at_most(scaled, mean_change, 0.01, unit="change of own pay") if barred else Row(scaled, mean_change),
        Row(f"{scaled}, largest single change", largest, "change of own pay"),
        Row(f"{label}: works 2 rounds, then stays away", _early(runs, honest, alpha, ()), unit),
        Row(f"{label}: works 2 rounds, then sends noise", _early(runs, honest, alpha, ("noise",)), unit),
        Row(f"{label}: works 2 rounds, then replays a mix", _early(runs, honest, alpha, ("replay-mix",)), unit),
    ]


def _early(
    runs: Sequence[Sequence[RoundRecord]], honest: Sequence[str], alpha: Fraction, then: tuple[str, ...]
) -> float:
    """Largest share of a trainer that works two rounds and then sends `then` (or nothing)."""
    shares = []
    for records in runs:
        sent = [[honest[0]] if number < 2 else list(then) for number in range(len(records))]
        pay = _pays(records, honest[1:], alpha, extra=sent)
        shares.append(pay[-1] / statistics.mean(pay[:-1]))
    return max(shares)


def _attack_share(records: Sequence[RoundRecord], case: str, trainers: int, alpha: Fraction) -> float:
    attackers = {"sybils-noise": "sybil-noise", "sybils-replay": "sybil-replay", "leaked-copies": "leaked"}
    base = attackers.get(case)
    names = [f"{base}-{k}" for k in range(SYBILS)] if base else [case]
    pay = _pays(records, [*(f"honest-{i}" for i in range(trainers)), *names], alpha)
    return sum(pay[trainers:]) / statistics.mean(pay[:trainers])


def _scaling_changes(
    records: Sequence[RoundRecord], honest: Sequence[str], pay: Sequence[int], alpha: Fraction
) -> list[float]:
    changes = []
    for index, name in enumerate(honest):
        names = [*honest[:index], name.replace("honest", "scaled"), *honest[index + 1 :]]
        changes.append(_pays(records, names, alpha)[index] / max(1, pay[index]) - 1)
    return changes


def _pays(
    records: Sequence[RoundRecord], names: Sequence[str], alpha: Fraction, extra: Sequence[Sequence[str]] = ()
) -> list[int]:
    """Pay (wei) of each named trainer over the task; `extra`: one more trainer, by what it sends in each round."""
    count = len(names) + (1 if extra else 0)
    scores, paid, total, pots = [0] * count, [0] * count, [0] * count, 0
    for number, record in enumerate(records):
        sent = [*names, *(extra[number] if extra else ())]
        gained, present = _judge(record, sent, alpha)
        gained, present = [*gained, *[0] * (count - len(sent))], [*present, *[False] * (count - len(sent))]
        scores = [a + b for a, b in zip(scores, gained, strict=True)]
        split = split_pot(
            pot=POT, fee_bps=0, base_bps=0, pots_before=pots, scores=scores, paid_scored=paid,
            stakes=[STAKE] * count, admitted=present, present=present,
        )  # fmt: skip
        pots += split.scored_pot
        paid = [a + b for a, b in zip(paid, split.scored, strict=True)]
        total = [a + b + c for a, b, c in zip(total, split.scored, split.base, strict=True)]
    return total


def _judge(record: RoundRecord, sent: Sequence[str], alpha: Fraction) -> tuple[list[int], list[bool]]:
    """Screen and score one round of the named rows (a row that is missing was not handed in): scores, admitted."""
    gram = record.gram
    there = [(k, gram.row(name)) for k, name in enumerate(sent) if name in gram.names]
    directions = independent([i for i, name in enumerate(gram.names) if name.startswith("direction")], gram)
    decision = rules.decide(
        [rules.Candidate(row, k.to_bytes(20, "big"), STAKE) for k, row in there],
        gram,
        rule=RULE,
        stake_cap_bps=10_000,
        bounds=rules.Bounds(record.longest, record.rounding, directions, gram.row("reference")),
    )
    live = [(k, row, item) for (k, row), item in zip(there, decision.screened, strict=True) if item.capped]
    groups = rules.duplicate_groups(
        [row for _, row, _ in live], [i.energy for _, _, i in live], gram, duplicate_bps=RULE.duplicate_bps
    )
    anchor = Anchor(
        gram.row("reference"), directions, alpha.numerator, alpha.denominator, decision.median_norm, record.size
    )
    trainers = [Scored(row, i.capped, i.energy, g) for (_, row, i), g in zip(live, groups, strict=True)]
    scores, admitted = [0] * len(sent), [False] * len(sent)
    for (k, _, _), score in zip(live, anchored_scores(trainers, gram, anchor), strict=True):
        scores[k], admitted[k] = score, True
    return scores, admitted


def _records(setting: Setting, args: argparse.Namespace) -> list[RoundRecord]:
    """Play one setting, or read it from the cache."""
    if args.cache is None:
        return list(_play(setting, args.mnist))
    path = args.cache / f"{setting.name}.json"
    if path.exists():
        return [
            RoundRecord(from_triangle(r["names"], r["gram"]), r["longest"], r["rounding"], r["size"], r["accuracy"])
            for r in json.loads(path.read_text(encoding="utf-8"))
        ]
    records = list(_play(setting, args.mnist))
    args.cache.mkdir(parents=True, exist_ok=True)
    documents = [
        {**{f.name: getattr(r, f.name) for f in dataclasses.fields(r) if f.name != "gram"},
         "names": r.gram.names, "gram": r.gram.triangle}
        for r in records
    ]  # fmt: skip
    path.write_text(json.dumps(documents), encoding="utf-8")
    return records


def _play(setting: Setting, folder: Path | None) -> Iterator[RoundRecord]:
    """Train the honest federation round by round and yield what each round's worth depends on."""
    split = load_split(setting.data, folder=folder, seed=setting.seed)
    federation = federate(
        split, model=setting.model, parties=setting.trainers, partition=setting.partition,
        root_rows=setting.root_rows, seed=setting.seed,
    )  # fmt: skip
    model = model_spec(federation.factory(), setting.model)
    owner = federation.owner
    chain: list[Delta] = [initial_state(federation.factory, seed=setting.seed)]
    first = train_locally(owner, chain[0], plan=setting.plan, seed=setting.seed).delta
    scale = measured_scale(first, model=model, bits=BITS)
    reference: Delta | None = None  # of the round before
    for number in range(setting.rounds):
        deltas = _deltas(setting, federation, owner, chain, number)
        deltas["last-reference"] = reference or deltas["zero"]
        reference = deltas["reference"]
        rows = _updates(setting, deltas, chain, number, model, scale)
        names, integers = list(rows), list(rows.values())
        listed = [GramRow(n, i, DIRECTION_BITS if n.startswith("direction") else BITS) for i, n in enumerate(names)]
        gram = gram_matrix(listed, integers.__getitem__, model=model, scale=scale)
        state, following = _advance(setting.trainers, names, integers, gram, chain[0], model, scale)
        accuracy = evaluate(federation.factory(), state, federation.test).accuracy
        longest = norm_bound_squared(scale, model, BITS)
        yield RoundRecord(gram, longest, rules.rounding_energy(model, scale, "stochastic"), model.size, accuracy)
        chain, scale = [state, *chain[:DIRECTIONS]], following


def _advance(
    trainers: int, names: Sequence[str], integers: Sequence[Integers], gram: Gram, parent: Delta, model: ModelSpec,
    scale: ScaleSpec,
) -> tuple[Delta, ScaleSpec]:  # fmt: skip
    """Apply the honest mean; return the new model and the next scale."""
    honest = [names.index(f"honest-{i}") for i in range(trainers)]
    weight = 65_536 // trainers
    sums = weighted_sum(honest, [weight] * trainers, integers.__getitem__, size=model.size, bits=BITS)
    state = apply_sums(parent, sums, model=model, scale=scale, rule=RULE, divisor=weight * trainers)
    median = weighted_median([gram.at(i, i) for i in honest], [1] * trainers)
    energies = tensor_energies(sums, model)
    return state, next_scale(scale, model=model, bits=BITS, median_norm_squared=median, aggregate_energies=energies)


def _updates(
    setting: Setting, deltas: Mapping[str, Delta], chain: Sequence[Delta], number: int, model: ModelSpec,
    scale: ScaleSpec,
) -> dict[str, Integers]:  # fmt: skip
    """Every row of one round by name, as integers."""
    rows = {name: _encoded(name, delta, setting, number, model, scale) for name, delta in deltas.items()}
    for k, (after, before) in enumerate(pairwise(chain)):
        rows[f"direction:{k + 1}"] = quantise_direction_nearest(
            after, before, model=model, scale=scale, bits=DIRECTION_BITS
        )
    return rows


def _deltas(
    setting: Setting, federation: Federation, owner: DataTask, chain: Sequence[Delta], number: int
) -> dict[str, Delta]:
    """Every trainer's and attacker's float delta of one round by name."""
    parent, seed = chain[0], setting.seed * 1_000 + number * 50
    plan = setting.plan
    # The owner's root set is smaller than a trainer's rows: it takes as many steps by more epochs.
    share = len(federation.parties[0].train_data()) / max(1, len(federation.root))
    owner_plan = dataclasses.replace(plan, epochs=max(plan.epochs, round(plan.epochs * share)))
    honest = [train_locally(p, parent, plan=plan, seed=seed + 1 + i).delta for i, p in enumerate(federation.parties)]
    flipped = DataTask(federation.factory, _flipped(federation.parties[0].train_data()), federation.test)
    deltas: dict[str, Delta] = {"reference": train_locally(owner, parent, plan=owner_plan, seed=seed).delta}
    deltas |= {f"honest-{i}": delta for i, delta in enumerate(honest)}
    deltas |= {f"scaled-{i}": make_attack("scale").forge(_view(d, chain, number, seed)) for i, d in enumerate(honest)}
    deltas["label-flip"] = train_locally(flipped, parent, plan=plan, seed=seed + 40).delta
    single = (*BARRED[:5], "replay-mix", "sign-flip", "mimic", "replay-layer")
    attackers: Mapping[str, Attack] = {n: make_attack(n) for n in single}
    deltas |= {
        n: attack.forge(_view(honest[0], chain, number, seed + 41 + k, honest))
        for k, (n, attack) in enumerate(attackers.items())
    }
    sybils = {"sybil-noise": "sybil-clones", "sybil-replay": "replay-last", "leaked": "leaked-copies"}
    for vector, attack in sybils.items():
        source, view = make_attack(attack), _view(honest[0], chain, number, seed + 49, honest)
        deltas |= {f"{vector}-{k}": source.forge(view) for k in range(SYBILS)}
    return deltas


def _encoded(
    name: str, delta: Delta, setting: Setting, number: int, model: ModelSpec, scale: ScaleSpec
) -> Integers:
    """Round a delta with a seed of its sender's own, through the bytes of the wire."""
    seed = rounding_seed(f"{setting.name}/{name}".encode().ljust(16), task=1, round_number=number)
    data = encode_update(delta, model=model, scale=scale, bits=BITS, seed=seed).data
    return decode_update(data, model=model, bits=BITS)


def _view(
    honest: Delta, chain: Sequence[Delta], number: int, seed: int, others: Sequence[Delta] = ()
) -> View:
    return View(
        honest=honest, parent=chain[0], previous=tuple(chain[1:]), rng=np.random.default_rng(seed), round=number,
        others=tuple(others),
    )  # fmt: skip


def _flipped(data: Labelled) -> Labelled:
    return Labelled(data.x, LabelFlip().poison(data.y, classes=10))
