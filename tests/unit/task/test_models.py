"""A model that no store has, or that is not the sealed one, is made again; a first model that is not there is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid, StoreMissing
from fl_platform.round.membership import require_first_model
from fl_platform.round.transport import LocalTransport
from fl_platform.store.disk import DiskStore
from fl_platform.task.reading import TaskReader
from tests.support.chain import stage
from tests.support.partial_store import PartialStore
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallTask]:
    """A task of three rounds, two of them sealed."""
    with stage() as own:
        task = open_small_task(own, tmp_path_factory.mktemp("models"), trainers=2, rounds=3)
        task.aggregator.run(LocalTransport(task.trainers), rounds=2)
        yield task


def reader_of(task: SmallTask, *gone: bytes) -> TaskReader:
    assert isinstance(task.reader.store, DiskStore)
    store = PartialStore(task.reader.store.folder)
    store.gone = frozenset(gone)
    return TaskReader(task.reader._contracts, store, task.reader.task)


def test_models_that_no_store_has_are_made_from_the_first_one_and_the_sums(sealed: SmallTask) -> None:
    after = [sealed.reader.bundle(number).after for number in (0, 1)]
    lacking = reader_of(sealed, *(state.model for state in after))
    for state in reversed(after):
        found = lacking.require_model(state.model, state.model_root)
        assert np.array_equal(found, sealed.reader.model_row(state.model))
        assert np.array_equal(lacking.model_row(state.model), found)


def test_a_file_of_another_model_stops_nobody(sealed: SmallTask) -> None:
    """What a bundle says of the file decides nothing: the content root is in the seal."""
    first, second = (sealed.reader.bundle(number).after for number in (0, 1))
    reader = reader_of(sealed)
    assert np.array_equal(
        reader.require_model(first.model, second.model_root), sealed.reader.model_row(second.model)
    )


def test_what_nobody_sealed_is_not_made(sealed: SmallTask) -> None:
    state = sealed.reader.bundle(1).after
    with pytest.raises(DocumentInvalid, match="has the content root"):
        reader_of(sealed).require_model(state.model, bytes(31) + b"\1")
    with pytest.raises(StoreMissing, match="withheld"):
        reader_of(sealed, state.model, sealed.reader.bundle(1).aggregate).require_model(state.model, state.model_root)


def test_nobody_locks_money_for_a_first_model_that_is_not_that_of_the_rules(sealed: SmallTask) -> None:
    spec = sealed.reader.spec
    require_first_model(sealed.reader)
    with pytest.raises(StoreMissing):
        require_first_model(reader_of(sealed, spec.initial_model))
    other = reader_of(sealed)
    other.__dict__["spec"] = replace(spec, initial_root=bytes(31) + b"\1")
    with pytest.raises(DocumentInvalid, match="has the content root"):
        require_first_model(other)
