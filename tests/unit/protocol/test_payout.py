"""The pot's split: conservation, monotony, convergence, and that splitting an identity never pays."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.protocol.payout import PotSplit, catch_up_down, entitlements_down, split_down, split_pot

POT = 10**18
score_rounds = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.integers(-(10**9), 10**9), min_size=n, max_size=n), min_size=1, max_size=8)
)


def play(
    rounds: list[list[int]], *, base_bps: int = 0, fee_bps: int = 0
) -> tuple[list[int], list[int], list[PotSplit]]:
    """Run a task and return (paid by score, paid by stake, splits)."""
    n = len(rounds[0])
    sums, paid, base, pots, splits = [0] * n, [0] * n, [0] * n, 0, []
    for scores in rounds:
        sums = [a + b for a, b in zip(sums, scores, strict=True)]
        split = split_pot(
            pot=POT,
            fee_bps=fee_bps,
            base_bps=base_bps,
            pots_before=pots,
            scores=sums,
            paid_scored=paid,
            stakes=[1] * n,
            admitted=[True] * n,
            present=[True] * n,
        )
        paid = [a + b for a, b in zip(paid, split.scored, strict=True)]
        base = [a + b for a, b in zip(base, split.base, strict=True)]
        pots += split.scored_pot
        splits.append(split)
    return paid, base, splits


@settings(max_examples=100, deadline=None)
@given(score_rounds, st.integers(0, 10_000), st.integers(0, 10_000))
def test_every_pot_is_spent_but_for_dust(rounds: list[list[int]], base_bps: int, fee_bps: int) -> None:
    _, _, splits = play(rounds, base_bps=base_bps, fee_bps=fee_bps)
    for split in splits:
        assert split.fee + sum(split.base) + sum(split.scored) + split.dust == POT
        assert 0 <= split.dust < 2 * len(rounds[0])
        assert all(part >= 0 for part in (*split.base, *split.scored, split.fee))


@settings(max_examples=100, deadline=None)
@given(score_rounds)
def test_nobody_negative_is_paid_and_totals_bracket_the_final_split(rounds: list[list[int]]) -> None:
    sums = [0] * len(rounds[0])
    paid, pots = [0] * len(sums), 0
    for scores in rounds:
        sums = [a + b for a, b in zip(sums, scores, strict=True)]
        pay = catch_up_down(pot=POT, pots_before=pots, scores=sums, paid=paid, present=[True] * len(sums))
        if any(pay):
            entitled = entitlements_down(pots + POT, sums)
            exact_sum = sum(max(0, s) for s in sums)
            for score, part, due, before in zip(sums, pay, entitled, paid, strict=True):
                assert due == int(Fraction((pots + POT) * max(0, score), exact_sum))
                assert part == 0 or (score > 0 and before < due)
                assert before + part <= max(due, before) + len(
                    sums
                )  # but for rounding, never beyond what the task as a whole would give
            pots += POT
        paid = [a + b for a, b in zip(paid, pay, strict=True)]


def test_early_work_is_not_paid_out_of_rounds_that_one_stays_away_from() -> None:
    """Trainer 0 does most of the task's work in round 0 and then stays away, or hands in what is refused."""
    paid = [0, 0]
    for number, sums in enumerate(([90, 10], [90, 20], [90, 30])):
        pay = catch_up_down(pot=POT, pots_before=number * POT, scores=sums, paid=paid, present=[number == 0, True])
        paid = [a + b for a, b in zip(paid, pay, strict=True)]
    assert paid == [9 * POT // 10, 2 * POT + POT // 10]


def test_when_all_present_have_their_due_the_pot_goes_by_entitlement() -> None:
    pay = catch_up_down(pot=30, pots_before=30, scores=[10, 10, 10], paid=[30, 30, 0], present=[True, True, False])
    assert pay == (15, 15, 0)


def test_constant_work_is_paid_exactly_in_proportion() -> None:
    paid, _, _ = play([[3, 1, 0, -5]] * 4)
    assert paid == [3 * POT, POT, 0, 0]


def test_riding_along_after_one_good_round_ends_with_that_rounds_share() -> None:
    paid, _, _ = play([[10, 10]] + [[0, 10]] * 7)
    assert abs(paid[0] - 8 * POT * 10 // 90) <= 16  # its 10 of all 90 points


def test_lucky_noise_is_never_paid_beyond_its_best_entitlement() -> None:
    paid, _, _ = play([[2, 10], [-2, 10], [2, 10], [-2, 10]])
    assert abs(paid[0] - 3 * POT * 2 // 32) <= 8  # per-round clamping would give 2 * POT * 2 // 12


def test_no_positive_score_goes_by_stake_to_the_admitted_else_to_the_rostered() -> None:
    common = {"pot": 100, "fee_bps": 0, "base_bps": 0, "pots_before": 0, "paid_scored": [0, 0, 0], "stakes": [1, 1, 2]}
    split = split_pot(scores=[0, -1, 0], admitted=[True, True, False], present=[True] * 3, **common)  # type: ignore[arg-type]
    assert (split.base, split.scored, split.scored_pot) == ((50, 50, 0), (0, 0, 0), 0)
    split = split_pot(scores=[0, -1, 0], admitted=[False] * 3, present=[False] * 3, **common)  # type: ignore[arg-type]
    assert split.base == (25, 25, 50)


@settings(max_examples=100, deadline=None)
@given(score_rounds, st.integers(2, 5))
def test_splitting_an_identity_never_pays(rounds: list[list[int]], parts: int) -> None:
    """Linear scores: the first trainer splits its stake and so its score into equal parts."""
    rounds = [[score * parts for score in scores] for scores in rounds]
    whole, base, _ = play(rounds)
    divided = [[scores[0] // parts] * parts + scores[1:] for scores in rounds]
    paid, _, splits = play(divided)
    if any(split.scored_pot == 0 for split in splits):
        return  # by stake: the caller passes stake shares, which split alike
    rounding = parts * len(rounds)  # one wei a division
    assert sum(paid[:parts]) <= whole[0] + base[0] + rounding


@given(st.integers(0, 2**90), st.lists(st.integers(0, 2**60), max_size=30))
def test_split_rounds_down(pot: int, shares: list[int]) -> None:
    parts = split_down(pot, shares)
    assert sum(parts) <= pot
    if any(shares):
        assert pot - sum(parts) < len(shares)
        for part, share in zip(parts, shares, strict=True):
            assert part * sum(shares) <= pot * share < (part + 1) * sum(shares)
