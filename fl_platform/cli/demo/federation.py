"""The demo's parties: an owner, an aggregator, an auditor and trainers of whom some cheat, with wallets and data.

Tests: tests/adversarial/test_a08_lying_aggregator.py
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fl_platform.attacks import Attack, View
from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.dealing import Dealt
from fl_platform.learning.machine import CPU
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.public import NATURAL, PUBLIC, PublicData, public_data
from fl_platform.learning.task import LearningTask, TransformedTask
from fl_platform.learning.tasks import Federation, federate_public
from fl_platform.protocol.spec import Money, TaskSpec
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.membership import bond
from fl_platform.round.offer import Offer
from fl_platform.round.owner import Owner
from fl_platform.round.site import Site, code_of
from fl_platform.round.trainer import Conduct, Delta, TrainedRound, Trainer
from fl_platform.round.waiting import Watch
from fl_platform.round.witness import witnesses_here
from fl_platform.task.validating import ValidationBook, no_slice
from fl_platform.task.workspace import Workspace, party, reveal_key

TOKEN = 10**18  # wei
POT = 100 * TOKEN
STAKE = 50 * TOKEN
BOND = 200 * TOKEN
FEE_BPS = 500
HONEST = "honest"
SUCCESSOR = "successor"
LEAVE_ONE_OUT = "leave-one-out"


@dataclass(frozen=True)
class Settings:
    """What a person may choose."""

    data: str
    trainers: int
    rounds: int
    attacks: tuple[Attack, ...]
    seed: int
    byzantine: int
    partition: str  # empty: what suits the data
    mnist: Path | None
    model: str = ""  # empty: the data's usual one
    strict: bool = False  # rounds of two messages
    commitments: bool = True  # anybody can check the sums
    worth: str = "anchored"  # or "leave-one-out" on the owner's root rows
    lying: bool = False  # the first aggregator seals a lie; a second one is there to succeed it
    lie: str = "pay-itself"  # which one, see attacks.lying
    plan: TrainPlan | None = None  # of local training; None: what suits the data
    offer: Offer | None = None  # whole rules; None: those that the other words say

    def __post_init__(self) -> None:
        """Refuse what cannot work. Raises ConfigError."""
        if self.offer is None:
            public_data(self.data)
        if not 1 <= self.rounds <= 1000:
            raise ConfigError(f"{self.rounds} rounds; use 1 to 1000")
        needed = 2 * self.byzantine + 3 if self.byzantine else 1
        if not max(needed, 2) <= self.trainers <= 500:
            raise ConfigError(
                f"{self.trainers} trainers; multi-Krum with f={self.byzantine} needs {needed}, at most 500"
            )
        if len(self.attacks) >= self.trainers:
            raise ConfigError(f"{len(self.attacks)} attackers among {self.trainers} trainers; leave somebody honest")

    @property
    def public(self) -> PublicData:
        """What is known of the data set."""
        return public_data(self.data)

    @property
    def natural(self) -> bool:
        """Whether the rows stay with the parties that held them."""
        return self.data in PUBLIC and (self.partition or self.public.partition) == NATURAL

    @property
    def rows(self) -> str:
        """What a test row is, in the plural."""
        return self.public.rows if self.data in PUBLIC else "rows"


@dataclass(frozen=True)
class Member:
    """One trainer of the demo."""

    name: str
    kind: str  # "honest" or the attack's name
    trainer: Trainer


@dataclass(frozen=True)
class DemoParties:
    """Everybody, ready to start."""

    task: int
    spec: TaskSpec
    federation: Federation | Dealt
    members: tuple[Member, ...]
    reference: Trainer
    aggregator: Aggregator
    wallets: dict[str, Signer]

    @property
    def everybody(self) -> tuple[Trainer, ...]:
        """All who answer orders: the trainers, and the owner where worth has a row 0."""
        everybody = tuple(member.trainer for member in self.members)
        return (*everybody, self.reference) if self.spec.worth.kind == "anchored" else everybody


class Rehearsed(Conduct):
    """An attack of `fl_platform.attacks` as a trainer's conduct."""

    def __init__(self, attack: Attack, *, seed: int, hostile: int) -> None:
        self._attack, self._hostile = attack, hostile
        self._rng = np.random.default_rng(seed)

    def forge(self, trained: TrainedRound) -> Delta:
        return self._attack.forge(
            View(
                honest=trained.update.delta,
                parent=trained.parent,
                previous=trained.previous,
                rng=self._rng,
                round=trained.order.round,
                hostile=self._hostile,
            )
        )

    def tamper(self, plain: bytes) -> bytes | None:
        return self._attack.tamper(plain)


def make_wallets(workspace: Workspace, settings: Settings) -> dict[str, Signer]:
    """Create everybody's wallet; keys follow from the seed, so that two runs with one seed are equal to the byte."""
    names = ["owner", "aggregator", SUCCESSOR, "auditor", *(f"trainer-{i}" for i in range(settings.trainers))]
    return {
        name: workspace.create_wallet(
            name, private_key=hashlib.sha256(f"fl-platform demo wallet {settings.seed} {name}".encode()).digest()
        )
        for name in names
    }


def open_demo_task(
    workspace: Workspace,
    settings: Settings,
    wallets: dict[str, Signer],
    watch: Watch,
    *,
    federation: Federation | Dealt | None = None,
) -> DemoParties:
    """Fund wallets, open the task, let everybody join. The contracts are deployed already.

    `federation`: other data than the settings', dealt to as many parties.
    """
    federation = federation or _deal(settings)
    offer = _offer(workspace, settings, wallets, federation)
    money = offer.money
    needed = {"owner": money.pot * money.rounds, "aggregator": money.bond}
    if settings.lying:  # the successor locks a bond, too, and the watcher one with each challenge
        needed |= {SUCCESSOR: money.bond, "auditor": money.bond}
    for name, signer in wallets.items():
        workspace.fund(signer, tokens=needed.get(name, money.stake if name.startswith("trainer") else 0))
    spec, initial = offer.draft(
        federation.owner,
        owner=party(wallets["owner"]),
        aggregators=tuple(
            party(wallets[name]) for name in (("aggregator", SUCCESSOR) if settings.lying else ("aggregator",))
        ),
        auditors=(party(wallets["auditor"]),),
    )
    task = Owner(contracts=workspace.contracts(wallets["owner"]), store=workspace.store).open(spec, initial)
    parties = _enlist(workspace, settings, wallets, federation, task=task, spec=spec, watch=watch)
    for member in parties.members:
        member.trainer.join()
    for name in ("aggregator", SUCCESSOR) if settings.lying else ("aggregator",):
        bond(workspace.reader(task), workspace.contracts(wallets[name]))
    return parties


def reopen(workspace: Workspace, settings: Settings, earlier: DemoParties) -> DemoParties:
    """Enlist everybody again in a folder that is open anew: what processes do that are started again."""
    return _enlist(
        workspace,
        settings,
        earlier.wallets,
        earlier.federation,
        task=earlier.task,
        spec=earlier.spec,
        watch=lambda _: None,
    )


def aggregator_of(workspace: Workspace, parties: DemoParties, wallet: str, watch: Watch) -> Aggregator:
    """Return an honest aggregator for a wallet of the demo."""
    return Aggregator(
        reader=workspace.reader(parties.task),
        contracts=workspace.contracts(parties.wallets[wallet]),
        reveal_key=reveal_key(parties.wallets[wallet]),
        workdir=workspace.role_folder(wallet),
        wait_until=workspace.chain.wait_until,
        watch=watch,
        witnesses=witnesses_here(workspace, parties.task, parties.wallets.values()),
    )


def _deal(settings: Settings) -> Federation:
    return federate_public(
        settings.public,
        parties=settings.trainers,
        model=settings.model,
        partition=settings.partition,
        seed=settings.seed,
        folder=settings.mnist,
    )


def _enlist(
    workspace: Workspace,
    settings: Settings,
    wallets: dict[str, Signer],
    federation: Federation | Dealt,
    *,
    task: int,
    spec: TaskSpec,
    watch: Watch,
) -> DemoParties:
    book = _book(settings, wallets, federation.root)
    aggregator = Aggregator(
        reader=workspace.reader(task),
        contracts=workspace.contracts(wallets["aggregator"]),
        reveal_key=reveal_key(wallets["aggregator"]),
        workdir=workspace.role_folder("aggregator"),
        wait_until=workspace.chain.wait_until,
        watch=watch,
        reveal_slice=book.reveal if spec.worth.kind == LEAVE_ONE_OUT else no_slice,
        witnesses=witnesses_here(workspace, task, wallets.values()),
    )
    members = _members(workspace, settings, wallets, federation.parties, task)
    reference = _trainer(workspace, settings, wallets["owner"], federation.owner, task, "owner", Conduct())
    return DemoParties(task, spec, federation, members, reference, aggregator, wallets)


def _offer(
    workspace: Workspace, settings: Settings, wallets: dict[str, Signer], federation: Federation | Dealt
) -> Offer:
    """Return the whole rules that are offered, in the token of this chain."""
    token = workspace.contracts().faucet.address
    offer = settings.offer or Offer(
        title=f"demo: {settings.data}, seed {settings.seed}",
        model_name=federation.model_name,
        money=Money(token, POT, settings.rounds, STAKE, BOND, FEE_BPS),
        trainers=settings.trainers,
        plan=settings.plan or settings.public.plan,
        seed=settings.seed,
        byzantine=settings.byzantine,
        strict=settings.strict,
        worth=settings.worth,
        commitments=settings.commitments,
    )
    root = _book(settings, wallets, federation.root).root if offer.worth == LEAVE_ONE_OUT else offer.validation_root
    return replace(offer, money=replace(offer.money, token=token), validation_root=root)


def _book(settings: Settings, wallets: dict[str, Signer], rows: Labelled) -> ValidationBook:
    """The owner's validation rows: its root rows, which nobody trains on when worth is evaluated."""
    return ValidationBook(rows, secret=wallets["owner"].derive(b"validation"), slices=settings.rounds)


def _members(
    workspace: Workspace, settings: Settings, wallets: dict[str, Signer], parties: Sequence[LearningTask], task: int
) -> tuple[Member, ...]:
    members = []
    honest = settings.trainers - len(settings.attacks)
    for i, learning in enumerate(parties):
        attack = settings.attacks[i - honest] if i >= honest else None
        name = f"trainer-{i}"
        conduct: Conduct = Conduct()
        if attack is not None:
            learning = TransformedTask(learning, _poisoner(attack, settings.public.classes))
            conduct = Rehearsed(attack, seed=settings.seed * 1000 + i, hostile=len(settings.attacks))
        trainer = _trainer(workspace, settings, wallets[name], learning, task, name, conduct)
        members.append(Member(name, HONEST if attack is None else attack.name, trainer))
    return tuple(members)


def _poisoner(attack: Attack, classes: int) -> Callable[[Labelled], Labelled]:
    def poison(rows: Labelled) -> Labelled:
        return Labelled(rows.x, attack.poison(rows.y, classes=classes))

    return poison


def _trainer(
    workspace: Workspace, settings: Settings, signer: Signer, learning: LearningTask, task: int, name: str,
    conduct: Conduct,
) -> Trainer:  # fmt: skip
    return Trainer(
        reader=workspace.reader(task),
        contracts=workspace.contracts(signer),
        signer=signer,
        learning=learning,
        workdir=workspace.role_folder(name),
        machine=CPU,
        conduct=conduct,
        site=Site(workspace.root, code_of(settings.data)),
    )
