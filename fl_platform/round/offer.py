"""What a task owner writes on a command line, turned into frozen rules ready to be opened (step 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fl_platform.chain.types import ZERO_ADDRESS
from fl_platform.errors import ConfigError
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.protocol.commitment_opening import NO_COMMITMENTS, PEDERSEN
from fl_platform.protocol.spec import BASIS, Money, Party, TaskSpec, Windows, WorthRule
from fl_platform.round.owner import HOURLY, Objects, Terms, default_terms, draft_spec
from fl_platform.round.validation_slices import LEAVE_ONE_OUT

if TYPE_CHECKING:
    from zk.groth16.verifier import VerifyingKey

NOBODY = Party(ZERO_ADDRESS, bytes(64))

# Seconds of block time. Each unbonding outlasts all windows with eight aggregators (the most a task may list).
WINDOWS: Mapping[str, Windows] = {
    "hourly": HOURLY,
    "minutes": Windows(
        min_round=30, roster=900, force=30, reveal=30, seal=900, challenge=300, takeover=900, unbonding=10_800
    ),
    "seconds": Windows(
        min_round=2, roster=120, force=2, reveal=2, seal=120, challenge=10, takeover=120, unbonding=1_800
    ),
}


@dataclass(frozen=True)
class Offer:
    """An owner's choices. None: what suits the rest."""

    title: str
    model_name: str
    money: Money
    trainers: int  # how many are expected
    plan: TrainPlan
    seed: int = 0  # of the initial model
    byzantine: int | None = None  # hostile trainers to withstand; 0: plain weighted mean
    bits: int = 8
    strict: bool = False
    worth: str = "anchored"  # "leave-one-out" on committed rows, or "equal": by stake, worth is not measured
    alpha: tuple[int, int] | None = None  # part of the public directions taken out of the reference
    base_bps: int = 0  # part of each pot that goes by stake
    windows: str = "hourly"
    validation_root: bytes = bytes(32)  # over the owner's rows: leave-one-out
    commitments: bool = True  # layer P: anybody can check the sums
    program: bytes = b""  # a round program of one's own; empty: composed of the package's parts
    proved: int = 0  # trainers that settlement proofs have room for; 0: rounds are not proved
    proof_key: VerifyingKey | None = None  # of a ceremony for that circuit; None: made for development

    def terms(self) -> Terms:
        """Return the owner's terms. Raises ConfigError when they cannot work."""
        if self.windows not in WINDOWS:
            raise ConfigError(f"windows {self.windows!r} are unknown; use one of {', '.join(WINDOWS)}")
        if self.worth not in ("anchored", LEAVE_ONE_OUT, "equal"):
            raise ConfigError(f"worth {self.worth!r} is unknown; use anchored, {LEAVE_ONE_OUT} or equal")
        terms = default_terms(
            title=self.title,
            model_name=self.model_name,
            money=self.money,
            trainers=self.trainers,
            byzantine=self._byzantine(),
            seed=self.seed,
            plan=self.plan,
        )
        worth = replace(terms.worth, base_bps=self.base_bps)
        if self.worth == "equal":
            worth = WorthRule("equal", 0, 1, self.base_bps, BASIS, bytes(32), 0)
        elif self.worth == LEAVE_ONE_OUT:
            slices = self.money.rounds
            worth = replace(worth, kind=LEAVE_ONE_OUT, validation_root=self.validation_root, validation_slices=slices)
        elif self.alpha is not None:
            worth = replace(worth, alpha_num=self.alpha[0], alpha_den=self.alpha[1])
        strictness = "strict" if self.strict else "standard"
        return replace(
            terms, bits=self.bits, strictness=strictness, worth=worth, windows=WINDOWS[self.windows],
            commitments=PEDERSEN if self.commitments else NO_COMMITMENTS, program=self.program,
            proved=self.proved, proof_key=self.proof_key,
        )  # fmt: skip

    def _byzantine(self) -> int:
        if self.byzantine is None:  # screens and worth do without: multi-Krum drops honest odd ones too
            return 0
        needed = 2 * self.byzantine + 3 if self.byzantine else 1
        if self.trainers < needed:
            raise ConfigError(
                f"{self.trainers} trainers cannot withstand {self.byzantine} hostile ones: multi-Krum needs {needed}"
            )
        return self.byzantine

    def draft(
        self, learning: LearningTask, *, owner: Party, aggregators: tuple[Party, ...], auditors: tuple[Party, ...],
        witnesses: tuple[bytes, ...] | None = None,
    ) -> tuple[TaskSpec, Objects]:  # fmt: skip
        """Return the frozen rules and what they name; trains once on the owner's rows to measure the first scale.

        The owner signs the reference row, unless worth is equal. Raises what `owner.draft_spec` raises.
        """
        reference = NOBODY if self.worth == "equal" else owner
        return draft_spec(
            self.terms(), learning, owner=owner.address, aggregators=aggregators, auditors=auditors,
            reference=reference, witnesses=witnesses,
        )  # fmt: skip


def alpha_of(text: str) -> tuple[int, int]:
    """Return alpha as a fraction from "1/2", "0", "1" or "0.25". Raises ConfigError outside 0 to 1."""
    from fractions import Fraction

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"alpha {text!r} is no number; write 1/2 or 0.5") from error
    if not 0 <= value <= 1:
        raise ConfigError(f"alpha {text} must be from 0 to 1")
    return value.numerator, value.denominator
