"""The new global model (step 7): integers moved by integers, as the round's program says (`rules.model`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.sums import Sums
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.protocol.rows import step_body
from fl_platform.updates.model_row import ModelRow, row_root
from fl_platform.updates.tensors import tensor_slices

_STRIP = 1 << 16  # parameters moved at once: what is between stays in a core's cache


def moved(row: ModelRow, sums: Sums, packed: Sequence[int], model: ModelSpec) -> ModelRow:
    """Return a model's integers moved by sums, both int32 (d,); `packed`: by tensor, see `rows.step_body`."""
    new = np.empty_like(row)
    for factor, place in zip(packed, tensor_slices(model), strict=True):
        for start in range(place.start, place.stop, _STRIP):
            part = slice(start, min(start + _STRIP, place.stop))
            new[part] = step_body(row[part].astype(np.int64), sums[part].astype(np.int64), factor)
    return new


def named_step(row: ModelRow, sums: Sums, packed: Sequence[int], model: ModelSpec) -> tuple[int, ModelRow]:
    """Return a moved model's content root as a cell holds it, and the model; arguments as of `moved`."""
    new = moved(row, sums, packed, model)
    return cell_of(row_root(new, model)), new


class ModelSteps:
    """Models and sums by their content roots, as `protocol.tape.ModelStepper`: what steps make is kept in `made`."""

    def __init__(self, model: ModelSpec, rows: Mapping[int, ModelRow], sums: Callable[[int], Sums]) -> None:
        """rows: models that are there. sums: by content root; raises KeyError for those that are not there."""
        self._model, self._rows, self._sums = model, rows, sums
        self.made: dict[int, ModelRow] = {}

    def step(self, model: int, sums: int, factors: Sequence[int]) -> int:
        """Return the content root of a model moved by sums. Raises KeyError."""
        root, new = named_step(self._rows[model], self._sums(sums), factors, self._model)
        self.made[root] = new
        return root

    def row(self, root: int) -> ModelRow:
        """Return a model that is there, or was made. Raises KeyError."""
        return self.made[root] if root in self.made else self._rows[root]
