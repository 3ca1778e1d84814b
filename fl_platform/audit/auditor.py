"""Anybody (step 11): recompute a task from chain and store alone and name the first value that differs.

With a recipient's key every update is opened and everything recomputed. Without one the auditor still checks all that
follows from public values (documents, signatures, roster, verdicts and weights given inner products, the model given
the sums, the sums given commitments, scores, payouts, claims) and lists what it could not.

Tests: tests/unit/round/test_whole_task.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from fl_platform.audit.audit_report import (
    ACCOUNTS,
    ACCOUNTS_BEFORE,
    CLAIMS,
    DOCUMENT,
    NOTHING_SEALED,
    ROSTER,
    RULE,
    SEAL,
    SUM,
    SUM_DIFFERS,
    AuditReport,
    Difference,
    Passed,
    RoundAudit,
    unpromised_of,
    without_key,
)
from fl_platform.chain.types import Phase
from fl_platform.errors import FLError, NotEnoughTrainers, RejectedInput, RetryError, UpdatesNotOpened
from fl_platform.judging.admit import MISSING, UpdateSource, is_reference
from fl_platform.judging.commitments import check_round_sum
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.judging.judge_public import rejudge_public
from fl_platform.judging.tapes import first_difference, place_in_words
from fl_platform.ledger.events import RewardClaimed
from fl_platform.ledger.history import RoundHistory
from fl_platform.ledger.reveals import Package
from fl_platform.protocol.bundle import Entry, RoundBundle, TaskState
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS
from fl_platform.protocol.keypackage import has_package
from fl_platform.protocol.receipt import check_signature
from fl_platform.store.unixfs import cid_of
from fl_platform.task.accepting import require_accepted
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.sealed_states import tape_of
from fl_platform.task.taping import tape_root
from fl_platform.task.validating import parse_slice, readable_slice, utility_of

logger = logging.getLogger(__name__)


class _Found(Exception):
    """Carries the first difference out of nested checks."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


class Auditor:
    """One audit of one task."""

    def __init__(
        self, reader: TaskReader, *, opener: UpdateOpener | None, watch: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Create an auditor; `opener` holds a recipient's key, `watch(done, rounds)` is called after each round."""
        self._reader, self._opener, self._watch = reader, opener, watch
        self._round: int | None = None
        self._checks = 0
        self._passed: list[Passed] = []
        self._unpromised: list[str] = []  # what rests on who sealed

    def audit(self, *, first: int = 0, last: int | None = None) -> AuditReport:
        """Recompute the task from round `first` on; what was before is taken as the bundle before says.

        With `last`, no further than that round, and no claims.

        Raises RetryError (store or chain out of reach), UnknownTask and ProgramNotAccepted; else reports.
        """
        require_accepted(self._reader)
        audited: list[RoundAudit] = []
        claims, difference = 0, None
        try:
            sealed = [n for n in self._sealed_rounds() if n >= first and (last is None or n <= last)]
            state = self._reader.state_before(first) if sealed else TaskState.first(self._reader.spec)
            for number in sealed:
                self._round, self._checks = number, 0
                audited.append(self._audit_round(number, state))
                state = self._reader.bundle(number).after
                self._watch(len(audited), len(sealed))
            self._round = None
            if last is None:
                claims = self._audit_claims(self._sealed_rounds())
                self._pass(CLAIMS)
        except _Found as found:
            difference = found.difference
        except RetryError:
            raise
        except FLError as error:  # documents that are missing, malformed or not what their digest says
            difference = Difference(self._round, type(error).__name__, str(error), "what chain and rules imply")
        unchecked = without_key(self._reader.spec) if self._opener is None else ()
        if not audited and difference is None:
            unchecked = (NOTHING_SEALED,)
        elif unchecked and difference is None and self._reader.spec.worth.kind == "leave-one-out":
            unchecked += ("that the leave-one-out scores are those of the updates",)
        if first and difference is None:
            unchecked += (ACCOUNTS_BEFORE,)
        unchecked += (*self._unpromised, *self._unsealed_pots()) if difference is None else ()
        passed = tuple(self._passed)
        return AuditReport(self._reader.task, tuple(audited), claims, difference, unchecked, passed)

    # --- one round ---------------------------------------------------------------------------------------------------

    def _sealed_rounds(self) -> list[int]:
        return [record.number for record in self._reader.history().rounds if record.seal is not None]

    def _audit_round(self, number: int, before: TaskState) -> RoundAudit:
        record = self._reader.history().rounds[number]
        bundle = self._bundle(number)
        self._check_identity(number, bundle, record)
        self._pass(DOCUMENT)
        self._expect_state("state before", bundle.before, before)
        self._pass(ACCOUNTS)
        self._check_entries(number, bundle, record)
        self._pass(ROSTER)
        self._check_total(bundle, record)
        judged = self._judge(number, bundle, before)
        self._compare(bundle, judged)
        self._pass(RULE.format(source="the told products" if self._opener is None else "the updates"))
        self._check_commitments(bundle)
        self._check_seal(bundle, record)
        self._pass(SEAL)
        admitted = sum(verdict.weight > 0 for verdict in bundle.verdicts)
        logger.info("round %d: %d values recomputed", number, self._checks)
        return RoundAudit(number, len(bundle.entries), admitted, self._checks)

    def _bundle(self, number: int) -> RoundBundle:
        """The document whose digest was sealed; none that can be had and read is a difference of that field."""
        try:
            return self._reader.bundle(number)
        except RetryError:
            raise
        except FLError as error:
            sealed = f"one of which {type(error).__name__} says: {error}"
            raise _Found(Difference(number, "bundle on chain", sealed, "a round's document in the store")) from error

    def _check_identity(self, number: int, bundle: RoundBundle, record: RoundHistory) -> None:
        assert record.seal is not None
        domain = self._reader.domain
        self._expect("chain id", bundle.chain_id, domain.chain_id)
        self._expect("ledger", bundle.ledger, domain.ledger)
        self._expect("task", bundle.task, self._reader.task)
        self._expect("round", bundle.round, number)
        self._expect("life", bundle.life, self._reader.history().life_of(number))
        self._expect("rules", bundle.spec, self._reader.spec.digest)
        self._expect("aggregator", bundle.aggregator, record.seal.aggregator)

    def _check_entries(self, number: int, bundle: RoundBundle, record: RoundHistory) -> None:
        """Roster and forced list are those on chain; every receipt is signed by its trainer for this very round."""
        self._reader.check_roster(number, bundle.entries)
        forced = tuple(entry.receipt.struct_hash() for entry in bundle.entries if entry.forced)
        self._expect("forced receipts", forced, tuple(item.receipt.struct_hash() for item in record.forced))
        self._expect(
            "forced entries last", [e.forced for e in bundle.entries], sorted(e.forced for e in bundle.entries)
        )
        members = self._reader.history().members_at_roster(number)
        silent = any(not has_package(e, self._reader.domain, self._reader.spec) for e in bundle.entries)
        packages = self._reader.forced_packages() if silent else {}
        for entry in bundle.entries:
            check_signature(entry.signed, self._reader.domain)
            self._check_place(number, entry, bundle.before, members)
            self._check_forced(entry, packages.get(entry.receipt.struct_hash(), []))
            self._checks += 1

    def _check_place(self, number: int, entry: Entry, before: TaskState, members: Mapping[bytes, int]) -> None:
        """No honest aggregator rosters another round's receipt or another stake: judged, each would shut a trainer out.

        What a trainer forced in is on chain in its own words; it was never said to be well-formed.
        """
        who, receipt = f"0x{entry.receipt.trainer.hex()}", entry.receipt
        if not entry.forced:
            self._expect(f"task of the receipt of {who}", receipt.task, self._reader.task)
            self._expect(f"round of the receipt of {who}", receipt.round, number)
            self._expect(f"parent of the receipt of {who}", receipt.parent, before.model_root)
        if is_reference(entry, self._reader.spec):
            self._expect(f"stake of the reference {who}", entry.stake, 0)
        elif receipt.trainer in members:
            self._expect(f"stake of {who}", entry.stake, members[receipt.trainer])

    def _check_forced(self, entry: Entry, packages: Sequence[Package]) -> None:
        """Nobody is called silent whose keys were on chain before the seal was due."""
        domain, spec = self._reader.domain, self._reader.spec
        if not packages or has_package(entry, domain, spec):
            return
        if any(has_package(replace(entry, keys=k, keys_signature=s), domain, spec) for k, s in packages):
            self._expect(f"keys of 0x{entry.receipt.trainer.hex()}", "never revealed", "on chain in time")

    def _check_total(self, bundle: RoundBundle, record: RoundHistory) -> None:
        """The bundle pays what the seal allots: the pot that the round is judged by follows from it."""
        assert record.seal is not None
        self._expect("claim total on chain", record.seal.claim_total, bundle.claims.total)

    def _judge(self, number: int, bundle: RoundBundle, before: TaskState) -> Judgement:
        context = self._reader.round_context(number, bundle.aggregator, bundle.entries)
        # a sealer that could have the update after all need not leave it out
        context = replace(context, missing=context.missing & bundle.with_verdict(MISSING))
        validation = readable_slice(self._reader.spec, parse_slice(bundle.validation))
        try:
            if self._opener is None:
                return rejudge_public(
                    self._reader.spec,
                    context,
                    before,
                    bundle,
                    sums=self._reader.sums(bundle),
                    models=self._reader.parent_row,
                    validation=validation,
                    utility=utility_of(self._reader.spec),
                )
            updates: UpdateSource = self._opener.source(bundle.entries)
            return judge_round(
                self._reader.spec,
                context,
                before,
                bundle.entries,
                updates=updates,
                models=self._reader.parent_row,
                sums=self._reader.sums_of,
                keys=self._opener.keys(bundle.entries),
                validation=validation,
                utility=utility_of(self._reader.spec),
            )
        except NotEnoughTrainers as error:
            raise _Found(Difference(number, "enough updates for the rule", "sealed", str(error))) from error
        except UpdatesNotOpened as error:
            index, reason = next(iter(error.reasons.items()))
            verdict, found = bundle.verdicts[index], f"{type(reason).__name__}: {reason}"
            what, told = f"update of 0x{verdict.trainer.hex()}", f"{verdict.code}: {verdict.evidence}"
            raise _Found(Difference(number, what, told, found)) from error

    def _compare(self, bundle: RoundBundle, judged: Judgement) -> None:
        self._compare_tapes(bundle, judged)
        for recorded, recomputed in zip(bundle.verdicts, judged.verdicts, strict=True):
            for field in fields(recorded):
                name = f"{field.name} in the verdict of 0x{recorded.trainer.hex()}"
                self._expect(name, getattr(recorded, field.name), getattr(recomputed, field.name))
        self._expect("whether worth was measured", bundle.measured, judged.measured)
        self._expect("divisor", bundle.divisor, judged.divisor)
        self._expect("sums", bundle.aggregate, cid_of(judged.aggregate_bytes).digest)
        self._expect("content root of the sums", bundle.sums_root, judged.sums_root)
        self._expect("blinding sums", bundle.blindings, judged.blindings)
        self._expect_state("state after", bundle.after, judged.after)

    def _compare_tapes(self, bundle: RoundBundle, judged: Judgement) -> None:
        """The bundle's cells are those that follow: else the first one that is not, in words."""
        told = tape_of(self._reader, bundle)
        self._checks += sum(cells.size for cells in judged.tape.columns)
        found = first_difference(told, judged.tape)
        if found is not None:
            where = place_in_words(told.program, *found, [one.receipt for one in bundle.entries], judged.after.seats)
            shapes = [tape.columns[found[0]].shape for tape in (told, judged.tape)]
            if shapes[0] != shapes[1]:
                self._expect(f"size of the column {where}", *shapes)
            self._expect(where, told.cell(*found), judged.tape.cell(*found))
        self._expect("root of the tape", bundle.tape, judged.tape.root)

    def _check_commitments(self, bundle: RoundBundle) -> None:
        """The stored sums are the weighted sum of the shown commitments; note which of those no receipt promised."""
        if self._reader.spec.commitments == NO_COMMITMENTS:
            return
        sums = self._reader.sums(bundle)
        try:
            self._checks += check_round_sum(self._reader.spec, bundle, sums)
        except RejectedInput as error:
            recorded = f"sums 0x{bundle.aggregate.hex()}"
            raise _Found(Difference(bundle.round, SUM_DIFFERS, recorded, str(error))) from error
        self._pass(SUM)
        if self._opener is None:
            self._unpromised += unpromised_of(self._reader.spec, bundle)

    def _check_seal(self, bundle: RoundBundle, record: RoundHistory) -> None:
        seal, roster = record.seal, record.roster
        assert seal is not None
        assert roster is not None  # `_check_entries` has held the entries against it, and against the forced list
        self._expect("roster on chain", seal.roster_digest, roster.digest(self._reader.task, bundle.round))
        self._expect("forced receipts on chain", seal.forced, len(record.forced))
        self._expect("tape on chain", seal.trace, tape_root(self._reader, bundle))
        self._expect("model on chain", seal.model, bundle.after.model_root)
        self._expect("claim root on chain", seal.claim_root, bundle.claims.digest)
        self._expect("claim count on chain", seal.claim_count, len(bundle.after.standings))
        self._reader.require_model(bundle.after.model, bundle.after.model_root)  # it is there
        self._reader.sums(bundle)  # they are there for those without a key

    # --- money on chain ----------------------------------------------------------------------------------------------

    def _audit_claims(self, sealed: list[int]) -> int:
        """Every claim that was paid is what its leaf says."""
        paid: dict[bytes, int] = {}
        claims = [event for event in self._reader.history().events if isinstance(event, RewardClaimed)]
        for claim in claims:
            self._expect(f"round of a claim by 0x{claim.owner.hex()}", claim.round in sealed, True)
            earned = self._reader.bundle(claim.round).after.earned_by(claim.owner)
            paid[claim.owner] = paid.get(claim.owner, 0) + claim.amount
            self._expect(f"wei claimed so far by 0x{claim.owner.hex()}", paid[claim.owner], earned)
        return len(claims)

    def _unsealed_pots(self) -> tuple[str, ...]:
        """A compensated round has no bundle: only its roster's root is known, and who wrote that is not trusted."""
        head = self._reader.history().head
        if head.phase is not Phase.COMPENSATED:
            return ()
        return (
            f"that those on the roster of round {head.round} handed in work: it was never sealed, they share its pot",
        )

    def _pass(self, what: str) -> None:
        self._passed.append(Passed(self._round, what))

    # --- comparing ---------------------------------------------------------------------------------------------------

    def _expect_state(self, what: str, recorded: TaskState, recomputed: TaskState) -> None:
        for field in fields(TaskState):
            if field.name != "state":
                self._expect(
                    f"{field.name} in the {what}", getattr(recorded, field.name), getattr(recomputed, field.name)
                )
        self._expect(f"columns in the {what}", *(tuple(c.name for c in s.state) for s in (recorded, recomputed)))
        for old, new in zip(recorded.state, recomputed.state, strict=True):
            self._expect(f"{old.name} in the {what}", old.cells, new.cells)

    def _expect(self, what: str, recorded: object, recomputed: object) -> None:
        self._checks += 1
        if recorded != recomputed:
            raise _Found(Difference(self._round, what, _text(recorded), _text(recomputed)))


def _text(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
