"""Verifying one round from files alone: rules, bundle and, if given, sums and models. No chain, no store, no key.

What the bundle says of itself (chain, stakes, money allotted, the accounts before) is taken as claimed, and each such
thing is a line that says what the chain must show. Files are untrusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from fl_platform.audit.audit_report import SUM, SUMS_UNCHECKED, WITHOUT_KEY, unpromised_of, without_key
from fl_platform.audit.proving import statement_of
from fl_platform.audit.verify import Expected, Line, Result, no_subject, proof_lines, unchecked_lines
from fl_platform.errors import ConfigError, FLError, NoCircuit
from fl_platform.judging.admit import CONVICTED, MISSING, Refusal, RoundContext, is_reference
from fl_platform.judging.commitments import check_round_sum
from fl_platform.judging.judge import Judgement, verdicts_of
from fl_platform.judging.judge_public import public_tape, rejudge_public
from fl_platform.judging.sums import Sums, read_sums
from fl_platform.judging.tapes import carried_out, first_difference, place_in_words, told_tape
from fl_platform.protocol.bundle import RoundBundle, TaskState
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS
from fl_platform.protocol.program import Output
from fl_platform.protocol.receipt import Domain, check_signature
from fl_platform.protocol.spec import TaskSpec
from fl_platform.protocol.tape import Tape
from fl_platform.store.unixfs import cid_of
from fl_platform.task.taping import NO_TAPE
from fl_platform.task.validating import parse_slice, readable_slice, utility_of
from fl_platform.updates import decode_model
from fl_platform.updates.model_row import ModelRow
from zk.settlement.proof_file import ProofFile


@dataclass(frozen=True)
class Files:
    """What lies there, unverified."""

    spec: bytes
    bundle: bytes
    sums: bytes | None = field(default=None, repr=False)
    models: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)  # by the digest of each one's bytes


class Offline:
    """One round, verified from files. Raises DocumentInvalid when rules or bundle are none."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.spec = TaskSpec.from_bytes(files.spec)
        self.bundle = RoundBundle.from_bytes(files.bundle)
        self.domain = Domain(self.bundle.chain_id, self.bundle.ledger)

    @property
    def pot(self) -> int:
        """What the round shared out, wei, as its accounts say."""
        return self.bundle.after.allotted - self.bundle.before.allotted

    def lines(self) -> tuple[Line, ...]:
        """Verify what can be; the first difference of the rule is the last that is looked at there."""
        needs_key = unchecked_lines(self._needs_key())
        return (*self._documents(), *self._rule(), *self._committed(), *self._from_chain(), *needs_key)

    def proof_lines(self, file: ProofFile) -> tuple[Line, ...]:
        """Verify a proof file against this round. Raises DocumentInvalid, PointInvalid for a file that is none."""
        try:
            found = statement_of(self.spec, self.bundle, told_tape(self.spec, self.bundle))
        except NoCircuit as error:
            return (*proof_lines(file, None), no_subject(self.bundle.round, error))
        return proof_lines(file, Expected(self.domain.chain_id, None, self.bundle.task, found))

    # --- lines -------------------------------------------------------------------------------------------------------

    def _documents(self) -> Iterator[Line]:
        yield self._same("M", "the bundle names these rules", self.bundle.spec, self.spec.digest)
        try:
            for entry in self.bundle.entries:
                check_signature(entry.signed, self.domain)
            yield self._line("M", "every receipt is signed by its trainer, for this chain and ledger", Result.EQUAL)
        except FLError as error:
            yield self._line("M", "a receipt's signature", Result.DIFFERS, str(error))
        if self._files.sums is not None:
            digest = cid_of(self._files.sums).digest
            yield self._same("M", "the bundle names these sums", self.bundle.aggregate, digest)

    def _rule(self) -> Iterator[Line]:
        """Recompute by the rule: all of it with sums and models, else what follows from the told products."""
        missing = self._missing()
        if missing:
            what = "verdicts, weights, scores, payouts and reputations follow from the told products by the rule"
            yield self._follows(what, self._told_and_right)
            why = f"the trained model rests on it; needs {missing}"
            yield self._line("M", "that the new model follows from the sums", Result.UNCHECKED, why)
            return
        what = "verdicts, weights, scores, payouts, reputations follow by the rule, the new model from the sums"
        yield self._follows(what, self._recorded_and_recomputed)

    def _follows(self, what: str, compared: Callable[[], tuple[object, object]]) -> Line:
        try:
            found = next(_unlike(*compared(), "the round"), None)
        except FLError as error:
            found = str(error)
        return self._line("M", what, Result.EQUAL if found is None else Result.DIFFERS, found or "")

    def _told_and_right(self) -> tuple[object, object]:
        """Return what the bundle says without sums and models, and what is right."""
        bundle, (tape, refusals) = self.bundle, self._public_tape()
        recorded = bundle.tape, bundle.verdicts, bundle.measured, bundle.divisor, bundle.after.state
        verdicts, measured = verdicts_of(tape, bundle.entries, refusals), bool(tape.named("by_worth"))
        right = tape.root, verdicts, measured, int(tape.output(Output.DIVISOR)), carried_out(tape)
        names = "root of the tape", "verdicts", "whether worth was measured", "divisor", "state of the state after"
        return self._with_cells(tape, dict(zip(names, recorded, strict=True)), dict(zip(names, right, strict=True)))

    def _with_cells(self, right: Tape, recorded: object, recomputed: object) -> tuple[object, object]:
        """Return the first cell that differs where there is one, else the two as they are."""
        told = told_tape(self.spec, self.bundle)
        found = first_difference(told, right)
        if found is None:
            return recorded, recomputed
        receipts = [entry.receipt for entry in self.bundle.entries]
        where = place_in_words(told.program, *found, receipts, self.bundle.after.seats)
        return {where: told.cell(*found)}, {where: right.cell(*found)}

    def _public_tape(self) -> tuple[Tape, tuple[Refusal | None, ...]]:
        validation = readable_slice(self.spec, parse_slice(self.bundle.validation))
        return public_tape(
            self.spec, self._context(), self.bundle.before, self.bundle, validation=validation,
            utility=utility_of(self.spec),
        )  # fmt: skip

    def _committed(self) -> Iterator[Line]:
        """Hold the sums, where there are some, against the trainers' commitments."""
        if not self._has_layer_p():
            return
        assert self._files.sums is not None
        try:
            check_round_sum(self.spec, self.bundle, self._sums())
        except FLError as error:
            yield self._line("P", SUM, Result.DIFFERS, str(error))
        else:
            yield self._line("P", SUM, Result.EQUAL)
            yield from unchecked_lines(unpromised_of(self.spec, self.bundle))

    def _from_chain(self) -> Iterator[Line]:
        bundle, roster = self.bundle, self.bundle.roster
        digest, claims = cid_of(self._files.bundle).digest, bundle.claims
        yield self._line(
            "M", "that this bundle is the sealed one", Result.UNCHECKED,
            f"anybody can write one; on chain {bundle.chain_id}, the seal of task {bundle.task} round {bundle.round} "
            f"must name bundle 0x{digest.hex()}, tape {self._tape()}, model 0x{bundle.after.model_root.hex()} and "
            f"{len(bundle.after.standings)} claims 0x{claims.digest.hex()} of {claims.total} wei",
        )  # fmt: skip
        count = sum(not entry.forced for entry in bundle.entries)
        yield self._line(
            "M", "that nobody was left out or invented", Result.UNCHECKED,
            f"pay is shared among those listed; the roster on chain must be {count} entries with root "
            f"0x{roster.digest.hex()} and stake {roster.total} wei, the forced list {len(bundle.entries) - count} more",
        )  # fmt: skip
        usual = "" if self.pot == self.spec.money.pot else f" (the rules' pot is {self.spec.money.pot})"
        yield self._line(
            "M", f"that the chain allotted {self.pot} wei to the round", Result.UNCHECKED,
            f"payouts are shares of it{usual}",
        )  # fmt: skip
        if bundle.round:
            yield self._line(
                "M", "that the accounts before the round are right", Result.UNCHECKED,
                f"earnings add up from them; verify the bundle of round {bundle.round - 1}, too",
            )  # fmt: skip

    def _tape(self) -> str:
        return "0x" + (self.bundle.tape if self.spec.exact else NO_TAPE).hex()

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _needs_key(self) -> tuple[str, ...]:
        return without_key(self.spec) if self._has_layer_p() else (*WITHOUT_KEY, SUMS_UNCHECKED)

    def _has_layer_p(self) -> bool:
        return self.spec.commitments != NO_COMMITMENTS and self._files.sums is not None

    def _recorded_and_recomputed(self) -> tuple[object, object]:
        bundle, judged = self.bundle, self._judged()
        recorded = (
            bundle.tape, bundle.verdicts, bundle.measured, bundle.divisor, bundle.aggregate, bundle.sums_root,
            bundle.after,
        )  # fmt: skip
        recomputed = (
            judged.tape.root, judged.verdicts, judged.measured, judged.divisor, cid_of(judged.aggregate_bytes).digest,
            judged.sums_root, judged.after,
        )  # fmt: skip
        pair = dict(zip(_PARTS, recorded, strict=True)), dict(zip(_PARTS, recomputed, strict=True))
        return self._with_cells(judged.tape, *pair)

    def _context(self) -> RoundContext:
        bundle, spec = self.bundle, self.spec
        stakes = {e.receipt.trainer: e.stake for e in bundle.entries if not is_reference(e, spec)}
        return RoundContext(
            self.domain, bundle.task, bundle.round, bundle.aggregator, bundle.before.model_root, stakes,
            bundle.after.seats, bundle.life, pot=self.pot,
            convicted=bundle.with_verdict(CONVICTED), missing=bundle.with_verdict(MISSING),
        )  # fmt: skip

    def _judged(self) -> Judgement:
        bundle, spec, context = self.bundle, self.spec, self._context()
        return rejudge_public(
            spec, context, bundle.before, bundle, sums=self._sums(), models=self._model,
            validation=readable_slice(spec, parse_slice(bundle.validation)), utility=utility_of(spec),
        )  # fmt: skip

    def _sums(self) -> Sums:
        """The given sums. Raises DocumentInvalid."""
        assert self._files.sums is not None
        return read_sums(self._files.sums, size=self.spec.model.size)

    def _model(self, state: TaskState) -> ModelRow:
        return decode_model(self._files.models[state.model], self.spec.model)

    def _missing(self) -> str:
        before = self.bundle.before
        lacking = [] if before.model in self._files.models else [before.model.hex()[:16]]
        wanted = ["--sums"] if self._files.sums is None else []
        wanted += [f"--models with {', '.join(lacking)}"] if lacking else []
        return " and ".join(wanted)

    def _same(self, layer: str, what: str, recorded: bytes, found: bytes) -> Line:
        if recorded == found:
            return self._line(layer, what, Result.EQUAL)
        return self._line(layer, what, Result.DIFFERS, f"it names 0x{recorded.hex()}, the file is 0x{found.hex()}")

    def _line(self, layer: str, what: str, result: Result, why: str = "") -> Line:
        return Line(layer, self.bundle.round, what, result, why)


_PARTS = (
    "root of the tape", "verdicts", "whether worth was measured", "divisor", "sums", "content root of the sums",
    "state after",
)  # fmt: skip


def _unlike(recorded: object, recomputed: object, where: str) -> Iterator[str]:
    """Yield where two values differ, field by field, with both."""
    if recorded == recomputed:
        return
    parts: list[tuple[str, object, object]] = []
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        parts = [(name, recorded[name], recomputed[name]) for name in recorded]
    elif isinstance(recorded, tuple) and isinstance(recomputed, tuple) and len(recorded) == len(recomputed):
        parts = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(recorded, recomputed, strict=True))]
    elif is_dataclass(recorded) and is_dataclass(recomputed) and type(recorded) is type(recomputed):
        names = [item.name for item in fields(recorded)]
        parts = [(f"{name} of {where}", getattr(recorded, name), getattr(recomputed, name)) for name in names]
    if not parts:
        yield f"{where}: recorded {_text(recorded)}, recomputed {_text(recomputed)}"
    for name, left, right in parts:
        yield from _unlike(left, right, name)


def _text(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)[:200]


def models_by_digest(files: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """Return model files by the digest that bundles name them by. Raises ConfigError when there is none."""
    if not files:
        raise ConfigError("no model-*.bin in that folder; `fl-platform audit TASK --export DIR` writes them")
    return {cid_of(data).digest: data for data in files.values()}
