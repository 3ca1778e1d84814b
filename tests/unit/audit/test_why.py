"""What `why` says: every verdict has a meaning, and a story tells what it holds. Whole tasks: tests/e2e/test_cli_*."""

from __future__ import annotations

import dataclasses
import inspect
from fractions import Fraction
from typing import Any

import pytest

from fl_platform import errors
from fl_platform.audit.why import MEANINGS, Explanation, RoundStory, meaning
from fl_platform.errors import RejectedInput
from fl_platform.rules.verdicts import CODES, COLUMNS, WORDS, Verdict

TOKEN = 10**18
REFUSALS = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, RejectedInput)]
RULE_CODES = list(CODES.values())


def story(**changes: Any) -> RoundStory:
    """Return an ordinary round."""
    base = RoundStory(
        round=3, state="final", update="bafkreiabc", length=4842, samples=179, forced=False, keys=2, verdict="admitted",
        evidence="", weight=25, divisor=100, score=7, measured=True, score_share=Fraction(1, 4), twins=(),
        earned_by_score=TOKEN, earned_otherwise=0, sealed_it=False, missing="",
        reference_absent=False,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def explanation(**changes: Any) -> Explanation:
    """Return an ordinary trainer."""
    base = Explanation(
        task=1, account=b"\x11" * 20, parts=("trainer",), rounds=(story(),), stake=5 * TOKEN, leaving_at=0, slashed=0,
        score_share=Fraction(1, 4), earned=3 * TOKEN, final=2 * TOKEN, claimed=TOKEN, credit=0, withdrawn=TOKEN,
        released=0, reputation=125_000, recorded=False,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("code", [kind.__name__ for kind in REFUSALS] + RULE_CODES)
def test_every_verdict_has_a_meaning_in_words(code: str) -> None:
    text = meaning(code)
    assert " " in text
    assert text != f"refused: {code}"


def test_rules_that_are_not_errors_have_meanings_of_their_own() -> None:
    assert {code for code in RULE_CODES if not hasattr(errors, code)} <= MEANINGS.keys()


def test_an_ordinary_round() -> None:
    assert story().words() == (
        "Round 3 (final): update bafkreiabc (4,842 bytes, 179 samples declared) on the roster, its key wrapped for 2.",
        "  Verdict admitted: it passed every check and is in the sum.",
        "  Weight 25 of 100: 25.0 % of the sum.",
        "  Score: 25.0 % of the round's positive scores.",
        "  Earned 1 tokens by score.",
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"update": "", "verdict": "", "earned_by_score": 0}, "no update of it is on the roster"),
        ({"forced": True}, "forced in on chain by the trainer"),
        ({"keys": 0}, "its key was never revealed"),
        ({"verdict": "UpdateHashMismatch", "evidence": "got 0x12"}, "(got 0x12)"),
        ({"verdict": "NotSelected"}, "the robust rule kept others"),
        ({"score": -1}, "negative"),
        ({"score": 0}, "Score: nothing"),
        ({"measured": False, "score": 0}, "worth was not measured in this round"),
        ({"reference_absent": True, "measured": False}, "The owner's reference did not answer"),
        ({"twins": (b"\x22" * 20,)}, "near-duplicate of 0x2222"),
        ({"earned_otherwise": 2 * TOKEN}, "1 tokens by score and 2 tokens by stake"),
        ({"update": "", "verdict": "", "sealed_it": True, "earned_otherwise": TOKEN}, "as the aggregator's fee"),
        ({"missing": "no such object"}, "cannot be read: no such object"),
    ],
)  # fmt: skip
def test_a_story_tells_what_it_holds(changes: dict[str, Any], says: str) -> None:
    assert says in "\n".join(story(**changes).words())


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_told_once(verdict: Verdict) -> None:
    """The evidence of a rule's verdict is its reason in other words; only what it adds is told."""
    told = story(verdict=CODES[verdict], evidence=WORDS[verdict]).words()[1]
    assert told == f"  Verdict {CODES[verdict]}: {meaning(CODES[verdict])}."
    clipped = story(evidence=f"{WORDS[Verdict.ADMITTED]}; {COLUMNS['clipped']}").words()[1]
    assert clipped.endswith(f"is in the sum ({COLUMNS['clipped']}).")


def test_a_refused_update_has_no_weight() -> None:
    told = "\n".join(story(verdict="Replay", weight=0, score=0).words())
    assert "Weight" not in told


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "1 tokens can be claimed now (`fl-platform rewards claim`); 1 tokens wait for their challenge window"),
        ({"claimed": 2 * TOKEN, "earned": 2 * TOKEN}, "Earned 2 tokens so far, claimed 2 tokens."),
        ({"rounds": (story(missing="no such object"),), "earned": 0}, "Earned at least 0 tokens so far"),
        ({"credit": 7}, "waiting to be withdrawn <0.000001 tokens"),
        ({"released": TOKEN}, "Released from the pot without a claim"),
        ({"leaving_at": 99}, "to be taken from block time 99"),
        ({"recorded": True}, "Reputation 0.125 of 1, recorded on chain"),
        ({"parts": ()}, "it has no part in this task"),
    ],
)
def test_the_money_is_told(changes: dict[str, Any], says: str) -> None:
    assert says in "\n".join(explanation(**changes).words())


def test_an_owner_hears_nothing_of_scores() -> None:
    told = "\n".join(explanation(parts=("the owner",), rounds=()).words())
    assert "score" not in told
    assert "Reputation" not in told
