"""What became of somebody's work and money in a task, in words: from chain and sealed bundles alone.

The bundles are the aggregator's claims, held against the digests on chain; whether they are right, an audit says.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fl_platform import errors
from fl_platform.chain.types import RoundState
from fl_platform.errors import IntegrityError
from fl_platform.judging.admit import ADMITTED, REFERENCE
from fl_platform.judging.tapes import told_tape
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import RoundHistory
from fl_platform.protocol.bundle import Entry, EntryVerdict, RoundBundle, Standing, by_account
from fl_platform.protocol.spec import BASIS, TaskSpec
from fl_platform.rules.carried import REPUTATION_ONE
from fl_platform.rules.verdicts import CODES, Verdict
from fl_platform.rules.verdicts import WORDS as REASONS
from fl_platform.store.cid import Cid
from fl_platform.store.unixfs import root_codec
from fl_platform.task.reading import TaskReader
from fl_platform.task.stakes import anchor
from fl_platform.task.tokens import tokens

MEANINGS = {
    **{CODES[reason]: words for reason, words in REASONS.items()},
    ADMITTED: "it passed every check and is in the sum",
    REFERENCE: "it is the owner's reference, which the others are measured against; it is not summed and earns nothing",
    CODES[Verdict.NO_WORK]: "it is too short to be work",
    CODES[Verdict.TOO_LONG]: "it is far longer than the others'",
    CODES[Verdict.NOT_SELECTED]: "it is well formed, but the robust rule kept others that lie closer together",
    CODES[Verdict.REPLAY]: "it lies within what earlier rounds have already applied: a replay",
    CODES[Verdict.OFF_REFERENCE]: "it hardly goes the way of the owner's reference: work on something else, or none",
}
_RULES = {code: verdict for verdict, code in CODES.items()}
NOTHING = Standing(bytes(20), 0, 0, 0, 0)


@dataclass(frozen=True)
class RoundStory:
    """One round for one account."""

    round: int
    state: str  # of the round: "open", "rostered", "sealed", "final" ...
    update: str  # CID of the update handed in; empty: none is on the roster
    length: int  # bytes, as the receipt says
    samples: int  # as the trainer declared; no weight comes from it
    forced: bool  # put on chain by the trainer itself
    keys: int  # recipients for whom its key was wrapped
    verdict: str  # code; empty: not judged
    evidence: str
    weight: int  # in the sum
    divisor: int  # of the sum
    score: int  # of this round, signed fixed point
    measured: bool  # whether the round's worth was measured; if not, its pot went by stake
    score_share: Fraction | None  # of the round's positive scores; None: nobody had one
    twins: tuple[bytes, ...]  # others whose updates were near-duplicates: they share one score
    earned_by_score: int  # wei in this round
    earned_otherwise: int  # wei in this round: by stake, or the aggregator's fee
    sealed_it: bool  # this account sealed the round
    missing: str  # why the round's bundle could not be read; empty: it was
    reference_absent: bool  # the owner's reference, which worth is measured against, is not on the roster

    def words(self) -> tuple[str, ...]:
        """Tell the round in sentences."""
        head = f"Round {self.round} ({self.state})"
        if self.missing:
            return (f"{head}: its bundle cannot be read: {self.missing}",)
        lines = [f"{head}: {self._work()}"]
        if self.reference_absent:
            lines.append("  The owner's reference did not answer: worth was not measured, the round is paid by stake.")
        if self.verdict:
            lines.append(f"  Verdict {self.verdict}: {meaning(self.verdict)}{_evidence(self.verdict, self.evidence)}.")
        if self.verdict == ADMITTED:
            part = (
                f"{percent(Fraction(self.weight, self.divisor))} of the sum" if self.divisor else "no part of the sum"
            )
            lines.append(f"  Weight {self.weight} of {self.divisor}: {part}.")
        if self.verdict not in ("", REFERENCE):
            lines.append(f"  Score: {self._score()}.")
        earned = ((self.earned_by_score, "by score"), (self.earned_otherwise, self._other()))
        if any(wei for wei, _ in earned):
            lines.append(f"  Earned {' and '.join(f'{_money(wei)} {how}' for wei, how in earned if wei)}.")
        return tuple(lines)

    def _work(self) -> str:
        sealed = "it judged and sealed the round" if self.sealed_it else ""
        if not self.update:
            return f"{sealed or 'no update of it is on the roster'}."
        how = "forced in on chain by the trainer" if self.forced else "on the roster"
        keys = f"its key wrapped for {self.keys}" if self.keys else "its key was never revealed"
        work = f"update {self.update} ({self.length:,} bytes, {self.samples:,} samples declared) {how}, {keys}"
        return f"{work}; {sealed}." if sealed else f"{work}."

    def _score(self) -> str:
        if not self.measured:
            return "none: worth was not measured in this round, its pot went by stake"
        if self.score_share is not None and self.score > 0:
            text = f"{percent(self.score_share)} of the round's positive scores"
        else:
            text = "nothing" if self.score == 0 else "negative: it is taken off what earlier and later rounds bring"
        if self.twins:
            others = ", ".join("0x" + twin.hex() for twin in self.twins)
            text += f"; near-duplicate of {others}: they share one score"
        return text

    def _other(self) -> str:
        if not self.sealed_it:
            return "that rounding left" if self.verdict == REFERENCE else "by stake"
        return "by stake and as the aggregator's fee" if self.verdict else "as the aggregator's fee"


@dataclass(frozen=True)
class Explanation:
    """One account in one task."""

    task: int
    account: bytes  # 20 bytes
    parts: tuple[str, ...]  # "owner", "aggregator", "trainer" ...
    rounds: tuple[RoundStory, ...]
    stake: int  # wei locked
    leaving_at: int  # block time from which the stake can be taken, seconds; 0: not leaving
    slashed: int  # wei lost by missed deadlines
    score_share: Fraction | None  # of all score so far
    earned: int  # wei by all sealed rounds
    final: int  # wei by rounds past their challenge window
    claimed: int  # wei
    credit: int  # wei, to be withdrawn
    withdrawn: int  # wei
    released: int  # wei that are no claims: refunds, compensation
    reputation: int  # fixed point, by the sealed rounds
    recorded: bool  # reputation is on chain

    def words(self) -> tuple[str, ...]:
        """Tell everything in sentences."""
        who = f"0x{self.account.hex()} in task {self.task}"
        if not self.parts:
            return (f"{who}: it has no part in this task.",)
        return (
            f"{who}: {', '.join(self.parts)}.",
            *(line for story in self.rounds for line in story.words()),
            *self._money(),
        )

    @property
    def _trains(self) -> bool:
        return any(part.startswith("trainer") for part in self.parts)

    def _money(self) -> list[str]:
        lines = []
        if self.score_share is not None and self._trains:
            lines.append(f"Over all rounds it has {percent(self.score_share)} of the positive score.")
        waiting = self.final - self.claimed
        claim = f"; {_money(waiting)} can be claimed now (`fl-platform rewards claim`)" if waiting > 0 else ""
        coming = self.earned - self.final
        late = f"; {_money(coming)} wait for their challenge window" if coming > 0 else ""
        least = "at least " if any(story.missing for story in self.rounds) else ""  # an unread bundle may say more
        lines.append(f"Earned {least}{_money(self.earned)} so far, claimed {_money(self.claimed)}{claim}{late}.")
        lines.append(f"Withdrawn {_money(self.withdrawn)}, waiting to be withdrawn {_money(self.credit)}.")
        if self.released:
            lines.append(f"Released from the pot without a claim (refund, residual): {_money(self.released)}.")
        leaving = f", to be taken from block time {self.leaving_at}" if self.leaving_at else ""
        lines.append(f"Locked {_money(self.stake)}{leaving}; lost by missed deadlines {_money(self.slashed)}.")
        if self._trains:
            where = "recorded on chain" if self.recorded else "not yet recorded on chain"
            lines.append(f"Reputation {self.reputation / REPUTATION_ONE:.3f} of 1, {where}.")
        return lines


def explain(reader: TaskReader, contracts: Contracts, account: bytes, *, now: int) -> Explanation:
    """Explain one account's part in a task; `now` is block time. Raises UnknownTask, RetryError."""
    history = reader.history()
    final = history.last_final(now)
    stories: list[RoundStory] = []
    last: RoundBundle | None = None
    fixed: RoundBundle | None = None
    for record in history.rounds:
        bundle, missing = _bundle(reader, record)
        state = history.state(record.number, now)
        stories.append(_story(reader, record, state, bundle, missing, account))
        if bundle is not None:
            last = bundle
            fixed = bundle if final is not None and record.number <= final.number else fixed
    member = contracts.member(reader.task, account)
    standing = _standing(last, account)
    return Explanation(
        task=reader.task,
        account=account,
        parts=_parts(reader, account, last),
        rounds=tuple(stories),
        stake=member.stake,
        leaving_at=contracts.ready_at(reader.task, account) if account in history.leaving else 0,
        slashed=sum(item.slashed for item in history.replacements if item.late == account),
        score_share=_score_share(last, standing),
        earned=standing.earned,
        final=_standing(fixed, account).earned,
        claimed=member.claimed,
        credit=member.credit,
        withdrawn=history.withdrawn.get(account, 0),
        released=history.released.get(account, 0),
        reputation=standing.reputation,
        recorded=contracts.reputation_of(reader.task, account).known,
    )


def involved(reader: TaskReader, account: bytes) -> bool:
    """Whether an account ever had a part in a task."""
    history = reader.history()
    return (
        account in (history.opened.owner, *history.opened.aggregators)
        or account in history.members
        or account in history.claimed
        or any(account in record.stakes for record in history.rounds)
    )


def meaning(code: str) -> str:
    """Say what a verdict's code means."""
    if code in MEANINGS:
        return MEANINGS[code]
    kind = getattr(errors, code, None)
    text = (kind.__doc__ or code) if isinstance(kind, type) and issubclass(kind, errors.FLError) else code
    return "refused: " + text.strip().rstrip(".")


def percent(share: Fraction) -> str:
    """Show a share."""
    return f"{float(share) * 100:.1f} %"


def _money(wei: int) -> str:
    return f"{tokens(wei)} tokens"


def _evidence(code: str, text: str) -> str:
    """Return what the evidence adds to the verdict's meaning, in brackets: a rule's own words say the same again."""
    rule = _RULES.get(code)
    added = text.removeprefix(REASONS[rule]).removeprefix("; ") if rule is not None else text
    return f" ({added})" if added else ""


def _bundle(reader: TaskReader, record: RoundHistory) -> tuple[RoundBundle | None, str]:
    if record.seal is None:
        return None, ""
    try:
        return reader.bundle(record.number), ""
    except (IntegrityError, errors.DocumentInvalid) as error:
        return None, str(error)


def _story(
    reader: TaskReader, record: RoundHistory, state: RoundState, bundle: RoundBundle | None, missing: str,
    account: bytes,
) -> RoundStory:  # fmt: skip
    entry, verdict = _of(bundle, account)
    before, after = _standing(bundle, account, after=False), _standing(bundle, account)
    positive = sum(max(0, v.score) for v in bundle.verdicts) if bundle else 0
    return RoundStory(
        round=record.number,
        state=state.name.lower(),
        update=str(Cid(root_codec(entry.receipt.length), entry.receipt.update)) if entry else "",
        length=entry.receipt.length if entry else 0,
        samples=entry.receipt.samples if entry else 0,
        forced=bool(entry and entry.forced) or any(item.receipt.trainer == account for item in record.forced),
        keys=len(entry.keys) if entry else 0,
        verdict=verdict.code if verdict else "",
        evidence=verdict.evidence if verdict else "",
        weight=verdict.weight if verdict else 0,
        divisor=bundle.divisor if bundle else 0,
        score=verdict.score if verdict else 0,
        measured=bundle is not None and bundle.measured,
        score_share=Fraction(max(0, verdict.score), positive) if verdict and positive else None,
        twins=_twins(reader.spec, bundle, verdict),
        earned_by_score=after.paid_scored - before.paid_scored,
        earned_otherwise=after.paid_base - before.paid_base,
        sealed_it=record.seal is not None and record.seal.aggregator == account,
        missing=missing,
        reference_absent=bundle is not None and not anchor(reader.spec) <= {e.receipt.trainer for e in bundle.entries},
    )


def _of(bundle: RoundBundle | None, account: bytes) -> tuple[Entry | None, EntryVerdict | None]:
    if bundle is not None:
        for entry, verdict in zip(bundle.entries, bundle.verdicts, strict=True):
            if entry.receipt.trainer == account:
                return entry, verdict
    return None, None


def _twins(spec: TaskSpec, bundle: RoundBundle | None, verdict: EntryVerdict | None) -> tuple[bytes, ...]:
    if bundle is None or verdict is None or not verdict.score or not spec.worth.shares:
        return ()
    tape = told_tape(spec, bundle)
    if not any(column.name == "near" for column in tape.program.columns):
        return ()
    own = [entry.receipt.trainer for entry in bundle.entries].index(verdict.trainer)
    near = (j for j, is_near in enumerate(tape.named("near")[own]) if is_near and tape.named("passed")[j])
    return tuple(who for who in (bundle.entries[j].receipt.trainer for j in near) if who != verdict.trainer)


def _standing(bundle: RoundBundle | None, account: bytes, *, after: bool = True) -> Standing:
    if bundle is None:
        return NOTHING
    state = bundle.after if after else bundle.before
    return by_account(state).get(account, NOTHING)


def _score_share(bundle: RoundBundle | None, standing: Standing) -> Fraction | None:
    total = sum(max(0, s.score_sum) for s in bundle.after.standings) if bundle else 0
    return Fraction(max(0, standing.score_sum), total) if total and standing is not NOTHING else None


def _parts(reader: TaskReader, account: bytes, last: RoundBundle | None) -> tuple[str, ...]:
    history = reader.history()
    parts = []
    if account == history.opened.owner:
        parts.append(f"the owner, who escrowed {_money(history.opened.bounty)}")
    if account in history.opened.aggregators:
        place = history.opened.aggregators.index(account) + 1
        bonded = "bonded" if account in history.bonded else "without a bond"
        fee = f"{history.opened.fee_bps * 100 / BASIS:g} % of the pots it seals"
        parts.append(f"number {place} of {len(history.opened.aggregators)} aggregators, {bonded}, paid {fee}")
    ever = any(account in record.stakes for record in history.rounds)
    if account in history.members or ever:
        gone = (
            " who left" if account not in history.members else " on its way out" if account in history.leaving else ""
        )
        parts.append(f"trainer{gone}")
    elif not parts and _standing(last, account) is not NOTHING:
        parts.append("trainer")
    return tuple(parts)
