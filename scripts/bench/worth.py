"""What each attacker earns beside an honest trainer: MNIST and digits, IID to 2-shard, through the integer path.

Twenty honest trainers and the owner's reference train every round; every attacker's update is made and encoded as
well, and the products of all rows are taken once. Then each case (the honest and one kind of attacker) is judged by
itself, by the task's round program, from its first round to its last. So that one training serves every case, the model
and the steps follow the honest updates; an attacker's own weight in them (1 of 21) is left out.

`value` of an attacker's case is its whole pay (four Sybils: together) over the mean honest trainer's in the same case,
the worst of the seeds. Scaling is the mean relative change of the scaler's own pay over all trainers, each scaled in
its own case, the worst of the seeds. Bars hold at the recommended alpha = 1; other alphas are printed beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from fl_platform.attacks import Attack, View, make_attack
from fl_platform.attacks.base import Delta
from fl_platform.attacks.poisoning import LabelFlip
from fl_platform.judging.round_rows import products
from fl_platform.judging.sums import Sums, weighted_sum
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
from fl_platform.protocol.arithmetic import Array
from fl_platform.protocol.evaluation import evaluate as evaluate_program
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import INDEX_OF, Source
from fl_platform.protocol.spec import AggregationRule
from fl_platform.protocol.tape import Given, Lengths, Tape
from fl_platform.rules.compose import Rule, compose
from fl_platform.updates import dequantise, encode_update, measured_scale, rounding_seed
from fl_platform.updates.codec import decode_update
from fl_platform.updates.scale import CLIP_FACTOR, SPREAD
from fl_platform.updates.tensors import Integers, tensor_slices
from scripts.bench.harness import Row, at_least, at_most

BITS = 8
STAKE = 10**18
POT = 10**18
SCALED = 5.0
RULE = AggregationRule(
    selection="mean", byzantine=0, clip_bps=20_000, reject_bps=1_000_000, floor_bps=1_000, duplicate_bps=9_800,
    server_lr_num=1, server_lr_den=1,
)  # fmt: skip
DIRECTIONS = 4
PROGRAM: Program = compose(Rule(directions=DIRECTIONS))
_MODEL = {PROGRAM.outputs[Output.MODEL]: np.array(1, object)}  # nothing here reads it
SIZES: dict[int, list[int]] = {}  # of the model's tensors, by their number
WORDS: dict[str, int] = {
    "directions": DIRECTIONS, "bits": BITS, "stochastic": 1, "spread": SPREAD[BITS], "update_length": 1,
    "stake_cap_bps": 10_000, "clip_bps": RULE.clip_bps, "reject_bps": RULE.reject_bps, "floor_bps": RULE.floor_bps,
    "duplicate_bps": RULE.duplicate_bps, "reference_bps": RULE.reference_bps, "noise_sigmas_squared": 9,
    "least_length_shift": 3, "byzantine": 0, "fee_bps": 0, "base_bps": 0, "memory": 8, "server_lr_num": 1,
    "server_lr_den": 1, "clip_factor": CLIP_FACTOR,
}  # fmt: skip
ALPHAS = (Fraction(0), Fraction(1, 2), Fraction(1))
RECOMMENDED = Fraction(1)
# Attackers with a bar: at most a tenth of one mean honest trainer.
BARRED = ("replay-last", "replay-scaled", "replay-noise", "zero", "noise", "sybils-noise", "sybils-replay")
# What today's rule does not stop: parts of an aggregate, last round's reference in a friend's hands, a leaked update.
OPEN = ("replay-layer", "replay-first-layer", "last-reference", "leaked-copies")
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

    names: tuple[str, ...]  # of the rows: updates, then the sums of earlier rounds, newest first
    table: Array  # inner products by block, (blocks, rows, rows)
    moved: Array  # by block: the exponents less those of round 0
    past_moved: Array  # (blocks, directions): the same, when each sum was made
    accuracy: float

    def root(self, name: str) -> int:
        """Return what stands for a row in a cell; 0 where there is none."""
        return self.names.index(name) + 1 if name in self.names else 0

    # --- protocol.tape.RowSource ---

    @property
    def counting(self) -> int:
        """All blocks count."""
        return len(self.table)

    def dots(self, left: Sequence[int], right: Sequence[int], block: int | None) -> Array:
        """Return inner products, (left, right)."""
        table = self.table.sum(axis=0) if block is None else self.table[block]
        return np.asarray(table[np.ix_([row - 1 for row in left], [row - 1 for row in right])])

    def combine(self, rows: Sequence[int], weights: Sequence[int]) -> int:
        """Return a root that nobody opens: the sums that count are the honest ones."""
        return -1 if any(row and weight for row, weight in zip(rows, weights, strict=True)) else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mnist", type=Path, default=None, help="folder with MNIST's four idx files")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure MNIST over partitions and seeds, then digits as the demo runs it."""
    quick = bool(args.quick)
    rounds, seeds = (4, 1) if quick else (args.rounds, args.seeds)
    for partition in ("iid",) if quick else ("iid", "dirichlet:0.3", "2-shard"):
        settings = [
            Setting("mnist", "mnist-mlp", partition, 20, rounds, 1_000, TrainPlan(1, 32, 0.05), seed)
            for seed in range(1, seeds + 1)
        ]
        records = [list(_play(setting, args.mnist)) for setting in settings]
        yield from _rows(f"mnist {partition}", records, 20, judged=RECOMMENDED)
    digits = [Setting("digits", "digits-mlp", "iid", 5, 5, 150, TrainPlan(5, 16, 0.1), seed) for seed in range(1, 6)]
    yield from _rows("digits iid", [list(_play(setting, args.mnist)) for setting in digits], 5, judged=RECOMMENDED)


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
    tape: Tape | None = None
    for number, record in enumerate(records):
        sent = [*names, *(extra[number] if extra else ())]
        tape = _judge(record, [*sent, *[""] * (count - len(sent))], alpha, tape)
    assert tape is not None
    return [int(wei) for wei in tape.output(Output.EARNED)[REFERENCE_SEAT + 1 :]]


def _judge(record: RoundRecord, sent: Sequence[str], alpha: Fraction, before: Tape | None) -> Tape:
    """Evaluate one round of the named rows; a trainer whose row is missing handed nothing in."""
    there = [(seat, record.root(name)) for seat, name in enumerate(sent) if record.root(name)]
    seats = [REFERENCE_SEAT, *(REFERENCE_SEAT + 1 + seat for seat, _ in there)]
    roots = [record.root("reference"), *(root for _, root in there)]
    blocks = len(record.table)
    lengths = Lengths(len(seats), REFERENCE_SEAT + 1 + len(sent), blocks, DIRECTIONS)

    def of(values: Sequence[int]) -> Array:
        return np.array(list(values), dtype=object)

    one = [1] * len(seats)
    sources: dict[Source, Array | int] = {
        Source.COUNT: len(seats), Source.ROUND: 0, Source.POT: POT, Source.AGGREGATOR: 0, Source.PARENT: 1,
        Source.SEAT_OF: of(seats), Source.STAKE: of([0, *[STAKE] * len(there)]), Source.ENTRY_PARENT: of(one),
        Source.LENGTH: of(one), Source.SAMPLES: of(one), Source.CONTENT: of(roots),
        Source.REFUSED: of([0] * len(seats)),
        Source.BLOCK_SIZE: of(SIZES[blocks]), Source.BLOCK_COUNTS: of([1] * blocks),
        Source.FIRST_EXPONENT: of([0] * blocks), Source.BLOCK_STEP_BITS: of([12] * blocks),
        Source.BLOCK_NONNEGATIVE: of([0] * blocks),
    }  # fmt: skip
    words = {INDEX_OF[name]: value for name, value in (WORDS | {
        "blocks": blocks, "size": sum(SIZES[blocks]), "alpha_num": alpha.numerator, "alpha_den": alpha.denominator,
    }).items()}  # fmt: skip
    return evaluate_program(PROGRAM, lengths, Given(sources, words, _handed(record, before), record, brought=_MODEL))


def _handed(record: RoundRecord, before: Tape | None) -> list[Array] | None:
    """What the round before hands on, but steps and sums: those are the honest federation's."""
    if before is None:
        return None
    found = list(before.columns)
    past = [record.root(f"direction:{k + 1}") for k in range(DIRECTIONS)]
    of_honest = {"moved": record.moved, "past": np.array(past, dtype=object), "past_moved": record.past_moved}
    for column in PROGRAM.columns:
        if column.name in of_honest and column.op.name == "PREV":
            found[column.operands[0].column] = of_honest[column.name]
    return found


def _play(setting: Setting, folder: Path | None) -> Iterator[RoundRecord]:
    """Train the honest federation round by round and yield what each round's worth depends on."""
    split = load_split(setting.data, folder=folder, seed=setting.seed)
    federation = federate(
        split, model=setting.model, parties=setting.trainers, partition=setting.partition,
        root_rows=setting.root_rows, seed=setting.seed,
    )  # fmt: skip
    model = model_spec(federation.factory(), setting.model)
    SIZES[len(model.tensors)] = [tensor.size for tensor in model.tensors]
    owner = federation.owner
    chain: list[Delta] = [initial_state(federation.factory, seed=setting.seed)]
    first = train_locally(owner, chain[0], plan=setting.plan, seed=setting.seed).delta
    start = scale = measured_scale(first, model=model, bits=BITS)
    reference: Delta | None = None  # of the round before
    past: list[tuple[Sums, ScaleSpec]] = []  # newest first
    tape: Tape | None = None
    for number in range(setting.rounds):
        deltas = _deltas(setting, federation, owner, chain, number)
        deltas["last-reference"] = reference or deltas["zero"]
        reference = deltas["reference"]
        rows = {name: _encoded(name, delta, setting, number, model, scale) for name, delta in deltas.items()}
        sums = _honest_sums(setting.trainers, rows, model)
        # in floats: a task's integers do not matter here
        sent, divisor = dequantise(sums, model=model, scale=scale), np.float32(_weight(setting.trainers))
        state = {name: parameter + sent[name] / divisor for name, parameter in chain[0].items()}
        accuracy = evaluate(federation.factory(), state, federation.test).accuracy
        record = _record(rows, past, scale, start, model, accuracy)
        yield record
        tape = _judge(record, [f"honest-{i}" for i in range(setting.trainers)], RECOMMENDED, tape)
        following = [e + int(m) for e, m in zip(start.exponents, tape.output(Output.EXPONENTS), strict=True)]
        chain, past = [state, *chain[:DIRECTIONS]], [(sums, scale), *past][:DIRECTIONS]
        scale = ScaleSpec(tuple(following))


def _record(
    rows: Mapping[str, Integers], past: Sequence[tuple[Sums, ScaleSpec]], scale: ScaleSpec, first: ScaleSpec,
    model: ModelSpec, accuracy: float,
) -> RoundRecord:  # fmt: skip
    """Take the products of all rows: of updates, of sums, and of one with the other."""
    updates, sums = list(rows.values()), [row for row, _ in past]
    places = list(tensor_slices(model))
    own = products(updates, updates, bits=BITS, places=places).astype(object)
    table = own
    if sums:
        across = products(updates, sums, bits=BITS, places=places)
        table = np.concatenate(
            [
                np.concatenate([own, across], axis=2),
                np.concatenate([across.transpose(0, 2, 1), products(sums, sums, bits=BITS, places=places)], axis=2),
            ],
            axis=1,
        )
    start = np.array(first.exponents, dtype=object)
    past_moved = np.zeros((len(places), DIRECTIONS), dtype=object)
    for k, (_, then) in enumerate(past):
        past_moved[:, k] = np.array(then.exponents, dtype=object) - start
    names = (*rows, *(f"direction:{k + 1}" for k in range(len(sums))))
    return RoundRecord(names, table, np.array(scale.exponents, dtype=object) - start, past_moved, accuracy)


def _weight(trainers: int) -> int:
    return 65_536 // trainers * trainers


def _honest_sums(trainers: int, rows: Mapping[str, Integers], model: ModelSpec) -> Sums:
    """Return the honest mean's sums."""
    honest = [rows[f"honest-{i}"] for i in range(trainers)]
    weights = [_weight(trainers) // trainers] * trainers
    return weighted_sum(range(trainers), weights, honest.__getitem__, size=model.size, bits=BITS)


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
    single = (*BARRED[:5], "replay-mix", "sign-flip", "mimic", "replay-layer", "replay-first-layer")
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


def _encoded(name: str, delta: Delta, setting: Setting, number: int, model: ModelSpec, scale: ScaleSpec) -> Integers:
    """Round a delta with a seed of its sender's own, through the bytes of the wire."""
    seed = rounding_seed(f"{setting.name}/{name}".encode().ljust(16), task=1, round_number=number)
    data = encode_update(delta, model=model, scale=scale, bits=BITS, seed=seed).data
    return decode_update(data, model=model, bits=BITS)


def _view(honest: Delta, chain: Sequence[Delta], number: int, seed: int, others: Sequence[Delta] = ()) -> View:
    return View(
        honest=honest, parent=chain[0], previous=tuple(chain[1:]), rng=np.random.default_rng(seed), round=number,
        others=tuple(others),
    )  # fmt: skip


def _flipped(data: Labelled) -> Labelled:
    return Labelled(data.x, LabelFlip().poison(data.y, classes=10))
