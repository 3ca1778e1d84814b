"""What an audit says: what was compared, what differed first, what was left open.

Tests: tests/unit/round/test_whole_task.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.errors import CidMismatch, StoreMissing
from fl_platform.judging.commitments import unpromised
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS
from fl_platform.protocol.spec import TaskSpec

WITHOUT_KEY = (
    "that each update opens to the integers that its receipt binds",
    "that the inner products are those of the updates",
)
SUMS_UNCHECKED = "that the sums are the weighted sum of the updates"
COMMITTED_UNCHECKED = (
    "that the commitments are to the updates, in the codec's range (that the sums are the weighted sum of what was "
    "committed to is checked)"
)


NOTHING_SEALED = "any round: none is sealed yet"
ACCOUNTS_BEFORE = "that the accounts before the round that it began with are right"


def without_key(spec: TaskSpec) -> tuple[str, ...]:
    """Return what an audit of a task without a key leaves open."""
    return (*WITHOUT_KEY, SUMS_UNCHECKED if spec.commitments == NO_COMMITMENTS else COMMITTED_UNCHECKED)


def unpromised_of(spec: TaskSpec, bundle: RoundBundle) -> tuple[str, ...]:
    """Return what rests on who sealed, of a round whose sums are those of the shown commitments."""
    return tuple(
        f"that 0x{bundle.entries[i].receipt.trainer.hex()} committed to its update of round {bundle.round}: its "
        "receipt promises another commitment than who sealed shows"
        for i in unpromised(spec, bundle)
    )


@dataclass(frozen=True)
class Difference:
    """The first recorded value that is not what it should be."""

    round: int | None  # None: not of one round
    what: str
    recorded: str
    recomputed: str

    def __str__(self) -> str:
        """One line for a person."""
        where = "task" if self.round is None else f"round {self.round}"
        return f"{where}: {self.what}: recorded {self.recorded}, recomputed {self.recomputed}"

    @property
    def of_a_store(self) -> bool:
        """Whether it is of bytes that the store read here lacks or has damaged: another store may have them."""
        named = {self.what, self.recomputed.partition(":")[0]}
        return not named.isdisjoint({StoreMissing.__name__, CidMismatch.__name__})


@dataclass(frozen=True)
class RoundAudit:
    """What was checked of one round."""

    round: int
    updates: int
    admitted: int
    checks: int  # values compared


# What each step of a round's audit holds against each other, in the order in which it is done.
DOCUMENT = "the bundle is the document that the seal names, for this chain, task, round and rules"
ACCOUNTS = "the accounts before the round are those after the round before"
ROSTER = "roster and forced receipts are those on chain; every receipt is signed by its trainer for this very round"
RULE = "verdicts, weights, scores, payouts, reputations follow by the rule from {source}, the new model from the sums"
SUM = "the sums are the weighted sum of the shown commitments, under proofs or a hidden roster"
SUM_DIFFERS = "weighted sum of the commitments"
SEAL = "roster, forced list, trace, model and claims of the seal on chain are the bundle's"
CLAIMS = "every claim that was paid is what its leaf says"


@dataclass(frozen=True)
class Passed:
    """A step at which nothing differed."""

    round: int | None  # None: not of one round
    what: str


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit."""

    task: int
    rounds: tuple[RoundAudit, ...]
    claims: int  # claims on chain held against their leaves
    first_difference: Difference | None
    unchecked: tuple[str, ...]  # what this auditor could not check, and why it matters
    passed: tuple[Passed, ...] = ()  # the steps before the first difference

    @property
    def ok(self) -> bool:
        """No difference was found."""
        return self.first_difference is None

    @property
    def exit_code(self) -> int:
        """0: everything checked and equal; 3: equal, but not everything could be checked; 4: a difference."""
        return 4 if not self.ok else 3 if self.unchecked else 0
