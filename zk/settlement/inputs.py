"""From a round to the circuit's inputs, and the list that a contract reads: commitment, list, rho.

The circuit commits to a round by a Poseidon chain (`commitment`): whoever has the round's bundle recomputes it. What
the round gives everyone is a list of 2 n + 1 numbers below r (`payload`); it travels in calldata. The contract takes
rho = keccak(context, commitment, list) and the list's polynomial at rho; the proof says that the list which follows
from the commitment has the same value there. It was fixed before rho, so another list passes with probability
(2 n + 1) / r. Context binds chain, contract, task, round and claimant: under another context rho is another number.

Tests: tests/unit/zk/settlement/test_statement.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fl_platform.errors import DocumentInvalid
from zk.curve.bn254 import ORDER
from zk.keccak import keccak256
from zk.poseidon import hash_list
from zk.settlement.statement import EMPTY, Round, Rule, Settled, Slot, settle_round

SIZES = {4: True, 16: True, 64: False}  # slots -> whether the layout has pairs (multi-Krum, near-duplicates)
TAG = int.from_bytes(b"FLS1", "big") << 16
DOMAIN = keccak256(b"fl-platform settlement 1")
_SIGN = 1 << 63


@dataclass(frozen=True)
class Context:
    """What a settlement proof is bound to."""

    chain_id: int
    contract: int  # address of the gate that checks the proof
    task: int
    round: int
    claimant: int  # address that may hand the proof in


def padded(rule: Rule, shared: Sequence[int], slots: Sequence[Slot], between: Sequence[Sequence[int]]) -> Round:
    """Return a round of the smallest layout that holds these slots, given in ascending order of addresses.

    `shared` is G_rr, G_rP, G_PP; `between[i][j]` is G_ij. Raises DocumentInvalid when there are too many slots, or
    multi-Krum has more slots than the layouts with pairs hold.
    """
    for size, has_pairs in SIZES.items():
        if len(slots) <= size and (has_pairs or not rule.krum):
            filled = [*slots, *[EMPTY] * (size - len(slots))]
            n = len(slots)
            pairs = [between[i][j] if i < n and j < n else 0 for i in range(size if has_pairs else 0) for j in range(i)]
            return Round(rule, shared[0], shared[1], shared[2], tuple(filled), tuple(pairs))
    raise DocumentInvalid(f"no settlement circuit has {len(slots)} slots under this rule: the round's window stands")


def _elements(round_: Round) -> tuple[list[int], list[int], list[int], list[int]]:
    rule = [getattr(round_.rule, field.name) for field in fields(Rule)]
    shared = [round_.reference_squared, round_.reference_along, round_.direction_squared]
    slots = [getattr(slot, field.name) for slot in round_.slots for field in fields(Slot)]
    return rule, shared, slots, list(round_.pairs)


def commitment(round_: Round) -> int:
    """Return the round's commitment: the circuit's first public number."""
    layout = 2 * len(round_.slots) + bool(round_.pairs)
    return hash_list(TAG + layout, [value for part in _elements(round_) for value in part])


def payload(round_: Round, settled: Settled) -> tuple[int, ...]:
    """Return the list: n claims (earned so far, address), n marks, one total; each below r.

    claim: address, 160 bits | earned after the round in wei, fee included for the aggregator.
    mark: weight, 17 bits | verdict, 3 | reputation, 20 | score + 2^63, 64 | score sum + 2^63, 64 | paid by score, 82.
    total: divisor, 17 bits | pot that went through the catch-up split, 81 | dust.
    """
    claims, marks = [], []
    for i, slot in enumerate(round_.slots):
        by_score = slot.paid_scored + settled.scored[i]
        fee = settled.fee if i == round_.rule.aggregator else 0
        claims.append(slot.address | (by_score + slot.paid_base + settled.base[i] + fee) << 160)
        marks.append(
            settled.weights[i] | settled.codes[i] << 17 | settled.reputations[i] << 20
            | settled.scores[i] + _SIGN << 40 | slot.score_sum + settled.scores[i] + _SIGN << 104 | by_score << 168
        )  # fmt: skip
    total = settled.divisor | settled.scored_pot << 17 | settled.dust << 98
    return (*claims, *marks, total)


def rho_of(context: Context, root: int, values: Sequence[int]) -> int:
    """Return the point at which contract and circuit compare the list."""
    body = b"".join(value.to_bytes(32, "big") for value in values)
    head = (context.chain_id, context.contract, context.task, context.round, context.claimant, root)
    encoded = DOMAIN + b"".join(value.to_bytes(32, "big") for value in head) + keccak256(body)
    return int.from_bytes(keccak256(encoded), "big") % ORDER


def value_at(values: Sequence[int], rho: int) -> int:
    """Return sum values[i] * rho^i modulo r."""
    total = 0
    for value in reversed(values):
        total = (total * rho + value) % ORDER
    return total


@dataclass(frozen=True)
class Statement:
    """A settlement to prove: the circuit's inputs and what everyone will see."""

    inputs: dict[str, list[int]]
    public: tuple[int, int, int]  # commitment, the list's value at rho, rho
    values: tuple[int, ...]
    settled: Settled


def statement(round_: Round, context: Context) -> Statement:
    """Apply the rule to a round and bind the outcome to a context. Raises DocumentInvalid (see `settle_round`)."""
    settled = settle_round(round_)
    root, values = commitment(round_), payload(round_, settled)
    rho = rho_of(context, root, values)
    return Statement(circuit_inputs(round_, rho), (root, value_at(values, rho), rho), values, settled)


def circuit_inputs(round_: Round, rho: int) -> dict[str, list[int]]:
    """Return the circuit's inputs by name, flat."""
    rule, shared, slots, pairs = _elements(round_)
    inputs = {"rule": rule, "shared": shared, "slot": slots, "rho": [rho]}
    return {**inputs, "pair": pairs} if pairs else inputs


def claims_of(values: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return (address, wei earned so far) of the occupied slots of a list."""
    claims = values[: len(values) // 2]
    return tuple((claim & (1 << 160) - 1, claim >> 160) for claim in claims if claim)
