"""A task's round program and terms: what its rules say, as `openTask` freezes it and everybody evaluates it.

Tests: tests/unit/round/test_own_program.py
"""

from __future__ import annotations

from functools import lru_cache

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.protocol.keypackage import recipients
from fl_platform.protocol.operations import Op
from fl_platform.protocol.program import UNSEALED, Output, Program
from fl_platform.protocol.sources import INDEX_OF, LONGEST, OWN_WORDS, Axis, Source
from fl_platform.protocol.spec import AggregationRule, TaskSpec, WorthRule
from fl_platform.protocol.tape import Lengths
from fl_platform.protocol.terms import Block, Terms
from fl_platform.rules.compose import Rule, compose
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import update_length
from fl_platform.updates.scale import CLIP_FACTOR, SPREAD

ASKS = 5 * 10**15  # wei that a question about a seal costs until it is answered: over four times the answer's gas


# Programs that are not of the package's parts, by the digest that tasks name them by: read and checked once.
_KNOWN: dict[bytes, Program] = {}


def know_program(data: bytes) -> bytes:
    """Read a program's bytes (untrusted), so that `program_of` has it, and return the digest that a task names it by.

    Raises DocumentInvalid for bytes that are no program, or one whose cells the checker cannot bound.
    """
    digest = cid_of(data).digest
    if digest not in _KNOWN:
        _KNOWN[digest] = Program.from_bytes(data)
    return digest


def program_of(spec: TaskSpec) -> Program:
    """Return a task's program: that of the parts it names, or the one that it brings (see `know_program`).

    Raises DocumentInvalid for parts that the package has not, ConfigError for a program whose bytes were not read.
    """
    named = spec.aggregation.program
    if not named:
        return package_program(spec)
    if named not in _KNOWN:
        raise ConfigError(f"the task's program 0x{named.hex()} was not read from the store yet")
    return _KNOWN[named]


def package_program(spec: TaskSpec) -> Program:
    """Return the program of the package's own parts that a task names. Raises DocumentInvalid."""
    return composed_of(spec.aggregation, spec.worth)


def composed_of(rule: AggregationRule, worth: WorthRule) -> Program:
    """Return the program of the parts that rules name. Raises DocumentInvalid."""
    return _composed(Rule(rule.screens, rule.selection, rule.weighting, worth.kind, rule.directions, worth.shares))


def is_own(spec: TaskSpec) -> bool:
    """Whether a task is judged by a program that is not of the package's own parts."""
    if not spec.aggregation.program:
        return False
    try:
        return program_of(spec).root != package_program(spec).root
    except DocumentInvalid:  # it names parts that the package has not
        return True


@lru_cache(maxsize=16)
def _composed(rule: Rule) -> Program:
    try:
        return compose(rule)
    except ConfigError as error:
        raise DocumentInvalid(f"task spec: {error}") from error


def terms_of(spec: TaskSpec) -> Terms:
    """Return what a task freezes beside its program. Raises DocumentInvalid for what no task can have."""
    rule, worth, codec = spec.aggregation, spec.worth, spec.codec
    words = {
        "blocks": len(spec.model.tensors), "directions": rule.directions, "size": spec.model.counted_size,
        "bits": codec.bits, "stochastic": int(codec.rounding == "stochastic"), "spread": SPREAD[codec.bits],
        "update_length": update_length(spec.model.size, codec.bits), "stake_cap_bps": worth.stake_cap_bps,
        "clip_bps": rule.clip_bps, "reject_bps": rule.reject_bps, "floor_bps": rule.floor_bps,
        "duplicate_bps": rule.duplicate_bps, "reference_bps": rule.reference_bps,
        "noise_sigmas_squared": worth.noise_sigmas_squared, "least_length_shift": worth.least_length_shift,
        "byzantine": rule.byzantine, "alpha_num": worth.alpha_num, "alpha_den": worth.alpha_den,
        "fee_bps": spec.money.fee_bps, "base_bps": worth.base_bps, "memory": worth.memory,
        "server_lr_num": rule.server_lr_num, "server_lr_den": rule.server_lr_den, "clip_factor": CLIP_FACTOR,
    }  # fmt: skip
    own = dict(zip(OWN_WORDS, rule.own, strict=False))
    return Terms(
        words={INDEX_OF[name]: value for name, value in words.items()} | own,
        blocks=tuple(
            Block(tensor.size, tensor.counted, exponent, tensor.point, tensor.nonnegative)
            for tensor, exponent in zip(spec.model.tensors, codec.initial_scale.exponents, strict=True)
        ),
        ask_bond=ASKS,
        initial_model=spec.initial_root,
        reference=spec.reference.address if worth.kind == "anchored" else bytes(20),
        auditors=tuple(party.address for party in spec.auditors),
        recipients=tuple((party.address, party.wrap_key) for party in recipients(spec)),
        witnesses=spec.witnesses,
        complaints_needed=spec.complaints_needed,
    )


def check_rules(spec: TaskSpec) -> None:
    """Refuse rules that no program or no terms can be made of. Raises DocumentInvalid."""
    program, terms = program_of(spec), terms_of(spec)
    if lacking := [each.name.lower() for each in Output if each not in {*program.outputs, *UNSEALED}]:
        raise DocumentInvalid(f"task spec: the program lacks the output {lacking[0]}, which a seal is held to")
    _require_one_step(program)
    for column in program.columns:
        index = column.immediate >> 8
        if column.immediate & 0xFF == Source.WORD and column.op.name == "SOURCE" and index not in terms.words:
            raise DocumentInvalid(f"task spec: the program reads the rules' word {index}, which they have not")
    if len(spec.model.tensors) > LONGEST[Axis.BLOCK]:
        raise DocumentInvalid(f"{len(spec.model.tensors)} tensors; a round counts {LONGEST[Axis.BLOCK]} at most")


def _require_one_step(program: Program) -> None:
    """A model moves once a round, from the chain's by this round's sum: rows that everybody has.

    Raises DocumentInvalid.
    """
    steps = [number for number, column in enumerate(program.columns) if column.op is Op.STEP]
    if steps != [program.outputs[Output.MODEL]]:
        raise DocumentInvalid(f"task spec: the program has {len(steps)} steps; it must have one, and that is its model")
    model, sums = (program.columns[operand.column] for operand in program.columns[steps[0]].operands[:2])
    from_chain = model.op is Op.SOURCE and model.immediate & 0xFF == Source.PARENT
    if not from_chain or sums.op is not Op.COMBINE:
        raise DocumentInvalid("task spec: the program's step must move the round's parent by a sum of its updates")


def lengths_of(spec: TaskSpec, *, entries: int, seats: int) -> Lengths:
    """Return how long a round's axes are."""
    return Lengths(entries, seats, len(spec.model.tensors), spec.aggregation.directions)
