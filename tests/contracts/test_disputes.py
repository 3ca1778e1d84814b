"""Disputes by one leaf: every kind of lie in a sealed trace is decided by the contract; no honest seal can be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.chain import evidence
from fl_platform.chain.evidence import Question
from fl_platform.protocol.bundle import RoundBundle, claim_leaves
from fl_platform.protocol.trace import Trace
from tests.support.disputes import Stage
from tests.support.evm import Reverted, account
from tests.support.rounds import Round, anchored_spec, build_round, happy_round, ints_like


def two_rounds(first: Round, **lies: Any) -> Stage:
    """Seal round 0 honestly and round 1 as told."""
    stage = Stage.start(first)
    judged = stage.seal(first)
    reference = ints_like(first.spec, 0)
    count = len(first.entries) - 1
    updates = [ints_like(first.spec, seed, towards=reference, share=0.6) for seed in range(11, 11 + count)]
    stage.seal(first.next_round(judged, updates, reference=reference), **lies)
    return stage


def krum_round(trainers: int = 6) -> Round:
    """A multi-Krum round that keeps all but one."""
    made = anchored_spec()
    spec = replace(made, aggregation=replace(made.aggregation, name="multi-krum", byzantine=1))
    reference = ints_like(spec, 0)
    updates = [ints_like(spec, seed, towards=reference, share=0.7) for seed in range(1, trainers + 1)]
    return build_round(spec, updates, reference=reference)


@pytest.mark.parametrize("make", [lambda: happy_round(5), krum_round, lambda: happy_round(2)])
def test_nothing_in_an_honest_seal_can_be_refuted(make: Callable[[], Round]) -> None:
    stage = two_rounds(make())
    for number in (0, 1):
        for question, shown in stage.everything(number):
            assert not stage.refuted(number, question, shown), (number, question)


# --- lies in the trace alone: one word of one leaf ---


def in_round(**changes: Any) -> Callable[[Trace], Trace]:
    return lambda t: replace(t, round=replace(t.round, **{k: v(getattr(t.round, k)) for k, v in changes.items()}))


def in_rules(**changes: Any) -> Callable[[Trace], Trace]:
    return lambda t: replace(t, rules=replace(t.rules, **{k: v(getattr(t.rules, k)) for k, v in changes.items()}))


def in_entry(**changes: Any) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        index = next(i for i, e in enumerate(t.entries) if e.code == 0)
        told = replace(t.entries[index], **{k: v(getattr(t.entries[index], k)) for k, v in changes.items()})
        return replace(t, entries=(*t.entries[:index], told, *t.entries[index + 1 :]))

    return lie


def in_standing(**changes: Any) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        index = next(i for i, s in enumerate(t.standings) if s.entry)
        told = replace(t.standings[index], **{k: v(getattr(t.standings[index], k)) for k, v in changes.items()})
        return replace(t, standings=(*t.standings[:index], told, *t.standings[index + 1 :]))

    return lie


def in_gram(row: int, column: int) -> Callable[[Trace], Trace]:
    def lie(t: Trace) -> Trace:
        line = list(t.gram[row])
        line[column] += 1
        return replace(t, gram=(*t.gram[:row], tuple(line), *t.gram[row + 1 :]))

    return lie


def up(value: int) -> int:
    return value + 1


def down(value: int) -> int:
    return value - 1


def to(value: int) -> Callable[[int], int]:
    return lambda _: value


# What is not here follows from nothing on chain: the rounding share, the longest length and the size.
ROUND_WORDS = (
    "measured", "reference", "candidates", "candidate_stake", "capped_total", "kept_stake", "live_total",
    "selected_total", "byzantine", "cosine_median", "divisor", "roster_stake", "fee", "base_pot", "pots_before",
    "positive_scores", "due_total", "lacking_total", "scored_pot", "base_pool", "by_admitted", "share_total",
    "pots_after", "determinant", "solution_0", "direction_0", "reference_length",
)  # fmt: skip
ENTRY_WORDS = (
    "trainer", "stake", "receipt", "forced", "code", "row", "first_cap", "squared", "norm", "cosine", "krum", "capped",
    "full", "weight", "quality", "group", "group_stake", "group_quality", "group_largest", "score", "roster_cap",
)  # fmt: skip
STANDING_WORDS = (
    "trainer", "entry", "previous", "score_before", "scored_before", "base_before", "reputation_before", "due",
    "lacking", "score_after", "scored_after", "base_after", "reputation_after",
)  # fmt: skip
RULES_WORDS = (
    "stake_cap_bps", "clip_bps", "reject_bps", "floor_bps", "duplicate_bps", "byzantine", "multi_krum", "fee_bps",
    "base_bps", "alpha_num", "alpha_den", "worth",
)  # fmt: skip
LIES: dict[str, Callable[[Trace], Trace]] = {
    **{f"round {name}": in_round(**{name: up}) for name in ROUND_WORDS},
    **{f"entry {name}": in_entry(**{name: up}) for name in ENTRY_WORDS},
    **{f"standing {name}": in_standing(**{name: up}) for name in STANDING_WORDS},
    **{f"rules {name}": in_rules(**{name: up}) for name in RULES_WORDS},
    "median down": in_round(median=down),
    "median up": in_round(median=up),
    "longest": in_round(longest=to(0)),
    "score down": in_entry(score=down),
    "score huge": in_entry(score=to(2**254)),
    "score most negative": in_entry(score=to(-(2**255))),
    "weight of all": in_entry(weight=to(2**255)),
    "pay out of range": in_standing(scored_after=to(2**256 - 1)),
    "verdict no work": in_entry(code=to(2), weight=to(0), full=to(0), capped=to(0)),
    "verdict replay": in_entry(code=to(5), weight=to(0), full=to(0), capped=to(0), cosine=to(0)),
    "Gram, one side of the diagonal": in_gram(1, 0),
    "an account left out": lambda t: replace(t, standings=t.standings[:-1]),
    "an entry left out": lambda t: replace(t, entries=t.entries[:-1]),
    "no accounts": lambda t: replace(t, standings=()),
    "two rounds in one": lambda t: replace(t, gram=t.gram[:-1]),
}


@pytest.mark.parametrize("name", LIES)
def test_each_word_that_lies_is_refuted(name: str) -> None:
    stage = two_rounds(happy_round(3), trace=LIES[name])
    assert first_lie(stage, 1) is not None, f"nothing refutes {name}"


def first_lie(stage: Stage, number: int) -> Question | None:
    """Return the first question that refutes a seal; a judge that cannot read the evidence refutes nothing."""
    for question, shown in stage.everything(number):
        try:
            if stage.refuted(number, question, shown):
                return question
        except Reverted:
            continue
    return None


# --- what a challenge does ---


def test_a_refuted_seal_falls_and_pays_the_challenger_from_the_bond() -> None:
    stage = two_rounds(happy_round(3), trace=in_entry(score=up))
    bond, sealer = stage.run.params.bond, stage.run.params.aggregators[0]
    index = next(i for i, e in enumerate(stage.traces[1].entries) if e.code == 0)
    done = stage.challenge(1, Question.SCORE, evidence.score(stage.traces[1], index))
    assert done.event("SealRefuted")["sealer"] == sealer
    assert stage.run.member(sealer)[0] == 0
    assert stage.run.member(account("challenger"))[1] == bond * 3_000 // 10_000
    assert (stage.run.round, stage.run.phase, stage.run.aggregator) == (1, 2, stage.run.params.aggregators[1])
    assert stage.world.views.call("bonus", stage.run.task) == bond - bond * 3_000 // 10_000
    # the successor seals what is right
    second = stage.rounds[1]
    stage.seal(second)
    assert stage.found(1) == set()


def test_an_honest_seal_cannot_be_challenged_and_a_final_one_not_any_more() -> None:
    stage = two_rounds(happy_round(3), trace=in_entry(score=up))
    shown = evidence.score(stage.traces[0], 1)
    with pytest.raises(Reverted, match="Disputes_NotRefuted"):
        stage.challenge(0, Question.SCORE, shown)
    index = next(i for i, e in enumerate(stage.traces[1].entries) if e.code == 0)
    stage.run.finalize(1)
    with pytest.raises(Reverted, match="RoundLedger_TooLate"):
        stage.challenge(1, Question.SCORE, evidence.score(stage.traces[1], index))


def test_evidence_of_another_trace_or_task_is_not_read() -> None:
    stage = two_rounds(happy_round(3), trace=in_entry(score=up))
    index = next(i for i, e in enumerate(stage.traces[1].entries) if e.code == 0)
    told = evidence.score(stage.traces[1], index)
    with pytest.raises(Reverted, match="Traces_HeaderMismatch"):
        stage.refuted(0, Question.SCORE, told)
    forged = replace(told.openings[2], words=evidence.score(stage.traces[0], index).openings[2].words)
    with pytest.raises(Reverted, match="Traces_LeafMismatch"):
        stage.refuted(1, Question.SCORE, replace(told, openings=(*told.openings[:2], forged)))


def test_a_claim_leaf_that_pays_another_sum_than_its_account_is_refuted() -> None:
    def pays_more(bundle: RoundBundle) -> RoundBundle:
        first, second, *rest = bundle.after.standings
        more = replace(first, paid_base=first.paid_base + 10**17)
        less = replace(second, paid_base=second.paid_base - 10**17)
        return replace(bundle, after=replace(bundle.after, standings=(more, less, *rest)))

    stage = two_rounds(happy_round(3), bundle=pays_more)
    assert Question.STANDING in stage.found(1)
    # the same claim root, with a trace that tells the honest accounts
    honest = two_rounds(happy_round(3))
    told = honest.traces[1]
    stage = two_rounds(happy_round(3), bundle=pays_more, trace=lambda _: told)
    claims = claim_leaves(stage.bundles[1].after)
    assert stage.refuted(1, Question.CLAIM, evidence.claim(told, 0, claims))
    assert not stage.refuted(1, Question.CLAIM, evidence.claim(told, 2, claims))


def test_a_seal_without_a_trace_falls_in_an_exact_task() -> None:
    stage = two_rounds(happy_round(3), untraced=True)
    shown = evidence.untraced(stage.rounds[1].spec.to_bytes())
    assert not stage.refuted(0, Question.UNTRACED, shown)
    stage.challenge(1, Question.UNTRACED, shown)
    assert stage.run.phase == 2
