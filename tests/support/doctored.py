"""A chain on which a round was sealed with another bundle: what a lying aggregator leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fl_platform.errors import FLError
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.task.reading import TaskReader
from fl_platform.task.taping import tape_root
from fl_platform.task.workspace import Workspace


class DoctoredReader(TaskReader):
    """Reads a task whose round `bundle.round` (or `number`) carries a seal of this bundle, with changes of the seal."""

    def __init__(
        self,
        workspace: Workspace,
        task: int,
        bundle: RoundBundle,
        *,
        number: int | None = None,
        seal: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(workspace.contracts(), workspace.store, task)
        place = bundle.round if number is None else number
        rounds = list(super().history().rounds)
        honest = rounds[place].seal
        assert honest is not None
        self._doctored, tape = super().history(), honest.trace
        with suppress(FLError):  # of a bundle that tells of none
            tape = tape_root(self, bundle)
        told = {
            "bundle": workspace.store.put(bundle.to_bytes()).digest,
            "model": bundle.after.model_root,
            "claim_root": bundle.claims.digest,
            "claim_total": bundle.claims.total,
            "claim_count": len(bundle.after.standings),
            "trace": tape,
        }
        rounds[place] = replace(rounds[place], seal=replace(honest, **(told | dict(seal or {}))))
        self._doctored = replace(super().history(), rounds=tuple(rounds))

    def history(self) -> TaskHistory:
        """The chain with the doctored seal."""
        return self._doctored if hasattr(self, "_doctored") else super().history()


def change_pay(bundle: RoundBundle) -> RoundBundle:
    """A wei more for who has been paid most, a wei less for another."""
    told = next(column for column in bundle.after.state if column.name == "paid_scored")
    cells = list(told.cells)
    first, second = [seat for seat, wei in enumerate(cells) if wei][:2]
    cells[first], cells[second] = cells[first] + 1, cells[second] - 1
    state = tuple(replace(told, cells=tuple(cells)) if c is told else c for c in bundle.after.state)
    return replace(bundle, after=replace(bundle.after, state=state))
