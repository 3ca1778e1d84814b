"""Settlement proofs on chain: put the gate there, ask what was accepted, hand a proof in.

See contracts/proof/SettlementProofs.sol and zk/README.md. The gate holds no money, knows no other contract and no rule:
it may be added to a platform that stands already, and a new rule needs no new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fl_platform.chain.artifacts import load
from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import BlockRef, Deployed, TxReceipt
from fl_platform.errors import ChainError, ConfigError, WalletError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import PROOFS, Deployment, step_of
from zk.settlement.binding import Context

if TYPE_CHECKING:
    from zk.settlement.proof_file import ProofFile

EVENT = "SettlementAccepted"


@dataclass(frozen=True)
class Accepted:
    """A proof that the gate took: which list follows from which commitment, and who handed it in."""

    task: int
    round: int
    commitment: int
    list_hash: bytes  # keccak of the list, 32 bytes
    key: bytes  # digest of the verifying key, 32 bytes
    claimant: bytes


def add_proofs(chain: Chain, signer: Signer, deployment: Deployment, *, label: str = "") -> Deployment:
    """Deploy the gate beside a platform; return the deployment with it. Raises what `Chain.create` raises."""
    artifact = load(PROOFS)
    receipt = chain.create(artifact, signer=signer, step=step_of(PROOFS, label))
    if receipt.contract is None:
        raise ChainError(f"the receipt of {PROOFS} names no address; deploy again under a new label")
    done = Deployed(PROOFS, receipt.contract, receipt.transaction, receipt.block)
    return replace(
        deployment, contracts={**deployment.contracts, PROOFS: done},
        digests={**deployment.digests, PROOFS: artifact.digest},
    )  # fmt: skip


class Proofs:
    """The gate as one wallet uses it; without a signer it is only read."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has no gate of settlement proofs."""
        self._contracts, self._signer = contracts, signer
        if PROOFS not in contracts.deployment.contracts:
            raise ConfigError(
                f"the deployment on {contracts.deployment.network} has no settlement proofs: run `fl-platform deploy` "
                "again, it adds them"
            )
        self._contract: Contract = contracts.deployment.contract(PROOFS)
        self._known: tuple[BlockRef, tuple[Accepted, ...]] | None = None

    @property
    def address(self) -> bytes:
        """Address of the gate, 20 bytes."""
        return self._contract.address

    def context(self, task: int, round_number: int, claimant: bytes, key: bytes) -> Context:
        """Return what a proof for this round must be bound to, if `claimant` is to hand it in; `key`: its digest."""
        return Context(
            self._contracts.chain_id, int.from_bytes(self._contract.address, "big"), task, round_number,
            int.from_bytes(claimant, "big"), key,
        )  # fmt: skip

    def accepted(self, task: int, round_number: int) -> tuple[Accepted, ...]:
        """Return the proofs accepted for a round, oldest first. Their commitments may be anybody's: compare them."""
        return tuple(found for found in self._all() if (found.task, found.round) == (task, round_number))

    def _all(self) -> tuple[Accepted, ...]:
        """Return every proof that was ever accepted; read once a block."""
        head = self._contracts.chain.head()
        if self._known is None or self._known[0] != head:
            first = self._contracts.deployment.contracts[PROOFS].block
            events = self._contracts.chain.events([self._contract], first=first, last=head.number, names=[EVENT])
            rows = (event.values for event in events)
            found = (
                Accepted(r["task"], r["round"], r["commitment"], r["listHash"], r["key"], r["claimant"]) for r in rows
            )
            self._known = (head, tuple(found))
        return self._known[1]

    def accepted_list(self, task: int, round_number: int, commitment: int, key: bytes) -> bytes | None:
        """Return keccak of the list that was accepted for a commitment under a key; None when none was."""
        found = bytes(
            self._contracts.chain.read(self._contract, "acceptedList", task, round_number, commitment, key)
        )
        return found if any(found) else None

    def claim_root(self, values: Sequence[int], accounts: Sequence[bytes]) -> tuple[bytes, int]:
        """Return root and total (wei) of the claim tree that a list fixes for these accounts, by the contract."""
        root, total = self._contracts.chain.read(self._contract, "claimRoot", list(values), list(accounts))
        return bytes(root), int(total)

    def submit(self, file: ProofFile) -> TxReceipt | None:
        """Hand a proof in; it must have been made for this wallet. None when somebody else's was accepted before.

        Raises TransactionReverted (trial run, nothing paid) when it does not hold.
        """
        if self._signer is None:
            raise WalletError("handing a proof in is a transaction; name a wallet (`--wallet`)")
        context, claimed = file.context, file.claimed
        place = context.task, context.round, claimed.commitment
        step = f"settlement proof of {claimed.commitment:064x} under {context.key.hex()}"
        return self._contracts.chain.send(
            self._contract, "submit", *place, list(claimed.values), list(claimed.proof.words()),
            file.key.words(),
            signer=self._signer, step=Step(context.task, context.round, step),
            already=lambda: self.accepted_list(*place, context.key) is not None,
        )  # fmt: skip
