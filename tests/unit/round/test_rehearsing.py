"""A rehearsal decides what a paid task of the same updates decides, and deals one's own rows to nobody twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from fl_platform.errors import ConfigError, FLError
from fl_platform.learning import DataTask, Labelled, TrainPlan, load_digits_split
from fl_platform.learning.dealing import deal_own
from fl_platform.learning.models import digits_mlp
from fl_platform.protocol.spec import Money, check_spec
from fl_platform.round.offer import Offer
from fl_platform.round.rehearsing import Rehearsal

TOKEN = 10**18
SPLIT = load_digits_split()
OWN = DataTask(digits_mlp, SPLIT.train.take(slice(0, 600)), SPLIT.test)
OFFER = Offer(
    "rehearsal", "own:Digits", Money(bytes(20), 100 * TOKEN, 3, 50 * TOKEN, 200 * TOKEN, 500), trainers=4,
    plan=TrainPlan(5, 16, 0.2), byzantine=0,
)  # fmt: skip


def rehearsal(**changes: object) -> Rehearsal:
    dealt = deal_own(OWN, "own:Digits", 4)
    return Rehearsal(replace(OFFER, **changes), dealt.owner, dealt.parties)  # type: ignore[arg-type]


def test_a_rehearsal_learns_judges_and_splits_each_pot() -> None:
    played = rehearsal()
    check_spec(played.spec)
    rounds = list(played.rounds())
    assert [one.number for one in rounds] == [0, 1, 2]
    assert rounds[-1].measured.value > 0.8 > played.measure(played.initial).value
    assert all(sum(v.weight > 0 for v in one.judged.verdicts) == 4 for one in rounds)
    standings = rounds[-1].judged.after.standings
    assert rounds[-1].judged.after.allotted == 300 * TOKEN
    assert {played.address(i) for i in range(4)} < {standing.trainer for standing in standings}


def test_two_rehearsals_are_equal_to_the_byte() -> None:
    first, again = (list(rehearsal().rounds())[-1].judged for _ in range(2))
    assert first.after == again.after


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"worth": "equal"}, 4),
        ({"bits": 16, "strict": True}, 5),
        ({"plan": TrainPlan(1, 16, 0.1, algorithm="scaffold")}, 5),
    ],
)
def test_other_rules_are_rehearsed_too(changes: dict[str, object], rows: int) -> None:
    rounds = list(rehearsal(**changes).rounds())
    assert len(rounds[-1].judged.verdicts) == rows


def test_leave_one_out_says_where_it_can_be_had() -> None:
    with pytest.raises(ConfigError, match="fl-platform run"):
        rehearsal(worth="leave-one-out")


def test_own_rows_are_dealt_to_nobody_twice_and_a_tenth_stays_with_the_owner() -> None:
    rows = Labelled(np.arange(100.0)[:, None], np.arange(100) % 2)
    numbered = DataTask(lambda: nn.Linear(1, 2), rows, rows)
    dealt = deal_own(numbered, "own:Numbers", 3)
    hands = [dealt.owner.train_data(), *(party.train_data() for party in dealt.parties)]
    assert [len(hand) for hand in hands] == [20, 27, 27, 26]  # type: ignore[arg-type]
    assert sorted(np.concatenate([hand.x.reshape(-1) for hand in hands])) == list(range(100))  # type: ignore[union-attr]


@pytest.mark.parametrize("pair", [True, False])
def test_rows_of_several_inputs_are_dealt_whole(*, pair: bool) -> None:
    x = {"numbers": torch.arange(100.0)[:, None], "again": (np.arange(100),)}

    class Several(DataTask):
        def train_data(self) -> Labelled:
            return (x, np.arange(100) % 2) if pair else Labelled(x, np.arange(100) % 2)  # type: ignore[return-value]

    dealt = deal_own(Several(digits_mlp, SPLIT.train, SPLIT.test), "own:Several", 3)
    hands = [dealt.owner.train_data(), *(party.train_data() for party in dealt.parties)]
    assert sorted(np.concatenate([hand.x["again"][0] for hand in hands])) == list(range(100))  # type: ignore[union-attr]
    for hand in hands:
        assert isinstance(hand, Labelled)
        assert np.array_equal(hand.x["numbers"][:, 0], hand.x["again"][0])
        assert np.array_equal(hand.y, hand.x["again"][0] % 2)


class Numbered(Dataset[tuple[dict[str, float], int]]):
    """A map-style data set of 300 rows."""

    def __len__(self) -> int:
        return 300

    def __getitem__(self, row: int) -> tuple[dict[str, float], int]:
        if row >= 300:
            raise IndexError
        return {"number": float(row)}, row % 2


class Endless(IterableDataset[tuple[float, int]]):
    def __iter__(self) -> Iterator[tuple[float, int]]:
        return ((float(row), row % 2) for row in count())


class FromDataSet(DataTask):
    def train_data(self) -> Dataset[object]:  # type: ignore[override]
        return self.train  # type: ignore[return-value]


@pytest.mark.parametrize("rows", [Numbered(), Endless()])
def test_a_data_set_is_dealt_as_far_as_memory_holds_it(
    rows: Dataset[object], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = isinstance(rows, Endless)
    task = FromDataSet(lambda: nn.Linear(1, 2), rows, SPLIT.test)  # type: ignore[arg-type]
    if stream:
        monkeypatch.setattr("fl_platform.learning.dealing.MOST_BYTES", 2_000)
    dealt = deal_own(task, "own:Numbered", 3)
    hands = [dealt.owner.train_data(), *(party.train_data() for party in dealt.parties)]
    numbers = [hand.x if stream else hand.x["number"] for hand in hands]  # type: ignore[union-attr]
    assert sorted(np.concatenate(numbers)) == list(range(256 if stream else 300))
    for x, hand in zip(numbers, hands, strict=True):
        assert np.array_equal(hand.y, x % 2)  # type: ignore[union-attr]
    assert ("256 rows are in memory, the rest is not played" in caplog.text) == stream


def test_rows_of_several_shapes_are_no_deal() -> None:
    ragged = [(np.zeros(1 + (row >= 128), np.float32), 0) for row in range(256)]
    task = FromDataSet(lambda: nn.Linear(1, 2), ragged, SPLIT.test)  # type: ignore[arg-type]
    with pytest.raises(FLError, match="shape"):
        deal_own(task, "own:Ragged", 3)


def test_too_few_rows_are_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError, match=r"600 rows, 60 of them the owner's, cannot be dealt to 700"):
        deal_own(OWN, "own:Digits", 700)
