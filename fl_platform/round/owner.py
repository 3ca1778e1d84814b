"""The task owner (steps 1 and 10): freezes the rules, escrows the bounty, signs the reference row, takes the dust."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from fl_platform.errors import ConfigError
from fl_platform.judging.circuits import proof_rule
from fl_platform.judging.program import check_rules, know_program, program_of, terms_of
from fl_platform.learning.base import base_digest, check_buffers, encode_base
from fl_platform.learning.parameters import initial_module, model_spec, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import build_module, train_locally
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.commitment_opening import PEDERSEN
from fl_platform.protocol.spec import (
    AggregationRule,
    CodecRule,
    Money,
    Party,
    TaskSpec,
    TrainingRule,
    Windows,
    WorthRule,
    check_spec,
)
from fl_platform.store.interface import Store
from fl_platform.store.unixfs import cid_of
from fl_platform.task.tokens import tokens
from fl_platform.task.validating import check_runnable
from fl_platform.updates import encode_model, integers_nearest, measured_scale, row_root
from fl_platform.updates.model_row import with_points
from zk.curve import bn254

if TYPE_CHECKING:
    from zk.groth16.verifier import VerifyingKey

logger = logging.getLogger(__name__)

Objects = tuple[bytes, ...]  # what the rules name by digest: initial model; base, program, proof key where there are

BASIS = 10_000

# Share of the public directions that is taken out of the reference, as a fraction (benchmark `worth`).
ALPHA = (1, 1)

# Seconds. A ring of ceil(3600 / 600) + 1 = 7 slots.
HOURLY = Windows(
    min_round=600, roster=3600, force=300, reveal=300, seal=3600, challenge=3600, takeover=3600, unbonding=36_000
)


@dataclass(frozen=True)
class Terms:
    """What an owner decides; everything else of the rules follows from its model and root rows."""

    title: str
    model_name: str
    bits: int
    rounding: str
    aggregation: AggregationRule
    worth: WorthRule
    strictness: str
    training: TrainingRule
    windows: Windows
    money: Money
    seed: int  # of the initial model
    program: bytes = b""  # bytes of a round program of one's own; empty: composed of the parts that the rules name
    commitments: str = PEDERSEN  # layer P: anybody can check the sums; or "none"
    proved: int = 0  # trainers that settlement proofs have room for; 0: rounds are not proved
    proof_key: VerifyingKey | None = None  # of a ceremony for that circuit; None: made for development


def draft_spec(
    terms: Terms,
    learning: LearningTask,
    *,
    owner: bytes,
    aggregators: Sequence[Party],
    auditors: Sequence[Party],
    reference: Party,
    witnesses: Sequence[bytes] | None = None,
) -> tuple[TaskSpec, Objects]:
    """Return the frozen rules and what they name: the initial model, and the frozen base where there is one.

    The first round's scale is measured on one delta that the owner trains on its own rows. `witnesses`: addresses;
    None: as `usual_witnesses` says; more than half of them must agree. Raises ConfigError,
    DocumentInvalid (rules that cannot work), PointInvalid (an unusable wrap key).
    """
    for party in (*aggregators, *auditors):
        bn254.decode(party.wrap_key)
    if witnesses is None:
        witnesses = usual_witnesses(owner, aggregators, auditors)
    build = partial(build_module, learning)
    module = initial_module(build, seed=terms.seed)
    check_buffers(module, build, seed=terms.seed)
    model, parent, base = model_spec(module, terms.model_name), state_arrays(module), encode_base(module)
    check_runnable(terms.worth, model)
    measured = train_locally(learning, parent, plan=TrainPlan.of(terms.training), seed=terms.seed, base=base).delta
    scale = measured_scale(measured, model=model, bits=terms.bits)
    model = with_points(model, scale, parent, {name: parent[name] + change for name, change in measured.items()})
    row = integers_nearest(parent, model)
    initial = encode_model(row, model)
    spec = TaskSpec(
        title=terms.title,
        owner=owner,
        model=model,
        initial_model=cid_of(initial).digest,
        initial_root=row_root(row, model),
        base_model=base_digest(base),
        codec=CodecRule(terms.bits, terms.rounding, scale),
        aggregation=replace(terms.aggregation, program=know_program(terms.program) if terms.program else b""),
        worth=terms.worth,
        strictness=terms.strictness,
        training=terms.training,
        windows=terms.windows,
        money=terms.money,
        aggregators=tuple(aggregators),
        auditors=tuple(auditors),
        witnesses=tuple(witnesses),
        complaints_needed=len(witnesses) // 2 + 1 if witnesses else 0,
        reference=reference,
        commitments=terms.commitments,
        exact=True,
    )
    check_spec(spec)
    check_rules(spec)
    proved, key = proof_rule(spec, terms.proved, terms.proof_key) if terms.proved else (spec.proofs, b"")
    return replace(spec, proofs=proved), tuple(data for data in (initial, base, terms.program, key) if data)


def usual_witnesses(owner: bytes, aggregators: Sequence[Party], auditors: Sequence[Party]) -> tuple[bytes, ...]:
    """Return who says whether an update is to be had where nobody is named: the auditors, else the owner; addresses.

    Who seals is no witness of its own: where nobody else is left, there is none.
    """
    listed = {party.address for party in aggregators}
    audit = tuple(party.address for party in auditors if party.address not in listed)
    return audit or tuple({owner} - listed)


class Owner:
    """A task owner with its wallet."""

    def __init__(self, *, contracts: Contracts, store: Store) -> None:
        self._contracts, self._store = contracts, store

    def open(self, spec: TaskSpec, objects: Objects) -> int:
        """Publish the rules and what they name, escrow the whole bounty and open the task, and return its number.

        Raises ConfigError when the wallet does not hold the bounty or the objects are not those of the rules,
        DocumentInvalid (a development key off local chains), PointInvalid (a key that accepts anything),
        TransactionReverted.
        """
        bounty = spec.money.pot * spec.money.rounds
        balance = self._contracts.token_balance(spec.money.token, self._contracts.address)
        if balance < bounty and not self._contracts.has_begun_opening(spec):  # else it may be in the escrow already
            raise ConfigError(
                f"the bounty is {tokens(bounty)} tokens, the wallet holds {tokens(balance)}: draw some with "
                "`fl-platform wallet fund NAME --tokens N`, where there is a faucet, or lower --pot or --rounds"
            )
        all_named = spec.initial_model, spec.base_model, spec.aggregation.program, spec.proofs.key
        if tuple(self._store.put(data).digest for data in objects) != tuple(one for one in all_named if one):
            raise ConfigError("initial model, frozen base, program or proof key are not those that the rules name")
        if spec.proofs.trainers:
            from zk.groth16.verifier import VerifyingKey, refuse_development_key
            from zk.settlement.circuit import PUBLIC

            key = VerifyingKey.from_bytes(objects[-1])
            refuse_development_key(key, chain_id=self._contracts.chain_id)
            if len(key.ic) != PUBLIC + 1:
                raise ConfigError(
                    f"the proof key is of a circuit with {len(key.ic) - 1} public inputs, settlements have {PUBLIC}: "
                    "take the file of a ceremony for this task's circuit"
                )
        document = self._store.put(spec.to_bytes())
        task = self._contracts.open_task(spec, program=program_of(spec).root, rules=terms_of(spec).root)
        logger.info("task %d open, rules %s", task, document)
        return task


def default_terms(
    *, title: str, model_name: str, money: Money, trainers: int, byzantine: int, seed: int, plan: TrainPlan
) -> Terms:
    """Return terms that suit a small task: int8, multi-Krum, anchored worth, windows of an hour.

    `trainers`: how many are expected; the largest stake may weigh as much as two equal ones. `byzantine`: how many of
    them the rule withstands; multi-Krum needs 2 * byzantine + 3, and is left out (plain weighted mean) at 0.
    """
    return Terms(
        title=title,
        model_name=model_name,
        bits=8,
        rounding="stochastic",
        aggregation=AggregationRule(
            selection="multi-krum" if byzantine else "mean",
            byzantine=byzantine,
            clip_bps=15_000,
            reject_bps=200_000,
            floor_bps=1_000,
            duplicate_bps=9_800,
            server_lr_num=1,
            server_lr_den=1,
        ),
        worth=WorthRule("anchored", *ALPHA, 0, min(BASIS, 2 * BASIS // trainers), bytes(32), 0),
        strictness="standard",
        training=plan.rule_nearest(),
        windows=HOURLY,
        money=money,
        seed=seed,
    )
