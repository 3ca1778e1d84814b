"""`--attack lying-aggregator=1`: an aggregator that seals a lie, and the watcher that has it slashed."""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.attacks.lying import BEND_SUMS, LIES, bend_sums
from fl_platform.chain import events as ev
from fl_platform.chain.bisections import Bisections
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.history import TaskHistory
from fl_platform.chain.work_evidence import parts_of, statement_of
from fl_platform.cli.demo.federation import Cast
from fl_platform.contribution.judge import Judgement
from fl_platform.contribution.tracing import layout_of
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.roles.aggregator import Aggregator, SealedRound
from fl_platform.roles.opening import UpdateOpener
from fl_platform.roles.tracing import sealed_trace
from fl_platform.roles.waiting import Watch
from fl_platform.roles.watcher import Finding, Watcher
from fl_platform.roles.workspace import Workspace, reveal_key

ATTACK = "lying-aggregator"
DEFAULT_LIE = "pay-itself"


class LyingAggregator(Aggregator):
    """Seals `lie` of what it found in round `when`, bundle and trace alike; honest in every other round."""

    lie: str = DEFAULT_LIE
    when: int = 0

    def _store(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> SealedRound:
        if self.lie == BEND_SUMS and round_number == self.when:
            before = self.reader.current_state()
            judged = bend_sums(self.reader.spec, before, self.reader.model(before.model), judged)
        return super()._store(round_number, entries, judged, validation)

    def _bundle(
        self,
        round_number: int,
        entries: tuple[Entry, ...],
        judged: Judgement,
        aggregate: bytes,
        validation: tuple[str, ...],
    ) -> RoundBundle:
        honest = super()._bundle(round_number, entries, judged, aggregate, validation)
        return LIES[self.lie](honest) if round_number == self.when else honest

    def _question(self, sealed: SealedRound) -> None:
        """Nobody who lies asks whether it will be found out."""

    def rostered(self, round_number: int) -> tuple[Leaf, ...]:
        """Return the leaves of a round's roster, in order: what compensation is claimed with."""
        return tuple(entry.leaf for entry in self._load_entries(round_number) if not entry.forced)


def lying_aggregator(
    workspace: Workspace, cast: Cast, *, when: int, lie: str = DEFAULT_LIE, watch: Watch = lambda _: None
) -> LyingAggregator:
    """Return an aggregator in the place of the cast's that lies in round `when`. Raises KeyError: unknown lie."""
    signer = cast.wallets["aggregator"]
    liar = LyingAggregator(
        reader=workspace.reader(cast.task),
        contracts=workspace.contracts(signer),
        reveal_key=reveal_key(signer),
        workdir=workspace.role_folder("aggregator"),
        wait_until=workspace.chain.wait_until,
        watch=watch,
    )
    if lie not in LIES:
        raise KeyError(lie)
    liar.lie, liar.when = lie, when
    return liar


def split_falsely(workspace: Workspace, cast: Cast) -> None:
    """What a liar does that will not give up: split the numbers in question, each lie hidden in the last part."""
    signer = cast.wallets["aggregator"]
    reader, games = workspace.reader(cast.task), Bisections(Disputes(workspace.contracts(signer), signer))
    for found in games.open_games(cast.task):
        bundle = reader.bundle(found.game.round)
        statement = statement_of(sealed_trace(reader, bundle), found.row, found.column)
        tensors = layout_of(reader.spec, bundle.before.scale)
        parts, _ = parts_of(found.game.count)
        even = found.game.claimed // parts
        if not found.game.answered:
            told = [*[even] * (parts - 1), found.game.claimed - even * (parts - 1)]
            games.split(found.number, statement, told, tensors)


def play_out(workspace: Workspace, cast: Cast, watcher: Watcher, finding: Finding) -> Finding:
    """Go on with a finding's games until the seal falls, the liar answering each move; the finding as it ends."""
    while finding.games and not finding.upheld:
        split_falsely(workspace, cast)
        finding = watcher.follow(finding)
    return finding


def watcher_of(workspace: Workspace, cast: Cast, *, wallet: str = "auditor") -> Watcher:
    """Return a watcher whose transactions come from a wallet of the cast that holds a key to the updates."""
    signer, reader = cast.wallets[wallet], workspace.reader(cast.task)
    opener = UpdateOpener(workspace.store, domain=reader.domain, recipient=signer.address, key=reveal_key(signer))
    contracts = workspace.contracts(signer)
    disputes = Disputes(contracts, signer)
    contracts.mint(signer.address, disputes.bond(cast.task))  # what a game or a demand locks
    return Watcher(reader, disputes, opener=opener)


@dataclass(frozen=True)
class Slashed:
    """One slash, as `--json` shows it."""

    address: str
    role: str
    amount_wei: int
    why: str


@dataclass(frozen=True)
class Compensated:
    """What one address got from a compensation."""

    address: str
    amount_wei: int


def slashed_of(history: TaskHistory, *, why: str) -> tuple[Slashed, ...]:
    """Return every slash of a task. `why`: the watcher's finding, in words."""
    aggregators = history.opened.aggregators
    return tuple(
        Slashed(
            "0x" + event.account.hex(), "aggregator" if event.account in aggregators else "trainer", event.amount, why
        )
        for event in history.events
        if isinstance(event, ev.StakeSlashed) and event.amount
    )


def compensated_of(history: TaskHistory) -> tuple[Compensated, ...]:
    """Return what compensation paid, by address."""
    return tuple(
        Compensated("0x" + event.trainer.hex(), event.amount)
        for event in history.events
        if isinstance(event, ev.CompensationClaimed)
    )
