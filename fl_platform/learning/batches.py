"""Batches of any data set on the training's device, in a seeded order: rows in memory, or a PyTorch data set.

Rows in memory are checked once, when they are opened; a data set's rows as they are read. Memory is that of the rows,
or of a few batches of a data set, however large it is. On a GPU, rows in memory are copied there once, if they fit,
and stay there between rounds (`Resident`); else each batch goes through pinned memory while the GPU computes.

Floating inputs and targets are cast to the model's dtype. Whole inputs keep theirs (token ids stay whole; uint16,
uint32 and uint64, with which torch cannot compute, become the next larger signed type); whole targets are class labels
and become int64, from 0 on; -100 marks what the loss leaves out.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from fl_platform.errors import ConfigError, FLError
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.orders import Orders, count, epoch_seed, spans
from fl_platform.learning.rows import (
    Collated,
    Labels,
    Refusal,
    RowNumbers,
    as_tensor,
    collate,
    common_length,
    host_array,
    leaves,
    looked_through,
    mapped,
    refuse_nan,
    taken,
)

# A pair is (inputs, targets): arrays or tensors of n rows, and tuples and dicts of them.
Data: TypeAlias = Labelled | tuple[Any, Any] | Dataset[Any]

_GPU_SHARE = 0.5  # of a GPU's free memory for rows; the model, its gradients and activations need the rest
_SENT_BYTES = 1 << 26  # of rows sent to a GPU together
_DATA = "give Labelled, a pair (inputs, targets) of arrays or tensors, or a PyTorch data set"
_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Batch:
    """Rows to compute with: tensors on the device, or tuples and dicts of tensors as the data set has them."""

    inputs: Any
    targets: Any
    rows: int


class Batches(Protocol):
    """A data set in batches."""

    @property
    def rows(self) -> int | None:
        """Number of rows; of an iterable data set those of its last whole epoch, None before."""

    @property
    def batches_an_epoch(self) -> int | None:
        """Number of batches; None as `rows` is."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number` (0 is the first), the same ones each time. Raises ConfigError."""

    def require_classes(self, classes: int) -> None:
        """Raise ConfigError for a label that has no output among `classes`: here for those read, then in `epoch`.

        Asks nothing of the device.
        """


class Resident:
    """What is known of rows in memory from round to round: that they are sound and, on a GPU, their copy there.

    The same arrays give the same tensors, so an array that is changed in place is not seen again: return a new one. An
    entry goes when one of its arrays does.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[Any, list[weakref.ref[Any]]]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, arrays: Sequence[Any], kind: object, make: Callable[[], _Kept]) -> _Kept:
        """Return what `make` returned for these very arrays and this kind, or make it."""
        key, known = (*map(id, arrays), kind), self._known
        if key not in known:
            kept = make()
            try:
                known[key] = kept, [weakref.ref(array, lambda _: known.pop(key, None)) for array in arrays]
            except TypeError:  # a list, say: nobody tells when it goes
                return kept
        found: _Kept = known[key][0]
        return found


def open_batches(
    data: Data,
    *,
    batch_size: int,
    seed: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    shuffle: bool = True,
    workers: int = 0,
    resident: Resident | None = None,
    first_epoch: int = 0,
) -> Batches:
    """Open rows or a data set for reading in batches of `batch_size` rows on `device`.

    `dtype` is the model's, for floating inputs and targets. `workers` processes read a map-style data set; an iterable
    one is read by one at most, because several would each read all of it. An iterable data set's order is its own;
    where it has `set_epoch`, that is called with the epoch's number, counted from `first_epoch`. Raises ConfigError for
    what is no data set and, here or while they are read, for rows that nothing can be learned from: text, objects, NaN,
    negative labels, unequal lengths.
    """
    if batch_size < 1:
        raise ConfigError(f"batches of {batch_size} rows; give 1 or more")
    if isinstance(data, Labelled):
        data = (data.x, data.y)
    elif type(data) is TensorDataset and len(data.tensors) == 2:
        data = (data.tensors[0], data.tensors[1])
    plan = _Plan(batch_size, seed, shuffle, workers, first_epoch)
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ConfigError(f"a tuple of {len(data)} values is no data set: {_DATA}")
        return _InMemory(data, _Form(device, dtype), plan, resident)
    if isinstance(data, DataLoader):
        raise ConfigError("a DataLoader is no data set: give the data set that it reads; batches are made here")
    once = isinstance(data, Iterator) and not isinstance(data, IterableDataset)
    if once or isinstance(data, (Mapping, str, bytes, np.ndarray, torch.Tensor)):
        raise ConfigError(f"a {type(data).__name__} is no data set that can be read twice: {_DATA}")
    if hasattr(data, "iloc"):
        raise ConfigError(f"a {type(data).__name__} is turned into rows by sources.from_frame(frame, target='COLUMN')")
    if hasattr(data, "__getitem__") and not isinstance(data, IterableDataset):
        if not hasattr(data, "__len__"):
            raise ConfigError(f"{type(data).__name__} has no __len__: add it, or make it an IterableDataset")
        return _MapStyle(data, _Form(device, dtype), plan)
    if hasattr(data, "__iter__"):
        return _Streamed(data, _Form(device, dtype), plan)
    raise ConfigError(f"{type(data).__name__} is no data set: {_DATA}")


@dataclass(frozen=True)
class _Plan:
    size: int  # rows of a batch
    seed: int
    shuffle: bool
    workers: int  # processes
    first_epoch: int


@dataclass(frozen=True)
class _Form:
    """Where batches go, and as what."""

    device: torch.device
    dtype: torch.dtype

    def batch(self, inputs: Any, targets: Any, rows: int) -> Batch:
        """Return arrays or tensors as a batch."""
        return Batch(mapped(self.input, inputs), mapped(self.target, targets), rows)

    def input(self, value: Any, _name: str = "") -> torch.Tensor:
        tensor = value if isinstance(value, torch.Tensor) else as_tensor(value)
        return self._sent(tensor, self.dtype if tensor.is_floating_point() else tensor.dtype)

    def target(self, value: Any, _name: str = "") -> torch.Tensor:
        tensor = value if isinstance(value, torch.Tensor) else as_tensor(value)
        return self._sent(tensor, self.dtype if tensor.is_floating_point() else torch.int64)

    def _sent(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if self.device.type == "cuda" and tensor.device.type == "cpu" and tensor.numel():
            # The copy runs while the GPU computes; torch keeps the pinned memory until it is done.
            return tensor.to(dtype).pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device, dtype)

    def holds(self, inputs: Any, targets: Any) -> bool:
        """Say whether rows belong on the device: it is not where they are, and has room beside a training."""
        if self.device.type != "cuda":
            return self.device.type != "cpu"
        free, _ = torch.cuda.mem_get_info(self.device)
        return _nbytes(inputs, targets) <= free * _GPU_SHARE

    def table(self, inputs: Any, targets: Any, rows: int) -> Batch:
        """Copy rows to the device, a block at a time: pinned memory holds a block, not all of them."""
        first = self.batch(taken(inputs, np.arange(0)), taken(targets, np.arange(0)), 0)

        def whole(part: torch.Tensor, _name: str) -> torch.Tensor:
            return part.new_empty((rows, *part.shape[1:]))

        table = Batch(mapped(whole, first.inputs), mapped(whole, first.targets), rows)
        step = max(1, _SENT_BYTES * rows // max(1, _nbytes(inputs, targets)))
        for start in range(0, rows, step):
            numbers = np.arange(start, min(start + step, rows))
            block = self.batch(taken(inputs, numbers), taken(targets, numbers), len(numbers))
            for kept, sent in ((table.inputs, block.inputs), (table.targets, block.targets)):
                for (to, _), (part, _) in zip(leaves(kept), leaves(sent), strict=True):
                    to[start : start + len(numbers)] = part
        return table


def _nbytes(inputs: Any, targets: Any) -> int:
    """Return the size of rows: of inputs as they are, of targets in 64 bits."""
    return sum(int(leaf.nbytes) for leaf, _ in leaves(inputs)) + sum(8 * int(leaf.size) for leaf, _ in leaves(targets))


class _InMemory:
    """Rows that are there as arrays: in this process's memory, or in a file mapped into it."""

    def __init__(self, data: tuple[Any, Any], form: _Form, plan: _Plan, resident: Resident | None) -> None:
        inputs, targets = mapped(host_array, data[0], "inputs"), mapped(host_array, data[1], "targets")
        self.rows, self._form, self._size = common_length(inputs, targets), form, plan.size
        self._orders = Orders(self.rows, seed=plan.seed, shuffle=plan.shuffle)
        kept, given = Resident() if resident is None else resident, [leaf for leaf, _ in leaves(data)]
        self._labels = kept.get(given, "labels", lambda: looked_through(inputs, targets, self.rows))
        self._table, self._there = Batch(inputs, targets, self.rows), form.holds(inputs, targets)
        if self._there:
            self._table = kept.get(given, form, lambda: form.table(inputs, targets, self.rows))

    @property
    def batches_an_epoch(self) -> int:
        return count(self.rows, self._size)

    def epoch(self, number: int) -> Iterator[Batch]:
        order: Any = self._orders.epoch(number)
        if self._there and isinstance(order, np.ndarray):
            order = self._form.target(order)  # sent once: a copy a step would hold up a short step
        for span in spans(self.rows, self._size):
            rows = order[span]
            if self._there and not isinstance(rows, torch.Tensor):
                rows = self._form.target(rows)
            yield self._form.batch(taken(self._table.inputs, rows), taken(self._table.targets, rows), len(rows))

    def require_classes(self, classes: int) -> None:
        self._labels.require(classes)


class _Read:
    """What data sets of both styles share: torch's loader collates their rows, which are checked as they come."""

    def __init__(self, data: Any, form: _Form, plan: _Plan) -> None:
        self._data, self._form, self._plan, self._labels = data, form, plan, Labels()

    def require_classes(self, classes: int) -> None:
        self._labels.require(classes)

    def _loader(self, data: Any, number: int, **options: Any) -> Iterable[Collated | Refusal]:
        # A generator of its own: a loader without one draws from the training's, and dropout would depend on it.
        generator = torch.Generator().manual_seed(epoch_seed(self._plan.seed, number))
        return DataLoader(data, collate_fn=collate, generator=generator, **options)

    def _batch(self, read: Collated | Refusal, rows: RowNumbers) -> Batch:
        if isinstance(read, Refusal):
            raise ConfigError(f"row {int(rows[read.place])} of {type(self._data).__name__}: {read.reason}")
        inputs = mapped(host_array, read.inputs, "inputs", lists=True)
        targets = mapped(host_array, read.targets, "targets", lists=True)
        for array, name in leaves(inputs, "inputs"):
            refuse_nan(array, name, rows)
        for array, name in leaves(targets, "targets"):
            self._labels.look(array, name, rows)
        return self._form.batch(inputs, targets, read.rows)


class _MapStyle(_Read):
    """A data set whose rows are read by number."""

    def __init__(self, data: Any, form: _Form, plan: _Plan) -> None:
        super().__init__(data, form, plan)
        self.rows = len(data)
        self._orders = Orders(self.rows, seed=plan.seed, shuffle=plan.shuffle)

    @property
    def batches_an_epoch(self) -> int:
        return count(self.rows, self._plan.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        order = self._orders.epoch(number)
        numbers = (order[span].tolist() for span in spans(self.rows, self._plan.size))
        loader = self._loader(_Guarded(self._data), number, batch_sampler=numbers, num_workers=self._plan.workers)
        for span, read in zip(spans(self.rows, self._plan.size), loader, strict=True):
            yield self._batch(read, order[span])


class _Streamed(_Read):
    """A data set that is read from its beginning to its end."""

    rows: int | None = None
    batches_an_epoch: int | None = None

    def epoch(self, number: int) -> Iterator[Batch]:
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(self._plan.first_epoch + number)
        chunks, rows, batches = _Chunks(self._data, self._plan.size), 0, 0
        for read in self._loader(chunks, number, batch_size=None, num_workers=min(self._plan.workers, 1)):
            batch = self._batch(read, range(rows, rows + read.rows))
            rows, batches = rows + read.rows, batches + 1
            yield batch
        if not rows:
            raise ConfigError(
                f"{type(self._data).__name__} gave no rows in epoch {number}: its __iter__ must begin anew each time"
            )
        self.rows, self.batches_an_epoch = rows, batches


class _Guarded(Dataset[Any]):
    """A map-style data set, read a batch at a time; what it raises in a worker process comes back as a refusal."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __getitems__(self, numbers: list[int]) -> list[Any] | Refusal:
        done = list[Any]()
        try:
            if hasattr(self._data, "__getitems__"):
                together = list(self._data.__getitems__(numbers))
                if len(together) != len(numbers):
                    raise ValueError(f"__getitems__ returned {len(together)} rows for {len(numbers)} numbers")
                return together
            for number in numbers:
                done.append(self._data[number])  # what was read before it fails tells the row
            return done
        except Exception as error:
            return _refused(error, len(done), len(numbers))


class _Chunks(IterableDataset[Any]):
    """The rows of an iterable in lists of `size`; a last one alone goes with those before."""

    def __init__(self, data: Iterable[Any], size: int) -> None:
        self._data, self._size = data, size

    def __iter__(self) -> Iterator[list[Any] | Refusal]:
        chunk, ahead, peek = list[Any](), list[Any](), min(self._size, 2)
        try:
            rows = iter(self._data)
            while True:
                chunk, ahead = ahead, []
                chunk.extend(islice(rows, self._size - len(chunk)))
                if not chunk:
                    return
                ahead.extend(islice(rows, peek))
                if len(ahead) < peek:
                    chunk.extend(ahead)
                    ahead = []
                yield chunk
                chunk = []  # or they would live until the next are read
        except Exception as error:
            place = len(chunk) + len(ahead)
            yield _refused(error, place, place + 1)


def _refused(error: Exception, place: int, rows: int) -> Refusal:
    """Put an exception into a line in a worker process, from which it would come as a page; raise it again in ours."""
    if isinstance(error, StopIteration):  # would end the epoch without a word
        error = RuntimeError("StopIteration")
    if get_worker_info() is None:
        raise error
    if isinstance(error, FLError):
        return Refusal(place, str(error), rows)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return Refusal(place, f"{type(error).__name__}: {text}, at {Path(frame.filename).name}:{frame.lineno}", rows)
