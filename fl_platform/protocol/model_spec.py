"""The model that a task trains: its tensors, in canonical order, and the codec's step of each.

Part of the rules (`protocol.spec`). Tests: tests/unit/protocol/test_spec.py
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.canonical import canonical_json
from fl_platform.protocol.document import to_json
from fl_platform.protocol.leaves import LeafTable

MAX_PARAMETERS = 2**34
LEAST_EXPONENT, LARGEST_EXPONENT = -200, 200  # of a step: float32 deltas and their sums lie far inside
LEAST_POINT, LARGEST_POINT = -96, 126  # of a model's integers: float32 then holds them all
FARTHEST_DOWN, FARTHEST_UP = 20, 8  # that a step may move from the first one, in powers of two


@dataclass(frozen=True)
class TensorSpec:
    """One float tensor of the model, in canonical order."""

    name: str
    shape: tuple[int, ...]
    counted: bool = True  # in lengths, angles, clip and worth; statistics that are only averaged are not
    nonnegative: bool = False  # a variance: the step of the model ends at 0
    point: int = 24  # bits behind the point of its integers in the model

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for side in self.shape:
            size *= side
        return size


@dataclass(frozen=True)
class ModelSpec:
    """Names and shapes: from these alone the exact length of every update and model file follows."""

    name: str  # which architecture of `learning.models` (informative for a custom one)
    tensors: tuple[TensorSpec, ...]

    @property
    def size(self) -> int:
        """Number of parameters d."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def counted(self) -> tuple[TensorSpec, ...]:
        """The tensors that count; they stand before all others."""
        return tuple(tensor for tensor in self.tensors if tensor.counted)

    @property
    def counted_size(self) -> int:
        """Number of parameters that count: the first ones of a flat vector."""
        return sum(tensor.size for tensor in self.counted)

    @cached_property
    def leaves(self) -> LeafTable:
        """Where the parameters lie in the leaves of a content tree."""
        return LeafTable(tuple(tensor.size for tensor in self.tensors))

    @property
    def counted_leaves(self) -> int:
        """Leaves over what counts: the first ones."""
        return self.leaves.firsts[len(self.counted)]

    @cached_property
    def digest(self) -> bytes:
        """sha256 of what an update is of (32 bytes): all but the points, which only the model's own integers have."""
        body = to_json(self)
        assert isinstance(body, dict)
        for tensor in body["tensors"]:
            del tensor["point"]
        return hashlib.sha256(canonical_json(body)).digest()


@dataclass(frozen=True)
class ScaleSpec:
    """The codec's step of each tensor, a power of two: step_t = 2^exponents[t], exact in float64."""

    exponents: tuple[int, ...]  # LEAST_EXPONENT .. LARGEST_EXPONENT, one per tensor


def model_checks(model: ModelSpec, first: ScaleSpec) -> tuple[tuple[bool, str], ...]:
    """Return what must hold of a model and the first scale of its updates, each with what to say where it does not."""
    return (
        (
            0 < model.size <= MAX_PARAMETERS,
            f"model has {model.size} parameters, allowed 1 to {MAX_PARAMETERS}",
        ),
        (bool(model.counted), "no tensor of the model counts"),
        (
            model.tensors[: len(model.counted)] == model.counted,
            "a tensor that counts stands behind one that does not",
        ),
        (len({t.name for t in model.tensors}) == len(model.tensors), "two tensors share a name"),
        (all(_is_name(t.name) for t in model.tensors), "a tensor has a name that no model file can have"),
        (all(side > 0 for t in model.tensors for side in t.shape), "a tensor has an empty side"),
        (
            all(LEAST_POINT <= t.point <= LARGEST_POINT for t in model.tensors),
            f"points of the model's integers must be {LEAST_POINT} to {LARGEST_POINT}",
        ),
        (len(first.exponents) == len(model.tensors), "one exponent per tensor is needed"),
        (
            all(
                LEAST_EXPONENT + FARTHEST_DOWN <= exponent <= LARGEST_EXPONENT - FARTHEST_UP
                for exponent in first.exponents
            ),
            f"exponents of the first scale must be {LEAST_EXPONENT + FARTHEST_DOWN} to "
            f"{LARGEST_EXPONENT - FARTHEST_UP}",
        ),
    )


def _is_name(name: str) -> bool:
    return name.isprintable() and name != "__metadata__"  # where a file says what it is of


def check_scale(scale: ScaleSpec, *, what: str) -> None:
    """Refuse a scale that the codec cannot have. Raises DocumentInvalid."""
    for exponent in scale.exponents:
        if not LEAST_EXPONENT <= exponent <= LARGEST_EXPONENT:
            raise DocumentInvalid(f"{what} exponent {exponent} must be {LEAST_EXPONENT} to {LARGEST_EXPONENT}")
