"""An owner commits validation rows that no model reads: rounds are sealed all the same, and nobody loses a bond."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fl_platform.chain.signer import Signer
from fl_platform.cli.demo import federation
from fl_platform.cli.demo.federation import Settings
from fl_platform.learning.datasets import Labelled
from fl_platform.round.transport import LocalTransport
from fl_platform.task.validating import ValidationBook
from tests.support.rehearsal import audit, rehearsal, small_settings


def cut(rows: Labelled) -> Labelled:
    """Rows with fewer features than the model has inputs."""
    return Labelled(np.ascontiguousarray(rows.x.reshape(len(rows), -1)[:, :10]), rows.y)


class Uneven(ValidationBook):
    """Rows of two shapes."""

    def __init__(self, rows: Labelled, *, secret: bytes, slices: int) -> None:
        super().__init__(rows, secret=secret, slices=slices)
        other = ValidationBook(cut(rows), secret=secret, slices=slices)
        self._rows = (*self._rows[:3], *other._rows[3:])


@pytest.mark.parametrize("kind", ["another shape", "two shapes"])
def test_rows_that_no_model_reads_stop_no_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def book(settings: Settings, wallets: dict[str, Signer], rows: Labelled) -> ValidationBook:
        secret = wallets["owner"].derive(b"validation")
        if kind == "two shapes":
            return Uneven(rows, secret=secret, slices=1)
        return ValidationBook(cut(rows), secret=secret, slices=1)

    monkeypatch.setattr(federation, "_book", book)
    with rehearsal(tmp_path, small_settings(rounds=1, worth="leave-one-out")) as (workspace, parties):
        (sealed,) = parties.aggregator.run(LocalTransport(parties.everybody))
        assert not sealed.judgement.measured
        assert all(verdict.score == 0 for verdict in sealed.bundle.verdicts)
        assert audit(workspace, parties).exit_code == 0


def test_rows_that_the_model_reads_are_used(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(rounds=1, worth="leave-one-out")) as (workspace, parties):
        (sealed,) = parties.aggregator.run(LocalTransport(parties.everybody))
        assert sealed.judgement.measured
        assert audit(workspace, parties).exit_code == 0
