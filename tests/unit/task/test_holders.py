"""A missing object is somebody's: the message says whose, and which option names that party's store."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_platform.errors import StoreMissing, StoreUnavailable
from fl_platform.round.transport import LocalTransport
from fl_platform.store import MemoryStore
from fl_platform.task.decrypting import sealed_update
from fl_platform.task.holders import held_by
from tests.support.rehearsal import rehearsal, small_settings


def test_each_kind_of_object_names_its_party(tmp_path: Path) -> None:
    with rehearsal(tmp_path / "w", small_settings(rounds=1)) as (workspace, parties):
        parties.aggregator.run(LocalTransport(parties.everybody), rounds=1)
        full = workspace.reader(parties.task)
        bundle, empty = full.bundle(0), full.reading(MemoryStore())
        owner, sealer = f"the owner 0x{full.spec.owner.hex()}", f"the aggregator 0x{bundle.aggregator.hex()}"
        receipt = bundle.entries[0].receipt
        with pytest.raises(StoreMissing, match=f"first model is in no store.*{owner}.*--store"):
            empty.model(full.spec.initial_model)
        with pytest.raises(StoreMissing, match=f"a model is in no store.*{sealer}.*--store"):
            empty.model(bundle.after.model)
        with pytest.raises(StoreMissing, match=f"round 0's sums is in no store.*{sealer}.*--store"):
            empty.sums(bundle)
        with pytest.raises(StoreMissing, match=f"roster of round 0 is in no store.*{sealer}.*--store"):
            empty.roster(0, bytes(32))
        with pytest.raises(StoreMissing, match=f"update of round 0.*the trainer 0x{receipt.trainer.hex()}.*--store"):
            sealed_update(empty.store, receipt)
        stranger = workspace.reader(parties.task)
        stranger.store = MemoryStore()
        with pytest.raises(StoreMissing, match=f"task {parties.task}'s rules is in no store.*{owner}.*--store"):
            _ = stranger.spec
        with pytest.raises(StoreMissing, match=f"bundle of round 0 is in no store.*{sealer}.*--store"):
            stranger.bundle(0)
        with pytest.raises(StoreMissing, match=f"bundle of round 0 is in no store.*{sealer}.*--store"):
            stranger.current_start()


def test_a_store_that_does_not_answer_is_not_a_party_that_withholds() -> None:
    with pytest.raises(StoreUnavailable, match=r"^down$"), held_by("the owner", what="it"):
        raise StoreUnavailable("down")
    with pytest.raises(StoreMissing, match=r"It is the owner that should have it"), held_by("the owner", what="it"):
        raise StoreMissing("gone")
