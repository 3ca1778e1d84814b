"""A trainer that stays: it answers orders until its task is over, and says what it is asked for on chain.

Tests: tests/unit/cli/test_join.py
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fl_platform.cli.common import Session, block_moment, missed, wait_to_stop

if TYPE_CHECKING:
    from fl_platform.learning.machine import Machine
    from fl_platform.round.data_choice import Lesson
    from fl_platform.sinks.opening import Sinks

logger = logging.getLogger(__name__)
_LOOK_S = 60.0


@dataclass(frozen=True)
class Stay:
    """What a resident trainer works on, and with what."""

    task: int
    lesson: Lesson
    index: int | None  # its hand of a public data set, from 0; None: the owner's reference rows
    machine: Machine
    socket: Path | None = None  # None: in the workdir
    validate: bool = False  # measure each round's model on its validation rows

    @property
    def reference(self) -> bool:
        """Whether it computes the owner's reference."""
        return self.index is None


def socket_of(own: Session, wanted: Stay) -> Path:
    """Return where orders come in."""
    from fl_platform.flower.socket_transport import SUFFIX
    from fl_platform.round.local_trainers import socket_folder

    name = f"{own.name}.reference" if wanted.reference else own.name
    return wanted.socket or socket_folder(own.workspace, wanted.task) / f"{name}{SUFFIX}"


def stay(
    own: Session, sinks: Sinks, wanted: Stay, *, beside: Callable[[], None] = lambda: None,
    until: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Train until the task is over, or `until` says so. `beside`: called once orders can come in, to start what
    brings them.

    Raises ConfigError, UpdateHeaderMismatch (another model than the task's), TaskCodeError.
    """
    from fl_platform.cli.show import console, telling
    from fl_platform.flower.trainer_server import serve_trainer
    from fl_platform.round.local_trainers import Announced, one_trainer
    from fl_platform.round.reporting import RoundsLearned
    from fl_platform.sinks.names import REFERENCE, TRAINER

    out, task = console(), wanted.task

    def say(text: str) -> None:
        with contextlib.suppress(SystemExit, OSError):  # rich leaves when whoever read our lines has gone; we train on
            out.print(text, markup=False)

    learned = RoundsLearned(
        task, telling(sinks, say), role=REFERENCE if wanted.reference else TRAINER, who=own.name,
        validate=wanted.validate,
    )  # fmt: skip
    working = one_trainer(
        own.workspace, own.name, task, wanted.lesson, index=wanted.index, machine=wanted.machine, watch=learned.trained
    )
    working.check_model()
    path = socket_of(own, wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    with serve_trainer(Announced(working, say, learned), path):
        say(f"{path.stem} answers orders for task {task} at {path}")
        beside()
        asked = _Asked(own, task, lambda text: out.print(text, style="bold red", markup=False))
        wait_to_stop(lambda: asked.look() or until() or _over(own, task), patient=True)
    learned.over(working)
    if not _over(own, task):
        return
    claim = "" if wanted.reference else f": `fl-platform rewards claim {task} --withdraw` when its last round is final"
    out.print(f"task {task} is over{claim}")


class _Asked:
    """Says once a minute at most, and once for each, what this trainer is asked for on chain, and who is late there."""

    def __init__(self, own: Session, task: int, say: Callable[[str], None]) -> None:
        self._own, self._task, self._say = own, task, say
        self._known: set[bytes] = set()
        self._late = (-1, -1)  # round and turn whose missed deadline was said
        self._next = 0.0

    def look(self) -> bool:
        """Look, if it is time to; never ends the wait."""
        from fl_platform.errors import RetryError
        from fl_platform.round.revealing import open_demands

        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _LOOK_S
        try:
            demands = open_demands(
                self._own.workspace.reader(self._task), self._own.contracts, self._own.signer.address
            )
            self._tell_late()
        except RetryError as error:
            logger.warning("%s", error)
            return False
        for made in demands:
            if made.id not in self._known:
                self._known.add(made.id)
                self._say(
                    f"you are asked on chain for what you owe of round {made.round}: answer before "
                    f"{block_moment(made.deadline)} with `fl-platform trainer answer {self._task}`, or lose stake"
                )
        return False

    def _tell_late(self) -> None:
        """Say that a deadline has passed: the aggregator is away, and nothing goes on by itself."""
        head, late = self._own.contracts.head(self._task), missed(self._own.contracts, self._task)
        if late and self._late != (head.round, head.index):
            self._late = (head.round, head.index)
            self._say(f"round {head.round}: {late}")


def _over(own: Session, task: int) -> bool:
    from fl_platform.errors import RetryError
    from fl_platform.round.membership import WORKING

    try:
        return own.contracts.head(task).phase not in WORKING
    except RetryError as error:  # a resident process outlives a node's restart
        logger.warning("%s", error)
        return False
