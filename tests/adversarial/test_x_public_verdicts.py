"""A stranger takes no verdict on trust that public values decide, and believes an honest evaluated round; and no
trainer can stop a round by handing in rubbish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fl_platform.attacks import parse_attacks
from fl_platform.audit.auditor import Auditor
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.judging.judge_public import rejudge_public
from fl_platform.judging.tapes import first_difference, told_tape
from fl_platform.learning import evaluation
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.spec import TaskSpec
from fl_platform.round.aggregator import SealedRound
from fl_platform.round.transport import LocalTransport
from fl_platform.task.workspace import Workspace
from tests.support.doctored import DoctoredReader
from tests.support.rehearsal import audit, opener_for, rehearsal, small_settings
from tests.support.rounds import Round, anchored_spec, build_round, ints_like, place_of


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, DemoParties, SealedRound]]:
    """One round in which a trainer committed hashes of nothing."""
    settings = small_settings(rounds=1, attacks=parse_attacks(["random-hashes=1"]))
    with rehearsal(tmp_path_factory.mktemp("task"), settings) as (workspace, parties):
        (sealed,) = parties.aggregator.run(LocalTransport(parties.everybody))
        yield workspace, parties, sealed


def rejudge(workspace: Workspace, parties: DemoParties, bundle: RoundBundle) -> Judgement:
    reader = workspace.reader(parties.task)
    sums = np.frombuffer(reader.object(bundle.aggregate), dtype="<i4")
    context = reader.round_context(0, bundle.aggregator, bundle.entries)
    return rejudge_public(reader.spec, context, bundle.before, bundle, sums=sums, models=reader.parent_row)


@pytest.mark.parametrize("code", ["admitted", "NotSelected", "Replay", "Stranger", "Duplicate", "because"])
def test_an_update_that_does_not_open_cannot_be_called_otherwise(
    played: tuple[Workspace, DemoParties, SealedRound], code: str
) -> None:
    """A verdict is a cell of the tape in words: what a bundle says instead is a difference to any reader."""
    workspace, parties, sealed = played
    bundle = sealed.bundle
    place = next(i for i, verdict in enumerate(bundle.verdicts) if verdict.code == "Missing")
    assert rejudge(workspace, parties, bundle).verdicts == bundle.verdicts  # the honest twin
    lie = replace(bundle.verdicts[place], code=code)
    told = replace(bundle, verdicts=(*bundle.verdicts[:place], lie, *bundle.verdicts[place + 1 :]))
    reader = DoctoredReader(workspace, parties.task, told)
    who = f"0x{lie.trainer.hex()}"
    stranger = Auditor(reader, opener=None).audit()
    assert stranger.exit_code == 4
    assert stranger.first_difference is not None
    assert who in stranger.first_difference.what
    holder = Auditor(reader, opener=opener_for(workspace, parties, reader, "auditor")).audit()
    assert holder.exit_code == 4
    assert holder.first_difference is not None
    assert holder.first_difference.what == f"update of {who}"
    assert "StoreMissing" in str(holder.first_difference)


def test_the_honest_bundle_names_its_grounds_and_everybody_finds_the_same(
    played: tuple[Workspace, DemoParties, SealedRound],
) -> None:
    workspace, parties, sealed = played
    assert [verdict.code for verdict in sealed.bundle.verdicts].count("Missing") == 1
    assert audit(workspace, parties, key="auditor").exit_code == 0
    stranger = audit(workspace, parties, key=None)
    assert (stranger.first_difference, stranger.exit_code) == (None, 3)


@pytest.mark.parametrize("ground", ["missing", "convicted"])
@pytest.mark.parametrize("number", [0, 2])
def test_nobody_is_left_out_on_the_sealers_word(ground: str, number: int) -> None:
    """A tape evaluated as if the chain spoke against an update: whoever reads the chain finds the cell that lies."""
    spec, way = anchored_spec(), ints_like(anchored_spec(), 0)
    made = build_round(spec, [ints_like(spec, k, towards=way, share=0.7) for k in range(1, 6)], reference=way)
    index = place_of(made, number)
    said = {ground: frozenset({made.entries[index].receipt.struct_hash()})}
    lying = replace(made, context=replace(made.context, **said))  # type: ignore[arg-type]
    judged = judge_round(
        spec, lying.context, made.before, made.entries, updates=made.updates, models=made.parent_row,
        sums=made.sums.__getitem__,
    )  # fmt: skip
    assert judged.verdicts[index].code == {"missing": "Missing", "convicted": "Convicted"}[ground]
    bundle = bundle_of(spec, made.context, made.before, made.entries, judged)
    public = rejudge_public(spec, made.context, made.before, bundle, sums=judged.sums, models=made.parent_row)
    assert public.tape.root != bundle.tape
    assert public.verdicts[index].code not in ("Missing", "Convicted")
    found = first_difference(told_tape(spec, bundle), public.tape)
    assert found is not None
    assert (public.tape.program.columns[found[0]].name, found[1]) == ("refused", (index,))
    # and with the chain's word it is no lie
    public = rejudge_public(spec, lying.context, made.before, bundle, sums=judged.sums, models=made.parent_row)
    assert (public.tape.root, public.verdicts, public.after) == (bundle.tape, judged.verdicts, judged.after)


@pytest.mark.parametrize("indifferent", [False, True])
def test_a_stranger_believes_an_honest_evaluated_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indifferent: bool
) -> None:
    """Scores that are all zero (no row changes sides) are no sign that worth was not measured."""
    if indifferent:
        monkeypatch.setattr(evaluation, "correct_rows", lambda *_: np.zeros(1, dtype=np.bool_))
    with rehearsal(tmp_path, small_settings(rounds=1, worth="leave-one-out")) as (workspace, parties):
        (sealed,) = parties.aggregator.run(LocalTransport(parties.everybody))
        assert sealed.judgement.measured
        assert not indifferent or not any(verdict.score for verdict in sealed.bundle.verdicts)
        report = audit(workspace, parties, key=None)
        assert (report.first_difference, report.exit_code) == (None, 3)
        assert any("leave-one-out" in item for item in report.unchecked)


@pytest.mark.parametrize(("silent", "code"), [(0, "admitted"), (1, "admitted"), (5, "EnvelopeInvalid")])
def test_what_was_refused_counts_among_the_hostile(silent: int, code: str) -> None:
    """Each one refused lowers f: a round of five against one is judged with four left, and with nobody."""
    spec = anchored_spec()
    spec = replace(spec, aggregation=replace(spec.aggregation, selection="multi-krum", byzantine=1))
    made = _round_of(spec, 5)
    for number in range(1, silent + 1):
        index = place_of(made, number)
        made.entries[index] = replace(made.entries[index], keys=(), keys_signature=b"")
    told = [verdict.code for verdict in made.judge().verdicts]
    assert told.count("TooFew") == 0
    assert code in told
    assert told.count("NotSelected") == (0 if silent else 1)


def test_too_few_and_nobody_refused_is_never_a_silent_mean() -> None:
    spec = anchored_spec()
    spec = replace(spec, aggregation=replace(spec.aggregation, selection="multi-krum", byzantine=1))
    made = _round_of(spec, 4)
    judged = made.judge()
    assert {verdict.code for verdict in judged.verdicts} == {"TooFew", "reference"}
    assert judged.after.model == made.before.model
    assert judged.divisor == 0


def _round_of(spec: TaskSpec, trainers: int) -> Round:
    way = ints_like(spec, 0)
    return build_round(
        spec, [ints_like(spec, k, towards=way, share=0.7) for k in range(1, trainers + 1)], reference=way
    )
