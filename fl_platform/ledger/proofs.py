"""Settlement proofs on chain: put the gate and its verifiers there, ask what was accepted, hand a proof in.

See contracts/proof/SettlementProofs.sol and zk/README.md. The gate holds no money and knows no other contract, so it
may be added to a platform that stands already. Verifiers of development keys, which anybody can forge for, are refused
off local chains by the gate's own constructor; a deployment there has no proofs until keys of a ceremony ship.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fl_platform.chain.artifacts import load
from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import BlockRef, Deployed, TxReceipt
from fl_platform.errors import ChainError, ConfigError, WalletError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import PROOFS, Deployment, step_of
from fl_platform.protocol.keccak import keccak256
from zk.groth16 import package_keys
from zk.groth16.verifier import LOCAL_CHAINS
from zk.settlement.inputs import SIZES, Context
from zk.settlement.proof import SettlementProof

CONTRACT = PROOFS[-1]
EVENT = "SettlementAccepted"
DEVELOPMENT = "dev"  # the stamp of keys whose secrets are known


@dataclass(frozen=True)
class Accepted:
    """A proof that the gate took: which list follows from which commitment, and who handed it in."""

    task: int
    round: int
    commitment: int
    list_hash: bytes  # keccak of the list, 32 bytes
    claimant: bytes


def left_out(chain_id: int) -> str | None:
    """Return why a deployment on this chain has no settlement proofs; None where it has."""
    development = [slots for slots in SIZES if package_keys.entry(slots).stamp == DEVELOPMENT]
    if not development or chain_id in LOCAL_CHAINS:
        return None
    return (
        f"the keys for {', '.join(map(str, development))} slots are development keys: anyone can forge proofs for "
        f"them, so they are refused on chain {chain_id}; make keys from a public ceremony (zk/README.md, Keys)"
    )


def add_proofs(chain: Chain, signer: Signer, deployment: Deployment, *, label: str = "") -> Deployment:
    """Deploy the verifiers and the gate beside a platform; return the deployment with them. Goes on where it stopped.

    Raises what `Chain.create` raises; the gate's constructor reverts for development keys off local chains
    (`left_out` tells before).
    """
    done: dict[str, Deployed] = {}
    for name in PROOFS:
        artifact = load(name)
        arguments = [[done[other].address for other in PROOFS[:-1]]] if name == CONTRACT else []
        receipt = chain.create(artifact, *arguments, signer=signer, step=step_of(name, label))
        if receipt.contract is None:
            raise ChainError(f"the receipt of {name} names no address; deploy again under a new label")
        done[name] = Deployed(name, receipt.contract, receipt.transaction, receipt.block)
    digests = {name: load(name).digest for name in PROOFS}
    return replace(
        deployment, contracts={**deployment.contracts, **done}, digests={**deployment.digests, **digests}
    )  # fmt: skip


class Proofs:
    """The gate as one wallet uses it; without a signer it is only read."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        """Raises ConfigError where the deployment has no settlement proofs; it says why."""
        self._contracts, self._signer = contracts, signer
        if CONTRACT not in contracts.deployment.contracts:
            why = left_out(contracts.chain_id) or "run `fl-platform deploy` again: it adds them"
            raise ConfigError(f"the deployment on {contracts.deployment.network} has no settlement proofs: {why}")
        self._contract: Contract = contracts.deployment.contract(CONTRACT)
        self._known: tuple[BlockRef, tuple[Accepted, ...]] | None = None

    @property
    def address(self) -> bytes:
        """Address of the gate, 20 bytes."""
        return self._contract.address

    def context(self, task: int, round_number: int, claimant: bytes) -> Context:
        """Return what a proof for this round must be bound to, if `claimant` is to hand it in."""
        return Context(
            self._contracts.chain_id, int.from_bytes(self._contract.address, "big"), task, round_number,
            int.from_bytes(claimant, "big"),
        )  # fmt: skip

    def accepted(self, task: int, round_number: int) -> tuple[Accepted, ...]:
        """Return the proofs accepted for a round, oldest first. Their commitments may be anybody's: compare them."""
        return tuple(found for found in self._all() if (found.task, found.round) == (task, round_number))

    def _all(self) -> tuple[Accepted, ...]:
        """Return every proof that was ever accepted; read once a block."""
        head = self._contracts.chain.head()
        if self._known is None or self._known[0] != head:
            first = self._contracts.deployment.contracts[CONTRACT].block
            events = self._contracts.chain.events([self._contract], first=first, last=head.number, names=[EVENT])
            rows = (event.values for event in events)
            found = (Accepted(r["task"], r["round"], r["commitment"], r["listHash"], r["claimant"]) for r in rows)
            self._known = (head, tuple(found))
        return self._known[1]

    def accepted_list(self, task: int, round_number: int, commitment: int) -> bytes | None:
        """Return keccak of the list that was accepted for a commitment; None when none was."""
        found = bytes(self._contracts.chain.read(self._contract, "acceptedList", task, round_number, commitment))
        return found if any(found) else None

    def claim_root(self, values: Sequence[int]) -> tuple[bytes, int, int]:
        """Return root, total (wei) and count of the claim tree that a list fixes, as the contract computes them."""
        root, total, count = self._contracts.chain.read(self._contract, "claimRoot", list(values))
        return bytes(root), int(total), int(count)

    def submit(self, task: int, round_number: int, claimed: SettlementProof) -> TxReceipt | None:
        """Hand a proof in; it must have been made for this wallet. None when somebody else's was accepted before.

        Raises TransactionReverted (trial run, nothing paid) when it does not hold.
        """
        if self._signer is None:
            raise WalletError("handing a proof in is a transaction; name a wallet (`--wallet`)")
        root = claimed.commitment
        return self._contracts.chain.send(
            self._contract, "submit", task, round_number, root, list(claimed.values), list(claimed.proof.words()),
            signer=self._signer, step=Step(task, round_number, f"settlement proof of {root:064x}"),
            already=lambda: self.accepted_list(task, round_number, root) is not None,
        )  # fmt: skip


def list_hash(values: Sequence[int]) -> bytes:
    """Return keccak of a list as the gate records it."""
    return keccak256(b"".join(value.to_bytes(32, "big") for value in values))
