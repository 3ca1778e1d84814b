"""The watcher leaves honest seals alone, has lies fall, and needs no key where public values tell them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fl_platform.attacks.lying import BEND_MODEL, BEND_PRODUCT, BEND_SUMS, LIES, Lying
from fl_platform.chain.signer import Signer
from fl_platform.dispute.defender import Defender
from fl_platform.dispute.disputed_round import target_of
from fl_platform.dispute.questions import Node, Question
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Finding, Watcher
from fl_platform.errors import AuditDifference
from fl_platform.ledger.history import RoundHistory
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.round.closing import nothing_left
from fl_platform.round.conduct import AggregatorConduct
from fl_platform.round.transport import LocalTransport
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.liars import Hiding
from tests.support.partial_store import PartialStore
from tests.support.small_task import SmallTask, open_small_task, sealer_of

WHO = (AGGREGATOR, SUCCESSOR)
AT_ONCE = {"pay-itself", "raise-score", "drop-one", BEND_MODEL}  # by one cell, or leaf, and those that it reads


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


def opener_of(reader: TaskReader, who: Signer) -> UpdateOpener:
    return UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec, recipient=who.address, key=reveal_key(who)
    )  # fmt: skip


def watcher_of(
    stage: Stage, task: SmallTask, told: list[Finding], *, key: bool = False, store: PartialStore | None = None
) -> Watcher:
    """Return the second aggregator as a watcher; `key`: it opens updates, and has bonded."""
    contracts = stage.as_(SUCCESSOR)
    reader = TaskReader(contracts, store or task.reader.store, task.reader.task)
    contracts.mint(SUCCESSOR.address, 10 * ETHER)
    if key and SUCCESSOR.address not in reader.history().bonded:
        contracts.bond_aggregator(reader.task, reader.spec.money.bond)
    opener = opener_of(reader, SUCCESSOR) if key else None
    return Watcher(reader, Referee(contracts, SUCCESSOR), opener=opener, watch=told.append)


def defender_of(stage: Stage, task: SmallTask, bundle: RoundBundle | None = None) -> Defender:
    """Return who answers for the first aggregator; `bundle`: the one that it sealed, where it published another."""
    contracts = stage.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    if bundle is not None:
        reader.amend(bundle)
    return Defender(reader, Referee(contracts, AGGREGATOR), opener=opener_of(reader, AGGREGATOR))


def pursue(stage: Stage, task: SmallTask, watcher: Watcher, finding: Finding, defender: Defender | None) -> Finding:
    """Go on until nothing waits: who cannot answer lets the time pass."""
    while finding.asked and not finding.upheld:
        answers = [] if defender is None else defender.step(stage.chain.now())
        if not answers or any(answer.problem for answer in answers):
            stage.chain.wait_until(stage.chain.now() + task.reader.spec.windows.takeover)
        finding = watcher.follow(finding)
    return finding


def ended(stage: Stage, task: SmallTask, told: RoundBundle | None, *, key: bool = True) -> Finding:
    """Return how a seal's one finding ends where its sealer answers from the bundle that it judged."""
    watcher = watcher_of(stage, task, [], key=key)
    (finding,) = watcher.step(stage.chain.now())
    return pursue(stage, task, watcher, finding, defender_of(stage, task, told))


def sealed_by(stage: Stage, folder: Path, conduct: AggregatorConduct) -> SmallTask:
    """Return a task whose one round is sealed by an aggregator of such a conduct."""
    task = open_small_task(stage, folder, trainers=5, byzantine=1, aggregators=WHO)
    sealer_of(stage, folder, task, conduct=conduct).run(LocalTransport(task.trainers), rounds=1)
    return task


def bond(stage: Stage, task: SmallTask, who: Signer = AGGREGATOR) -> int:
    return stage.owner.member(task.reader.task, who.address).stake


@pytest.mark.parametrize("lie", [None, "raise-score", BEND_PRODUCT])
def test_a_look_judges_once_and_opens_each_update_once(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str | None
) -> None:
    task = sealed_by(disputed, tmp_path, Lying(lie))
    calls: Counter[str] = Counter()

    def counting(module: str, name: str) -> None:
        honest = getattr(sys.modules[module], name)

        def counted(*arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            return honest(*arguments, **named)

        monkeypatch.setattr(f"{module}.{name}", counted)

    counting("fl_platform.audit.auditor", "judge_round")
    counting("fl_platform.task.decrypting", "decrypt")
    entries = len(task.reader.bundle(0).entries)
    found = watcher_of(disputed, task, [], key=True).step(disputed.chain.now())
    assert bool(found) is (lie is not None)
    assert calls == {"judge_round": 1, "decrypt": entries}


def test_honest_rounds_are_looked_at_once_and_left_alone(
    disputed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, rounds=2)
    looked: list[int] = []
    honest = Watcher.look

    def look(watcher: Watcher, record: RoundHistory) -> Finding | None:
        looked.append(record.number)
        return honest(watcher, record)

    monkeypatch.setattr(Watcher, "look", look)
    told: list[Finding] = []
    watcher = watcher_of(disputed, task, told)
    for _ in range(2):
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)
        assert watcher.step(disputed.chain.now()) == []
    assert watcher.step(disputed.chain.now()) == []
    assert (looked, told) == ([0, 1], [])


# --- lies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_whose_tape_is_published_falls(disputed: Stage, tmp_path: Path, lie: str) -> None:
    task = sealed_by(disputed, tmp_path, Lying(lie))
    told: list[Finding] = []
    watcher = watcher_of(disputed, task, told, key=True)
    final = disputed.owner.history(task.reader.task).final_at(0)
    assert final is not None
    assert watcher.step(final) == []  # too late: nothing is sent
    (finding,) = watcher.step(disputed.chain.now())
    assert told == [finding]
    assert finding.upheld == (lie in AT_ONCE)
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task))
    assert finding.upheld
    assert "the seal fell" in str(finding)
    assert bond(disputed, task) == 0
    assert bond(disputed, task, SUCCESSOR) == task.reader.spec.money.bond  # what asking cost is back


@pytest.mark.parametrize("lie", ["pay-itself", "raise-score", "drop-one", BEND_MODEL])
def test_a_stranger_without_a_key_has_a_lie_fall_that_public_values_tell(
    disputed: Stage, tmp_path: Path, lie: str
) -> None:
    task = sealed_by(disputed, tmp_path, Lying(lie))
    (finding,) = watcher_of(disputed, task, []).step(disputed.chain.now())
    assert finding.upheld
    assert bond(disputed, task) == 0


@pytest.mark.parametrize("lie", ["bend-product", BEND_SUMS])
def test_a_stranger_without_a_key_leaves_alone_what_only_updates_tell(
    disputed: Stage, tmp_path: Path, lie: str
) -> None:
    task = sealed_by(disputed, tmp_path, Lying(lie))
    assert watcher_of(disputed, task, []).step(disputed.chain.now()) == []
    assert bond(disputed, task) == task.reader.spec.money.bond


@pytest.mark.parametrize(("lie", "found"), [("raise-score", "score"), (BEND_MODEL, "model")])
@pytest.mark.parametrize("answers", [True, False])
def test_a_lie_whose_tape_nobody_has_falls_by_its_sealers_answers_or_its_silence(
    disputed: Stage, tmp_path: Path, answers: bool, lie: str, found: str
) -> None:
    liar = Hiding(lie)
    task = sealed_by(disputed, tmp_path, liar)
    assert liar.told is not None
    watcher = watcher_of(disputed, task, [], key=True)
    (finding,) = watcher.step(disputed.chain.now())
    assert [question.node for question in finding.asked] == [Node.COLUMNS]
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task, liar.told) if answers else None)
    assert finding.upheld
    assert finding.move.startswith(f"refuted {found}") == answers
    assert bond(disputed, task) == 0
    assert bond(disputed, task, SUCCESSOR) == task.reader.spec.money.bond


def test_an_honest_tape_that_its_bundle_does_not_tell_of_stands(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, Hiding(None))
    (finding,) = watcher_of(disputed, task, [], key=True).step(disputed.chain.now())
    assert not finding.acted
    assert "tell the task's members" in str(finding)
    assert bond(disputed, task) == task.reader.spec.money.bond


@pytest.mark.parametrize("answers", [True, False])
def test_a_stranger_without_a_key_asks_of_a_hidden_tape_no_more_than_its_columns(
    disputed: Stage, tmp_path: Path, answers: bool
) -> None:
    """What is shown to nobody falls; where it differs from the honest tape only a key tells."""
    liar = Hiding("raise-score")
    task = sealed_by(disputed, tmp_path, liar)
    watcher = watcher_of(disputed, task, [])
    (finding,) = watcher.step(disputed.chain.now())
    assert [question.node for question in finding.asked] == [Node.COLUMNS]
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task, liar.told) if answers else None)
    assert finding.acted is not answers


def test_a_sealer_that_disputes_its_own_seal_hides_nothing(disputed: Stage, tmp_path: Path) -> None:
    """Its question keeps the task still until the window is over: the lie falls, and nobody leaves early."""
    task = sealed_by(disputed, tmp_path, Lying("pay-itself"))
    contracts = disputed.as_(AGGREGATOR)
    reader = TaskReader(contracts, task.reader.store, task.reader.task)
    contracts.mint(AGGREGATOR.address, ETHER)
    final = disputed.owner.history(reader.task).final_at(0)
    assert final is not None
    disputed.chain.wait_until(final - 60)
    target = target_of(reader, reader.history().rounds[0])
    Referee(contracts, AGGREGATOR).ask(target, Question(Node.ROSTER))
    disputed.chain.wait_until(final + 1)
    assert not nothing_left(reader, now=disputed.chain.now())
    (finding,) = watcher_of(disputed, task, []).step(disputed.chain.now())
    assert finding.upheld


def test_nobody_rosters_on_a_seal_whose_tape_is_not_its_bundles(disputed: Stage, tmp_path: Path) -> None:
    task = open_small_task(disputed, tmp_path, trainers=2, rounds=2)
    sealer_of(disputed, tmp_path, task, conduct=Hiding(None)).run(LocalTransport(task.trainers), rounds=1)
    with pytest.raises(AuditDifference, match="dispute that seal first"):
        task.aggregator.run(LocalTransport(task.trainers), rounds=1)


# --- stores -----------------------------------------------------------------------------------------------------------


def silent_watcher(stage: Stage, folder: Path, task: SmallTask) -> tuple[Watcher, PartialStore]:
    """A watcher that holds a key."""
    store = PartialStore(folder / "store")
    return watcher_of(stage, task, [], key=True, store=store), store


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
    entries = tuple(Question(Node.ROSTER, index=index) for index in range(2))
    assert finding.asked == entries  # the sealer is asked on chain, as where no store has the bundle
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)
    if what == "bundle":  # it answers, and loses nothing
        after = pursue(disputed, task, watcher, finding, defender_of(disputed, task))
        assert not after.acted
        assert bond(disputed, task) == task.reader.spec.money.bond
    else:
        assert pursue(disputed, task, watcher, finding, None).upheld


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
    assert watcher.step(half - 1) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((0,), (0,), False)
    file.write_bytes(whole)
    assert watcher.step(half) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)


def test_an_update_that_nobody_has_shields_no_lie_that_public_values_tell(disputed: Stage, tmp_path: Path) -> None:
    task = sealed_by(disputed, tmp_path, Lying("pay-itself"))
    store = PartialStore(tmp_path / "store")
    bundle = task.reader.bundle(0)
    for file in (tmp_path / "store").rglob(f"*{cid_text(store, bundle.entries[0].receipt.update)}*"):
        file.unlink()
    (finding,) = watcher_of(disputed, task, [], key=True, store=store).step(half_of(disputed, task, 0))
    assert finding.upheld
    assert finding.move.startswith("refuted earned")
    assert bond(disputed, task) == 0


def cid_text(store: PartialStore, digest: bytes) -> str:
    return str(store.locate(digest))


@pytest.mark.parametrize("lies", [False, True])
def test_an_update_that_no_store_delivers_late_in_the_window_is_shown_by_its_sealer_leaf_by_leaf(
    disputed: Stage, tmp_path: Path, lies: bool
) -> None:
    """So silence hides no lie, and makes none of an honest seal."""
    task = open_small_task(disputed, tmp_path, trainers=2, aggregators=(AGGREGATOR, SUCCESSOR))
    sealer = sealer_of(disputed, tmp_path, task, conduct=Lying(BEND_SUMS) if lies else None)
    (sealed,) = sealer.run(LocalTransport(task.trainers), rounds=1)
    watcher, store = silent_watcher(disputed, tmp_path, task)
    store.silent = lambda digest: digest == sealed.bundle.entries[0].receipt.update
    half = half_of(disputed, task, 0)
    assert watcher.step(half - 1) == []
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((0,), (0,), False)
    (finding,) = watcher.step(half)
    assert {question.node for question in finding.asked} == {Node.OPERAND}
    disputed.chain.wait_until(half)
    finding = pursue(disputed, task, watcher, finding, defender_of(disputed, task))
    assert finding.upheld is lies
    assert (bond(disputed, task) == 0) is lies
    assert (watcher.waiting, watcher.unseen(), watcher.looked) == ((), (), True)
