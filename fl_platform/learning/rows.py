"""Rows of a data set as arrays, and what is refused of them, with the row and the remedy.

Rows come as arrays or tensors whose first axis counts the rows, or as tuples and dicts of them; here all are NumPy
arrays on the host, without a copy of what is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data._utils.collate import collate as torch_collate
from torch.utils.data._utils.collate import collate_numpy_array_fn, default_collate_fn_map

from fl_platform.errors import ConfigError

Array = npt.NDArray[Any]
RowNumbers = Sequence[int] | npt.NDArray[np.int64]

LEFT_OUT = -100  # the label that torch's losses ignore
_MOST = (1 << 63) - 1  # the largest int64, which labels become
_BLOCK = 1 << 20  # numbers looked at together: a few MiB beside rows that may fill the memory
_USUAL = {np.dtype(kind) for kind in (np.float32, np.float64, np.int64)}
# Torch has little but storage for these: they become the next type that holds all their values (64 bits: nearly all).
_NEXT = {"u2": np.int32, "u4": np.int64, "u8": np.int64, "f16": np.float64}


def mapped(function: Callable[[Any, str], Any], tree: Any, name: str = "", *, lists: bool = False) -> Any:
    """Return a tuple or dict of the same form with `function(leaf, its name)` of every leaf.

    With `lists`, lists are tuples, too (a collated batch has them); without, they are leaves (rows in memory).
    """
    if isinstance(tree, (np.ndarray, torch.Tensor)):  # nearly always: asked first, because every batch asks
        return function(tree, name)
    if isinstance(tree, Mapping):
        return {key: mapped(function, value, f"{name}[{key!r}]", lists=lists) for key, value in tree.items()}
    texts = lists and isinstance(tree, (tuple, list)) and isinstance(tree[0], (str, bytes))  # as torch collates them
    if isinstance(tree, (tuple, list) if lists else tuple) and not texts:
        return tuple(mapped(function, value, f"{name}[{place}]", lists=lists) for place, value in enumerate(tree))
    return function(tree, name)


def leaves(tree: Any, name: str = "") -> list[tuple[Any, str]]:
    """Return every leaf with its name."""
    found: list[tuple[Any, str]] = []
    mapped(lambda leaf, label: found.append((leaf, label)), tree, name)
    return found


def host_array(value: Any, name: str) -> Array:
    """Return numbers as an array on the host, without a copy where they are there. Raises ConfigError for others."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        # NumPy has no bfloat16; float32 holds all its values.
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    if np.ma.is_masked(value):
        raise ConfigError(f"the {name} hold masked values, which nobody learns from: fill them (filled) or drop them")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ConfigError(f"the {name} are no array: {error}; give every row the same shape") from error
    if array.dtype.kind not in "biufc":
        kind = "text" if array.dtype.kind in "US" else f"{array.dtype} values"  # never a value: rows are private
        raise ConfigError(f"the {name} are {kind}: encode them as numbers (classes as 0, 1, 2, ...)")
    return array


def as_tensor(array: Array) -> torch.Tensor:
    """Return an array as a tensor, sharing its memory where torch can (the array must be writable)."""
    if array.dtype in _USUAL and array.flags.c_contiguous:  # the short way: a training comes here twice a step
        return torch.from_numpy(array)
    wanted = np.dtype(_NEXT.get(array.dtype.str[1:], array.dtype)).newbyteorder("=")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=wanted))


def taken(tree: Any, rows: Any) -> Any:
    """Return copies of some rows: of arrays by an array of row numbers, of tensors by a tensor of them."""

    def take(leaf: Any, _name: str) -> Any:
        # `take` is a tenth faster, but would first copy an array that is not contiguous.
        plain = isinstance(leaf, np.ndarray) and leaf.flags.c_contiguous
        return leaf.take(rows, axis=0) if plain else leaf[rows]

    return mapped(take, tree)


def common_length(inputs: Any, targets: Any) -> int:
    """Return how many rows all arrays have. Raises ConfigError when they differ or have none."""
    lengths = {}
    for leaf, name in leaves(inputs, "inputs") + leaves(targets, "targets"):
        if not leaf.ndim:
            raise ConfigError(f"the {name} are one number, not rows: give arrays of n rows")
        lengths[name] = len(leaf)
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{count} {name}" for name, count in lengths.items()) or "no arrays"
        raise ConfigError(f"inputs and targets must be arrays of the same number of rows, not {found}")
    return next(iter(lengths.values()))


def refuse_nan(array: Array, name: str, rows: RowNumbers) -> None:
    """Raise ConfigError when rows hold NaN; infinity may be meant (masks)."""
    if array.dtype.kind not in "fc" or not array.size:
        return
    with np.errstate(all="ignore"):
        if not np.isnan(array.sum()):  # a pass without a copy; opposite infinities sum to NaN, too
            return
    wrong = np.argwhere(np.isnan(array))
    if len(wrong):
        place = "".join(f"[{index}]" for index in wrong[0][1:])
        raise ConfigError(
            f"the {name} hold NaN in row {int(rows[int(wrong[0][0])])}{place and f' at {place}'}: fill the missing "
            "values or leave such rows out"
        )


class Labels:
    """Checks targets, and keeps the largest class label met so far and its row."""

    def __init__(self) -> None:
        self.largest, self.row = -1, 0
        self._classes: int | None = None  # where the model's outputs are known

    def look(self, targets: Array, name: str, rows: RowNumbers) -> None:
        """Check some rows' targets, whose numbers in the data set are `rows`. Raises ConfigError."""
        refuse_nan(targets, name, rows)
        if targets.dtype.kind not in "iu" or not targets.size:
            return
        if targets.min() < 0:
            wrong = np.argwhere((targets < 0) & (targets != LEFT_OUT))
            if len(wrong):
                raise ConfigError(
                    f"label {targets[tuple(wrong[0])]} in row {int(rows[int(wrong[0][0])])} of the {name} is negative: "
                    f"number the classes from 0 ({LEFT_OUT} marks what the loss leaves out)"
                )
        largest = int(targets.max())
        if largest > _MOST:
            raise ConfigError(f"a label in the {name} is over {_MOST}: number the classes from 0")
        if largest > self.largest:
            self.largest, self.row = largest, int(rows[int(np.argwhere(targets == largest)[0][0])])
            if self._classes is not None:
                self.require(self._classes)

    def require(self, classes: int) -> None:
        """Raise ConfigError when a label met, or one that is met later, has no output among `classes`."""
        self._classes = classes
        if self.largest >= classes:
            raise ConfigError(
                f"label {self.largest} in row {self.row} has no output: a model of {classes} outputs takes labels 0 to "
                f"{classes - 1}; number the classes from 0, or give the model {self.largest + 1} outputs"
            )


def looked_through(inputs: Any, targets: Any, rows: int) -> Labels:
    """Check all rows in memory, a block at a time, and return their labels. Raises ConfigError."""
    labels = Labels()
    for tree, label, look in ((inputs, "inputs", refuse_nan), (targets, "targets", labels.look)):
        for leaf, name in leaves(tree, label):
            step = max(1, _BLOCK * rows // max(1, leaf.size))
            for start in range(0, rows, step):
                look(leaf[start : start + step], name, range(start, rows))
    return labels


@dataclass(frozen=True)
class Collated:
    """Rows of a data set, put together: leaves are tensors."""

    inputs: Any
    targets: Any
    rows: int


@dataclass(frozen=True)
class Refusal:
    """Why rows do not go together."""

    place: int  # of the row among the batch's
    reason: str
    rows: int  # of the batch


def collate(rows: list[Any] | Refusal) -> Collated | Refusal:
    """Put rows together, or say why not: an exception would come out of a worker process as a page of traceback."""
    if isinstance(rows, Refusal):
        return rows
    if not _is_pair(rows[0]):
        return _no_pair(0, rows)
    try:
        inputs, targets = torch_collate(rows, collate_fn_map=_HOW)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        odd = next((place for place, row in enumerate(rows) if not _is_pair(row)), None)
        if odd is not None:
            return _no_pair(odd, rows)
        forms = [_form(row) for row in rows]
        usual = Counter(forms).most_common(1)[0][0]
        odd = next((place for place, form in enumerate(forms) if form != usual), None)
        if odd is None and isinstance(error, RuntimeError):  # torch is out of memory, say: not the rows' fault
            raise
        reason = str(error).partition("\n")[0] if odd is None else f"{forms[odd]} beside {usual}"
        remedy = "give every row numbers or arrays of one shape: pad, crop or convert them"
        return Refusal(odd or 0, f"its batch does not go together ({reason}); {remedy}", len(rows))
    return Collated(inputs, targets, len(rows))


def _stacked(arrays: Sequence[Array], **options: Any) -> Any:
    """Put arrays together as torch does, which would warn of each that may not be written to (a mapped file's, say)."""
    own = [array if array.flags.writeable else array.copy() for array in arrays]
    return collate_numpy_array_fn(own, **options)


_HOW = {**default_collate_fn_map, np.ndarray: _stacked}


def _is_pair(row: Any) -> bool:
    return isinstance(row, (tuple, list)) and len(row) == 2


def _no_pair(place: int, rows: Sequence[Any]) -> Refusal:
    row = rows[place]
    size = f" of {len(row)}" if isinstance(row, (tuple, list)) else ""
    return Refusal(place, f"a {type(row).__name__}{size}, but a row must be a pair (input, target)", len(rows))


def _form(row: Any) -> str:
    """Describe a row by its shapes, or types where there are none."""
    parts = leaves(row[0], "input") + leaves(row[1], "target")
    return ", ".join(
        f"{name} {list(leaf.shape) if hasattr(leaf, 'shape') else type(leaf).__name__}" for leaf, name in parts
    )
