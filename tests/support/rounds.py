"""A whole round in memory with real keys and signatures: what admission and the judge are tested on.

`happy_round()` is valid in every respect; tests change one thing of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from eth_keys.datatypes import PrivateKey

from fl_platform.errors import RejectedInput, StoreMissing
from fl_platform.judging.admit import RoundContext, seats_of
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.judging.sums import Sums
from fl_platform.protocol.bundle import Entry, TaskState, WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import package_digest, recipients
from fl_platform.protocol.receipt import Domain, Receipt, sign_digest, sign_receipt
from fl_platform.protocol.spec import Party, TaskSpec
from fl_platform.store.unixfs import cid_of
from fl_platform.updates import encode_model, pack_update, row_root, update_length
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import content_root
from fl_platform.updates.model_row import ModelRow
from fl_platform.updates.tensors import Integers
from tests.support.specs import small_spec

DOMAIN = Domain(chain_id=1337, ledger=bytes(range(20)))
AGGREGATOR = b"\xa0" * 20
STAKE = 10**18


@dataclass(frozen=True)
class Place:
    """Which task of which ledger a round belongs to."""

    domain: Domain
    task: int


NOWHERE = Place(DOMAIN, 7)  # a task that is on no chain


def private_key(number: int) -> bytes:
    """Return a test key."""
    return (number + 1).to_bytes(32, "big")


def address_of(number: int) -> bytes:
    """Return the address of `private_key(number)`."""
    return PrivateKey(private_key(number)).public_key.to_canonical_address()


def anchored_spec(**changes: Any) -> TaskSpec:
    """Return a small anchored FedAvg spec whose reference signs with key 0."""
    aggregators = (Party(AGGREGATOR, bytes(64)),)
    spec = small_spec(reference=Party(address_of(0), bytes(64)), owner=address_of(0), aggregators=aggregators)
    rule = replace(spec.aggregation, selection="mean")
    return dataclasses.replace(spec, aggregation=rule, **changes)


def ints_like(spec: TaskSpec, seed: int, *, towards: Integers | None = None, share: float = 0.0) -> Integers:
    """Return random integers of the spec's size, mixed with a common direction."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 4, spec.model.size) * (1 - share)
    if towards is not None:
        values += share * towards.astype(np.float64)
    return np.clip(np.rint(values), -127, 127).astype(np.int8)


@dataclass
class Round:
    """A round under construction."""

    spec: TaskSpec
    before: TaskState
    context: RoundContext
    entries: list[Entry]
    data: list[bytes | RejectedInput | StoreMissing]  # plaintext per entry, or what opening it raises
    models: dict[bytes, ModelRow]
    sums: dict[bytes, Sums] = field(default_factory=dict)  # of earlier rounds
    extra: Mapping[str, Any] = field(default_factory=dict)
    forced_out: dict[int, tuple[WrappedKey, ...]] = field(default_factory=dict)  # boxes put on chain for an entry

    def updates(self, index: int) -> bytes:
        """Return the plaintext of an entry, like a store and a key would."""
        item = self.data[index]
        if isinstance(item, bytes):
            return item
        raise item

    @property
    def missing(self) -> frozenset[bytes]:
        """Receipts (struct hashes) whose updates are not to be had."""
        pairs = zip(self.entries, self.data, strict=True)
        return frozenset(entry.receipt.struct_hash() for entry, item in pairs if not isinstance(item, bytes))

    def parent_row(self, state: TaskState) -> ModelRow:
        """Return the integers of the model that a state starts from."""
        return self.models[state.model]

    def judge(self) -> Judgement:
        """Judge the round as it stands, with a ground on chain for each update that is not to be had."""
        return judge_round(
            self.spec, replace(self.context, missing=self.missing), self.before, self.entries, updates=self.updates,
            models=self.parent_row, sums=self.sums.__getitem__, **self.extra,
        )  # fmt: skip

    def sign(self, index: int, number: int, **changes: Any) -> None:
        """Change fields of entry `index`'s receipt and sign it again with key `number`."""
        receipt = replace(self.entries[index].receipt, **changes)
        signed = sign_receipt(receipt, self.context.domain, private_key(number))
        package = sign_keys(receipt, private_key(number), self.context.domain, self.spec)
        entry = self.entries[index]
        self.entries[index] = replace(entry, receipt=receipt, signature=signed.signature, keys_signature=package)

    def next_round(self, judgement: Judgement, updates: Sequence[Integers], *, reference: Integers | None) -> Round:
        """Return the round that follows `judgement` with new updates of the same trainers."""
        models = {**self.models, judgement.after.model: judgement.row}
        made = build_round(
            self.spec, updates, reference=reference, before=judgement.after, models=models, members=self.context.members
        )
        made.sums = {**self.sums, cid_of(judgement.aggregate_bytes).digest: judgement.sums}
        return made


def place_of(round_: Round, number: int) -> int:
    """Return the entry index of key `number`'s first entry."""
    return next(i for i, e in enumerate(round_.entries) if e.receipt.trainer == address_of(number))


def zero_model(spec: TaskSpec) -> ModelRow:
    """Return the model of zeros."""
    return np.zeros(spec.model.size, dtype=np.int32)


def first_state(spec: TaskSpec, model: ModelRow) -> TaskState:
    """Return the state before round 0."""
    digest, root = cid_of(encode_model(model, spec.model)).digest, row_root(model, spec.model)
    return TaskState(0, digest, root, (), spec.codec.initial_scale, (), (), (), ())


def content_key(number: int) -> bytes:
    """Return the update key of trainer `number`: only blinds come from it, these rounds are not encrypted."""
    return keccak256(b"update key" + number.to_bytes(4, "big"))


def make_entry(
    spec: TaskSpec, state: TaskState, number: int, update: Integers, *, stake: int, place: Place = NOWHERE
) -> Entry:
    """Return a signed entry of key `number`."""
    payload = pack_update(update, model=spec.model, bits=spec.codec.bits)[HEADER_BYTES:]
    root = content_root(payload, table=spec.model.leaves, bits=spec.codec.bits, key=content_key(number))
    receipt = Receipt(
        task=place.task, round=state.round, life=0, base_round=state.round, trainer=address_of(number),
        parent=state.model_root,
        update=number.to_bytes(32, "big"), length=update_length(spec.model.size, spec.codec.bits), key_hash=bytes(32),
        leaves_root=bytes(32), content_root=root, commitment=bytes(32), samples=10**9, salt=bytes(32),
    )  # fmt: skip
    signature = sign_receipt(receipt, place.domain, private_key(number)).signature
    keys = sign_keys(receipt, private_key(number), place.domain, spec)
    return Entry(receipt, signature, stake, keys_for(spec), keys, forced=False)


def keys_for(spec: TaskSpec) -> tuple[WrappedKey, ...]:
    """Return a box for each recipient, of no key."""
    return tuple(WrappedKey(party.address, bytes(64), bytes(32)) for party in recipients(spec))


def sign_keys(receipt: Receipt, key: bytes, domain: Domain, spec: TaskSpec) -> bytes:
    """Return a trainer's signature over `keys_for`."""
    return sign_digest(package_digest(receipt, keys_for(spec), domain, spec), key)


def build_round(
    spec: TaskSpec,
    updates: Sequence[Integers],
    *,
    reference: Integers | None,
    stakes: Sequence[int] | None = None,
    before: TaskState | None = None,
    models: dict[bytes, ModelRow] | None = None,
    members: Mapping[bytes, int] | None = None,
    place: Place = NOWHERE,
) -> Round:
    """Return a round of trainers 1, 2, ... (and the reference as key 0), entries sorted by address."""
    stakes = stakes or [STAKE] * len(updates)
    if before is None or models is None:
        model = zero_model(spec)
        before = first_state(spec, model)
        models = {before.model: model}
    made = [] if reference is None else [(make_entry(spec, before, 0, reference, stake=0, place=place), reference)]
    made += [
        (make_entry(spec, before, n, update, stake=stake, place=place), update)
        for n, (stake, update) in enumerate(zip(stakes, updates, strict=True), start=1)
    ]
    made.sort(key=lambda item: item[0].receipt.trainer)
    members = members or {address_of(n): stake for n, stake in enumerate(stakes, start=1)}
    seats = seats_of(spec, list(members))
    parent = before.model_root
    context = RoundContext(place.domain, place.task, before.round, AGGREGATOR, parent, members, seats, life=0)
    data: list[bytes | RejectedInput | StoreMissing] = [
        pack_update(update, model=spec.model, bits=spec.codec.bits) for _, update in made
    ]
    return Round(spec, before, context, [entry for entry, _ in made], data, models)


def happy_round(trainers: int = 4, **changes: Any) -> Round:
    """Return a valid anchored round whose trainers all go roughly the reference's way."""
    spec = anchored_spec(**changes)
    reference = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=reference, share=0.7) for seed in range(1, trainers + 1)]
    return build_round(spec, updates, reference=reference)
