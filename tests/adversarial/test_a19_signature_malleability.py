"""A19: other spellings of a valid signature are refused, and identity never depends on signature bytes.

Python and Solidity are held against each other over the whole list in tests/contracts/test_twins.py; here the
ledger and the registry themselves refuse.
"""

from __future__ import annotations

import pytest
from eth_keys.constants import SECPK1_N

from fl_platform.protocol.receipt import sign_digest
from tests.support.contracts import Run, Ticket, fresh_world
from tests.support.evm import Reverted, account


def spellings(signature: bytes) -> list[bytes]:
    """High s, v as 0/1, 64 bytes, compact, too long, zero."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    high = (SECPK1_N - s).to_bytes(32, "big")
    return [
        r + high + bytes([55 - v]), signature[:64] + bytes([v - 27]), signature[:64],
        r + ((v - 27) << 255 | s).to_bytes(32, "big"), signature + b"\0", bytes(65), b"",
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(7))
def test_a_malleated_receipt_is_refused(number: int) -> None:
    run = Run.start(fresh_world())
    run.roster()
    who = run.trainers[0]
    receipt = run.receipt(who)
    signature = run.sign(who, receipt)
    with pytest.raises(Reverted, match="RoundLedger_ReceiptSignatureInvalid"):
        run.world.ledger.send(who, "forceInclude", receipt, spellings(signature)[number])
    run.world.ledger.send(who, "forceInclude", receipt, signature)


@pytest.mark.parametrize("number", range(7))
def test_a_malleated_consent_is_refused(number: int) -> None:
    world = fresh_world()
    run = Run.start(world, trainers=0, admission=2)
    who, deadline = account("friend"), world.evm.now + 100
    signature = sign_digest(world.registry.call("consentDigest", run.task, who.address, deadline), world.owner.key)
    with pytest.raises(Reverted, match="TaskRegistry_NotAdmitted"):
        run.join(who, ticket=Ticket(deadline=deadline, signature=spellings(signature)[number]))
    run.join(who, ticket=Ticket(deadline=deadline, signature=signature))


def test_nobody_is_the_zero_address() -> None:
    """ecrecover answers zero to nonsense; a receipt of the zero address must not pass with it."""
    run = Run.start(fresh_world())
    run.roster()
    receipt = run.receipt(run.trainers[0], trainer=bytes(20))
    with pytest.raises(Reverted, match="RoundLedger_NotMember"):
        run.world.ledger.send(account("x"), "forceInclude", receipt, bytes(64) + b"\x1b")
