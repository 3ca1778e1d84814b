"""The deployed platform, and a driver that walks a task through its rounds; tests and benchmarks use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from fl_platform.protocol import merkle_sum
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.receipt import Domain, Receipt, sign_digest
from fl_platform.protocol.seats import FIRST_SEAT
from tests.support.evm import Account, Contract, Evm, Outcome, account, created_at

TOKENS = 10**18
CHALLENGER_BPS = 3_000
LATENESS_BPS = 1_000
DONE, REFUNDED, COMPENSATED = 3, 4, 5  # IRoundLedger.Phase
TRAINER, AGGREGATOR, LEAVING, RESIDUAL, PAID, RESIDUAL_PAID = 1, 2, 4, 8, 16, 32  # MemberFlags


def digest(*words: object) -> bytes:
    """Return 32 bytes that stand for something in a store."""
    return keccak256(repr(words).encode())


@dataclass(frozen=True)
class Windows:
    """ITaskRegistry.Windows, seconds."""

    min_round: int = 60
    roster: int = 600
    force: int = 100
    reveal: int = 50
    seal: int = 300
    challenge: int = 120
    takeover: int = 200
    unbonding: int = 5_000


@dataclass(frozen=True)
class Params:
    """ITaskRegistry.TaskParams."""

    token: bytes
    bounty: int
    pot: int
    stake: int
    bond: int
    rounds: int
    admission: int
    fee_bps: int
    allow_root: bytes
    spec: bytes
    program: bytes
    rules: bytes
    windows: Windows
    aggregators: tuple[bytes, ...]


@dataclass(frozen=True)
class Ticket:
    """ITaskRegistry.Ticket; empty for an open task."""

    proof: tuple[bytes, ...] = ()
    deadline: int = 0
    signature: bytes = b""


@dataclass(frozen=True)
class RosterRecord:
    """IRoundLedger.RosterRecord."""

    root: bytes
    count: int
    total_stake: int
    seats: int
    rostered_at: int
    aggregator: bytes
    life: int


@dataclass(frozen=True)
class SealInput:
    """IRoundLedger.SealInput."""

    bundle: bytes
    model: bytes
    trace: bytes
    as_of: int
    claim_root: bytes
    claim_total: int
    claim_count: int


@dataclass(frozen=True)
class SealRecord:
    """IRoundLedger.SealRecord."""

    roster_digest: bytes
    bundle: bytes
    model: bytes
    trace: bytes
    as_of: int
    forced: int
    claim_root: bytes
    claim_total: int
    claim_count: int
    sealed_at: int
    aggregator: bytes


@dataclass(frozen=True)
class ClaimRecord:
    """IRoundLedger.ClaimRecord."""

    content: bytes
    claim_root: bytes
    claim_total: int
    claim_count: int
    final_at: int
    slot: int


@dataclass(frozen=True)
class ChainLeaf:
    """IRoundLedger.Leaf."""

    index: int
    owner: bytes
    amount: int
    data: bytes


NO_CLAIMS = ClaimRecord(bytes(32), bytes(32), 0, 0, 0, 0)
NO_ROSTER = RosterRecord(bytes(32), 0, 0, 0, 0, bytes(20), 0)


@dataclass(frozen=True)
class Tree:
    """A Merkle-sum tree with its leaves."""

    leaves: tuple[Leaf, ...]

    @property
    def root(self) -> merkle_sum.Node:
        """Root digest and total."""
        return merkle_sum.build(self.leaves)

    def leaf(self, index: int) -> ChainLeaf:
        """Return a leaf as the contracts take it."""
        found = self.leaves[index]
        return ChainLeaf(index, found.owner, found.amount, found.data)

    def path(self, index: int) -> bytes:
        """Return the packed siblings of a leaf."""
        return path_of(merkle_sum.prove(self.leaves, index))


def path_of(proof: merkle_sum.Proof) -> bytes:
    """Pack a proof's siblings: sum (u128), hash."""
    return b"".join(s.total.to_bytes(16, "big") + s.digest for s in proof.siblings)


def split(total: int, owners: Sequence[bytes], weights: Sequence[int] | None = None) -> Tree:
    """Return a claim tree that splits `total` wei by weight, to the wei."""
    shares = list(weights or [1] * len(owners))
    data = [i.to_bytes(32, "big") for i in range(len(owners))]
    ends = [total * upto // sum(shares) for upto in accumulate(shares, initial=0)]
    amounts = [end - start for start, end in pairwise(ends)]
    return Tree(tuple(Leaf(o, a, d) for o, a, d in zip(owners, amounts, data, strict=True)))


class World:
    """All contracts, deployed; every test goes back to this state."""

    def __init__(self, token: str = "FaucetToken") -> None:
        self.evm = Evm()
        deployer = account("deployer").address
        self.owner, self.guardian = account("owner"), account("guardian")
        self.aggregators = tuple(account(f"aggregator {i}") for i in range(3))
        at = [created_at(deployer, nonce) for nonce in range(7)]
        self.token = self.evm.create(deployer, token)
        self.escrow = self.evm.create(deployer, "Escrow", at[2], at[3], at[4], at[6])
        self.registry = self.evm.create(deployer, "TaskRegistry", at[1], at[3], self.guardian.address)
        self.ledger = self.evm.create(deployer, "RoundLedger", at[1], at[2], at[4], at[6])
        self.settlement = self.evm.create(deployer, "Settlement", at[1], at[2], at[3])
        self.reputation = self.evm.create(deployer, "Reputation", at[3])
        self._disputes(deployer)
        for who in (self.owner, *self.aggregators):
            self.fill(who)

    def _disputes(self, deployer: bytes) -> None:
        """Deploy what may dispute, then what else a test wants."""
        ledger, escrow = created_at(deployer, 3), created_at(deployer, 1)
        self.disputes = self.evm.create(deployer, "MockDisputes", ledger, escrow)
        self.views = self.evm.create(deployer, "LedgerOracle", ledger)

    def fill(self, who: Account | bytes, amount: int = 10**6 * TOKENS) -> None:
        """Give an account tokens and let the escrow take them."""
        address = who if isinstance(who, bytes) else who.address
        self.token.send(address, "mint", address, amount)
        self.token.send(address, "approve", self.escrow.address, 2**256 - 1)

    @property
    def domain(self) -> Domain:
        """EIP-712 domain of receipts."""
        return Domain(self.evm._vm.chain_context.chain_id, self.ledger.address)

    def wait(self, until: int) -> None:
        """Set the clock; it never goes back."""
        assert until >= self.evm.now, "a test tried to turn the clock back"
        self.evm.now = until

    def params(self, **changes: Any) -> Params:
        """Return parameters of a task, changed where the test says so; the bounty follows pot and rounds."""
        listed = tuple(a.address for a in self.aggregators)
        pot, rounds = changes.get("pot", 10 * TOKENS), changes.get("rounds", 4)
        base = Params(
            self.token.address, pot * rounds, pot, 20 * TOKENS, pot, rounds, 0, 500, bytes(32), digest("spec"),
            bytes(32), bytes(32), Windows(), listed,
        )  # fmt: skip
        return replace(base, **changes)


@cache
def shared_world() -> tuple[World, tuple[bytes, int]]:
    """One deployment for the whole test process, and the mark to go back to."""
    world = World()
    return world, world.evm.snapshot()


def fresh_world() -> World:
    """Return the shared deployment in its first state."""
    world, mark = shared_world()
    world.evm.restore(mark)
    return world


@dataclass
class Run:
    """One task on a world, with the records that its calls need."""

    world: World
    task: int
    params: Params
    trainers: list[Account] = field(default_factory=list)
    joins: int = 0
    rosters: dict[int, tuple[RosterRecord, Tree]] = field(default_factory=dict)
    seals: dict[int, tuple[SealRecord, Tree]] = field(default_factory=dict)

    @classmethod
    def start(cls, world: World, *, trainers: int = 3, bonded: int = 1, **changes: Any) -> Run:
        """Open a task, let trainers join and the first aggregators bond."""
        params = world.params(**changes)
        opened = world.registry.send(world.owner, "openTask", params)
        run = cls(world, opened.output[0], params)
        for place in range(bonded):
            run.bond(place)
        for index in range(trainers):
            run.join(account(f"trainer {index}"))
        return run

    # --- reading ---

    @property
    def head(self) -> Any:
        """(aggregator, time, round, rounds, index, phase, bonded, takeover, forced, challenged, hasBonus, closed,
        life)."""
        return self.world.ledger.call("head", self.task)

    @property
    def round(self) -> int:
        """The head's round."""
        return int(self.head[2])

    @property
    def phase(self) -> int:
        """The head's phase."""
        return int(self.head[5])

    @property
    def aggregator(self) -> bytes:
        """The current aggregator."""
        return bytes(self.head[0])

    def member(self, who: Account | bytes) -> Any:
        """(stake, credit, claimed, flags)."""
        return self.world.escrow.call("member", self.task, who if isinstance(who, bytes) else who.address)

    def bond_of(self, who: Account | bytes) -> int:
        """What an account's bonds in disputes sum to, wei."""
        return int(self.world.escrow.call("bondOf", self.task, who if isinstance(who, bytes) else who.address))

    def tenure(self, who: Account | bytes) -> Any:
        """(joined stake, joined at, left at, seat)."""
        return self.world.escrow.call("tenure", self.task, who if isinstance(who, bytes) else who.address)

    def window(self) -> tuple[int, int]:
        """[from, to) of the head's next step."""
        first, last = self.world.views.call("window", self.task)
        return int(first), int(last)

    # --- steps ---

    def join(self, who: Account, stake: int | None = None, ticket: Ticket | None = None) -> Outcome:
        """Fund and join a trainer."""
        self.world.fill(who)
        amount = self.params.stake if stake is None else stake
        done = self.world.registry.send(who, "join", self.task, amount, digest("binding", who), ticket or Ticket())
        self.joins += 1
        self.trainers.append(who)
        self.trainers.sort(key=lambda a: a.address)
        return done

    def bond(self, place: int) -> Outcome:
        """Lock the bond of an aggregator of the list."""
        who = self.params.aggregators[place]
        listed = self.params.aggregators
        return self.world.ledger.send(who, "bondAggregator", self.task, listed, place, self.params.bond)

    def receipt(self, who: Account, **changes: Any) -> Receipt:
        """Return a trainer's receipt for the head's round."""
        base = Receipt(
            self.task, self.round, int(self.head[12]), self.round, who.address, digest("parent"),
            digest("update", who, self.round), 1_000,
            digest("key", who), digest("leaves", who), digest("content", who), digest("commitment", who), 100,
            digest("salt", who),
        )  # fmt: skip
        return replace(base, **changes)

    def sign(self, who: Account, receipt: Receipt) -> bytes:
        """Sign a receipt."""
        return sign_digest(receipt.digest(self.world.domain), who.key)

    def roster_tree(self) -> Tree:
        """Return the honest roster: every trainer with its stake and receipt."""
        rows = [(t, int(self.member(t)[0])) for t in self.trainers]
        return Tree(tuple(Leaf(t.address, s, self.receipt(t).struct_hash()) for t, s in rows))

    def roster(self, tree: Tree | None = None, *, at: int | None = None) -> Outcome:
        """Roster the head's round at the start of its window."""
        number, wanted = self.round, tree or self.roster_tree()
        self.world.wait(max(self.world.evm.now, self.window()[0]) if at is None else at)
        root, sender = wanted.root, self.aggregator
        done = self.world.ledger.send(
            sender, "rosterRound", self.task, number, root.digest, len(wanted.leaves), root.total
        )
        seats, life = 9 + self.joins, self.head[12]
        record = RosterRecord(root.digest, len(wanted.leaves), root.total, seats, self.world.evm.now, sender, life)
        self.rosters[number] = record, wanted
        return done

    def claims(self, total: int, weights: Sequence[int] | None = None) -> Tree:
        """Return a claim tree over the trainers."""
        return split(total, [t.address for t in self.trainers], weights)

    def seal_input(self, tree: Tree, **changes: Any) -> SealInput:
        """Return what the current aggregator would seal."""
        number, root = self.round, tree.root
        base = SealInput(
            digest("bundle", number, self.aggregator), digest("model", number), bytes(32),
            self.world.evm.now - 1, root.digest, root.total, len(tree.leaves),
        )  # fmt: skip
        return replace(base, **changes)

    def seal(self, tree: Tree | None = None, *, at: int | None = None, **changes: Any) -> Outcome:
        """Seal the head's round at the start of its window."""
        number, sender = self.round, self.aggregator
        wanted = tree or self.claims(self.world.views.call("allotted", self.task, number))
        self.world.wait(max(self.world.evm.now, self.window()[0]) if at is None else at)
        given = self.seal_input(wanted, **changes)
        forced = int(self.world.ledger.call("forcedCount", self.task))
        done = self.world.ledger.send(sender, "sealRound", self.task, number, given)
        roster = self.world.views.call("rosterDigest", self.task, number, self.rosters[number][0])
        fields = (given.bundle, given.model, given.trace, given.as_of, forced)
        claims = (given.claim_root, given.claim_total, given.claim_count)
        self.seals[number] = SealRecord(roster, *fields, *claims, self.world.evm.now, sender), wanted
        return done

    def claims_by_seat(self) -> Tree:
        """Return the next round's claims: those of aggregators and owner, of nothing, stand before the trainers'."""
        first = tuple(Leaf(bytes(20), 0, bytes(32)) for _ in range(FIRST_SEAT))
        return Tree(first + self.claims(self.world.views.call("allotted", self.task, self.round)).leaves)

    def play(self, rounds: int | None = None, *, by_seat: bool = False) -> Run:
        """Roster and seal so many rounds (None: all that are left)."""
        for _ in range(self.params.rounds - self.round if rounds is None else rounds):
            self.roster()
            self.seal(self.claims_by_seat() if by_seat else None)
        return self

    def advance(self, *, at: int | None = None) -> Outcome:
        """Let the current deadline pass and hand over."""
        self.world.wait(max(self.world.evm.now, self.window()[1]) if at is None else at)
        return self.world.ledger.send(account("anyone"), "advance", self.task, self.params.aggregators)

    def pass_(self, *, at: int | None = None) -> Outcome:
        """Let the current aggregator say that it cannot seal."""
        self.world.wait(max(self.world.evm.now, self.window()[0]) if at is None else at)
        return self.world.ledger.send(self.aggregator, "passRound", self.task, self.round, self.params.aggregators)

    def finalize(self, number: int | None = None) -> int:
        """Wait until a sealed round (None: the last one) is final; return it."""
        wanted = max(self.seals) if number is None else number
        self.world.wait(max(self.world.evm.now, self.seals[wanted][0].sealed_at + self.params.windows.challenge))
        return wanted

    def claim(self, number: int, index: int, sender: Account | None = None) -> Outcome:
        """Claim leaf `index` of a round's tree, by anyone."""
        tree = self.seals[number][1]
        return self.world.ledger.send(
            sender or account("anyone"), "claim", self.task, number, self.claim_record(number), tree.leaf(index),
            tree.path(index),
        )  # fmt: skip

    def claim_record(self, number: int) -> ClaimRecord:
        """Return what claims need of a sealed round (computed here, not asked of the contract)."""
        seal, windows = self.seals[number][0], self.params.windows
        counts = (seal.as_of.to_bytes(32, "big"), seal.forced.to_bytes(32, "big"), seal.aggregator.rjust(32, b"\0"))
        parts = (seal.roster_digest, seal.bundle, seal.model, seal.trace, *counts)
        ring = -(-windows.challenge // windows.min_round) + 1
        final_at = seal.sealed_at + windows.challenge
        claims = (seal.claim_root, seal.claim_total, seal.claim_count)
        return ClaimRecord(keccak256(b"".join(parts)), *claims, final_at, number % ring)

    def challenge(self, number: int, *, bond: int = 0, who: Account | None = None) -> Outcome:
        """Open a dispute about a sealed round."""
        challenger = who or account("challenger")
        if bond:
            self.world.fill(challenger)
        return self.world.disputes.send(challenger, "challenge", self.task, number, self.seals[number][0], bond)

    def judge(self, number: int, upheld: bool, *, bond: int = 0, who: Account | None = None) -> Outcome:
        """Decide a dispute; an upheld one voids the seal and all later rounds."""
        challenger = (who or account("challenger")).address
        done = self.world.disputes.send(
            account("anyone"), "judge", self.task, number, self.seals[number][0], upheld, challenger, bond,
            self.params.aggregators,
        )  # fmt: skip
        if upheld:
            self.seals = {r: s for r, s in self.seals.items() if r < number}
            self.rosters = {r: s for r, s in self.rosters.items() if r <= number}
        return done

    def close(self, *, at: int | None = None) -> Outcome:
        """Close the books, at a time or once that can be: the last sealed round final, a compensated roster safe."""
        last = self.round - 1
        if at is not None:
            self.world.wait(at)
        elif last >= 0:
            self.finalize(last)
        if at is None and self.phase == COMPENSATED:
            self.world.wait(max(self.world.evm.now, self.closable_at))
        record = self.claim_record(last) if last >= 0 else NO_CLAIMS
        roster = self.rosters[self.round][0] if self.round in self.rosters else NO_ROSTER
        return self.world.settlement.send(account("anyone"), "closeTask", self.task, record, roster)

    @property
    def closable_at(self) -> int:
        """From when the books of a compensated task can be closed; until then its roster can fall."""
        return int(self.head[1]) + self.params.windows.takeover

    def compensate(self, index: int) -> Outcome:
        """Claim the compensation of a leaf of the failed round's roster."""
        number = self.round
        record, tree = self.rosters[number]
        return self.world.settlement.send(
            account("anyone"), "claimCompensation", self.task, number, record, tree.leaf(index), tree.path(index)
        )

    def withdraw(self, who: Account) -> int:
        """Withdraw an account's credit; return what arrived."""
        return int(self.world.escrow.send(account("anyone"), "withdraw", self.task, who.address).output[0])


def holdings(world: World, tasks: Sequence[int], people: Callable[[], Sequence[bytes]] | Sequence[bytes]) -> int:
    """Return what the escrow owes: pots plus stakes, credits and bonds of these people in these tasks, in wei."""
    names = people() if callable(people) else people
    owed = 0
    for task in tasks:
        funded, paid = world.escrow.call("account", task)
        owed += funded - paid
        for who in names:
            stake, credit, _claimed, _flags = world.escrow.call("member", task, who)
            owed += stake + credit + world.escrow.call("bondOf", task, who)
    return owed


def escrow_balance(world: World, token: Contract | None = None) -> int:
    """Return the escrow's token balance, in wei."""
    return int((token or world.token).call("balanceOf", world.escrow.address))
