"""A stranger takes no verdict on trust that public values decide, and believes an honest evaluated round; and no
trainer can stop a round by handing in rubbish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fl_platform.aggregation.rules import remaining_byzantine
from fl_platform.attacks import parse_attacks
from fl_platform.cli.demo.federation import Cast
from fl_platform.contribution.rejudge import ONLY_A_KEY_SHOWS, rejudge_public
from fl_platform.errors import DocumentInvalid, NotEnoughTrainers
from fl_platform.learning import evaluation
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.roles.aggregator import SealedRound
from fl_platform.roles.transport import LocalTransport
from fl_platform.roles.workspace import Workspace
from tests.support.rehearsal import audit, rehearsal, small_settings
from tests.support.specs import small_spec


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Cast, SealedRound]]:
    """One round in which a trainer committed hashes of nothing."""
    settings = small_settings(rounds=1, attacks=parse_attacks(["random-hashes=1"]))
    with rehearsal(tmp_path_factory.mktemp("task"), settings) as (workspace, cast):
        (sealed,) = cast.aggregator.run(LocalTransport(cast.everybody))
        yield workspace, cast, sealed


def rejudge(workspace: Workspace, cast: Cast, bundle: RoundBundle) -> None:
    reader = workspace.reader(cast.task)
    sums = np.frombuffer(reader.object(bundle.aggregate), dtype="<i8")
    context = reader.round_context(0, bundle.aggregator)
    rejudge_public(reader.spec, context, bundle.before, bundle, sums=sums, models=reader.model)


@pytest.mark.parametrize("code", ["admitted", "NotSelected", "Replay", "ReceiptForeign", "ReceiptDuplicate", "because"])
def test_an_update_without_a_gram_row_cannot_be_called_otherwise(
    played: tuple[Workspace, Cast, SealedRound], code: str
) -> None:
    workspace, cast, sealed = played
    bundle = sealed.bundle
    place = next(i for i, verdict in enumerate(bundle.verdicts) if verdict.code == "StoreMissing")
    rejudge(workspace, cast, bundle)  # the honest twin
    lie = replace(bundle.verdicts[place], code=code)
    verdicts = (*bundle.verdicts[:place], lie, *bundle.verdicts[place + 1 :])
    with pytest.raises(DocumentInvalid, match="has no Gram row"):
        rejudge(workspace, cast, replace(bundle, verdicts=verdicts))
    assert code not in ONLY_A_KEY_SHOWS


@pytest.mark.parametrize("indifferent", [False, True])
def test_a_stranger_believes_an_honest_evaluated_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indifferent: bool
) -> None:
    """Scores that are all zero (no row changes sides) are no sign that worth was not measured."""
    if indifferent:
        monkeypatch.setattr(evaluation, "correct_rows", lambda *_: np.zeros(1, dtype=np.bool_))
    with rehearsal(tmp_path, small_settings(rounds=1, worth="leave-one-out")) as (workspace, cast):
        (sealed,) = cast.aggregator.run(LocalTransport(cast.everybody))
        assert sealed.judgement.measured
        assert not indifferent or not any(verdict.score for verdict in sealed.bundle.verdicts)
        report = audit(workspace, cast, key=None)
        assert (report.first_difference, report.exit_code) == (None, 3)
        assert any("leave-one-out" in item for item in report.unchecked)


@pytest.mark.parametrize(
    ("left", "dropped", "remaining"),
    [(5, 0, 1), (4, 1, 0), (1, 4, 0), (0, 5, 0), (0, 1, 0)],
)
def test_what_was_refused_counts_among_the_hostile(left: int, dropped: int, remaining: int) -> None:
    rule = replace(small_spec().aggregation, byzantine=1)
    assert remaining_byzantine(rule, left=left, dropped=dropped) == remaining


@pytest.mark.parametrize(("left", "dropped"), [(4, 0), (0, 0)])
def test_too_few_and_nobody_refused_is_never_a_silent_mean(left: int, dropped: int) -> None:
    rule = replace(small_spec().aggregation, byzantine=1)
    with pytest.raises(NotEnoughTrainers):
        remaining_byzantine(rule, left=left, dropped=dropped)
