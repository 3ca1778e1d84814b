"""Send what shows a lie, so that nobody can copy it and take its reward.

A call that waits to be mined is seen by everybody, and another may send its data first. So the contracts pay for
evidence only who committed to the call a block before (contracts/interfaces/IReferee.sol, `commit`). The commitment is
a hash of its sender and of the call's data with a salt behind them: until the call itself is seen, nobody knows what it
is about, and then it is of no use to anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import TxReceipt
from fl_platform.protocol.keccak import keccak256


def commitment_of(sender: bytes, data: bytes) -> bytes:
    """Return what `sender` (20 bytes) commits with to a call of these data: who repeats it has no use for it."""
    return keccak256(sender.rjust(32, b"\0") + keccak256(data))


def send_evidence(
    chain: Chain, referee: Contract, contract: Contract, function: str, *arguments: Any, signer: Signer, step: Step,
    already: Callable[[], bool] | None = None, hurried: bool = False,
) -> TxReceipt | None:  # fmt: skip
    """Commit to a call, then send it once: two transactions, of which the second has the evidence.

    referee: the contract that keeps commitments. hurried: send at once, for there may be no time for a block before;
    then the evidence counts, and its reward is the pot's. Nothing is sent where the call would revert now, or `already`
    says that it is done. Raises what `Chain.send` raises.
    """
    # of the step alone: stopped in between, or lost with a reorganisation, the same call stands behind its commitment
    salt = keccak256(signer.derive(b"evidence") + step.key(signer.address).encode())
    begun = bool(chain.progress(step, signer).attempts)
    if not begun and not hurried and (already is None or not already()):
        chain.rehearse(contract, function, *arguments, signer=signer)
        data = contract.abi.encode(function, *arguments) + salt
        chain.send(referee, "commit", commitment_of(signer.address, data), signer=signer)
    return chain.send(contract, function, *arguments, signer=signer, step=step, already=already, salt=salt)
