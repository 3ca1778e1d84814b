"""Four words of a seal that no contract decides yet, and what each can take: the proof of what SECURITY.md says.

In each an aggregator lies about one word in favour of a friend (trainer 5, or whoever replays). Recomputing names the
lie, so every audit finds it; no question of the judges refutes it, so the bond stays. Once a contract decides one of
these, its case here fails: turn it round then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from fl_platform.contribution import judge, tracing
from fl_platform.contribution.judge import Judgement
from fl_platform.errors import UpdateLengthMismatch
from tests.support.disputes import Stage
from tests.support.rounds import Round, address_of, anchored_spec, build_round, happy_round, ints_like, place_of

FRIEND = 5
WHOLE = 0.999


def shorter_friend() -> Round:
    """Five trainers at honest work, the friend's update a fifth shorter than the rest."""
    spec = anchored_spec()
    reference = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=reference, share=0.7) for seed in range(1, 6)]
    updates[4] = np.rint(updates[4] * 0.6).astype(np.int8)
    return build_round(spec, updates, reference=reference)


def shares(stage: Stage, number: int) -> dict[int, float]:
    """Each trainer's part of what a round paid."""
    after, before = stage.bundles[number].after, stage.bundles[number].before
    old = {s.trainer: s.earned for s in before.standings}
    gained = {s.trainer: s.earned - old.get(s.trainer, 0) for s in after.standings}
    pays = {k: gained.get(address_of(k), 0) for k in range(1, 6)}
    return {k: pay / sum(pays.values()) for k, pay in pays.items()}


def expect_undecided(stage: Stage, number: int, honest: Judgement) -> None:
    """No question holds, and yet the bundle is not what honest judging gives: an audit names the first difference."""
    assert stage.found(number) == set()
    assert stage.bundles[number].after != honest.after


def test_the_honest_round_shares_out() -> None:
    made = shorter_friend()
    stage = Stage.start(made)
    stage.seal(made)
    assert max(shares(stage, 0).values()) < 0.5


def test_a_false_length_bound() -> None:
    made = shorter_friend()
    stage = Stage.start(made)
    honest = stage.judge(made)[1]
    gram = honest.gram
    row = gram.row("0x" + address_of(FRIEND).hex())
    bound = gram.at(row, row)
    assert all(gram.at(r, r) > bound for r in range(1, 6) if r != row)
    with (
        patch.object(judge, "norm_bound_squared", lambda *_: bound),
        patch.object(tracing, "norm_bound_squared", lambda *_: bound),
    ):
        stage.seal(made)
    expect_undecided(stage, 0, honest)
    assert shares(stage, 0)[FRIEND] > WHOLE


def _refuse_all_but_the_friend(made: Round) -> Round:
    kept = {place_of(made, FRIEND), place_of(made, 0)}
    data = [d if i in kept else UpdateLengthMismatch("so it says") for i, d in enumerate(made.data)]
    return replace(made, data=data)


def _inflate_the_friends_stake(made: Round) -> Round:
    stake = 10**24
    place = place_of(made, FRIEND)
    entries = [replace(e, stake=stake) if i == place else e for i, e in enumerate(made.entries)]
    context = replace(made.context, members={**(made.context.members or {}), address_of(FRIEND): stake})
    return replace(made, entries=entries, context=context)


@pytest.mark.parametrize("lie", [_refuse_all_but_the_friend, _inflate_the_friends_stake])
def test_a_false_refusal_and_a_false_stake(lie: Callable[[Round], Round]) -> None:
    made = happy_round(5)
    stage = Stage.start(made)
    honest = stage.judge(made)[1]
    stage.seal(lie(made))
    expect_undecided(stage, 0, honest)
    assert shares(stage, 0)[FRIEND] > WHOLE


def test_public_directions_left_out() -> None:
    first = happy_round(5)
    stage = Stage.start(first)
    judged = stage.seal(first)
    reference = ints_like(first.spec, 0)
    updates = [ints_like(first.spec, seed, towards=reference, share=0.6) for seed in range(11, 16)]
    models = {**first.models, judged.after.model: judged.model}
    (direction,) = judge.public_directions(first.spec, judged.after, models.__getitem__)
    length = np.linalg.norm(updates[0].astype(float)) / np.linalg.norm(direction.astype(float))
    updates[FRIEND - 1] = np.clip(np.rint(direction * length), -127, 127).astype(np.int8)
    made = first.next_round(judged, updates, reference=reference)
    honest = stage.judge(made)[1]
    with patch.object(judge, "public_directions", lambda *_: []):
        stage.seal(made)
    expect_undecided(stage, 1, honest)
    assert {v.trainer: v.code for v in honest.verdicts}[address_of(FRIEND)] == "Replay"
    assert shares(stage, 1)[FRIEND] > 1 / 5
