"""An aggregator that rosters what it shows to nobody, or what nobody signed, loses its bond, and the task goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.audit.auditor import Auditor
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import Phase
from fl_platform.dispute.defender import Answered, Defender
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.roster_defender import RosterBonds
from fl_platform.dispute.roster_watcher import RosterWatcher
from fl_platform.dispute.rosters import Rosters, answer_time, standing
from fl_platform.errors import TaskClosed
from fl_platform.judging.program import terms_of
from fl_platform.protocol.bundle import Entry, claim_leaves
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.closing import can_be_asked, close, nothing_left
from fl_platform.round.kept_entries import KeptEntries
from fl_platform.round.membership import bond
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Transport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task, sealer_of, trainer_key

BOND = 2 * ETHER
LATE = ETHER // 10


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Kept(Aggregator):
    """Rosters what `listed` makes of the entries, and keeps that."""

    def listed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return entries

    def collect(self, transport: Transport) -> tuple[Entry, ...]:
        made = self.listed(super().collect(transport))
        self._kept.save(made[0].receipt.round, made)
        return made


class Invents(Kept):
    """The first leaf is of a receipt that its trainer never signed."""

    def listed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        first, *rest = entries
        return replace(first, receipt=replace(first.receipt, salt=bytes(32))), *rest


class SignsForAnother(Kept):
    """The first leaf is as it should be; the signature kept for it is another's."""

    def listed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        first, *rest = entries
        return replace(first, signature=rest[0].signature), *rest


class OverstatesAStake(Kept):
    """A leaf has another stake than its trainer: no lie that anybody is paid by."""

    def listed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        first, *rest = entries
        return replace(first, stake=first.stake + 1), *rest


def rostered_by(stage: Stage, folder: Path, kind: type[Aggregator], *, rounds: int = 1) -> tuple[SmallTask, Aggregator]:
    """Return a task whose first aggregator rostered round 0 and was too late to seal it."""
    task = open_small_task(stage, folder, trainers=3, rounds=rounds, aggregators=(AGGREGATOR, SUCCESSOR))
    maker = sealer_of(stage, folder, task, kind)
    maker.roster(maker.collect(LocalTransport(task.trainers)))
    stage.chain.wait_until(stage.owner.window(task.reader.task)[1])
    stage.owner.advance(task.reader.task)
    return task, maker


def successor_of(
    stage: Stage, folder: Path, task: SmallTask, *, meanwhile: Callable[[], object] = lambda: None
) -> Aggregator:
    """Return the bonded successor, with money to ask; `meanwhile` happens whenever it waits."""
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, BOND + 2 * ETHER)

    def wait_until(when: int) -> None:
        meanwhile()
        stage.chain.wait_until(when)

    made = Aggregator(
        reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
        reveal_key=reveal_key(SUCCESSOR), workdir=folder / "successor", wait_until=wait_until,
    )  # fmt: skip
    bond(made.reader, contracts)
    return made


def defender_of(stage: Stage, folder: Path, task: SmallTask) -> Defender:
    """Return what answers for the maker."""
    contracts = stage.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    kept = KeptEntries.of(folder / "sealer", reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec, recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR)
    )
    return Defender(reader, Referee(contracts, AGGREGATOR), opener=opener, kept=kept.load)


def stake(stage: Stage, task: SmallTask, who: bytes) -> int:
    return stage.owner.member(task.reader.task, who).stake


def all_are_paid(stage: Stage, task: SmallTask, successor: Aggregator, *, differs: str = "") -> None:
    """The task ends as an honest one does: audited, every trainer has its stake and is paid."""
    reader, number = successor.reader, task.reader.task
    last = reader.history().head.round - 1
    assert reader.history().head.phase is Phase.DONE
    report = Auditor(TaskReader(stage.owner, reader.store, number), opener=None).audit()
    assert (report.first_difference.what[:8] if report.first_difference else "") == differs
    final = reader.history().final_at(last)
    assert final is not None
    stage.chain.wait_until(final)
    leaves = claim_leaves(reader.bundle(last).after)
    for trainer in task.trainers:
        stage.owner.claim(number, last, leaves, trainer.address)
        member = stage.owner.member(number, trainer.address)
        assert member.stake == reader.spec.money.stake
        assert member.credit > 0


def test_a_roster_that_nobody_can_show_falls_and_the_task_ends_paid(disputed: Stage, tmp_path: Path) -> None:
    """Its maker shows the two leaves that are somebody's; the third is nobody's."""
    task, _ = rostered_by(disputed, tmp_path, Invents, rounds=2)
    answers: list[Answered] = []
    defender = defender_of(disputed, tmp_path, task)
    successor = successor_of(
        disputed, tmp_path, task, meanwhile=lambda: answers.extend(defender.step(disputed.chain.now()))
    )
    sealed = successor.run(LocalTransport(task.trainers))
    assert len(successor.reader.history().rounds[0].fallen) == 1
    assert stake(disputed, task, AGGREGATOR.address) == 0
    assert [bool(answer.problem) for answer in answers] == [True, False, False]
    assert [len(one.bundle.entries) for one in sealed] == [3, 3]
    all_are_paid(disputed, task, successor)


def test_what_the_trainers_hand_in_again_need_not_be_asked_for(disputed: Stage, tmp_path: Path) -> None:
    """The maker kept another's signature beside a leaf: its trainer has the right one."""
    task, _ = rostered_by(disputed, tmp_path, SignsForAnother)
    successor = successor_of(disputed, tmp_path, task)
    listed = standing(successor.reader)
    assert listed is not None
    successor.run(LocalTransport(task.trainers))
    assert not Rosters(disputed.owner).record(listed).asked
    assert stake(disputed, task, AGGREGATOR.address) == BOND - LATE
    all_are_paid(disputed, task, successor)


def test_its_finder_has_its_bonds_back_and_a_part_of_the_maker_s(disputed: Stage, tmp_path: Path) -> None:
    task, _ = rostered_by(disputed, tmp_path, Invents)
    successor = successor_of(disputed, tmp_path, task)  # and the maker shows nothing at all
    listed = standing(successor.reader)
    assert listed is not None
    successor.run(LocalTransport(task.trainers))
    contracts = disputed.as_(SUCCESSOR)
    RosterBonds(successor.reader, Rosters(contracts, SUCCESSOR)).reclaim()
    reward = (BOND - LATE) * 3 // 10
    assert contracts.member(task.reader.task, SUCCESSOR.address).credit == reward + 3 * listed.terms.ask_bond
    talk = Rosters(contracts).record(listed)
    assert {asked.index for asked in talk.asked} == {0, 1, 2}
    assert {asked.asker for asked in talk.asked} == {SUCCESSOR.address}
    assert not talk.shown
    all_are_paid(disputed, task, successor)


def test_what_the_maker_shows_is_put_together_from_the_chain(disputed: Stage, tmp_path: Path) -> None:
    """A false stake in a leaf is paid to nobody: audits name it, and its maker can show all that it is asked for."""
    task, _ = rostered_by(disputed, tmp_path, OverstatesAStake)
    defender = defender_of(disputed, tmp_path, task)
    successor = successor_of(disputed, tmp_path, task, meanwhile=lambda: defender.step(disputed.chain.now()))
    (sealed,) = successor.run(LocalTransport(task.trainers))
    assert {verdict.code for verdict in sealed.bundle.verdicts} == {"admitted"}
    assert successor.reader.history().rounds[0].fallen == ()
    assert stake(disputed, task, AGGREGATOR.address) == BOND - LATE
    asked = 3 * terms_of(successor.reader.spec).ask_bond
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).credit == asked
    all_are_paid(disputed, task, successor, differs="stake of")


def test_it_falls_while_its_maker_has_the_round(disputed: Stage, tmp_path: Path) -> None:
    """Anybody may ask from the roster's block on; who takes over then rosters at once."""
    task = open_small_task(disputed, tmp_path, trainers=3, aggregators=(AGGREGATOR, SUCCESSOR))
    maker = sealer_of(disputed, tmp_path, task, Invents)
    maker.roster(maker.collect(LocalTransport(task.trainers)))
    successor = successor_of(disputed, tmp_path, task)
    rosters, listed = Rosters(disputed.as_(SUCCESSOR), SUCCESSOR), standing(successor.reader)
    assert listed is not None
    rosters.ask(listed, 0)
    disputed.chain.wait_until(disputed.chain.now() + answer_time(successor.reader.spec.windows))
    rosters.lapse(listed, 0)
    assert successor.reader.history().head.aggregator == SUCCESSOR.address
    successor.run(LocalTransport(task.trainers))
    assert stake(disputed, task, AGGREGATOR.address) == 0
    all_are_paid(disputed, task, successor)


def test_who_asks_too_late_passes_and_loses_nothing(disputed: Stage, tmp_path: Path) -> None:
    task, _ = rostered_by(disputed, tmp_path, Invents)
    successor = successor_of(disputed, tmp_path, task)
    windows = successor.reader.spec.windows
    disputed.chain.wait_until(disputed.chain.now() + windows.takeover - answer_time(windows))
    with pytest.raises(TaskClosed, match="no answer about it would be due before this window ends"):
        successor.run(LocalTransport(task.trainers))
    assert stake(disputed, task, SUCCESSOR.address) == BOND
    assert disputed.owner.head(task.reader.task).phase is Phase.COMPENSATED


# --- the last of the list ---------------------------------------------------------------------------------------------


def passed_by(stage: Stage, folder: Path, kind: type[Aggregator]) -> tuple[SmallTask, Defender]:
    """Return a task whose only aggregator rostered round 0 and passed as soon as it could; and what answers for it."""
    task = open_small_task(stage, folder, trainers=3, aggregators=(AGGREGATOR,))
    maker = sealer_of(stage, folder, task, kind)
    maker.roster(maker.collect(LocalTransport(task.trainers)))
    stage.chain.wait_until(stage.owner.window(task.reader.task)[0])
    stage.as_(AGGREGATOR).pass_round(task.reader.task, 0)
    assert stage.owner.head(task.reader.task).phase is Phase.COMPENSATED
    return task, defender_of(stage, folder, task)


def watched_by(stage: Stage, task: SmallTask, place: int = 0) -> tuple[RosterWatcher, list[str]]:
    """Return what watches with a trainer's wallet, and what it says; it has money to ask."""
    contracts = stage.as_(Signer(trainer_key(place)))
    contracts.mint(contracts.address, ETHER)
    told: list[str] = []
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    return RosterWatcher(reader, Rosters(contracts, contracts.signer), watch=told.append), told


def test_an_honest_maker_is_asked_after_a_compensated_end_and_nobody_honest_loses(
    disputed: Stage, tmp_path: Path
) -> None:
    """Its bond is whole, the books wait for it and no longer, and its trainers share the pot by stake."""
    task, defender = passed_by(disputed, tmp_path, Kept)
    number, history = task.reader.task, task.reader.history()
    watcher, told = watched_by(disputed, task)
    watcher.step(disputed.chain.now())
    watcher.step(disputed.chain.now())  # once is enough
    assert told == [f"asks for leaf {index} of the roster" for index in range(3)]
    answers = defender.step(disputed.chain.now())
    assert [answer.problem for answer in answers] == [""] * 3
    assert not nothing_left(task.reader, now=disputed.chain.now())
    assert [can_be_asked(task.reader, who, now=disputed.chain.now()) for who in (AGGREGATOR.address, bytes(20))] == [
        True, False
    ]  # fmt: skip
    left = history.falls_until() - disputed.chain.now()
    with pytest.raises(TaskClosed, match=f"can be asked for, and fall, for {left} s"):
        close(task.reader, disputed.owner, now=disputed.chain.now(), forward=None)
    close(task.reader, disputed.owner, now=disputed.chain.now(), forward=disputed.chain.wait_until)
    assert disputed.chain.now() - history.falls_until() < answer_time(task.reader.spec.windows)
    assert stake(disputed, task, AGGREGATOR.address) == BOND
    maker = disputed.owner.member(number, AGGREGATOR.address)
    assert maker.credit == 3 * terms_of(task.reader.spec).ask_bond
    leaves = tuple(entry.leaf for entry in KeptEntries.of(tmp_path / "sealer", number).load(0))
    for trainer in task.trainers:
        disputed.owner.claim_compensation(number, leaves, trainer.address)
        assert disputed.owner.member(number, trainer.address).credit == ETHER // 3
    assert nothing_left(task.reader, now=disputed.chain.now())
    assert not can_be_asked(task.reader, AGGREGATOR.address, now=disputed.chain.now())


def test_the_last_of_the_list_gains_nothing_by_passing_before_an_answer_is_due(disputed: Stage, tmp_path: Path) -> None:
    """A44: it made up a receipt and ended the task at once; a trainer asks, and all seats share pot and bond."""
    task, defender = passed_by(disputed, tmp_path, Invents)
    number, windows = task.reader.task, task.reader.spec.windows
    watcher, told = watched_by(disputed, task)
    watcher.step(disputed.chain.now())
    defender.step(disputed.chain.now())  # shows the leaves that it can
    disputed.chain.wait_until(disputed.chain.now() + answer_time(windows))
    watcher.step(disputed.chain.now())
    assert told[-1] == "leaf 0 was not shown: the roster falls"
    assert stake(disputed, task, AGGREGATOR.address) == 0
    assert len(task.reader.history().rounds[0].fallen) == 1
    close(task.reader, disputed.owner, now=disputed.chain.now(), forward=disputed.chain.wait_until)
    disputed.chain.wait_until(disputed.chain.now() + windows.unbonding)
    disputed.owner.sweep_compensation(number)
    part = (ETHER + BOND * 7 // 10) // 3
    for place, trainer in enumerate(task.trainers):
        before = disputed.owner.member(number, trainer.address).credit
        disputed.owner.claim_residual(number, trainer.address)
        assert disputed.owner.member(number, trainer.address).credit - before == part
        reward = BOND * 3 // 10 + terms_of(task.reader.spec).ask_bond
        assert before == (0 if place else reward)


def test_who_comes_too_late_asks_nothing_and_has_its_bonds_back(disputed: Stage, tmp_path: Path) -> None:
    """Nor does who has no share in the pot: it would pay for what is no affair of its own."""
    task, _ = passed_by(disputed, tmp_path, Invents)
    end, wait = task.reader.history().falls_until(), answer_time(task.reader.spec.windows)
    disputed.owner.mint(disputed.owner.address, ETHER)
    stranger = RosterWatcher(task.reader, Rosters(disputed.owner, disputed.owner.signer))
    stranger.step(disputed.chain.now())
    disputed.chain.wait_until(end - wait)
    watcher, told = watched_by(disputed, task)
    watcher.step(disputed.chain.now())
    assert told == []
    listed, contracts = standing(task.reader), disputed.as_(Signer(trainer_key(0)))
    assert listed is not None
    rosters = Rosters(contracts, contracts.signer)
    assert not rosters.record(listed).asked
    rosters.ask(listed, 0)
    disputed.chain.wait_until(end)
    watcher.step(disputed.chain.now())
    assert rosters.locked(task.reader.task) == 0
    assert stake(disputed, task, AGGREGATOR.address) == BOND
