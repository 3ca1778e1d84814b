"""Nobody loses a round to a hiccup: real roles on a real chain whose clock the test moves, and trainers that come late.

Time passes only where the transport or the aggregator waits; the chain itself refuses a roster that is late.
"""

from __future__ import annotations

import dataclasses
import math
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from fl_platform.audit.why import explain
from fl_platform.chain.client import Chain
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Phase
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.errors import NotEnoughTrainers, ProcessAbsent, RetryError
from fl_platform.flower.socket_transport import SocketTransport
from fl_platform.flower.trainer_server import serve_trainer
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol.messages import RevealOrder, RoundOrder, encode_message
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.reporting import RoundsSealed
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Progress, Waiting, margin
from fl_platform.task.reading import TaskReader
from fl_platform.task.stakes import parties as parties_of
from fl_platform.task.workspace import Workspace, reveal_key
from tests.support.chain import AGGREGATOR, Stage, stage
from tests.support.faults import Killed
from tests.support.rehearsal import rehearsal, small_settings
from tests.support.small_task import SmallTask, open_small_task

STEP_S = 30.0
NEVER = float("inf")


class Clock:
    """The chain's clock, moved by hand."""

    def __init__(self, chain: Chain) -> None:
        self._chain, self.start, self.now = chain, float(chain.now()), float(chain.now())

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass, here and on chain."""
        self.now += seconds
        self._chain.backend.advance_to(int(self.now))

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return self.now - self.start


class Late:
    """Carries what trainers answer from some moment on; the others hang. A question takes a step of time."""

    once = False

    def __init__(self, clock: Clock, trainers: Sequence[Trainer], late: dict[bytes, float] | None = None) -> None:
        """`late`: seconds from the beginning at which a trainer begins to answer; at once unless said."""
        self._clock, self._trainers, self._late = clock, trainers, late or {}
        self.asked: list[bytes] = []

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._carry(encode_message(order), waiting)

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        return self._carry(encode_message(order), waiting)

    def _carry(self, message: bytes, waiting: Waiting) -> Iterator[bytes]:
        while waiting.left():
            for trainer in self._trainers:
                if trainer.address in waiting.missing() and self._clock.passed >= self._late.get(trainer.address, 0.0):
                    self.asked.append(trainer.address)
                    yield trainer.handle(message)
            if waiting.missing() or waiting.left():
                self._clock.pass_(STEP_S)


@dataclasses.dataclass
class Scene:
    """An aggregator that waits by the test's clock."""

    aggregator: Aggregator
    clock: Clock
    reader: TaskReader
    trainers: Sequence[Trainer]
    told: list[Progress]

    @property
    def window_s(self) -> int:
        """Seconds from the round's beginning to the roster's deadline."""
        return self.reader.spec.windows.roster

    def lines(self) -> list[str]:
        """What was said while waiting."""
        return [step.detail for step in self.told if step.step == "wait"]

    def transport(self, late: dict[bytes, float] | None = None) -> Late:
        """Return a transport to the trainers."""
        return Late(self.clock, self.trainers, late)


def scene(
    reader: TaskReader, contracts: Contracts, signer: Signer, folder: Path, trainers: Sequence[Trainer],
    clock: Clock | None = None, patience_s: float = math.inf, wanted: int = 0,
) -> Scene:  # fmt: skip
    """Start the aggregator; `wanted` trainers are waited for to join."""
    told: list[Progress] = []
    clock = clock or Clock(contracts.chain)
    aggregator = Aggregator(
        reader=reader, contracts=contracts, reveal_key=reveal_key(signer), workdir=folder,
        wait_until=contracts.chain.wait_until, watch=told.append, clock=clock, pause=clock.pass_, patience_s=patience_s,
        trainers=wanted,
    )  # fmt: skip
    return Scene(aggregator, clock, reader, trainers, told)


Opening = Callable[..., Scene]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opening]:
    """How to open a task of three trainers without a reference; asked again, its aggregator is started again."""
    with stage() as own:
        tasks: list[SmallTask] = []

        def open_(clock: Clock | None = None, strictness: str = "standard") -> Scene:
            if not tasks:
                tasks.append(open_small_task(own, tmp_path, trainers=3, strictness=strictness))
            return small_scene(own, tmp_path, tasks[0], clock)

        yield open_


def small_scene(own: Stage, folder: Path, task: SmallTask, clock: Clock | None) -> Scene:
    """Start the aggregator of a small task."""
    reader = TaskReader(own.as_(AGGREGATOR), task.reader.store, task.reader.task)
    return scene(reader, own.as_(AGGREGATOR), AGGREGATOR, folder / "waiting", task.trainers, clock)


def scene_of(workspace: Workspace, parties: DemoParties, folder: Path, patience_s: float = math.inf) -> Scene:
    """Start the aggregator of a rehearsed task: five trainers and a reference."""
    signer = parties.wallets["aggregator"]
    reader = workspace.reader(parties.task)
    return scene(reader, workspace.contracts(signer), signer, folder / "waiting", parties.everybody, None, patience_s)


def short(address: bytes) -> str:
    """How a line names a trainer."""
    return f"0x{address.hex()[:8]}… (trainer)"


def test_one_that_never_answers_is_left_out_in_time_and_named(opened: Opening) -> None:
    on = opened()
    hung = on.trainers[1].address
    entries = on.aggregator.collect(on.transport({hung: NEVER}))
    assert {entry.receipt.trainer for entry in entries} == {on.trainers[0].address, on.trainers[2].address}
    on.aggregator.roster(entries)  # the chain takes it: it is not late
    assert on.reader.history().head.phase is Phase.ROSTERED
    assert on.window_s - 2 * margin(on.window_s) < on.clock.passed < on.window_s
    assert on.lines()[-1] == f"going on without {short(hung)}"
    assert on.lines()[0] == f"waiting for {short(hung)}; 2 of 3 answered; roster due in 59 min"


def test_a_socket_that_hangs_costs_no_deadline(opened: Opening, tmp_path: Path) -> None:
    """One question to it may take longer than the whole window."""
    on = opened()
    folder = Path(tempfile.mkdtemp(dir=tmp_path.parent))  # short enough for a socket's path

    def nearly_due(done: int, _: int) -> None:
        if done == 2:
            on.clock.pass_(on.window_s - margin(on.window_s) - on.clock.passed)

    transport = SocketTransport(folder, timeout_s=2.0 * on.window_s, look_s=0.01, watch=nearly_due)
    first, hung, last = on.trainers
    with (
        serve_trainer(first, folder / "0.sock"),
        serve_trainer(last, folder / "2.sock"),
        socket.socket(socket.AF_UNIX) as silent,
    ):
        silent.bind(str(folder / "1.sock"))
        silent.listen()
        entries = on.aggregator.collect(transport)
        on.aggregator.roster(entries)
    assert {entry.receipt.trainer for entry in entries} == {first.address, last.address}
    assert on.reader.history().head.phase is Phase.ROSTERED
    assert on.lines()[-1] == f"going on without {short(hung.address)}"


def test_one_that_comes_two_minutes_late_is_in_the_roster_and_then_nobody_waits(opened: Opening) -> None:
    on = opened()
    entries = on.aggregator.collect(on.transport({on.trainers[1].address: 120.0}))
    assert len(entries) == 3
    assert on.clock.passed == 120.0
    assert not any(line.startswith("going on") for line in on.lines())


def test_nobody_waits_once_all_have_answered(opened: Opening) -> None:
    on = opened()
    assert len(on.aggregator.collect(on.transport())) == 3
    assert (on.clock.passed, on.lines()) == (0.0, [])


class Broken(Late):
    """Fails as a whole the first times, as a courier does that is not there."""

    failures = 3

    def _carry(self, message: bytes, waiting: Waiting) -> Iterator[bytes]:
        if self.failures:
            self.failures -= 1
            raise ProcessAbsent("no Flower ServerApp fetched the order")
        yield from super()._carry(message, waiting)


def test_asking_that_fails_as_a_whole_is_tried_again(opened: Opening) -> None:
    on = opened()
    assert len(on.aggregator.collect(Broken(on.clock, on.trainers))) == 3
    failed = [line for line in on.lines() if line.startswith("asking failed")]
    assert failed == ["asking failed and is tried again: no Flower ServerApp fetched the order"] * 3


class Once(LocalTransport):
    """Counts; its second trainer cannot answer."""

    asked = 0

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        """See Transport."""
        self.asked += 1
        return super().exchange(order, waiting)


def test_who_is_in_the_same_process_is_asked_once_and_not_waited_for(opened: Opening) -> None:
    on = opened()
    transport = Once(on.trainers[:2])
    assert len(on.aggregator.collect(transport)) == 2
    assert (transport.asked, on.clock.passed) == (1, 0.0)
    assert on.lines() == [f"going on without {short(on.trainers[2].address)}"]
    assert not list(on.aggregator._workdir.rglob("*answers*"))  # its trainers have them


class Dying(Late):
    """The aggregator is killed after so many answers."""

    after = 2

    def _carry(self, message: bytes, waiting: Waiting) -> Iterator[bytes]:
        for count, answer in enumerate(super()._carry(message, waiting)):
            if count == self.after:
                raise Killed
            yield answer


def test_answers_that_came_are_kept_when_it_is_started_again(opened: Opening) -> None:
    on = opened()
    first = Dying(on.clock, on.trainers)
    with pytest.raises(Killed):
        on.aggregator.collect(first)
    again = opened(on.clock)
    second = again.transport()
    assert len(again.aggregator.collect(second)) == 3
    assert second.asked == [on.trainers[2].address]


def test_a_garbled_answer_that_was_kept_costs_nothing(opened: Opening) -> None:
    on = opened()
    with pytest.raises(Killed):
        on.aggregator.collect(Dying(on.clock, on.trainers))
    kept = sorted(on.aggregator._workdir.rglob("*answers*/*.json"))
    assert len(kept) == 2
    kept[0].write_bytes(b"half a fi")
    again = opened(on.clock)
    assert len(again.aggregator.collect(again.transport())) == 3


def test_keys_of_a_strict_round_are_asked_for_again_until_their_time_is_over(opened: Opening) -> None:
    on = opened(strictness="strict")
    on.aggregator.roster(on.aggregator.collect(on.transport()))
    windows = on.reader.spec.windows
    on.clock.now = on.clock.start = float(on.reader.history().block.timestamp)
    late, hung = on.trainers[1].address, on.trainers[2].address
    sealed = on.aggregator.seal(on.transport({late: 90.0, hung: NEVER}))
    keys = {entry.receipt.trainer: bool(entry.keys) for entry in sealed.bundle.entries}
    assert keys == {on.trainers[0].address: True, late: True, hung: False}
    assert on.clock.passed <= windows.force + windows.reveal + STEP_S
    assert any("keys due in" in line and short(hung) in line for line in on.lines())


def test_keys_that_came_are_kept_when_it_is_started_again(opened: Opening) -> None:
    on = opened(strictness="strict")
    on.aggregator.roster(on.aggregator.collect(on.transport()))
    on.clock.now = float(on.reader.history().block.timestamp)
    with pytest.raises(Killed):
        on.aggregator.seal(Dying(on.clock, on.trainers))
    again = opened(on.clock)
    second = again.transport()
    sealed = again.aggregator.seal(second)
    assert all(entry.keys for entry in sealed.bundle.entries)
    assert second.asked == [on.trainers[2].address]


def test_an_absent_reference_is_waited_for_and_then_said_to_be_absent(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(byzantine=0, attacks=())) as (workspace, parties):
        on = scene_of(workspace, parties, tmp_path)
        reference = parties.reference.address
        assert parties_of(on.reader) == {member.trainer.address for member in parties.members} | {reference}
        on.aggregator.run(on.transport({reference: 120.0}), rounds=1)
        assert not any("by stake" in line for line in on.lines())
        on.clock.now = on.clock.start = float(workspace.chain.now())
        (sealed,) = on.aggregator.run(on.transport({reference: NEVER}), rounds=1)
        assert RoundsSealed(on.reader).record(sealed).values["reference_absent"] == 1
        assert any("waiting for the owner's reference; 5 of 6 answered; roster due in" in line for line in on.lines())
        assert on.lines()[-1] == (
            "going on without the owner's reference; without the reference this round will be paid by stake"
        )
        trainer = parties.members[0].trainer.address
        told = explain(on.reader, workspace.contracts(), trainer, now=workspace.chain.now())
    assert [story.reference_absent for story in told.rounds] == [False, True]
    assert [story.measured for story in told.rounds] == [True, False]


def test_too_few_are_waited_for_until_the_deadline_and_the_way_on_is_said(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as (workspace, parties):
        on = scene_of(workspace, parties, tmp_path)
        hung = parties.members[2].trainer.address
        way_on = rf"4 trainers answered, .* needs 5; .*`fl-platform aggregator advance {parties.task}`"
        with pytest.raises(NotEnoughTrainers, match=way_on):
            on.aggregator.run(on.transport({hung: NEVER}))
        assert on.clock.now >= workspace.contracts().window(parties.task)[1]
        again = scene_of(workspace, parties, tmp_path, patience_s=0.0)
        with pytest.raises(NotEnoughTrainers, match="its roster deadline is over"):
            again.aggregator.run(again.transport())


@pytest.mark.parametrize("joins", [True, False])
def test_the_first_round_waits_for_who_has_yet_to_join(tmp_path: Path, joins: bool) -> None:
    """A round began with the first member alone, and everybody who joined a minute later had missed it."""
    with stage() as own:
        task = open_small_task(own, tmp_path, trainers=3)
        first, *others = task.trainers
        members = {first.address}
        reader = TaskReader(own.as_(AGGREGATOR), task.reader.store, task.reader.task)
        on = scene(reader, own.as_(AGGREGATOR), AGGREGATOR, tmp_path / "w", task.trainers, wanted=3)
        whole = reader.history

        def history() -> TaskHistory:
            if joins and on.clock.passed >= 300.0:
                members.update(trainer.address for trainer in others)
            found = whole()
            return dataclasses.replace(found, members={who: s for who, s in found.members.items() if who in members})

        reader.history = history  # type: ignore[method-assign]
        entries = on.aggregator.collect(on.transport())
    assert len(entries) == (3 if joins else 1)
    assert "waiting for 2 more to join; 1 of 1 answered" in on.lines()[0]
    assert (on.clock.passed >= on.window_s - margin(on.window_s) - STEP_S) != joins


def test_patience_ends_the_waiting_only_where_the_rule_has_enough(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as (workspace, parties):
        on = scene_of(workspace, parties, tmp_path, patience_s=60.0)
        late = parties.members[2].trainer.address
        entries = on.aggregator.collect(on.transport({parties.reference.address: NEVER, late: 240.0}))
    assert len(entries) == 5
    assert on.clock.passed == 240.0 + STEP_S


def test_a_failure_within_this_process_is_the_callers(opened: Opening) -> None:
    on = opened()

    class Fails(LocalTransport):
        def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
            raise RetryError("the order queue is closed")

    with pytest.raises(RetryError, match="closed"):
        on.aggregator.collect(Fails(on.trainers))
