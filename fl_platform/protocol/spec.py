"""The task's frozen rules (step 1). The digest of this document is on chain before anyone works.

All numbers are integers; fractions are numerator/denominator or basis points (1/10,000).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS, PEDERSEN
from fl_platform.protocol.document import from_json, to_json
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, model_checks
from fl_platform.protocol.sources import OWN_BOUNDS, OWN_WORDS, WORDS

FORMAT = "fl-platform/task/2"
_FORMAT_BEFORE = "fl-platform/task/1"
RELEASE_BEFORE = "0.1.x"  # audits tasks of the format before
BASIS = 10_000
MAX_COMMITTED = 2**28  # parameters with layer P: 4,096 points, half of what a message may have
MAX_SPEC_BYTES = 1024 * 1024
MAX_PROVED = 256  # trainers that a settlement circuit has room for
MAX_AUDITORS = 64  # each costs every trainer two products of the curve a round
MAX_WITNESSES = 64  # a contract reads what each said
NO_BASE = b""  # in as few bytes as there are: whoever shows the rules on chain pays for each
MAX_ALGORITHM_PARAMETERS = 32
MAX_EPOCHS = 10_000  # of a round: no rules keep an honest trainer busy for ever
MAX_BATCH = 65_536  # rows: a stream is read into memory a batch at a time
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class CodecRule:
    """How a delta becomes integers."""

    bits: int  # 4, 8 or 16
    rounding: str  # "stochastic" or "nearest"
    initial_scale: ScaleSpec  # of round 0


@dataclass(frozen=True)
class AggregationRule:
    """Which updates are dropped, and how much one may weigh: the rule's parts by their names, and their numbers."""

    selection: str  # who of those that passed the screens is in the sum: "mean" (all of them) or "multi-krum"
    byzantine: int  # f: how many may be hostile (multi-krum selects nobody of fewer than 2f + 3)
    clip_bps: int  # an update longer than this many bps of the median norm weighs less
    reject_bps: int  # an update longer than this many bps of the median norm is refused
    floor_bps: int  # an update shorter than this many bps of the median norm is refused as no work
    duplicate_bps: int  # squared cosine above this: near-duplicates, they share one score
    server_lr_num: int
    server_lr_den: int
    screens: tuple[str, ...] = ("length", "replay", "direction")  # in order: the first reason counts
    weighting: str = "stake"
    directions: int = 4  # sums of earlier rounds that are looked at; 0: none
    reference_bps: int = 3_000  # a cosine with the reference below this part of the median one is other work
    own: tuple[int, ...] = ()  # numbers of parts that are not the package's own
    program: bytes = b""  # digest of the round program's object; empty: it is composed of the parts named


@dataclass(frozen=True)
class TrainingRule:
    """How everybody trains. Trainers follow it in their own interest: no audited number is computed from it."""

    algorithm: str  # of `learning.algorithms`: "fedavg", "fedprox", "scaffold"
    parameters: tuple[tuple[str, int], ...]  # the algorithm's own, by name, ascending
    optimizer: str  # "sgd", "adam" or "adamw"; its state starts anew each round
    epochs: int
    max_steps: int  # at most so many steps a round, for data without an end; 0: whole epochs
    batch_size: int  # rows
    learning_rate_ppm: int  # step size in parts per million
    schedule: str  # of the learning rate over the task's rounds: "constant", "linear" or "cosine"
    momentum_ppm: int  # of sgd
    weight_decay_ppm: int
    clip_norm_ppm: int  # a longer gradient (L2) is shortened to this; 0: none is
    precision: str  # "float32", or "bf16": products in bfloat16, weights in float32


@dataclass(frozen=True)
class WorthRule:
    """What a trainer's work is worth."""

    kind: str  # the measure: "anchored", "leave-one-out" or "equal"
    alpha_num: int  # share of the public directions taken out of the reference
    alpha_den: int
    base_bps: int  # part of each pot that is split by stake, not by score
    stake_cap_bps: int  # largest share of one trainer's stake in the total
    validation_root: bytes  # salted Merkle root over validation rows; zero when unused
    validation_slices: int  # how many slices the rows are cut into (one a round); 0 when unused
    shares: bool = True  # near-duplicates share one score; pairs of updates are compared, so at most 256 a round
    noise_sigmas_squared: int = 9  # a cosine within this many standard deviations of random ones counts as 0
    least_length_shift: int = 3  # a score is per length, of at least the median's 2^-this
    memory: int = 8  # a reputation moves by one part in this many


@dataclass(frozen=True)
class Windows:
    """Lengths of a round's intervals, seconds of block time, all half-open."""

    min_round: int
    roster: int
    force: int
    reveal: int
    seal: int
    challenge: int
    takeover: int
    unbonding: int


@dataclass(frozen=True)
class Party:
    """Somebody with a wallet and a key to which update keys are wrapped."""

    address: bytes  # 20 bytes
    wrap_key: bytes  # BN254 G1 point, 64 bytes


@dataclass(frozen=True)
class Money:
    """Amounts in the token's smallest unit ("wei")."""

    token: bytes  # 20-byte address
    pot: int  # bounty per round
    rounds: int
    stake: int  # least stake of a trainer
    bond: int  # least bond of an aggregator, >= pot
    fee_bps: int  # the sealing aggregator's part of each pot


@dataclass(frozen=True)
class ProofRule:
    """How rounds of the task are proved (zk/README.md)."""

    trainers: int = 0  # that the circuit has room for; 0: rounds are not proved
    key: bytes = b""  # sha256 of the verifying key's object, 32 bytes; empty: none


@dataclass(frozen=True)
class TaskSpec:
    """A whole task. Immutable once its digest is on chain."""

    title: str
    owner: bytes  # 20 bytes; whoever chooses the reference is trusted for that choice, and this is who
    model: ModelSpec
    initial_model: bytes  # digest in the CID of the initial model's file
    initial_root: bytes  # content root of its integers: its name on chain
    base_model: bytes  # sha256 of the object with the parameters that nobody learns; empty when all are learned
    codec: CodecRule
    aggregation: AggregationRule
    worth: WorthRule
    strictness: str  # "standard" or "strict"
    training: TrainingRule
    windows: Windows
    money: Money
    aggregators: tuple[Party, ...]
    auditors: tuple[Party, ...]
    witnesses: tuple[bytes, ...]  # addresses: who says whether an update is to be had
    complaints_needed: int  # how many of them must say no before a sealer may leave it out; 0: nobody ever may
    reference: Party  # signs row 0, what worth is measured against; the zero address when worth is not anchored
    commitments: str  # "pedersen": every update is committed to, so that anybody can check the sums; or "none"
    exact: (
        bool  # false when a strategy outside integer arithmetic is wrapped: the audit then compares within a tolerance
    )
    proofs: ProofRule = ProofRule()

    def to_bytes(self) -> bytes:
        """Return the canonical document that goes to the store."""
        body = to_json(self)
        assert isinstance(body, dict)
        return canonical_json({"format": FORMAT, **body})

    @cached_property
    def digest(self) -> bytes:
        """sha256 of the document: what `TaskRegistry.openTask` freezes."""
        return hashlib.sha256(self.to_bytes()).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> TaskSpec:
        """Read a document from the store (hash-checked, but written by a peer). Raises DocumentInvalid."""
        value = parse_canonical(data, what="task spec", max_bytes=MAX_SPEC_BYTES)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise DocumentInvalid(_other_format(value))
        spec: TaskSpec = from_json(cls, {k: v for k, v in value.items() if k != "format"}, "task spec")
        check_spec(spec)
        return spec


def _other_format(value: object) -> str:
    if isinstance(value, dict) and value.get("format") == _FORMAT_BEFORE:
        return (
            f"task spec: its format is {_FORMAT_BEFORE}, this release reads {FORMAT}; audit that task with "
            f"fl-platform {RELEASE_BEFORE}"
        )
    return f"task spec: format must be {FORMAT}; was it written by another version?"


def check_spec(spec: TaskSpec) -> None:
    """Refuse rules that cannot work. Raises DocumentInvalid with the value and the limit."""
    checks = (
        (spec.codec.bits in (4, 8, 16), f"codec.bits {spec.codec.bits} is not 4, 8 or 16"),
        (spec.codec.rounding in ("stochastic", "nearest"), f"codec.rounding {spec.codec.rounding!r} is unknown"),
        (len(spec.base_model) in (0, 32), f"base_model has {len(spec.base_model)} bytes, neither 0 nor 32"),
        (
            (len(spec.initial_model), len(spec.initial_root)) == (32, 32),
            "initial_model and initial_root have 32 bytes each",
        ),
        *model_checks(spec.model, spec.codec.initial_scale),
        *_rule_checks(spec.aggregation, spec.worth),
        (spec.strictness in ("standard", "strict"), f"strictness {spec.strictness!r} is unknown"),
        (spec.commitments in (PEDERSEN, NO_COMMITMENTS), f"commitments {spec.commitments!r} are unknown"),
        (spec.exact or spec.commitments == NO_COMMITMENTS, "commitments need exact sums: use none"),
        (
            spec.commitments == NO_COMMITMENTS or spec.model.size <= MAX_COMMITTED,
            f"model has {spec.model.size} parameters, with commitments {MAX_COMMITTED} at most",
        ),
        (0 < spec.money.rounds < 2**16, f"rounds {spec.money.rounds} must be 1 to 65,535"),
        (
            0 < spec.money.pot < 2**80 and spec.money.bond >= spec.money.pot,
            "pot must be positive and bond at least one pot",
        ),
        (1 <= len(spec.aggregators) <= 8, f"{len(spec.aggregators)} aggregators, allowed 1 to 8"),
        (len(spec.auditors) <= MAX_AUDITORS, f"{len(spec.auditors)} auditors, allowed {MAX_AUDITORS}"),
        (
            all(
                len(party.address) == 20 and len(party.wrap_key) == 64
                for party in (*spec.aggregators, *spec.auditors, spec.reference)
            ),
            "a party has no address of 20 bytes and key of 64",
        ),
        *_training_checks(spec.training),
        *_witness_checks(spec),
        (
            0 <= spec.proofs.trainers <= MAX_PROVED and len(spec.proofs.key) == 32 * bool(spec.proofs.trainers),
            f"proofs have room for {spec.proofs.trainers} trainers and a key of {len(spec.proofs.key)} bytes; 0 "
            f"without a key, or 1 to {MAX_PROVED} with one of 32",
        ),
        (_one_key_each(spec), "a party is listed with two wrap keys: one box would be taken for another"),
        *(
            (low <= value <= high, f"{name} {value} must be {low} to {high}")
            for name, value, low, high in _bounded(spec)
        ),
    )
    for holds, message in checks:
        if not holds:
            raise DocumentInvalid(f"task spec: {message}")


def _witness_checks(spec: TaskSpec) -> tuple[tuple[bool, str], ...]:
    count, needed = len(spec.witnesses), spec.complaints_needed
    listed = {party.address for party in spec.aggregators}
    return (
        (count <= MAX_WITNESSES, f"{count} witnesses, allowed {MAX_WITNESSES}"),
        (
            len(set(spec.witnesses)) == count and all(len(who) == 20 and any(who) for who in spec.witnesses),
            "a witness is named twice, or by no address",
        ),
        (not listed.intersection(spec.witnesses), "a witness is one of the aggregators, who would be its own witness"),
        # of two halves each could say another thing
        (
            count // 2 < needed <= count or needed == count == 0,
            f"complaints_needed {needed} must be more than half of {count} witnesses, and at most all",
        ),
    )


def _rule_checks(rule: AggregationRule, worth: WorthRule) -> tuple[tuple[bool, str], ...]:
    return (
        (0 <= worth.alpha_num <= worth.alpha_den, "alpha must be between 0 and 1"),
        (len(rule.own) <= len(OWN_WORDS), f"{len(rule.own)} own words, {len(OWN_WORDS)} at most"),
        (len(rule.program) in (0, 32), f"aggregation.program has {len(rule.program)} bytes, neither 0 nor 32"),
        (0 < worth.stake_cap_bps <= BASIS, f"stake_cap_bps {worth.stake_cap_bps} must be 1 to {BASIS}"),
    )


def _one_key_each(spec: TaskSpec) -> bool:
    keys = {(party.address, party.wrap_key) for party in (*spec.aggregators, *spec.auditors)}
    return len(keys) == len({address for address, _ in keys})


def _bounded(spec: TaskSpec) -> tuple[tuple[str, int, int, int], ...]:
    """Numbers that trainers and aggregators compute with: (name, value, least, largest)."""
    worth, training = spec.worth, spec.training
    parts = (spec.aggregation, spec.worth, spec.money, spec.codec)
    named = {word.name: word.bounds for word in WORDS}
    return (
        *(
            (item.name, getattr(part, item.name), *named[item.name])
            for part in parts
            for item in fields(part)
            if item.name in named
        ),
        *(("aggregation.own", value, *OWN_BOUNDS) for value in spec.aggregation.own),
        ("validation_slices", worth.validation_slices, 0, 2**16),
        ("training.epochs", training.epochs, 1, MAX_EPOCHS),
        ("training.max_steps", training.max_steps, 0, 2**31),
        ("training.batch_size", training.batch_size, 1, MAX_BATCH),
        ("training.learning_rate_ppm", training.learning_rate_ppm, 1, 10**9),
        ("training.momentum_ppm", training.momentum_ppm, 0, 999_999),
        ("training.weight_decay_ppm", training.weight_decay_ppm, 0, 10**9),
        ("training.clip_norm_ppm", training.clip_norm_ppm, 0, 2**53),
    )


def _training_checks(training: TrainingRule) -> tuple[tuple[bool, str], ...]:
    names = [name for name, _ in training.parameters]
    return (
        (training.optimizer in OPTIMIZERS, f"training.optimizer {training.optimizer!r} is unknown"),
        (training.schedule in SCHEDULES, f"training.schedule {training.schedule!r} is unknown"),
        (training.precision in PRECISIONS, f"training.precision {training.precision!r} is unknown"),
        (
            len(names) <= MAX_ALGORITHM_PARAMETERS and names == sorted(set(names)),
            f"training.parameters must be at most {MAX_ALGORITHM_PARAMETERS}, ascending by name",
        ),
    )
