"""The trainers of one folder: built from a wallet and rows, resident in their own processes or all in this one.

Tests: tests/unit/cli/test_cli_parts.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, FLError
from fl_platform.learning.machine import Machine
from fl_platform.learning.task import LearningTask
from fl_platform.protocol.messages import RoundOrder, decode_message, message_kind
from fl_platform.round.data_choice import Lesson, data_of_model, hands, part, reference_rows
from fl_platform.round.reporting import RoundsLearned
from fl_platform.round.site import Site, code_of
from fl_platform.round.trainer import Trainer, TrainingReport
from fl_platform.sinks.names import REFERENCE, TRAINER
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace

TrainingWatch = Callable[[TrainingReport], None]


def unwatched(report: TrainingReport) -> None:
    """Look at nothing."""


def lesson_for(reader: TaskReader, lesson: Lesson) -> Lesson:
    """Fill in what the task's rules say: the model, and its data set where none was named."""
    model = reader.spec.model.name
    data = lesson.data or data_of_model(model)
    full = replace(lesson, data=data, model="")
    return replace(full, model=model) if full.public else full


def one_trainer(
    workspace: Workspace, name: str, task: int, lesson: Lesson, *, index: int | None, machine: Machine | None = None,
    watch: TrainingWatch = unwatched, member: bool = True,
) -> Trainer:  # fmt: skip
    """Return the trainer of wallet `name`; `index`: its hand of a public data set, None: the owner's reference rows.

    member: it must have joined; without, it can be looked at whether it could take part. Raises ConfigError when the
    wallet has no part in the task, PolicyRefused before code of anybody's is run, and what reading the rows raises.
    """
    reader, signer = workspace.reader(task), workspace.signer(name)
    if index is None and signer.address != reader.spec.reference.address:
        raise ConfigError(f"0x{signer.address.hex()} does not sign the reference of task {task}: leave --reference out")
    if member and index is not None and signer.address not in reader.history().members:
        raise ConfigError(
            f"0x{signer.address.hex()} is no trainer of task {task}: `fl-platform trainer join {task}` first"
        )
    full = lesson_for(reader, lesson)
    site = Site(workspace.root, code_of(full.data))
    site.allow_task(reader, stake=reader.history().members.get(signer.address, 0))
    rows = reference_rows(full) if index is None else part(full, index)
    return _trainer(workspace, signer, rows, task, name, machine, watch, site)


def local_crew(
    workspace: Workspace, names: Mapping[str, bytes], task: int, lesson: Lesson, *, machine: Machine | None = None,
    watch: Callable[[str, str], TrainingWatch] = lambda *_: unwatched,
) -> tuple[Trainer, ...]:  # fmt: skip
    """Return trainers for all wallets of this folder that are members, and the owner's reference if its wallet is here.

    names: wallet -> address. Member i in the order of names gets hand i of the lesson, dealt to as many as there are,
    or part i of data that come in parts. watch(wallet, role): what is told of each one's trainings. Raises ConfigError
    when nobody of the task is here, PolicyRefused.
    """
    reader = workspace.reader(task)
    members, reference = reader.history().members, reader.spec.reference.address
    here = [name for name, address in sorted(names.items()) if address in members]
    if not here:
        raise ConfigError(f"no wallet of {workspace.root} is a trainer of task {task}; let them join first")
    try:
        full = lesson_for(reader, lesson)
    except ConfigError as error:
        raise ConfigError(
            f"trainers of {reader.spec.model.name!r} have rows of their own, and --local deals public ones: start each "
            f"by `fl-platform trainer run {task} --wallet NAME --data module:NAME`, or play all by `fl-platform run`"
        ) from error
    site = Site(workspace.root, code_of(full.data))
    for name in here:
        site.allow_task(reader, stake=members[names[name]])
    full = replace(full, parts=max(len(here), full.parts, full.natural_parts))
    rows = hands(full)
    places = [(name, name, rows[i], watch(name, TRAINER)) for i, name in enumerate(here)]
    places += [
        (name, f"{name}.reference", reference_rows(full), watch(name, REFERENCE))
        for name, address in names.items()
        if address == reference
    ]
    return tuple(
        _trainer(workspace, workspace.signer(name), own, task, folder, machine, watched, site)
        for name, folder, own, watched in places
    )


class Announced:
    """A trainer that says what it is asked and whether it answered, for whoever watches a resident process."""

    def __init__(self, trainer: Trainer, say: Callable[[str], None], learned: RoundsLearned) -> None:
        """`learned` watches the trainer and tells of each round that it trains; the rest is said here."""
        self._trainer, self._say, self._learned = trainer, say, learned

    def handle(self, message: bytes) -> bytes:
        """See Trainer.handle."""
        told = self._learned.told
        try:
            answer = self._trainer.handle(message)
        except FLError as error:
            self._say(f"refused an order: {error}")
            raise
        if message_kind(message) == RoundOrder.__name__:
            order = decode_message(message, expected=RoundOrder)
            assert isinstance(order, RoundOrder)
            if self._learned.told == told:
                self._say(f"round {order.round}: what was signed before is handed out again")
        else:
            self._say("the key of the rostered update is handed out")
        return answer


def socket_folder(workspace: Workspace, task: int) -> Path:
    """Return where this folder's resident trainers of a task listen."""
    return workspace.root / "sockets" / f"{workspace.network.name}-{task}"


def _trainer(
    workspace: Workspace, signer: Signer, rows: LearningTask, task: int, name: str, machine: Machine | None,
    watch: TrainingWatch, site: Site,
) -> Trainer:  # fmt: skip
    return Trainer(
        reader=workspace.reader(task),
        contracts=workspace.contracts(signer),
        signer=signer,
        learning=rows,
        workdir=workspace.role_folder(name),
        machine=machine,
        watch=watch,
        site=site,
    )
