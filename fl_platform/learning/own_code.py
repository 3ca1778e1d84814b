"""The one boundary around a party's own code: whatever it raises becomes a line that names its method and the remedy.

A data owner's `LearningTask` is its own program in its own process. What fails in it is no bug of the platform, and the
owner must see in which of its methods, on which shapes and dtypes, and what to do.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fl_platform.errors import ConfigError, FLError, RejectedInput, TaskCodeError

_OURS = Path(__file__).resolve().parents[1]
_STANDARD = Path(traceback.__file__).resolve().parent
_LIBRARIES = ("site-packages", "dist-packages")
_LONGEST = 300  # characters of somebody else's message that are shown

# What an exception's text holds, in lower case (a regular expression) -> what to do. The first that fits is shown.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (r"target -?\d+ is out of bounds", "class labels run from 0 to one less than the model's outputs: renumber "
     "them, or add outputs"),
    (r"index out of range in self", "ids run from 0 to one less than the Embedding's rows: renumber them, or add rows"),
    (r"expected more than 1 value per channel", "a batch of one row reached BatchNorm: make the batches larger, or "
     "bring more rows"),
    (r"target dtype|scalar type (long|float) but (found|got)", "class labels are whole numbers, give them as int64; to "
     "learn other numbers override `loss` (`losses.mean_squared_error`, `binary_cross_entropy`)"),
    (r"dtype|expected scalar type|input type \(", "give inputs and model one dtype: integer ids go to an Embedding, "
     "everything else is floating point"),
    (r"shapes cannot be multiplied", "the rows have another width than the first layer: compare the shapes above"),
    (r"size mismatch|expected target size", "the outputs and the targets differ in shape: override `loss` (of tokens "
     "`losses.token_cross_entropy`), or reshape in `model`"),
    (r"does not require grad", "nothing learned is in the loss's graph: leave out detach, no_grad and .data"),
    (r"modified by an inplace operation", "a value that the gradient needs was overwritten: leave out inplace=True, += "
     "and the like"),
    (r"out of memory", "make the batches smaller, or train on the CPU"),
    (r"no such file or directory|filenotfounderror", "the path is looked for on this machine, from the folder where "
     "the command is typed (from your file's own: Path(__file__).parent): correct it"),
)  # fmt: skip

_USUAL = "it is your own code: mend it and run again"



class own_code:  # a context manager; a class, because a step of training enters it and generators are slow
    """Run a party's method `hook` on the values given; what it raises becomes TaskCodeError, our own words stay."""

    def __init__(self, task: object, hook: str, *given: Any) -> None:
        self._task, self._hook, self._given = task, hook, given

    def __enter__(self) -> None:
        """Enter the party's code."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Leave it."""
        if not isinstance(error, Exception | SystemExit):  # sys.exit() would end a thread without a word
            return
        # What rejects a peer's input is sent to the peer, with its text: here it is of the party's own files.
        if isinstance(error, RejectedInput) or not isinstance(error, FLError):
            raise TaskCodeError(_words(self._task, self._hook, error, self._given)) from error


class own_rows(own_code):
    """Read a party's rows: what we refuse of them is said with the name of the method, too."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Leave it."""
        if isinstance(error, ConfigError) and not isinstance(error, TaskCodeError):
            raise TaskCodeError(f"{named(self._task, self._hook)}: {error}") from error
        super().__exit__(kind, error, trace)


def described(value: Any) -> str:
    """Say what a batch or an output is: shape and dtype of each array in it, never its values."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {described(inner)}" for name, inner in list(value.items())[:8]) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(described(inner) for inner in value[:8]) + ")"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"


def innermost(task: Any) -> Any:
    """Return the party's own task inside those of ours that only hand on what it returns (`task.TransformedTask`)."""
    while getattr(type(task), "hands_on", False):
        task = task.inner
    return task


def named(task: object, hook: str) -> str:
    """Return how a party knows its method."""
    kind = task if isinstance(task, type) else type(innermost(task))
    return f"{kind.__name__}.{hook}"


def in_a_line(error: BaseException) -> str:
    """Return what somebody else's code raised, and where, on one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
    place = _place(error)
    return f"{text}; at {place}" if place else text


def _words(task: object, hook: str, error: BaseException, given: Sequence[Any]) -> str:
    text = in_a_line(error)
    parts = [f"{named(task, hook)} raised {text}"]
    if given:
        parts.append(f"given {', '.join(map(described, given))}")
    lower = text.lower()
    remedy = next((words for sign, words in _REMEDIES if re.search(sign, lower)), _USUAL)
    return "; ".join([*parts, remedy])


def _place(error: BaseException) -> str:
    """Return file:line of the innermost frame that is neither ours nor a library's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        ours = _OURS in path.parents or _STANDARD in path.parents or frame.filename.startswith("<frozen")
        if not ours and not any(part in path.parts for part in _LIBRARIES):
            return f"{path.name}:{frame.lineno}"
    return ""
