"""Each word of a site's policy allows what it says and refuses the rest; what is no word is an error."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fl_platform.chain.addresses import checksum_address
from fl_platform.errors import ConfigError, PolicyRefused
from fl_platform.round.site_policy import (
    PUBLIC_CODE,
    UNKNOWN_CODE,
    WORDS,
    Asked,
    Code,
    Hours,
    SitePolicy,
    hours_answer,
    parse_policy,
    refusal,
    task_answers,
    update_answers,
)
from tests.support.specs import address, small_spec

PATH = Path("/site/site.toml")
SPEC = small_spec()  # owner 1, 5 rounds, fee 500, stake 1 token, no auditor
CODE = Code(digest="sha256:" + "ab" * 32)
OWNER = checksum_address(bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"))  # letters of both cases
BERLIN = timezone(timedelta(hours=1))


def policy(text: str) -> SitePolicy:
    return parse_policy(text, PATH)


def of_task(text: str, *, code: Code = CODE, stake: int = 10**18, later: bool = False) -> PolicyRefused | None:
    made = policy(text)
    return refusal(made, 7, task_answers(made, Asked(7, SPEC, stake, code)), later=later)


def at(hour: int, minute: int = 0, *, day: int = 5) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("allows", "refuses", "said"),
    [
        (f'owners = ["0x{address(1).hex()}", "{OWNER}"]', f'owners = ["{OWNER}"]', address(1).hex()),
        (f'owners = ["0x{address(1).hex()}"]', "owners = []", "nobody"),
        (f'rules = ["0x{SPEC.digest.hex()}"]', f'rules = ["0x{bytes(32).hex()}"]', SPEC.digest.hex()),
        (f'code = ["{CODE.digest}"]', f'code = ["sha256:{"cd" * 32}"]', "sha256:abab"),
        (f'code = ["{(CODE.digest or "").upper().replace("SHA", "sha")}"]', "code = []", "sha256:abab"),
        ("max_rounds = 5", "max_rounds = 4", "5 rounds"),
        ("max_fee_bps = 500", "max_fee_bps = 499", "500 basis points"),
        ('max_stake = "1"', 'max_stake = "0.999999999999999999"', "1 tokens"),
        ("max_stake = 1", "max_stake = 0", "1 tokens"),
        ("min_auditors = 0", "min_auditors = 1", "0 auditors"),
        ("", "epsilon = 8", "no differential privacy"),
    ],
)
def test_a_word_about_the_task_allows_and_refuses(allows: str, refuses: str, said: str) -> None:
    assert of_task(allows) is None
    refused = of_task(refuses)
    assert refused is not None
    assert f"your site's policy {PATH} does not allow task 7: {refuses.split()[0]} allows" in str(refused)
    assert said in str(refused)
    assert refused.exit_code == 5


def test_what_a_peer_is_told_has_no_number_and_no_path() -> None:
    for text in ("max_rounds = 4", "epsilon = 8", 'max_stake = "0.5"'):
        refused = of_task(text)
        assert refused is not None
        assert refused.outside == "the site's policy does not allow it"


def test_public_data_need_no_code_and_code_that_is_not_known_is_refused_when_it_trains() -> None:
    text = f'code = ["{CODE.digest}"]'
    assert of_task(text, code=PUBLIC_CODE) is None
    assert of_task(text, code=UNKNOWN_CODE, later=True) is None
    refused = of_task(text, code=UNKNOWN_CODE)
    assert refused is not None
    assert "not known" in str(refused)
    assert of_task("max_rounds = 5", code=UNKNOWN_CODE) is None


def test_the_stake_is_the_one_that_is_locked() -> None:
    assert of_task('max_stake = "2.5"', stake=25 * 10**17) is None
    assert of_task('max_stake = "2.5"', stake=25 * 10**17 + 1) is not None


@pytest.mark.parametrize(
    ("words", "norm", "rows", "refused"),
    [
        ("max_update_norm = 3.5", 3.5, 1, ""),
        ("max_update_norm = 3.5", 3.5000001, 1, "max_update_norm"),
        ("max_update_norm = 3", math.inf, 1, "max_update_norm"),
        ("max_update_norm = 3", math.nan, 1, "max_update_norm"),
        ("min_rows = 100", math.inf, 100, ""),
        ("min_rows = 100", 0.0, 99, "min_rows"),
        ("max_rounds = 1", math.nan, 0, ""),
    ],
)
def test_an_update_is_held_against_norm_and_rows(words: str, norm: float, rows: int, refused: str) -> None:
    made = policy(words)
    found = refusal(made, 7, update_answers(made, norm=norm, rows=rows))
    assert (found is not None) == bool(refused)
    if found is not None:
        assert f"task 7: {refused} allows" in str(found)
        assert found.outside == PolicyRefused.OUTSIDE


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        ("20:00-06:00", at(20), None),
        ("20:00-06:00", at(23, 59), None),
        ("20:00-06:00", at(0), None),
        ("20:00-06:00", at(5, 59), None),
        ("20:00-06:00", at(6), at(20)),
        ("20:00-06:00", at(19, 59), at(20)),
        ("08:30-17:00", at(8, 30), None),
        ("08:30-17:00", at(8, 29), at(8, 30)),
        ("08:30-17:00", at(17), at(8, 30, day=6)),
        ("22:00-00:00", at(0), at(22)),
    ],
)
def test_hours_open_and_close_and_go_over_midnight(hours: str, now: datetime, opens: datetime | None) -> None:
    made = policy(f'hours = "{hours}"')
    found = refusal(made, 7, hours_answer(made, now))
    if opens is None:
        assert found is None
        return
    assert found is not None
    assert f"{opens:%Y-%m-%d %H:%M}" in str(found)
    assert found.outside.endswith(f"again from {opens.astimezone(UTC):%Y-%m-%d %H:%M} UTC on")
    assert hours not in found.outside


def test_a_policy_without_hours_is_open_all_day() -> None:
    assert hours_answer(policy("min_rows = 1"), at(12)) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("owner = []", "'owner' in the site's policy /site/site.toml is no word of a policy: did you mean owners?"),
        ("max-rounds = 3", "did you mean max_rounds?"),
        ("zzz = 1", "there are owners, rules, code"),
        ("[owners]", "owners in the site's policy .* is no list"),
        ("a = " + "[" * 5000, "cannot read the site's policy"),
        ("hours = 20:00-06:00", "cannot read the site's policy .*text stands in quotes"),
        ('owners = "0x00"', r'is no list of texts; write \["0x..."\]'),
        ('owners = ["0x00"]', "'0x00' is no address"),
        (f'owners = ["{OWNER.swapcase().replace("X", "x")}"]', "wrong checksum"),
        ("owners = [1]", "no list of texts"),
        ('rules = ["0xabc"]', "'0xabc' is no digest; write 0x and 64"),
        (f'code = ["{"ab" * 32}"]', "write sha256: and 64"),
        ("max_update_norm = 0", "0 is no number above 0"),
        ("max_update_norm = nan", "nan is no number above 0"),
        ("max_update_norm = inf", "inf is no number above 0"),
        ('max_update_norm = "3"', "without quotes"),
        ("epsilon = true", "True is no number"),
        ("min_rows = 0", "0 is no whole number from 1 on"),
        ("min_rows = 1.5", "1.5 is no whole number"),
        ("max_rounds = true", "True is no whole number"),
        ("max_fee_bps = 10001", "10001 is no whole number from 0 to 10,000"),
        ("max_stake = 1.5", "1.5 is no amount of tokens.*in quotes"),
        ('max_stake = "many"', "'many' is no amount"),
        ('max_stake = "-1"', "'-1' is no amount"),
        ('max_stake = "nan"', "'nan' is no amount"),
        ('max_stake = "1e99999"', "is no amount of tokens, 0 to 1,208,925"),
        ('max_stake = "0.0000000000000000001"', "at most 18 decimals"),
        ('hours = "8:00-17:00"', "are no hours; write them from 00:00 to 23:59"),
        ('hours = "20:00-24:00"', "are no hours"),
        ('hours = "20:00-20:00"', "open and close at once"),
        ("hours = 20:00:00", "are no hours"),
    ],
)
def test_what_is_no_policy_is_an_error(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        policy(text)
    assert str(PATH) in str(caught.value)
    assert not isinstance(caught.value, PolicyRefused)


WHOLE = f"""
owners = ["{OWNER}"]
rules = ["0x{SPEC.digest.hex()}"]
code = ["{CODE.digest}"]
max_update_norm = 3.5
min_rows = 100
max_rounds = 20
max_fee_bps = 1000
max_stake = "50"
min_auditors = 1
hours = "20:00-06:00"
epsilon = 8
"""


def test_every_word_is_told_in_words() -> None:
    made = policy(WHOLE)
    assert list(made.said()) == list(WORDS)
    assert all(words in str(made) for words in ("50 tokens", "3.5 at most", "20:00-06:00", "100 rows", "1,000 basis"))
    assert (made.max_stake, made.hours) == (50 * 10**18, Hours(at(20).time(), at(6).time()))
    assert str(policy("")) == f"{PATH} has no word in it and forbids nothing"


def test_a_file_that_demands_what_there_is_not_refuses_every_task() -> None:
    spec = replace(SPEC, owner=bytes.fromhex(OWNER[2:]))
    answers = {one.word: one.allowed for one in task_answers(policy(WHOLE), Asked(1, spec, 0, CODE))}
    assert answers["owners"] is True
    assert answers["epsilon"] is False
