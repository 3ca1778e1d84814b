"""Structs, events and digests in Python against the contracts' own."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator

import pytest

from fl_platform.chain.artifacts import load, shipped
from fl_platform.errors import IntegrityError
from fl_platform.ledger import records
from fl_platform.ledger.deploy import CONTRACTS
from fl_platform.ledger.events import EVENTS, snake
from fl_platform.ledger.records import ClaimRecord, RosterRecord, SealInput, SealRecord, pack_siblings, ring_size
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.spec import Windows
from tests.support.chain import AGGREGATOR, Stage, ledger_oracle, roster_leaves, stage, wallet

# Events that are not of a task, or of other contracts' inheritance.
FOREIGN = {"OwnershipTransferred", "OwnershipTransferStarted", "Paused", "Unpaused", "EIP712DomainChanged"}


@pytest.fixture(scope="module")
def s() -> Iterator[Stage]:
    with stage() as made:
        yield made


def test_every_event_of_every_contract_has_its_class_and_fields() -> None:
    known = {}
    for name in CONTRACTS:
        for entry in load(name).entries:
            if entry["type"] == "event" and entry["name"] not in FOREIGN:
                known[entry["name"]] = (name, [snake(x["name"]) for x in entry["inputs"]])
    assert known.keys() == EVENTS.keys()
    for name, (contract, fields) in known.items():
        kind = EVENTS[name]
        assert kind.contract == contract
        assert [f.name for f in dataclasses.fields(kind) if f.name != "place"] == fields


STRUCTS = {
    "TaskParams": records.TaskParams,
    "Windows": Windows,
    "Ticket": records.Ticket,
    "Head": records.Head,
    "Member": records.Member,
    "Account": records.Account,
    "Task": records.TaskRecord,
    "RosterRecord": RosterRecord,
    "SealInput": SealInput,
    "ClaimRecord": ClaimRecord,
    "SealRecord": SealRecord,
    "IRoundLedger.Leaf": records.LeafRecord,
}


def _components(node: typing.Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, dict):
        if "components" in node and node.get("internalType", "").startswith("struct "):
            qualified = node["internalType"].removeprefix("struct ").removesuffix("[]")
            for name in (qualified, qualified.split(".")[-1]):
                yield name, [c["name"] for c in node["components"]]
        for inner in node.values():
            yield from _components(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from _components(inner)


def test_every_struct_has_its_class_in_the_same_order() -> None:
    seen = {}
    for artifact in shipped():
        seen.update(_components(artifact.entries))
    renamed = {"force_include": "force"}
    for name, kind in STRUCTS.items():
        fields = [f.name for f in dataclasses.fields(kind)]
        assert [renamed.get(snake(part), snake(part)) for part in seen[name]] == fields, name


def seal_record(roster: bytes, total: int, count: int) -> SealRecord:
    bundle, model, trace, root = (bytes([n]) * 32 for n in range(3, 7))
    times = 1_700_000_090, 1_700_000_100
    return SealRecord(roster, bundle, model, trace, times[0], 5, root, total, count, times[1], b"\x09" * 20)


def test_roster_and_claim_digests_are_the_contracts(s: Stage) -> None:
    windows = Windows(10, 60, 10, 10, 60, 121, 60, 600)
    roster = RosterRecord(b"\x01" * 32, 7, 2**100, 65_536, 1_700_000_000, b"\x02" * 20, 255)
    ours = roster.digest(5, 9)
    assert ours == s.chain.read(ledger_oracle(s.owner), "rosterDigest", 5, 9, roster)
    seal = seal_record(ours, 2**90, 11)
    claims = seal.claim_record(9, windows)
    assert len(claims.digest(5, 9)) == 32  # held against the ring itself in test_history
    assert ring_size(windows) == 14
    assert (claims.slot, claims.final_at) == (9 % 14, 1_700_000_221)


def test_the_claim_record_is_what_the_contract_makes_of_a_seal(s: Stage) -> None:
    task = s.open(s.spec(title="claim record"))
    windows = s.owner.history(task).opened.windows
    for number in (0, 3, 13, 14, 15):
        seal = seal_record(b"\x01" * 32, 2**70, 3)
        told = s.chain.read(ledger_oracle(s.owner), "claimRecord", task, number, seal)
        assert records.struct(ClaimRecord, told) == seal.claim_record(number, windows)


def test_struct_counts_fields() -> None:
    with pytest.raises(IntegrityError, match="Account has 2 fields, the chain's has 3"):
        records.struct(records.Account, (1, 2, 3))


def test_siblings_and_reputation_are_packed() -> None:
    leaves = roster_leaves([wallet(n) for n in range(5)])
    proof = merkle_sum.prove(leaves, 2)
    packed = pack_siblings(proof)
    assert len(packed) == 48 * 3
    assert packed[:16] == proof.siblings[0].total.to_bytes(16, "big")
    assert packed[16:48] == proof.siblings[0].digest
    assert len(records.pack_leaves(leaves)) == 52 * 5


def test_snake_case() -> None:
    assert [snake(x) for x in ("totalStake", "from", "rosteredAt", "task", "feeBps")] == [
        "total_stake", "from_", "rostered_at", "task", "fee_bps"]  # fmt: skip
    assert AGGREGATOR.address != bytes(20)
