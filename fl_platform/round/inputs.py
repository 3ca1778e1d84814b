"""What a round cannot be judged without: the model that it starts from, and the sums of earlier rounds.

Who rosters a round answers for it with its bond, so it looks first; and who cannot judge what it rostered passes, which
costs the fee alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fl_platform.errors import FLError, RetryError
from fl_platform.judging.judge import past_sums
from fl_platform.judging.sums import Sums
from fl_platform.task.reading import TaskReader
from fl_platform.updates.model_row import ModelRow


@dataclass(frozen=True)
class RoundInputs:
    """The rows that the current round is judged from, beside its updates."""

    parent: ModelRow
    sums: Mapping[bytes, Sums]  # of earlier rounds, by their files' digests


def read_inputs(reader: TaskReader) -> RoundInputs:
    """Read the current round's model and earlier sums, verified. Raises StoreMissing, CidMismatch, DocumentInvalid,
    RetryError."""
    state = reader.current_state()
    sums = {digest: reader.sums_of(digest) for digest in state.sums}
    past_sums(reader.spec, state, sums.__getitem__)
    return RoundInputs(reader.parent_row(state), sums)


def await_inputs(read: Callable[[], RoundInputs], pause: Callable[[], bool]) -> RoundInputs | str:
    """Read what a round cannot be judged without, again and again; where it stays away, say what is missing.

    pause: waits, and says whether there is time to look again. Raises RetryError.
    """
    while True:
        try:
            return read()
        except RetryError:
            raise
        except FLError as error:
            if not pause():
                return str(error)
