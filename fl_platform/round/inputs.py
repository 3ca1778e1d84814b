"""What a round cannot be judged without: the model that it starts from, and the sums of earlier rounds.

Who rosters a round answers for it with its bond, so it looks first; and who cannot judge what it rostered passes, which
costs the fee alone.
"""

from __future__ import annotations

from collections.abc import Callable

from fl_platform.errors import FLError, RetryError
from fl_platform.judging.judge import past_sums
from fl_platform.task.reading import TaskReader


def require_inputs(reader: TaskReader) -> None:
    """Refuse to work on a round whose model or earlier sums are not to be had. Raises StoreMissing, CidMismatch,
    DocumentInvalid, RetryError."""
    state = reader.current_state()
    reader.parent_row(state)
    past_sums(reader.spec, state, reader.sums_of)


def lacking(reader: TaskReader, pause: Callable[[], bool]) -> str:
    """Say what a round cannot be judged without, after looking for it again and again; empty: it is all there.

    pause: waits, and says whether there is time to look again. Raises RetryError.
    """
    while True:
        try:
            require_inputs(reader)
        except RetryError:
            raise
        except FLError as error:
            if not pause():
                return str(error)
        else:
            return ""
