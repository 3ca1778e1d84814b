"""A site's policy: what a trainer on this machine may take part in and sign, in a data protection officer's words.

Pure: a file's text becomes a `SitePolicy`, and each word of it a yes or no about a task, an hour or an update. Where
the files lie, and that a trainer obeys them, is `round.site`. A word that stands nowhere forbids nothing.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from fl_platform.chain.addresses import parse_address
from fl_platform.errors import ConfigError, PolicyRefused
from fl_platform.protocol.spec import BASIS, TaskSpec
from fl_platform.task.tokens import TOKEN, tokens

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_MAX_WEI = 2**80  # as the contracts have it
_TASK_REMEDY = "take part in another task, or ask whoever wrote the file"
_HOURS_REMEDY = "nothing has to be done: whoever asks inside these hours is answered"
_UPDATE_REMEDY = "nothing of this round is signed; look at rows and learning rate, or ask whoever wrote the file"


@dataclass(frozen=True)
class Hours:
    """A part of each day by this machine's clock, half-open; it may go over midnight."""

    opens: time
    closes: time

    def holds(self, now: datetime) -> bool:
        """Whether `now`, of the site's own time zone, is inside."""
        at = now.time()
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes

    def next_opening(self, now: datetime) -> datetime:
        """Return when it opens next after `now`, by the offset from UTC that `now` has."""
        today = datetime.combine(now.date(), self.opens, now.tzinfo)
        return today if today > now else today + timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"


@dataclass(frozen=True)
class Code:
    """Which code a trainer learns by."""

    public: bool = False  # a data set of the package: no code of anybody's
    digest: str | None = None  # "sha256:..." of the source file; None: it is not known


UNKNOWN_CODE = Code()
PUBLIC_CODE = Code(public=True)


@dataclass(frozen=True)
class Asked:
    """What a policy is asked about a task."""

    task: int
    spec: TaskSpec
    stake: int  # that this trainer locks or has locked, wei
    code: Code


@dataclass(frozen=True)
class Answer:
    """What one word of a policy says."""

    word: str
    allowed: bool | None  # None: it cannot be said yet
    limit: str  # what the file says, for people
    value: str  # what was found
    remedy: str = _TASK_REMEDY
    outside: str = ""  # what a peer may be told beyond that it is not allowed


@dataclass(frozen=True)
class SitePolicy:
    """One file's words. None: the file says nothing of that."""

    path: Path
    owners: tuple[bytes, ...] | None = None  # addresses, 20 bytes
    rules: tuple[bytes, ...] | None = None  # digests of tasks' rules, 32 bytes
    code: tuple[str, ...] | None = None  # "sha256:" and 64 hexadecimal digits
    max_update_norm: float | None = None  # L2
    min_rows: int | None = None
    max_rounds: int | None = None
    max_fee_bps: int | None = None
    max_stake: int | None = None  # wei
    min_auditors: int | None = None
    hours: Hours | None = None
    epsilon: float | None = None

    def said(self) -> dict[str, str]:
        """Return each word that the file has with what it allows, for people."""
        return {name: word.say(value) for name, word in WORDS.items() if (value := getattr(self, name)) is not None}

    def __str__(self) -> str:
        said = "; ".join(self.said().values())
        return f"{self.path} allows only: {said}" if said else f"{self.path} has no word in it and forbids nothing"


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_policy(text: str, path: Path) -> SitePolicy:
    """Return what a file's text says. Raises ConfigError: no TOML, a word that there is not, a value that none is."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f'cannot read the site\'s policy {path}: {error}; text stands in quotes, as in hours = "20:00-06:00"'
        ) from error
    values = {}
    for name, value in found.items():
        if name not in WORDS:
            raise ConfigError(f"{name!r} in the site's policy {path} is no word of a policy: {_nearest(name)}")
        try:
            values[name] = WORDS[name].read(value)
        except ConfigError as error:
            raise ConfigError(f"{name} in the site's policy {path}: {error}") from error
    return SitePolicy(path, **values)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.replace("-", "_").lower(), WORDS, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(WORDS)}"


def _list(value: Any, read: Callable[[str], Any], form: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{value!r} is no list of texts; write {form}")
    return tuple(read(one) for one in value)


def _owners(value: Any) -> tuple[bytes, ...]:
    def read(text: str) -> bytes:
        found = parse_address(text)
        if found is None:
            raise ConfigError(f"{text!r} is no address; write 0x and 40 hexadecimal digits")
        return found

    return _list(value, read, '["0x..."]')


def _digests(prefix: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        digits = text.removeprefix(prefix).lower()
        if not text.startswith(prefix) or not _DIGEST.fullmatch(digits):
            raise ConfigError(f"{text!r} is no digest; write {prefix} and 64 hexadecimal digits")
        return digits

    return read


def _rules(value: Any) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(one) for one in _list(value, _digests("0x"), '["0x..."]'))


def _code(value: Any) -> tuple[str, ...]:
    return tuple(f"sha256:{one}" for one in _list(value, _digests("sha256:"), '["sha256:..."]'))


def _whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            upper = "" if most is None else f" to {most:,}"
            raise ConfigError(f"{value!r} is no whole number from {least}{upper or ' on'}; correct it")
        return int(value)

    return read


def _positive(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:  # NaN is not between either
        raise ConfigError(f"{value!r} is no number above 0; write it without quotes, as in 3.5")
    return float(value)


def _tokens(value: Any) -> int:
    """Return wei. A TOML float is refused: it would not be exactly what the officer wrote."""
    try:
        wei = Decimal(value) * TOKEN if isinstance(value, str | int) and not isinstance(value, bool) else None
    except InvalidOperation:
        wei = None
    if wei is None or not wei.is_finite() or not 0 <= wei < _MAX_WEI or wei != int(wei):
        limit = f"0 to {_MAX_WEI // TOKEN:,} with at most 18 decimals"
        raise ConfigError(f'{value!r} is no amount of tokens, {limit}; write it in quotes, as in "12.5"')
    return int(wei)


def _hours(value: Any) -> Hours:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(f'{value!r} are no hours; write them from 00:00 to 23:59, as in "20:00-06:00"')
    opens, closes = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if opens == closes:
        raise ConfigError(f"{value!r} open and close at once; leave the word out where training is allowed all day")
    return Hours(opens, closes)


@dataclass(frozen=True)
class Word:
    """One word of a policy: how it is read and told."""

    read: Callable[[Any], Any]
    say: Callable[[Any], str]


def _hexes(values: tuple[bytes, ...]) -> str:
    return ", ".join("0x" + one.hex() for one in values) or "nobody"


WORDS: Mapping[str, Word] = {
    "owners": Word(_owners, lambda v: f"tasks of {_hexes(v)}"),
    "rules": Word(_rules, lambda v: f"tasks with the rules {_hexes(v) if v else 'of none'}"),
    "code": Word(_code, lambda v: f"learning code {', '.join(v) or 'of none'}, or a public data set of the package"),
    "max_update_norm": Word(_positive, lambda v: f"updates of an L2 norm of {v:g} at most"),
    "min_rows": Word(_whole(1), lambda v: f"updates learned from {v:,} rows at least"),
    "max_rounds": Word(_whole(1), lambda v: f"tasks of {v:,} rounds at most"),
    "max_fee_bps": Word(_whole(0, BASIS), lambda v: f"an aggregator's fee of {v:,} basis points at most"),
    "max_stake": Word(_tokens, lambda v: f"a stake of {tokens(v)} tokens at most"),
    "min_auditors": Word(_whole(0), lambda v: f"tasks with {v} auditors at least"),
    "hours": Word(_hours, lambda v: f"training started in {v}, this machine's local time"),
    "epsilon": Word(_positive, lambda v: f"differential privacy with epsilon {v:g} only, which this release has not"),
}


# --- deciding ---------------------------------------------------------------------------------------------------------


def task_answers(policy: SitePolicy, asked: Asked) -> tuple[Answer, ...]:
    """Return what the words say that a task, a stake and the learning code decide; only those that the file has."""
    spec, money, code = asked.spec, asked.spec.money, asked.code
    auditors = len(spec.auditors)
    known = True if code.public else (None if code.digest is None else code.digest in (policy.code or ()))
    shown = "a public data set" if code.public else code.digest or "not known: which file it is"
    found: tuple[tuple[str, bool | None, str], ...] = (
        ("owners", spec.owner in (policy.owners or ()), "0x" + spec.owner.hex()),
        ("rules", spec.digest in (policy.rules or ()), "0x" + spec.digest.hex()),
        ("code", known, shown),
        ("max_rounds", money.rounds <= _number(policy.max_rounds), f"{money.rounds:,} rounds"),
        ("max_fee_bps", money.fee_bps <= _number(policy.max_fee_bps), f"{money.fee_bps:,} basis points"),
        ("max_stake", asked.stake <= _number(policy.max_stake), f"{tokens(asked.stake)} tokens"),
        ("min_auditors", auditors >= (policy.min_auditors or 0), f"{auditors} auditors"),
        # Were the word read over, an officer would believe in a guarantee that nobody gives.
        ("epsilon", False, "this release gives no differential privacy"),
    )
    said = policy.said()
    return tuple(Answer(word, allowed, said[word], value) for word, allowed, value in found if word in said)


def hours_answer(policy: SitePolicy, now: datetime) -> tuple[Answer, ...]:
    """Return what the hours say of a training that starts `now` (aware, local); empty where the file has none."""
    if policy.hours is None:
        return ()
    opening = policy.hours.next_opening(now)
    inside = policy.hours.holds(now)
    value = f"{now:%H:%M}" if inside else f"{now:%H:%M}, opens {opening:%Y-%m-%d %H:%M}"
    outside = f"; it allows training again from {opening.astimezone(UTC):%Y-%m-%d %H:%M} UTC on"
    said = policy.said()["hours"]
    return (Answer("hours", inside, said, value, remedy=_HOURS_REMEDY, outside="" if inside else outside),)


def update_answers(policy: SitePolicy, *, norm: float, rows: int) -> tuple[Answer, ...]:
    """Return what the words say of a learned update: its L2 norm (NaN is over any), and from how many rows."""
    found = (
        ("max_update_norm", norm <= _number(policy.max_update_norm), f"a norm of {norm:.6g}"),
        ("min_rows", rows >= (policy.min_rows or 0), f"{rows:,} rows"),
    )
    said = policy.said()
    return tuple(
        Answer(word, allowed, said[word], value, remedy=_UPDATE_REMEDY)
        for word, allowed, value in found
        if word in said
    )


def refusal(policy: SitePolicy, task: int, answers: tuple[Answer, ...], *, later: bool = False) -> PolicyRefused | None:
    """Return the refusal that the first no among answers makes, or None. `later`: what is unknown is asked again."""
    for answer in answers:
        if answer.allowed or (answer.allowed is None and later):
            continue
        return PolicyRefused(
            f"your site's policy {policy.path} does not allow task {task}: {answer.word} allows {answer.limit}; "
            f"here it is {answer.value}: {answer.remedy}",
            outside=PolicyRefused.OUTSIDE + answer.outside,
        )
    return None


def _number(limit: float | None) -> float:
    return math.inf if limit is None else limit


__all__ = [
    "PUBLIC_CODE", "UNKNOWN_CODE", "WORDS", "Answer", "Asked", "Code", "Hours", "SitePolicy", "hours_answer",
    "parse_policy", "refusal", "task_answers", "update_answers",
]  # fmt: skip
