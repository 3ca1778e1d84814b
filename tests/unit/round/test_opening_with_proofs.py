"""A task with settlement proofs freezes the key of its circuit; off local chains none that anybody can forge for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.errors import ConfigError, DocumentInvalid, NoCircuit, PointInvalid
from fl_platform.judging import circuits
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.tasks import federate, load_split
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.spec import Money, TaskSpec
from fl_platform.round.offer import Offer
from fl_platform.round.owner import Objects, Owner
from fl_platform.store.memory import MemoryStore
from fl_platform.store.unixfs import cid_of
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import party
from tests.support.chain import AGGREGATOR, OWNER, Stage, stage
from tests.support.own_keys import own_key
from zk.groth16.verifier import VerifyingKey

TRAINERS = 2


@pytest.fixture(scope="module")
def own() -> Iterator[Stage]:
    with stage() as made:
        yield made


def drafted(own: Stage, **choices: Any) -> tuple[TaskSpec, Objects]:
    """Draft the rules of a task whose worth is paid equally: the smallest circuit that an offer has."""
    money = Money(own.owner.faucet.address, 10**18, 1, 10**18, 10**18, 0)
    offer = Offer("proved", "digits-mlp", money, TRAINERS, TrainPlan(1, 32, 0.1), worth="equal", **choices)
    rows = federate(load_split("digits"), model="digits-mlp", parties=1, root_rows=100, seed=1).parties[0]
    return offer.draft(rows, owner=party(OWNER), aggregators=(party(AGGREGATOR),), auditors=())


def opened(own: Stage, spec: TaskSpec, objects: Objects) -> TaskReader:
    """Open a task; return a reader of it."""
    own.owner.mint(own.owner.address, spec.money.pot)
    store = MemoryStore()
    return TaskReader(own.owner, store, Owner(contracts=own.owner, store=store).open(spec, objects))


@pytest.fixture(scope="module")
def proved(own: Stage) -> tuple[TaskSpec, Objects]:
    return drafted(own, proved=TRAINERS)


def test_without_proofs_no_key_is_frozen(own: Stage) -> None:
    spec, objects = drafted(own)
    assert (spec.proofs.trainers, spec.proofs.key, len(objects)) == (0, b"", 1)
    with pytest.raises(NoCircuit, match="--proofs N"):
        circuits.circuit_of(opened(own, spec, objects).spec)


def test_with_proofs_the_circuits_key_is_frozen_and_published(own: Stage, proved: tuple[TaskSpec, Objects]) -> None:
    spec, objects = proved
    key = VerifyingKey.from_bytes(objects[-1])
    assert (spec.proofs.trainers, spec.proofs.key) == (TRAINERS, key.digest)
    assert key == circuits.development_key(spec)
    reader = opened(own, spec, objects)
    assert reader.spec == spec
    assert reader.proof_key() == key
    assert reader.store.get(cid_of(objects[-1]), max_bytes=1 << 12) == objects[-1]


def test_another_key_than_the_rules_name_is_not_published(own: Stage, proved: tuple[TaskSpec, Objects]) -> None:
    spec, objects = proved
    for wrong in (objects[:-1], (*objects[:-1], own_key().to_bytes()), (*objects, objects[-1])):
        with pytest.raises(ConfigError, match="not those that the rules name"):
            opened(own, spec, wrong)


def test_a_development_key_opens_no_task_off_local_chains(
    own: Stage, proved: tuple[TaskSpec, Objects], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contracts, "chain_id", property(lambda _: 11_155_111))
    with pytest.raises(DocumentInvalid, match="refused on chain 11155111"):
        opened(own, *proved)


def frozen(proved: tuple[TaskSpec, Objects], key: VerifyingKey) -> tuple[TaskSpec, Objects]:
    """The same rules with another key."""
    spec, objects = proved
    return replace(spec, proofs=replace(spec.proofs, key=key.digest)), (*objects[:-1], key.to_bytes())


def test_a_ceremonys_key_is_frozen_as_it_is(own: Stage) -> None:
    spec, objects = drafted(own, proved=TRAINERS, proof_key=own_key())
    assert (spec.proofs.key, objects[-1]) == (own_key().digest, own_key().to_bytes())
    assert opened(own, spec, objects).proof_key() == own_key()


def test_keys_that_accept_anything_or_are_of_no_settlement_open_nothing(
    own: Stage, proved: tuple[TaskSpec, Objects]
) -> None:
    infinite = bytes(64) + own_key().to_bytes()[64:]
    spec, objects = frozen(proved, own_key())
    with pytest.raises(PointInvalid):
        opened(own, replace(spec, proofs=replace(spec.proofs, key=cid_of(infinite).digest)), (*objects[:-1], infinite))
    short = replace(own_key(), ic=own_key().ic[:2])
    with pytest.raises(ConfigError, match="1 public inputs, settlements have 3"):
        opened(own, *frozen(proved, short))
