"""The way on after the chain said no: contracts give a name and values, and a person needs a next step."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fl_platform.chain.types import Phase
from fl_platform.errors import TransactionReverted

_WAIT = "nothing was sent; come again then, on a local chain with --fast-forward where the command has it"
_STATUS = "nothing was sent; `fl-platform status` says what can be done now, and by when"

# By the custom error's name; a test holds each against the shipped contracts. {first} is its first value: the task.
WAYS_ON: Mapping[str, str] = {
    "RoundLedger_TooEarly": _WAIT,
    "RoundLedger_TooLate": "the deadline has passed; `fl-platform aggregator advance {first}` hands the round to the "
    "next aggregator, or ends the task: `fl-platform status` says which",
    "RoundLedger_NotFinal": _WAIT,
    "RoundLedger_WrongPhase": _STATUS,
    "RoundLedger_WrongRound": _STATUS,
    "RoundLedger_NotAggregator": _STATUS,
    "RoundLedger_NotBonded": "`fl-platform aggregator bond {first}` first",
    "RoundLedger_StillCurrent": "it is this aggregator's turn, and its bond stays until the task is over or handed "
    "over: work with `fl-platform aggregator run {first}`, then leave",
    "RoundLedger_TaskChallenged": "the task stands still until the dispute is decided; `fl-platform status` says when",
    "RoundLedger_AggregatorsInvalid": "nothing was escrowed; give 1 to 8 --aggregator, each once, none of them zero",
    "RoundLedger_AlreadyForced": "it is on chain already: nothing is left to do",
    "Reveals_NotForceable": _STATUS,
    "Escrow_AlreadyLeft": "who left a task, or was slashed below its stake, cannot join it again: use another --wallet "
    "(`fl-platform wallet new NAME`)",
    "Escrow_RoleConflict": "this account has another role in the task: use another --wallet "
    "(`fl-platform wallet new NAME`)",
    "Escrow_StillUnbonding": _WAIT,
    "Settlement_TooEarly": _WAIT,
    "Settlement_NotClosed": "`fl-platform task close {first}` first",
    "TaskRegistry_BondOutOfBounds": "nothing was escrowed; a bond is at least one pot and less than that limit: lower "
    "--pot or --bond",
    "TaskRegistry_NotAdmitted": "the task's owner lists who may join: ask it to be on the list",
    "TaskRegistry_TaskEnded": "`fl-platform task list` shows those still open",
}

_PHASED = 3  # values of a phase's error: task, phase, phase needed
_PHASES = {
    Phase.OPEN: "open: its round has no roster yet", Phase.ROSTERED: "rostered: its round waits for a seal",
    Phase.DONE: "done: all rounds are sealed", Phase.REFUNDED: "over: pots went back to the owner",
    Phase.COMPENSATED: "over: its last round is compensated",
}  # fmt: skip
_TIMES = ("RoundLedger_TooEarly", "RoundLedger_TooLate", "Settlement_TooEarly")  # whose second value is a block time


def _wrong_phase(task: int, phase: int, needed: int) -> str:
    """Say where a task stands, and where it would have to."""
    now, wanted = (_PHASES.get(Phase(one), "not there") for one in (phase, needed))
    return f"task {task} is {now}; this can be done only while it is {wanted}; {_STATUS}"


def way_on(refused: TransactionReverted) -> str:
    """Return what to do after a revert; empty where its own text must do."""
    way = WAYS_ON.get(refused.error, "")
    if refused.error == "RoundLedger_WrongPhase" and len(refused.values) == _PHASED:
        return _wrong_phase(*(int(str(value)) for value in refused.values))
    if not way or ("{first}" in way and not refused.values):
        return ""
    said = way.format(first=refused.values[0] if refused.values else "")
    if refused.error in _TIMES and len(refused.values) > 1 and isinstance(refused.values[1], int):
        said = f"{time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(refused.values[1]))} of block time: {said}"
    return said
