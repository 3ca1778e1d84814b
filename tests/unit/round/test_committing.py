"""Layer P through real roles: what trainers hand out, what strangers see, and commitments that somebody garbled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl_platform.attacks.lying import Lied, false_tape
from fl_platform.audit.audit_report import COMMITTED_UNCHECKED, SUMS_UNCHECKED, AuditReport
from fl_platform.audit.auditor import Auditor
from fl_platform.audit.verify import Result
from fl_platform.audit.verify_files import Files, Offline
from fl_platform.judging.judge import Judgement, conclude
from fl_platform.judging.model_step import ModelSteps
from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.validation import RevealedRow
from fl_platform.protocol.bundle import Entry, RoundBundle, parse_roster, roster_bytes
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, CommitmentOpening
from fl_platform.protocol.messages import (
    Reveal,
    RevealOrder,
    RoundOrder,
    Submission,
    decode_message,
    encode_message,
)
from fl_platform.protocol.program import Output
from fl_platform.round import trainer as trainer_module
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.committing import Committed
from fl_platform.round.trainer import Conduct, Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import reveal_key
from fl_platform.updates.model_row import row_root
from tests.support.chain import AGGREGATOR, Stage, disputed_stage
from tests.support.small_task import SmallTask, open_small_task


@pytest.fixture
def embedded() -> Iterator[Stage]:
    with disputed_stage() as own:
        yield own


def audit(task: SmallTask, *, key: bool) -> AuditReport:
    reader = TaskReader(task.reader._contracts, task.reader.store, task.reader.task)
    opener = UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec,
        recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR),
    )  # fmt: skip
    return Auditor(reader, opener=opener if key else None).audit()


def opened(stage_: Stage, folder: Path, *, strictness: str = "standard", commitments: str = "pedersen") -> SmallTask:
    return open_small_task(stage_, folder, trainers=3, strictness=strictness, commitments=commitments)


def first_answer(task: SmallTask, number: int) -> Submission:
    order = encode_message(task.aggregator.order())
    answer = task.trainers[number].handle(order)
    assert task.trainers[number].handle(order) == answer
    sent = decode_message(answer, expected=Submission)
    assert isinstance(sent, Submission)
    return sent


def test_a_standard_round_shows_everything_at_once_and_again_the_same(embedded: Stage, tmp_path: Path) -> None:
    sent = first_answer(opened(embedded, tmp_path), 0)
    assert sent.shown.points
    assert sent.shown.proof
    assert any(sent.receipt.commitment)


def test_a_strict_round_shows_points_only_once_the_roster_is_on_chain(embedded: Stage, tmp_path: Path) -> None:
    task = opened(embedded, tmp_path, strictness="strict")
    assert first_answer(task, 0).shown == NOTHING_SHOWN
    entries = task.aggregator.collect(LocalTransport(task.trainers))
    assert all(entry.shown == NOTHING_SHOWN and any(entry.receipt.commitment) for entry in entries)
    task.aggregator.roster(entries)
    sealed = task.aggregator.seal(LocalTransport(task.trainers))
    assert all(entry.shown.points and not entry.shown.proof for entry in sealed.bundle.entries)
    assert {v.code for v in sealed.bundle.verdicts} == {"admitted"}
    assert audit(task, key=False).exit_code == 3


def unwanted(*_: object, **__: object) -> None:
    raise AssertionError("nobody asked for a proof of knowledge")


def test_on_a_strict_roster_no_proof_is_made(embedded: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_platform.round.committing.prove_knowledge", unwanted)
    task = opened(embedded, tmp_path, strictness="strict")
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    assert {v.code for v in sealed.bundle.verdicts} == {"admitted"}


def left_out(task: SmallTask) -> Trainer:
    """Roster all but the last trainer, who forces its receipt in."""
    *others, victim = task.trainers
    victim.commit(task.aggregator.order())
    task.aggregator.roster(task.aggregator.collect(LocalTransport(others)))
    victim.force_include(0)
    return victim


def test_who_forces_its_receipt_into_a_strict_round_proves_what_it_knows_by_itself(
    embedded: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_platform.round.aggregator.mend", lambda _spec, _opener, entries, _verdicts: entries)
    task = opened(embedded, tmp_path, strictness="strict")
    victim = left_out(task)
    bundle = task.aggregator.seal(LocalTransport(task.trainers)).bundle
    assert {entry.receipt.trainer for entry in bundle.entries if entry.shown.proof} == {victim.address}
    assert [v.code for v in bundle.verdicts] == ["admitted"] * 3
    assert (audit(task, key=True).exit_code, audit(task, key=False).exit_code) == (0, 3)


def test_who_lost_its_updates_key_is_forced_in_all_the_same(embedded: Stage, tmp_path: Path) -> None:
    task = opened(embedded, tmp_path, strictness="strict")
    left_out(task)
    for path in (tmp_path / "trainer-2").rglob("key-*.bin"):
        path.unlink()
    bundle = task.aggregator.seal(LocalTransport(task.trainers)).bundle
    assert [v.code for v in bundle.verdicts] == ["admitted"] * 3


@pytest.mark.parametrize("commitments", ["pedersen", "none"])
def test_what_an_audit_without_a_key_says_it_left_out(embedded: Stage, tmp_path: Path, commitments: str) -> None:
    task = opened(embedded, tmp_path, commitments=commitments)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    stranger, holder = audit(task, key=False), audit(task, key=True)
    assert (stranger.first_difference, holder.exit_code) == (None, 0)
    assert (COMMITTED_UNCHECKED in stranger.unchecked) == (commitments == "pedersen")
    assert (SUMS_UNCHECKED in stranger.unchecked) == (commitments == "none")
    assert bool(sealed.bundle.blindings) == (commitments == "pedersen")


def test_a_roster_document_tells_nothing_of_commitments_or_keys(embedded: Stage, tmp_path: Path) -> None:
    task = opened(embedded, tmp_path)
    entries = task.aggregator.collect(LocalTransport(task.trainers))
    assert all(entry.shown.points and entry.keys for entry in entries)
    assert all(entry.shown == NOTHING_SHOWN and not entry.keys for entry in parse_roster(roster_bytes(entries)))


class LyingSums(Aggregator):
    """Adds up another sum than that of the updates and goes on with it: model, bundle and tape fit it."""

    change: Callable[[np.ndarray], None]

    def _judge(
        self, round_number: int, entries: tuple[Entry, ...], revealed: Sequence[RevealedRow], as_of: int
    ) -> Judgement:
        honest = super()._judge(round_number, entries, revealed, as_of)
        spec, before = self.reader.spec, self.reader.current_state()
        sums = honest.sums.copy()
        self.change(sums)
        lied = Lied(honest.tape.program.outputs[Output.SUMS], np.array(cell_of(row_root(sums, spec.model)), object))
        context = self.reader.round_context(round_number, self._contracts.address, entries)
        parent = {cell_of(before.model_root): self.reader.model_row(before.model)}
        steps = ModelSteps(spec.model, parent, {int(lied.cells): sums}.__getitem__)
        tape, nothing = false_tape(honest.tape, lied, steps), [None] * len(entries)
        new = steps.row(int(tape.output(Output.MODEL)))
        made = conclude(spec, context, before, entries, nothing, tape=tape, sums=sums, new=new)
        return dataclasses.replace(made, blindings=honest.blindings)


def lies(task: SmallTask, change: Callable[[np.ndarray], None]) -> None:
    """Let a task's aggregator change its sums."""
    task.aggregator.__class__ = LyingSums
    task.aggregator.change = change  # type: ignore[attr-defined]


def nudge(sums: np.ndarray) -> None:
    """Change one coordinate by one."""
    sums[17] += 1


def backdoor(sums: np.ndarray) -> None:
    """Add a whole direction."""
    sums[::3] += 1_000


@pytest.mark.parametrize("strictness", ["standard", "strict"])
@pytest.mark.parametrize("change", [nudge, backdoor])
def test_a_lying_sum_is_named_without_any_key(
    embedded: Stage, tmp_path: Path, change: Callable[[np.ndarray], None], strictness: str
) -> None:
    task = opened(embedded, tmp_path, strictness=strictness)
    lies(task, change)
    task.aggregator.run(LocalTransport(task.trainers))
    report = audit(task, key=False)
    assert report.exit_code == 4
    assert "weighted sum of the commitments" in str(report.first_difference)
    assert audit(task, key=True).exit_code == 4


def test_without_commitments_the_same_lie_passes_a_stranger_by(embedded: Stage, tmp_path: Path) -> None:
    """The honest twin of the claim: this is what layer P is for."""
    task = opened(embedded, tmp_path, commitments="none")
    lies(task, nudge)
    task.aggregator.run(LocalTransport(task.trainers))
    report = audit(task, key=False)
    assert (report.exit_code, SUMS_UNCHECKED in report.unchecked) == (3, True)
    assert audit(task, key=True).exit_code == 4


class Garbling(LocalTransport):
    """Changes what the first trainer shows of its commitment on the way; nothing that it signed."""

    def __init__(self, task: SmallTask, shown: CommitmentOpening) -> None:
        super().__init__(task.trainers)
        self._victim, self._shown = task.trainers[0].address, shown

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        for answer in super().exchange(order, waiting):
            sent = decode_message(answer, expected=Submission)
            assert isinstance(sent, Submission)
            mine = sent.receipt.trainer == self._victim and sent.shown != NOTHING_SHOWN
            yield encode_message(dataclasses.replace(sent, shown=self._shown)) if mine else answer

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        for answer in super().reveal(order, waiting):
            sent = decode_message(answer, expected=Reveal)
            assert isinstance(sent, Reveal)
            mine = sent.trainer == self._victim
            yield encode_message(dataclasses.replace(sent, shown=self._shown)) if mine else answer


@pytest.mark.parametrize("strictness", ["standard", "strict"])
@pytest.mark.parametrize(
    "shown",
    [NOTHING_SHOWN, CommitmentOpening(b"\x01" * 64, bytes(32), b""), CommitmentOpening(bytes(10**5), b"", b"")],
)
def test_a_commitment_garbled_on_the_way_is_made_again_from_the_key(
    embedded: Stage, tmp_path: Path, strictness: str, shown: CommitmentOpening
) -> None:
    task = opened(embedded, tmp_path, strictness=strictness)
    (sealed,) = task.aggregator.run(Garbling(task, shown))
    assert {v.code for v in sealed.bundle.verdicts} == {"admitted"}
    assert audit(task, key=True).exit_code == 0
    assert audit(task, key=False).exit_code == 3


@pytest.mark.parametrize("key", [True, False])
def test_an_aggregator_that_publishes_a_garbled_commitment_is_found(
    embedded: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bool
) -> None:
    """It shuts nobody out: an update is summed whatever is shown of its commitment."""
    task = opened(embedded, tmp_path)
    monkeypatch.setattr("fl_platform.round.aggregator.mend", lambda _spec, _opener, entries, _verdicts: entries)
    (sealed,) = task.aggregator.run(Garbling(task, NOTHING_SHOWN))
    assert {v.code for v in sealed.bundle.verdicts} == {"admitted"}
    report = audit(task, key=key)
    assert report.exit_code == 4
    assert "commitment" in str(report.first_difference)


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_a_trainer_that_promises_another_commitment_is_summed_and_named(
    embedded: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strictness: str
) -> None:
    """No contract can check a commitment: so nobody is shut out by one, and a stranger reads whose word it rests on."""
    task = opened(embedded, tmp_path, strictness=strictness)
    cheat = task.trainers[0]
    honest = trainer_module.commit_update
    promised = bytes(range(32))

    def other(*args: Any, **kwargs: Any) -> Committed:
        made = honest(*args, **kwargs)
        return dataclasses.replace(made, hidden=promised) if kwargs["trainer"] == cheat.address else made

    monkeypatch.setattr(trainer_module, "commit_update", other)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    assert {v.code for v in sealed.bundle.verdicts} == {"admitted"}
    assert audit(task, key=True).exit_code == 0
    report = audit(task, key=False)
    assert report.first_difference is None
    assert [cheat.address.hex() in said for said in report.unchecked if "promises another" in said] == [True]
    files = Files(task.reader.spec.to_bytes(), sealed.bundle.to_bytes(), sealed.judgement.aggregate_bytes)
    told = [str(line) for line in Offline(files).lines() if line.result is Result.UNCHECKED]
    assert [cheat.address.hex() in said for said in told if "promises another" in said] == [True]


class Rubbish(Conduct):
    """Seals what is no update."""

    def __init__(self, made: Callable[[bytes], bytes | None]) -> None:
        self._made = made

    def tamper(self, plain: bytes) -> bytes | None:
        return self._made(plain)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda _: b"rubbish", "UpdateLengthMismatch"),
        (lambda _: None, "Missing"),  # the owner says so on chain
        (lambda plain: b"FLU2" + plain[4:], "admitted"),  # only its integers count, and those are what they are
        (lambda plain: plain[:-1] + b"\x80", "admitted"),  # the one integer that nobody sends counts as 0
    ],
)
def test_a_trainer_that_seals_rubbish_is_judged_for_that_and_harms_nobody(
    embedded: Stage, tmp_path: Path, made: Callable[[bytes], bytes | None], code: str
) -> None:
    task = opened(embedded, tmp_path)
    task.trainers[0]._conduct = Rubbish(made)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    codes = {v.trainer: v.code for v in sealed.bundle.verdicts}
    assert codes.pop(task.trainers[0].address) == code
    assert set(codes.values()) == {"admitted"}
    assert audit(task, key=True).exit_code == 0
    assert audit(task, key=False).exit_code == 3


def test_the_bundle_comes_back_from_its_bytes(embedded: Stage, tmp_path: Path) -> None:
    task = opened(embedded, tmp_path)
    (sealed,) = task.aggregator.run(LocalTransport(task.trainers))
    assert RoundBundle.from_bytes(sealed.bundle.to_bytes()) == sealed.bundle
