"""Verifying without keys: what was checked and what was not, line by line, with the reason why it matters.

Three layers (zk/README.md). M: everything is recomputed from public values. P: the sums are the weighted sums of what
the trainers committed to. S: a settlement proof shows that the claims follow by the program from what is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fl_platform.audit.audit_report import (
    ACCOUNTS_BEFORE,
    COMMITTED_UNCHECKED,
    NOTHING_SEALED,
    SUM,
    SUM_DIFFERS,
    SUMS_UNCHECKED,
    WITHOUT_KEY,
    AuditReport,
)
from fl_platform.audit.auditor import Auditor
from fl_platform.audit.proving import SettlementStatement, accepted_proof, settlement_of
from fl_platform.errors import AuditDifference, ConfigError, NoCircuit
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.proofs import Proofs
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS
from fl_platform.task.reading import TaskReader
from zk.groth16.verifier import VerifyingKey
from zk.settlement.proof_file import ProofFile


class Result(StrEnum):
    """What a line says."""

    EQUAL = "equal"
    DIFFERS = "DIFFERENCE"
    UNCHECKED = "not checked"
    NONE = "none"  # nothing is there to check, and nothing was expected


LEGEND = "layers: M recomputed from public values, P commitments to the updates, S settlement proofs"


@dataclass(frozen=True)
class Line:
    """One thing that was checked, or was not."""

    layer: str  # "M", "P" or "S"
    round: int | None  # None: not of one round
    what: str
    result: Result
    why: str = ""  # what was found, or why it could not be checked

    def __str__(self) -> str:
        """One line for a person."""
        where = "" if self.round is None else f"round {self.round}: "
        return f"{self.layer}  {self.result.value}: {where}{self.what}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Verification:
    """Everything that one call looked at."""

    lines: tuple[Line, ...]

    @property
    def exit_code(self) -> int:
        """0: all was checked and is equal; 3: equal, but not all could be checked; 4: a difference."""
        results = {line.result for line in self.lines}
        return 4 if Result.DIFFERS in results else 3 if Result.UNCHECKED in results else 0


# --- from chain and store ---------------------------------------------------------------------------------------------


def verify_task(
    reader: TaskReader,
    proofs: Proofs | str,
    *,
    first: int = 0,
    last: int | None = None,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> Verification:
    """Verify rounds `first` to `last` (None: to the end, with the paid claims) without any key.

    `proofs`: the gate of settlement proofs, or why the deployment has none. Raises RetryError, UnknownTask.
    """
    report = Auditor(reader, opener=None, watch=watch).audit(first=first, last=last)
    lines = [Line("P" if p.what == SUM else "M", p.round, p.what, Result.EQUAL) for p in report.passed]
    for audited in report.rounds:
        lines.append(settlement_line(reader, proofs, audited.round))
    lines += [_difference(report)] if report.first_difference is not None else []
    return Verification((*lines, *unchecked_lines(report.unchecked)))


def unchecked_lines(items: Sequence[str]) -> tuple[Line, ...]:
    """Return a line for each thing that an audit without a key leaves open, with the reason why it matters."""
    return tuple(Line("M", None, item, Result.UNCHECKED, WHY.get(item, "")) for item in items)


_KEY = "only a recipient's key shows it (`fl-platform audit --key`)"
WHY = {
    WITHOUT_KEY[0]: f"one that does not would have to be left out with grounds on chain; {_KEY}",
    WITHOUT_KEY[1]: f"scores and payouts rest on it; {_KEY}",
    SUMS_UNCHECKED: f"the model rests on it, and this task has no commitments; {_KEY}",
    NOTHING_SEALED: "come again when one is",
    ACCOUNTS_BEFORE: "they are taken from the bundle of the round before it; name no round to have all looked at",
    COMMITTED_UNCHECKED: f"a number out of range would weigh more than it may; {_KEY}",
}


def _difference(report: AuditReport) -> Line:
    found = report.first_difference
    assert found is not None
    why = f"recorded {found.recorded}, recomputed {found.recomputed}; what comes after it was not looked at"
    return Line("P" if found.what == SUM_DIFFERS else "M", found.round, found.what, Result.DIFFERS, why)


SETTLEMENT = "settlement proof"


def settlement_line(reader: TaskReader, proofs: Proofs | str, round_number: int) -> Line:
    """Say what the chain's settlement proof of a sealed round shows, or why there is none."""

    def line(result: Result, why: str) -> Line:
        return Line("S", round_number, SETTLEMENT, result, why)

    if isinstance(proofs, str):
        return line(Result.NONE, proofs)
    try:
        found = settlement_of(reader, round_number)
        accepted = accepted_proof(proofs, reader.task, found)
    except NoCircuit as error:
        return line(Result.NONE, _of_it(error, round_number))
    except AuditDifference as error:
        return line(Result.DIFFERS, _of_it(error, round_number))
    if accepted is None:
        return line(Result.NONE, "none is on chain; payouts were recomputed here instead")
    who = f"accepted on chain by 0x{accepted.claimant.hex()}"
    seal = reader.history().rounds[round_number].seal
    assert seal is not None
    claims = *proofs.claim_root(found.values, found.accounts), len(found.accounts)
    if claims != (seal.claim_root, seal.claim_total, seal.claim_count):
        return line(Result.DIFFERS, f"{who}, but its claims are not the sealed ones: have the seal undone")
    return line(Result.EQUAL, f"{who}, its claims are the sealed ones{_development(reader.proof_key())}")


def _development(key: VerifyingKey) -> str:
    return " (a development key: anybody can forge)" if key.development else ""


def gate_of(contracts: Contracts) -> Proofs | str:
    """Return the gate of settlement proofs to read, or why the deployment has none."""
    try:
        return Proofs(contracts)
    except ConfigError as error:
        return str(error)


def layer_lines(reader: TaskReader, report: AuditReport, proofs: Proofs | str, *, with_key: bool) -> tuple[Line, ...]:
    """Return one line a layer: what an audit has shown of the rounds that it went through, and what it has not."""
    rounds = [audited.round for audited in report.rounds]
    source = "the updates" if with_key else "public values; what that leaves open is listed"
    lines = {
        "M": Line("M", None, f"{_list(rounds)} recomputed from {source}", Result.EQUAL if rounds else Result.NONE),
        "P": _sums_line(reader, rounds, with_key=with_key),
        "S": _together([settlement_line(reader, proofs, number) for number in rounds], "S", SETTLEMENT),
    }
    if report.first_difference is not None:
        found = _difference(report)
        lines[found.layer] = found
    return tuple(lines.values())


def _sums_line(reader: TaskReader, rounds: Sequence[int], *, with_key: bool) -> Line:
    """Say what layer P has shown of rounds in which nothing differed."""
    if not rounds:
        return Line("P", None, SUM, Result.NONE, "no round was equal in all that comes before it")
    if reader.spec.commitments == NO_COMMITMENTS:
        why = "the task has no commitments: only holders of the updates check its sums"
        return Line("P", None, SUM, Result.NONE, why)
    opened = ", and the commitments open to the updates" if with_key else ""
    return Line("P", None, f"{_list(rounds)}: {SUM}{opened}", Result.EQUAL)


def _together(lines: Sequence[Line], layer: str, what: str) -> Line:
    """Fold the lines of several rounds into one: the worst result, and what was said of which rounds."""
    order = (Result.DIFFERS, Result.UNCHECKED, Result.EQUAL, Result.NONE)
    worst = next((result for result in order if any(line.result is result for line in lines)), Result.NONE)
    said: dict[str, list[int]] = {}
    for line in lines:
        said.setdefault(line.why, []).append(line.round or 0)
    return Line(layer, None, what, worst, "; ".join(f"{_list(n)}: {why}" for why, n in said.items()))


def _list(numbers: Sequence[int]) -> str:
    return ("round " if len(numbers) == 1 else "rounds ") + (", ".join(map(str, numbers)) or "none")


# --- a proof file -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """What a proof file should be about."""

    chain_id: int
    contract: bytes | None  # the gate, 20 bytes; None: not known without the chain
    task: int
    settlement: SettlementStatement


def proof_lines(file: ProofFile, expected: Expected | None) -> tuple[Line, ...]:
    """Verify a proof file alone, and against the round it should be about. Raises DocumentInvalid, PointInvalid.

    Both are refusals of a malformed file, of a development key off local chains, and of points that are none.
    """
    context = file.context
    place = (
        f"task {context.task} on chain {context.chain_id}, gate 0x{context.contract:040x}, handed in by "
        f"0x{context.claimant:040x}"
    )
    what = f"the proof holds for {place}"
    if file.holds():
        holds = Line("S", context.round, what, Result.EQUAL)
    else:
        why = "list, commitment, place or claimant were changed, or it never was a proof"
        holds = Line("S", context.round, what, Result.DIFFERS, why)
    lines = [holds]
    if expected is None:
        why = "both may be of anything's making; give the round (TASK ROUND) or --bundle"
        what = "that the commitment is this round's, and the key this task's"
        lines.append(Line("S", context.round, what, Result.UNCHECKED, why))
    else:
        lines += _against(file, expected)
    if file.key.development:
        why = "the key's secrets are public (a development key): it convinces only who made it"
        lines.append(Line("S", context.round, "that the proof was not forged", Result.UNCHECKED, why))
    return tuple(lines)


def proof_of_round(reader: TaskReader, proofs: Proofs | str, round_number: int, file: ProofFile) -> tuple[Line, ...]:
    """Verify a proof file against a sealed round. Raises as `proof_lines`."""
    contract = None if isinstance(proofs, str) else proofs.address
    try:
        found = settlement_of(reader, round_number)
    except (NoCircuit, AuditDifference) as error:
        return (*proof_lines(file, None), no_subject(round_number, error))
    return proof_lines(file, Expected(reader.domain.chain_id, contract, reader.task, found))


def no_subject(round_number: int, error: NoCircuit | AuditDifference) -> Line:
    """Say that nothing can be the proof's subject; a round without a circuit is no lie."""
    result = Result.UNCHECKED if isinstance(error, NoCircuit) else Result.DIFFERS
    return Line("S", round_number, "what the proof should be about", result, _of_it(error, round_number))


def _of_it(error: Exception, round_number: int) -> str:
    """Return what is said of a round, for a line that names the round itself."""
    return str(error).removeprefix(f"round {round_number}: ").removeprefix(f"round {round_number} was ")


def _against(file: ProofFile, expected: Expected) -> list[Line]:
    found, context = expected.settlement, file.context
    gate = None if expected.contract is None else int.from_bytes(expected.contract, "big")
    pairs: Sequence[tuple[str, object, object]] = (
        ("chain of the proof", context.chain_id, expected.chain_id),
        ("gate of the proof", f"0x{context.contract:040x}", None if gate is None else f"0x{gate:040x}"),
        ("task of the proof", context.task, expected.task),
        ("round of the proof", context.round, found.round),
        ("key of the proof", file.context.key.hex(), found.key.hex()),
        ("commitment to what the bundle has as given", file.claimed.commitment, found.commitment),
        ("list of claims and weights", file.claimed.values, found.values),
    )
    lines = []
    for what, said, right in pairs:
        if right is None:
            why = "without the chain nobody knows it; give the round (TASK ROUND)"
            lines.append(Line("S", found.round, f"the {what}", Result.UNCHECKED, why))
        elif said == right:
            lines.append(Line("S", found.round, f"the {what}", Result.EQUAL))
        else:
            why = _unlike(said, right)
            lines.append(Line("S", found.round, f"the {what}", Result.DIFFERS, why))
    return lines


def _unlike(said: object, right: object) -> str:
    if isinstance(said, tuple) and isinstance(right, tuple):
        if len(said) != len(right):
            return f"{len(said)} numbers, the round's are {len(right)}"
        place = next(i for i, (a, b) in enumerate(zip(said, right, strict=True)) if a != b)
        return f"number {place} is {said[place]}, the round's is {right[place]}"
    return f"the file says {said}, the round's is {right}"
