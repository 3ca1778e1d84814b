"""The defender answers whatever is asked and keeps its bond; it works beside the aggregator, with the same wallet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.chain.client import Chain, Planned
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.journal import Step
from fl_platform.chain.retry import Retrying
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import TxReceipt
from fl_platform.config import MINIMAL
from fl_platform.dispute.defender import Defender
from fl_platform.dispute.disputed_round import target_of
from fl_platform.dispute.questions import Answer, Node, Question
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Watcher
from fl_platform.errors import StoreUnavailable
from fl_platform.judging.program import program_of, terms_of
from fl_platform.judging.tapes import told_tape
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import RoundHistory
from fl_platform.protocol.messages import RoundOrder
from fl_platform.protocol.operations import Op
from fl_platform.protocol.rows import row_levels
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tree import depth_of
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from tests.support.chain import AGGREGATOR, ETHER, SUCCESSOR, Stage, disputed_stage
from tests.support.faults import BlockByBlock
from tests.support.rehearsal import rehearsal, small_settings
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture
def disputed() -> Iterator[Stage]:
    with disputed_stage() as stage:
        yield stage


ROWS = (Node.SUMS, Node.ROW, Node.PREFIXES, Node.OPERAND)  # what is asked of products and sums


class Interrupted(LocalTransport):
    """Before the trainers of round 1 are asked, somebody asks about round 0, and its defender answers."""

    ask_and_answer = staticmethod(lambda: None)

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        if order.round == 1:
            self.ask_and_answer()
        return super().exchange(order, waiting)


def test_run_and_defend_send_from_one_wallet_at_once(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings()) as (workspace, parties):
        own, auditor = parties.wallets["aggregator"], parties.wallets["auditor"]
        journal = tmp_path / "journal" / workspace.network.name
        assert journal.exists()
        beside = Chain(workspace.chain.backend, workspace.network, journal=journal)
        reader = workspace.reader(parties.task)
        defender = Defender(
            reader,
            Referee(Contracts(beside, workspace.deployment(), own), own),
            opener=opener_of(reader, own),
        )
        asking = workspace.contracts(auditor)
        asking.mint(auditor.address, terms_of(reader.spec).ask_bond)
        answered = []

        def ask_and_answer() -> None:
            target = target_of(reader, reader.history().rounds[0])
            Referee(asking, auditor).ask(target, Question(Node.ROSTER))
            answered.extend(defender.step(workspace.chain.now()))
            # what follows from the answer may be asked that long
            workspace.chain.wait_until(workspace.chain.now() + reader.spec.windows.takeover)
            answered.extend(defender.step(workspace.chain.now()))

        transport = Interrupted(parties.everybody)
        transport.ask_and_answer = ask_and_answer
        assert len(parties.aggregator.run(transport)) == 2
        assert [answer.problem for answer in answered] == ["", ""]
        history = reader.history()
        assert [record.seal is not None for record in history.rounds] == [True, True]
        beside.release_journal()


# --- a griefer --------------------------------------------------------------------------------------------------------


def answerable(spec: TaskSpec, seats: int, entries: int, tape_levels: int) -> list[Question]:
    """Return a question of every kind that has an answer at once."""
    columns = program_of(spec).columns
    total = next(n for n, column in enumerate(columns) if column.op is Op.COMBINE)
    product = next(n for n, column in enumerate(columns) if column.op is Op.DOT and column.axes == (Axis.ENTRY,))
    by_blocks = next(n for n, column in enumerate(columns) if column.op is Op.DOT and Axis.BLOCK in column.axes)
    shifted = next(n for n, c in enumerate(columns) if c.op is Op.DOT_SHIFTED and Axis.OTHER not in c.axes)
    rows = len(row_levels([bytes(32)] * spec.model.leaves.count)) - 1
    return [
        Question(Node.COLUMNS, level=depth_of(len(columns))),
        Question(Node.COLUMNS, index=len(columns) - 1),
        Question(Node.CELLS, product, level=tape_levels),
        Question(Node.CELLS, product, index=entries - 1),
        Question(Node.CLAIMS, level=depth_of(seats)),
        Question(Node.CLAIMS, index=seats - 1),
        Question(Node.ROSTER, index=entries - 1),
        Question(Node.SUMS, product, (entries - 1,), level=1),
        Question(Node.SUMS, by_blocks, (0,) * len(columns[by_blocks].axes), level=1),
        Question(Node.SUMS, shifted, (0,) * len(columns[shifted].axes), level=1),
        Question(Node.ROW, total, level=rows),
        Question(Node.ROW, total, index=spec.model.leaves.count - 1),
        Question(Node.PREFIXES, total, level=1),
        Question(Node.OPERAND, product, (entries - 1,), leaf=1, index=spec.model.leaves.count - 1),
        Question(Node.OPERAND, total, leaf=entries - 1),
    ]


def unanswerable(spec: TaskSpec, seats: int, entries: int, asked: list[Question]) -> list[Question]:
    """Return questions that nothing answers: behind the last node, with fields that their kind has not, of cells
    that are no row's."""
    columns = program_of(spec).columns
    plain = next(n for n, column in enumerate(columns) if column.op is Op.CONST)
    scan = next(n for n, column in enumerate(columns) if column.op is Op.MULADD)
    nodes = {question.node: question for question in asked}
    total, product = nodes[Node.ROW].column, nodes[Node.SUMS].column
    most = 2**32 - 1
    return [
        *(replace(question, level=255) for question in nodes.values()),
        *(replace(question, index=most) for question in nodes.values()),
        *(replace(question, column=question.column + 1, leaf=3) for question in nodes.values()),
        *(replace(question, place=(0, 0, 7)) for question in nodes.values()),
        *(Question(node, column, level=1) for node in ROWS for column in (plain, scan)),
        *(Question(node, 65_535) for node in Node),
        Question(Node.CLAIMS, index=seats),
        Question(Node.ROSTER, index=entries),
        replace(nodes[Node.SUMS], place=(entries,)),
        replace(nodes[Node.PREFIXES], leaf=spec.model.leaves.count),
        Question(Node.OPERAND, product, (entries - 1,), leaf=2),
        Question(Node.OPERAND, total, leaf=entries),
        Question(Node.OPERAND, total, index=spec.model.leaves.count),
    ]  # fmt: skip


def opener_of(reader: TaskReader, who: Signer) -> UpdateOpener:
    return UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec, recipient=who.address, key=reveal_key(who)
    )  # fmt: skip


def griefed(stage: Stage, folder: Path) -> tuple[SmallTask, Referee, Defender]:
    """Return a task with an honest seal, who asks about it, and who answers."""
    task = open_small_task(stage, folder, trainers=5, byzantine=1, aggregators=(AGGREGATOR, SUCCESSOR))
    task.aggregator.run(LocalTransport(task.trainers), rounds=1)
    griefer = stage.as_(SUCCESSOR)
    griefer.mint(SUCCESSOR.address, 20 * ETHER)
    griefer.bond_aggregator(task.reader.task, task.reader.spec.money.bond)
    own = stage.as_(AGGREGATOR)
    reader = TaskReader(own, task.reader.store, task.reader.task)
    defender = Defender(reader, Referee(own, AGGREGATOR), opener=opener_of(reader, AGGREGATOR))
    return task, Referee(griefer, SUCCESSOR), defender


def test_an_honest_sealer_answers_or_ends_every_question_and_is_paid_for_it(disputed: Stage, tmp_path: Path) -> None:
    task, griefer, defender = griefed(disputed, tmp_path)
    reader, number = task.reader, task.reader.task
    record = reader.history().rounds[0]
    target, tape = target_of(reader, record), told_tape(reader.spec, reader.bundle(0))
    seats, entries = len(reader.bundle(0).after.seats), len(reader.bundle(0).entries)
    asked = answerable(reader.spec, seats, entries, depth_of(entries))
    nothing = unanswerable(reader.spec, seats, entries, asked)
    for question in dict.fromkeys([*asked, *nothing]):
        griefer.ask(target, question)
    answers = defender.step(disputed.chain.now())
    assert [answer for answer in answers if answer.problem] == []
    found = griefer.record(target)
    assert set(asked) <= found.shown.keys()
    assert found.waiting == ()
    assert tape.root == target.record.trace
    paid = len(answers) * terms_of(reader.spec).ask_bond
    assert disputed.owner.member(number, AGGREGATOR.address).stake == reader.spec.money.bond
    assert disputed.owner.member(number, AGGREGATOR.address).credit == paid
    assert defender.step(disputed.chain.now()) == []
    watcher = Watcher(reader, griefer, opener=opener_of(reader, SUCCESSOR))
    assert watcher.step(disputed.chain.now()) == []
    disputed.chain.wait_until(disputed.chain.now() + reader.spec.windows.takeover)
    assert [answer.problem for answer in defender.step(disputed.chain.now())] == [""]
    assert not reader.history().rounds[0].challenged


def test_a_task_goes_on_after_a_question_that_was_answered_late(disputed: Stage, tmp_path: Path) -> None:
    task, griefer, defender = griefed(disputed, tmp_path)
    reader = task.reader
    final = reader.history().final_at(0)
    assert final is not None
    disputed.chain.wait_until(final - 30)
    griefer.ask(target_of(reader, reader.history().rounds[0]), Question(Node.CLAIMS))
    assert [answer.problem for answer in defender.step(disputed.chain.now())] == [""]
    assert reader.history().rounds[0].challenged  # what follows from the answer may be asked
    disputed.chain.wait_until(disputed.chain.now() + reader.spec.windows.takeover)
    (answer,) = defender.step(disputed.chain.now())
    assert "end of the last question" in str(answer)
    assert not reader.history().rounds[0].challenged


def test_a_question_without_an_answer_is_ended_as_often_as_it_is_asked(disputed: Stage, tmp_path: Path) -> None:
    """Who ended one in a block is not through with it: it can be asked again in the same block."""
    task, griefer, defender = griefed(disputed, tmp_path)
    reader, question = task.reader, Question(Node.ROSTER, index=999)
    target = target_of(reader, reader.history().rounds[0])
    for time in range(1, 4):
        griefer.ask(target, question, griefer.record(target))
        (asked,) = griefer.record(target).waiting
        assert asked.times == time
        assert [answer.problem for answer in defender.step(disputed.chain.now())] == [""]
        assert griefer.record(target).waiting == ()
    assert disputed.owner.member(reader.task, AGGREGATOR.address).stake == reader.spec.money.bond


# --- many at once -----------------------------------------------------------------------------------------------------

MANY = 64


def asked_at_once(stage: Stage, pool: BlockByBlock, reader: TaskReader) -> list[Question]:
    """Ask many questions about round 0 in one block, most of them without an answer."""
    record = reader.history().rounds[0]
    target, contracts = target_of(reader, record), stage.as_(SUCCESSOR)
    seats, entries = len(reader.bundle(0).after.seats), len(reader.bundle(0).entries)
    some = answerable(reader.spec, seats, entries, depth_of(entries))
    questions = list(dict.fromkeys([*some, *unanswerable(reader.spec, seats, entries, some)]))[:MANY]
    bonds = MANY * terms_of(reader.spec).ask_bond
    contracts.approve(contracts.token_of(reader.task), bonds, Step(reader.task, 0, "all"))
    chain = Chain(pool, stage.chain.network, policy=MINIMAL, sleep=pool.mine)
    calls = [
        Planned(
            contracts.deployment.contract("Referee"), "ask", (target.encoded(), one.encoded(), bytes(32)),
            Step(reader.task, 0, f"ask {one}"),
        )
        for one in questions
    ]  # fmt: skip
    found = chain.send_all(calls, signer=SUCCESSOR)
    assert len({one.block for one in found if isinstance(one, TxReceipt)}) == 1
    return questions


def test_many_questions_of_one_block_are_answered_within_a_few(disputed: Stage, tmp_path: Path) -> None:
    """However slowly its end point confirms, an honest sealer loses nothing by how many are asked at once."""
    task, griefer, _ = griefed(disputed, tmp_path)
    reader = task.reader
    assert isinstance(disputed.chain.backend, Retrying)
    assert isinstance(disputed.chain.backend.inner, EmbeddedBackend)
    pool = BlockByBlock(disputed.chain.backend.inner)
    questions = asked_at_once(disputed, pool, reader)
    assert len(questions) == MANY
    slow = Chain(pool, disputed.chain.network, policy=MINIMAL, sleep=pool.mine)
    own = Contracts(slow, disputed.owner.deployment, AGGREGATOR)
    its = TaskReader(own, reader.store, reader.task)
    defender = Defender(its, Referee(own, AGGREGATOR), opener=opener_of(its, AGGREGATOR))
    pool.blocks = 0
    answers = defender.step(slow.now())
    assert [answer for answer in answers if answer.problem] == []
    assert len(answers) == MANY
    assert pool.blocks <= 4
    assert griefer.record(target_of(reader, reader.history().rounds[0])).waiting == ()
    paid = MANY * terms_of(reader.spec).ask_bond
    member = disputed.owner.member(reader.task, AGGREGATOR.address)
    assert (member.stake, member.credit) == (reader.spec.money.bond, paid)


def test_what_cannot_be_shown_keeps_no_other_answer_back(disputed: Stage, tmp_path: Path) -> None:
    """A store is away for some of what is asked: the rest is answered, and then it is told."""
    task, griefer, defender = griefed(disputed, tmp_path)
    target = target_of(task.reader, task.reader.history().rounds[0])
    hidden, plain = Question(Node.COLUMNS, index=0), Question(Node.CLAIMS, index=0)
    for question in (hidden, plain):
        griefer.ask(target, question)
    shown = defender._shown

    def away(record: RoundHistory, question: Question) -> Answer:
        if question == hidden:
            raise StoreUnavailable("no store answers")
        return shown(record, question)

    defender._shown = away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        defender.step(disputed.chain.now())
    assert [asked.question for asked in griefer.record(target).waiting] == [hidden]
    defender._shown = shown  # type: ignore[method-assign]
    assert [answer.problem for answer in defender.step(disputed.chain.now())] == [""]
