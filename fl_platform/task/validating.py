"""Evaluated worth: the owner's committed validation rows, revealed slice by slice, and how many a model gets right.

A row is data of the network (checked against the task's committed root by `judging.validation`, then parsed here
with exact lengths). Its bytes: number of dimensions u8, each dimension u32 BE, features float32 LE, label u32 BE.
torch is imported where a model is run: most who read a task never run one.

Tests: tests/adversarial/test_x_unreadable_rows.py
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable, Sequence

import numpy as np

from fl_platform.errors import ConfigError, DocumentInvalid, RejectedInput
from fl_platform.judging.leave_one_out import Utility
from fl_platform.judging.validation import RevealedRow, ValidationRow, commit_rows, reveal_slice
from fl_platform.learning.datasets import Labelled
from fl_platform.protocol.model_spec import ModelSpec
from fl_platform.protocol.spec import TaskSpec, WorthRule
from fl_platform.updates.rounding import rounding_seed
from fl_platform.updates.tensors import Tensors

logger = logging.getLogger(__name__)

MAX_FEATURES = 1 << 24
MAX_DIMENSIONS = 4

RevealSlice = Callable[[int], tuple[RevealedRow, ...]]


def encode_row(features: np.ndarray[tuple[int, ...], np.dtype[np.float32]], label: int) -> bytes:
    """Return a row's bytes."""
    head = struct.pack(f">B{features.ndim}I", features.ndim, *features.shape)
    return head + features.astype("<f4").tobytes() + struct.pack(">I", label)


def decode_row(data: bytes) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], int]:
    """Read a row (network bytes). Raises DocumentInvalid."""
    dimensions = data[0] if data else 0
    start = 1 + 4 * dimensions
    if not 1 <= dimensions <= MAX_DIMENSIONS or len(data) < start:
        raise DocumentInvalid(f"validation row of {len(data)} bytes has {dimensions} dimensions, allowed 1 to 4")
    shape = struct.unpack(f">{dimensions}I", data[1:start])
    size = math.prod(shape)
    if not 1 <= size <= MAX_FEATURES or len(data) != start + 4 * size + 4:
        raise DocumentInvalid(f"validation row of {len(data)} bytes does not hold {size} features and a label")
    features = np.frombuffer(data, dtype="<f4", count=size, offset=start).reshape(shape)
    if not np.isfinite(features).all():
        raise DocumentInvalid("validation row holds NaN or infinity")
    return features, int(struct.unpack(">I", data[-4:])[0])


class ValidationBook:
    """The owner's rows with their salts; the salts follow from the owner's secret, so nothing has to be kept."""

    def __init__(self, rows: Labelled, *, secret: bytes, slices: int) -> None:
        self._slices = slices
        self._rows = tuple(
            ValidationRow(
                rounding_seed(secret, task=0, round_number=index, context=b"validation salt"),
                encode_row(rows.x[index], int(rows.y[index])),
            )
            for index in range(len(rows))
        )

    @property
    def root(self) -> bytes:
        """What the task's rules freeze (32 bytes)."""
        return commit_rows(self._rows)

    def reveal(self, round_number: int) -> tuple[RevealedRow, ...]:
        """Open the slice of a round whose roster is on chain; none is left after the last slice."""
        if round_number >= self._slices:
            return ()
        return reveal_slice(self._rows, slices=self._slices, number=round_number)


def no_slice(_: int) -> tuple[RevealedRow, ...]:
    """Be the reveal of a task without validation rows."""
    return ()


def parse_slice(texts: Sequence[str]) -> tuple[RevealedRow, ...]:
    """Read a bundle's `validation`. Raises DocumentInvalid."""
    try:
        return tuple(RevealedRow.from_bytes(bytes.fromhex(text.removeprefix("0x"))) for text in texts)
    except ValueError as error:
        raise DocumentInvalid(f"validation rows are not hex: {error}") from error


def slice_texts(revealed: Sequence[RevealedRow]) -> tuple[str, ...]:
    """Return a slice for a bundle."""
    return tuple("0x" + item.to_bytes().hex() for item in revealed)


def check_runnable(worth: WorthRule, model: ModelSpec) -> None:
    """Refuse to score by validation rows a model that nobody but its own parties can run. Raises ConfigError."""
    if worth.kind != "leave-one-out":
        return
    from fl_platform.learning.models import MODELS
    from fl_platform.learning.parameters import model_spec

    factory = MODELS.get(model.name)
    if factory is None or model_spec(factory(), model.name).digest != model.digest:
        raise ConfigError(
            f"model {model.name!r} is none of {', '.join(sorted(MODELS))}: with leave-one-out worth everybody runs the "
            "model on the revealed rows, so it must be a standard one; use anchored worth"
        )


def readable_slice(spec: TaskSpec, revealed: tuple[RevealedRow, ...]) -> tuple[RevealedRow, ...]:
    """Return the slice if the task's model can read it, else none: the round's worth is not measured then.

    An owner may have committed rows that no model reads. Were that an error, no aggregator could seal a rostered round,
    and each would lose its bond to the trainers, who may be the owner's.
    """
    if spec.worth.kind != "leave-one-out" or not revealed:
        return revealed
    from fl_platform.learning.evaluation import correct_rows
    from fl_platform.learning.models import build_model
    from fl_platform.learning.parameters import state_arrays

    try:
        data = _labelled(revealed)
        module = build_model(spec.model.name)
        correct_rows(module, state_arrays(module), data)
    except (RejectedInput, ConfigError, ValueError, RuntimeError) as error:
        logger.warning("the revealed validation rows cannot be read: %s", error)
        return ()
    return revealed


def _labelled(revealed: Sequence[RevealedRow]) -> Labelled:
    rows = [decode_row(item.row.data) for item in revealed]
    return Labelled(np.stack([x for x, _ in rows]), np.array([y for _, y in rows], dtype=np.int64))


def utility_of(spec: TaskSpec) -> Utility | None:
    """Return how a task's revealed rows are counted: right rows in float64 on the CPU; None when worth needs none."""
    if spec.worth.kind != "leave-one-out":
        return None
    from fl_platform.learning.evaluation import correct_rows
    from fl_platform.learning.models import build_model

    def count_right(state: Tensors, revealed: Sequence[RevealedRow]) -> int:
        return int(correct_rows(build_model(spec.model.name), state, _labelled(revealed)).sum())

    return count_right
