"""A18, on chain: a receipt signed in one context is presented in every other, 5 x 5."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from fl_platform.protocol.receipt import Domain, Receipt, sign_digest
from tests.support.contracts import Run, fresh_world
from tests.support.evm import Reverted, account

CONTEXTS = ("this", "other round", "other task", "other contract", "other chain")


@dataclass(frozen=True)
class Context:
    """Where a receipt says it belongs."""

    receipt: Receipt
    domain: Domain


def contexts(run: Run) -> dict[str, Context]:
    """The five contexts of one trainer's receipt; the first is where it is presented."""
    base, domain = run.receipt(run.trainers[0]), run.world.domain
    return {
        "this": Context(base, domain),
        "other round": Context(replace(base, round=base.round + 1), domain),
        "other task": Context(replace(base, task=base.task + 1), domain),
        "other contract": Context(base, replace(domain, ledger=b"\7" * 20)),
        "other chain": Context(base, replace(domain, chain_id=domain.chain_id + 1)),
    }


@pytest.mark.parametrize("signed", CONTEXTS)
@pytest.mark.parametrize("presented", CONTEXTS)
def test_replay_grid(signed: str, presented: str) -> None:
    run = Run.start(fresh_world())
    Run.start(run.world)  # the other task exists, with the same members
    run.roster()
    grid, key = contexts(run), run.trainers[0].key
    signature = sign_digest(grid[signed].receipt.digest(grid[signed].domain), key)
    shown = grid[presented].receipt
    # the chain has one contract and one chain id: what is presented there is presented under its own domain
    if presented in ("this", "other contract", "other chain") and signed == "this":
        run.world.ledger.send(account("x"), "forceInclude", shown, signature)
        return
    with pytest.raises(Reverted, match=r"ReceiptSignatureInvalid|ReceiptForeign|WrongPhase"):
        run.world.ledger.send(account("x"), "forceInclude", shown, signature)


def test_the_same_receipt_twice() -> None:
    run = Run.start(fresh_world())
    run.roster()
    receipt = run.receipt(run.trainers[0])
    signature = run.sign(run.trainers[0], receipt)
    run.world.ledger.send(account("x"), "forceInclude", receipt, signature)
    with pytest.raises(Reverted, match="AlreadyForced"):
        run.world.ledger.send(account("x"), "forceInclude", receipt, signature)
    run.seal()
    run.roster()
    with pytest.raises(Reverted, match="ReceiptForeign"):
        run.world.ledger.send(account("x"), "forceInclude", receipt, signature)
