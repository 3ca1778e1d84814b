"""Coin and tokens of no worth, where a network has them: nobody should hunt for those before a rehearsal."""

from __future__ import annotations

from fl_platform.chain.addresses import checksum_address
from fl_platform.chain.signer import Signer
from fl_platform.errors import TransactionReverted, WalletError
from fl_platform.ledger.deploy import TOKEN
from fl_platform.task.workspace import Workspace


def draw_missing(workspace: Workspace, signer: Signer, *, token: bytes, amount: int) -> bool:
    """Draw coin (local chains) and faucet tokens (where `token` is the faucet's) up to `amount` wei; whether it did.

    Does nothing for other tokens. Raises WalletError where a transaction is needed that the wallet has no coin for.
    """
    contracts = workspace.contracts(signer)
    deployed = contracts.deployment.contracts
    if workspace.chain.local:
        workspace.fund(signer)
    missing = amount - contracts.token_balance(token, signer.address)
    if missing <= 0 or TOKEN not in deployed or deployed[TOKEN].address != token:
        return False
    if workspace.chain.balance(signer.address) == 0:
        raise WalletError(
            f"{checksum_address(signer.address)} has no coin on {workspace.network.name} to pay for gas: send it some, "
            "from a faucet of that network or the task's owner, and run again"
        )
    try:
        contracts.mint(signer.address, missing)
    except TransactionReverted:  # more than the faucet gives at once: whoever locks the tokens says what is missing
        return False
    return True
