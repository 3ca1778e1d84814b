"""The watcher leaves honest seals alone, looks once at each, and needs no key where public values tell the lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.attacks.lying import pay_itself
from fl_platform.chain.demands import Demands, Subject
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Question
from fl_platform.errors import AuditDifference
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.roles.aggregator import Aggregator
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.watcher import Finding, Watcher, nothing_left
from fl_platform.roles.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, OWNER, SUCCESSOR, Stage, disputed_stage
from tests.support.liars import BendsSums, Liar
from tests.support.silent import Silent
from tests.support.small_task import SmallTask, open_small_task, sealer_of


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


class Greedy(Liar):
    """Moves base pay to itself."""

    def _bundle(self, *arguments: Any) -> RoundBundle:
        honest = super()._bundle(*arguments)
        standings = tuple(dataclasses.replace(s, paid_scored=s.paid_base, paid_base=0) for s in honest.after.standings)
        lie = pay_itself(dataclasses.replace(honest, after=dataclasses.replace(honest.after, standings=standings)))
        back = tuple(
            dataclasses.replace(s, paid_base=s.paid_base + s.paid_scored, paid_scored=0) for s in lie.after.standings
        )
        return dataclasses.replace(honest, after=dataclasses.replace(honest.after, standings=back))


def watcher_of(stage: Stage, task: SmallTask, told: list[Finding]) -> Watcher:
    contracts = stage.as_(SUCCESSOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=None, watch=told.append)


def test_honest_rounds_are_looked_at_once_and_left_alone(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, rounds=2)
    looked: list[int] = []
    honest = Watcher.look
    monkeypatch.setattr(Watcher, "look", lambda self, record: looked.append(record.number) or honest(self, record))
    told: list[Finding] = []
    watcher = watcher_of(disputed, task, told)
    for _ in range(2):
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
        assert watcher.step(disputed.chain.now()) == []
    assert watcher.step(disputed.chain.now()) == []
    assert (looked, told) == ([0, 1], [])


def test_a_stranger_without_a_key_has_an_aggregator_slashed_that_pays_itself(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2)
    contracts = disputed.as_(AGGREGATOR)
    greedy = Greedy(
        reader=TaskReader(contracts, task.reader.store, task.reader.task), contracts=contracts,
        reveal_key=reveal_key(AGGREGATOR), workdir=tmp_path / "greedy", wait_until=disputed.chain.wait_until,
    )  # fmt: skip
    greedy.run(LocalTransport(task.trainers), rounds=1)
    told: list[Finding] = []
    watcher = watcher_of(disputed, task, told)
    final = disputed.owner.history(task.reader.task).final_at(0)
    assert final is not None
    assert watcher.step(final) == []  # too late: nothing is sent
    (finding,) = watcher.step(disputed.chain.now())
    assert told == [finding]
    assert (finding.question, finding.upheld) == (Question.STANDING, True)
    assert "the seal fell" in str(finding)
    assert disputed.owner.member(task.reader.task, AGGREGATOR.address).stake == 0


def test_a_sealer_that_disputes_its_own_seal_hides_nothing(disputed: Stage, tmp_path: Path) -> None:
    """Its demand keeps the task still until the window is over: the lie falls all the same, and nobody leaves early."""
    task = open_small_task(disputed, tmp_path, trainers=2)
    contracts = disputed.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    greedy = Greedy(
        reader=reader, contracts=contracts, reveal_key=reveal_key(AGGREGATOR), workdir=tmp_path / "greedy",
        wait_until=disputed.chain.wait_until,
    )  # fmt: skip
    greedy.run(LocalTransport(task.trainers), rounds=1)
    contracts.mint(AGGREGATOR.address, ETHER)
    final = disputed.owner.history(reader.task).final_at(0)
    assert final is not None
    disputed.chain.wait_until(final - 60)
    assert Demands(Disputes(contracts, AGGREGATOR)).demand(reader.task, 0, Subject.CLAIMS) == 1
    disputed.chain.wait_until(final + 1)
    assert not nothing_left(reader, now=disputed.chain.now())
    (finding,) = watcher_of(disputed, task, []).step(disputed.chain.now())
    assert (finding.question, finding.upheld) == (Question.STANDING, True)


def test_a_demand_is_the_own_one_even_if_another_came_at_once(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2)
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    number = task.reader.task
    sending = {who: disputed.as_(who) for who in (SUCCESSOR, OWNER)}
    mine, other = (Demands(Disputes(contracts, who)) for who, contracts in sending.items())
    for who in (SUCCESSOR, OWNER):
        disputed.owner.mint(who.address, ETHER)
    chain = sending[SUCCESSOR].chain
    send = chain.send

    def followed(contract: Any, function: str, *arguments: Any, **options: Any) -> Any:
        done = send(contract, function, *arguments, **options)
        if function == "demand":
            monkeypatch.undo()
            other.demand(number, 0, Subject.CLAIMS)
        return done

    monkeypatch.setattr(chain, "send", followed)
    assert mine.demand(number, 0, Subject.CLAIMS) == 1
    assert other.open_demand(2) is not None


def test_nobody_rosters_on_a_seal_whose_trace_is_not_its_bundles(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, rounds=2)
    with monkeypatch.context() as lying:
        lying.setattr("fl_platform.roles.aggregator.trace_root", lambda *_: bytes([1]) * 32)
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    with pytest.raises(AuditDifference, match="dispute that seal first"):
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)


def silent_watcher(stage: Stage, folder: Path, task: SmallTask) -> tuple[Watcher, Silent]:
    """A watcher that holds a key."""
    store = Silent(folder / "store")
    contracts = stage.as_(SUCCESSOR)
    contracts.mint(SUCCESSOR.address, 10 * ETHER)
    reader = TaskReader(contracts, store, task.reader.task)
    opener = UpdateOpener(store, domain=reader.domain, recipient=SUCCESSOR.address, key=reveal_key(SUCCESSOR))
    return Watcher(reader, Disputes(contracts, SUCCESSOR), opener=opener), store


def half_of(stage: Stage, task: SmallTask, number: int) -> int:
    history = stage.owner.history(task.reader.task)
    seal, final = history.rounds[number].seal, history.final_at(number)
    assert seal is not None
    assert final is not None
    return (seal.sealed_at + final + 1) // 2


@pytest.mark.parametrize("what", ["bundle", "everything"])
def test_a_silent_store_is_waited_for_in_half_of_the_window_and_then_has_nothing(
    disputed: Stage, tmp_path: Path, what: str
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    assert watcher._reader.spec == task.reader.spec  # the rules were read while the store answered
    store.silent = lambda digest: what == "everything" or digest == sealed.digest
    half = half_of(disputed, task, 0)
    assert watcher.step(half - 1) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((0,), (0,), False)
    (finding,) = watcher.step(half)
    assert finding.demands == (1,)  # the sealer is asked on chain, as where no store has the bundle
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)


def test_a_store_that_answers_again_in_time_shows_an_honest_round(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    store.silent = lambda digest: digest == sealed.bundle.entries[0].receipt.update
    half = half_of(disputed, task, 0)
    assert watcher.step(half - 1) == []
    assert watcher.unseen() == (0,)
    store.silent = lambda _: False
    assert watcher.step(half) == []
    assert (watcher.unseen(), watcher.looked) == ((), True)


def test_silence_about_one_round_hides_no_other(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, rounds=2, aggregators=(AGGREGATOR, SUCCESSOR))
    first, _ = task.aggregator.run(LocalTransport(task.trainers), rounds=2)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    store.silent = lambda digest: digest == first.bundle.entries[0].receipt.update
    watcher.step(disputed.chain.now())
    assert (watcher.waiting, watcher.looked) == ((0,), True)


def test_a_round_whose_window_closed_unlooked_is_told(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    store.silent = lambda digest: digest == sealed.digest
    assert watcher.step(disputed.chain.now()) == []
    final = disputed.owner.history(task.reader.task).final_at(0)
    assert final is not None
    assert watcher.step(final) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (0,), False)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_update_that_the_own_store_lacks_or_has_damaged_is_nobodys_lie(
    disputed: Stage, tmp_path: Path, damaged: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    (sealed,) = sealer_of(disputed, tmp_path, task).run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    file = next((tmp_path / "store").rglob(f"*{cid_text(store, sealed.bundle.entries[0].receipt.update)}*"))
    whole = file.read_bytes()
    if damaged:
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        file.unlink()
    half = half_of(disputed, task, 0)
    assert watcher.step(half) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((0,), (0,), False)
    file.write_bytes(whole)
    assert watcher.step(half) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)


def cid_text(store: Silent, digest: bytes) -> str:
    return str(store.locate(digest))


@pytest.mark.parametrize("lies", [False, True])
def test_a_store_that_is_silent_about_an_update_late_in_the_window_hides_no_lie_and_makes_none(
    disputed: Stage, tmp_path: Path, lies: bool
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    sealer = sealer_of(disputed, tmp_path, task, BendsSums if lies else Aggregator)
    (sealed,) = sealer.run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    store.silent = lambda digest: digest == sealed.bundle.entries[0].receipt.update
    half = half_of(disputed, task, 0)
    assert watcher.step(half) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((0,), (0,), False)
    store.silent = lambda _: False
    assert [found.question for found in watcher.step(half)] == [Question.SUM] * lies
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)
