"""Which kind of worth is measured when, and who is left out of it."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.updates import pack_update
from tests.support.rounds import address_of, happy_round, ints_like, place_of


def test_equal_worth_is_never_measured_and_needs_no_reference() -> None:
    round_ = happy_round()
    round_.spec = replace(round_.spec, worth=replace(round_.spec.worth, kind="equal"))
    judgement = round_.judge()
    assert not judgement.measured
    assert "reference" not in judgement.gram.names
    # Key 0 is nobody special then: an entry without a stake.
    assert judgement.verdicts[place_of(round_, 0)].code == "ReceiptForeign"


def test_near_duplicates_carry_one_group_number() -> None:
    round_ = happy_round()
    same = round_.data[place_of(round_, 1)]
    assert isinstance(same, bytes)
    round_.data[place_of(round_, 2)] = same
    judgement = round_.judge()
    groups = {v.trainer: v.group for v in judgement.verdicts}
    assert groups[address_of(1)] == groups[address_of(2)]
    assert len(set(groups.values())) == 4  # reference, the pair, and two more
    scores = {v.trainer: v.score for v in judgement.verdicts}
    assert scores[address_of(1)] == scores[address_of(2)] > 0


def test_the_dropped_are_not_scored() -> None:
    round_ = happy_round()
    against = -ints_like(round_.spec, 0)
    round_.data[place_of(round_, 3)] = pack_update(against, model=round_.spec.model, bits=8)
    verdict = round_.judge().verdicts[place_of(round_, 3)]
    assert (verdict.code, verdict.score, verdict.weight) == ("OffReference", 0, 0)
    assert "reference" in verdict.evidence
