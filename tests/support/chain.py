"""A platform on a chain for tests: deployed contracts, funded wallets, and a bare round without any learning."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain.artifacts import load_file
from fl_platform.chain.client import Chain, Contract, connect
from fl_platform.chain.journal import TASKLESS, Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import ZERO_ADDRESS
from fl_platform.config import MINIMAL, NETWORKS, Network, Policy
from fl_platform.judging.program import program_of, terms_of
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import CONTRACTS, TOKEN, created_address, deploy
from fl_platform.ledger.records import SealInput
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.seats import FIRST_SEAT
from fl_platform.protocol.spec import Party, TaskSpec
from tests.support.specs import small_spec

ETHER = 10**18
EMBEDDED = NETWORKS["embedded"]


def wallet(number: int) -> Signer:
    """Return test wallet `number`."""
    return Signer(keccak256(b"test wallet %d" % number))


OWNER, AGGREGATOR, SUCCESSOR = wallet(0), wallet(1), wallet(2)


@dataclass
class Stage:
    """Deployed contracts and whoever acts on them."""

    chain: Chain
    owner: Contracts
    judge: Contract | None = None

    def as_(self, signer: Signer) -> Contracts:
        """Return the contracts for another wallet (funded on first use)."""
        if self.chain.balance(signer.address) < ETHER:
            self.chain.fund(signer.address, 100 * ETHER)
        return self.owner.with_signer(signer)

    def spec(
        self, *, rounds: int = 2, title: str = "tiny", aggregators: Sequence[Signer] = (AGGREGATOR, SUCCESSOR)
    ) -> TaskSpec:
        """Return a spec that these contracts accept."""
        base = small_spec()
        money = dataclasses.replace(base.money, token=self.owner.faucet.address, rounds=rounds)
        parties = tuple(Party(signer.address, bytes(64)) for signer in aggregators)
        return dataclasses.replace(base, title=title, owner=OWNER.address, money=money, aggregators=parties)

    def open(self, spec: TaskSpec) -> int:
        """Mint the bounty and open a task."""
        self.owner.mint(OWNER.address, spec.money.pot * spec.money.rounds)
        return self.owner.open_task(spec, program=program_of(spec).root, rules=terms_of(spec).root)

    def join(self, task: int, signer: Signer, stake: int = ETHER) -> Contracts:
        """Mint a stake and join."""
        own = self.as_(signer)
        own.mint(signer.address, stake)
        own.join(task, stake, keccak256(b"binding" + signer.address))
        return own

    def bond(self, task: int, signer: Signer, bond: int = 2 * ETHER) -> Contracts:
        """Mint a bond and lock it."""
        own = self.as_(signer)
        own.mint(signer.address, bond)
        own.bond_aggregator(task, bond)
        return own


@contextlib.contextmanager
def disputed_stage() -> Iterator[Stage]:
    """Yield a new embedded chain with all contracts, the disputes that ship among them."""
    with connect(EMBEDDED, policy=MINIMAL) as chain:
        chain.fund(OWNER.address, 100 * ETHER)
        deployment = deploy(chain, OWNER, with_token=True, with_disputes=True)
        yield Stage(chain, Contracts(chain, deployment, OWNER), None)


def roster_leaves(signers: Sequence[Signer], stake: int = ETHER) -> tuple[Leaf, ...]:
    """Return roster leaves sorted by address."""
    return tuple(Leaf(s.address, stake, keccak256(s.address)) for s in sorted(signers, key=lambda s: s.address))


def claim_leaves(signers: Sequence[Signer], total: int) -> tuple[Leaf, ...]:
    """Return claim leaves, by seat, that share `total` equally among trainers (the rest: seat 0), and reputations."""
    each, rest = divmod(total, len(signers))
    first = tuple(Leaf(bytes(20), 0 if seat else rest, bytes(32)) for seat in range(FIRST_SEAT))
    paid = (Leaf(s.address, each, (7).to_bytes(32, "big")) for s in sorted(signers, key=lambda s: s.address))
    return (*first, *paid)


def roster(own: Contracts, task: int, round_number: int, signers: Sequence[Signer]) -> None:
    """Wait for the window and put a roster on chain."""
    own.chain.wait_until(own.window(task)[0])
    root = merkle_sum.build(roster_leaves(signers))
    own.roster_round(task, round_number, root.digest, len(signers), root.total)


def seal_input(own: Contracts, task: int, round_number: int, signers: Sequence[Signer]) -> SealInput:
    """Return a seal that splits everything allotted equally."""
    leaves = claim_leaves(signers, own.allotted(task, round_number))
    root = merkle_sum.build(leaves)
    mark = keccak256(b"%d/%d" % (task, round_number))
    return SealInput(mark, mark, bytes(32), own.as_of(task), root.digest, root.total, len(leaves))


def seal(own: Contracts, task: int, round_number: int, signers: Sequence[Signer]) -> None:
    """Wait for the window and seal."""
    own.chain.wait_until(own.window(task)[0])
    own.seal_with(task, round_number, seal_input(own, task, round_number, signers))


def receipt_of(signer: Signer, task: int, round_number: int) -> Receipt:
    """Return a receipt with invented digests."""
    mark = keccak256(b"receipt" + signer.address)
    return Receipt(
        task, round_number, 0, round_number, signer.address, mark, mark, 100, mark, mark, mark,
        bytes(32), 10, mark,
    )  # fmt: skip


@contextlib.contextmanager
def stage(
    network: Network = EMBEDDED,
    *,
    folder: Path | None = None,
    journal: Path | None = None,
    policy: Policy = MINIMAL,
    with_disputes: bool = False,
) -> Iterator[Stage]:
    """Yield a fresh deployment on `network`; `with_disputes` wires the mock that decides as it is told."""
    with connect(network, folder=folder, journal=journal, policy=policy) as chain:
        chain.fund(OWNER.address, 100 * ETHER)
        judge = mock_disputes(chain) if with_disputes else None
        deployment = deploy(chain, OWNER, with_token=True, disputes=judge.address if judge else ZERO_ADDRESS)
        assert TOKEN in deployment.contracts
        yield Stage(chain, Contracts(chain, deployment, OWNER), judge)


def mock_disputes(chain: Chain) -> Contract:
    """Deploy MockDisputes, wired to the ledger and escrow that the owner's next transactions create."""
    artifact = load_file(Path(__file__).parent / "artifacts" / "MockDisputes.json")
    base = chain.backend.nonce(OWNER.address) + 1
    planned = {name: created_address(OWNER.address, base + i) for i, name in enumerate(CONTRACTS)}
    receipt = chain.create(artifact, planned["RoundLedger"], planned["Escrow"], signer=OWNER)
    assert receipt.contract is not None
    return Contract("MockDisputes", receipt.contract, artifact.abi)


def ledger_oracle(own: Contracts) -> Contract:
    """Return what works events' values out by the contracts' own code; deployed on the first call."""
    artifact, signer = load_file(Path(__file__).parent / "artifacts" / "LedgerOracle.json"), wallet(99)
    if own.chain.balance(signer.address) < ETHER:
        own.chain.fund(signer.address, 100 * ETHER)
    step = Step(TASKLESS, TASKLESS, "deploy LedgerOracle")
    receipt = own.chain.create(artifact, own.ledger_address, signer=signer, step=step)
    assert receipt.contract is not None
    return Contract("LedgerOracle", receipt.contract, artifact.abi)
