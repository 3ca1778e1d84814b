"""The demo from escrow to payout: one paid task, its audit in another process, and the audit of a damaged store.

Tests: tests/e2e/test_demo.py
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fl_platform.audit.why import MEANINGS
from fl_platform.cli.demo.federation import (
    SUCCESSOR,
    DemoParties,
    Settings,
    aggregator_of,
    make_wallets,
    open_demo_task,
)
from fl_platform.cli.demo.outcomes import Compensated, Slashed, compensated_of, slashed_of
from fl_platform.cli.demo.sites import Site, sites_of
from fl_platform.config import Network
from fl_platform.errors import IntegrityError, StoreMissing
from fl_platform.learning.dealing import Dealt
from fl_platform.learning.evaluation import Measured, measure
from fl_platform.learning.tasks import Federation
from fl_platform.protocol.bundle import Standing, by_account, claim_leaves
from fl_platform.round.aggregator import Aggregator, SealedRound
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Progress, Transport
from fl_platform.store.disk import DiskStore
from fl_platform.store.interface import Store
from fl_platform.store.opening import open_store
from fl_platform.store.pinning import TOKEN_VARIABLE
from fl_platform.task.workspace import Workspace, environment

PASSWORD = "demo"  # of throw-away wallets whose keys follow from the seed: never use them for anything else
PASSWORD_FILE = "demo-password"
MAX_OBJECT_BYTES = 1 << 30


@dataclass(frozen=True)
class Payout:
    """What one address got, and why."""

    address: str
    role: str
    amount_wei: int
    reason: str


@dataclass(frozen=True)
class AuditRun:
    """One audit by a process of its own."""

    exit_code: int
    ok: bool
    first_difference: str | None


@dataclass(frozen=True)
class DemoReport:
    """Everything the demo shows; `to_json` is a format that stays."""

    task: int
    metric: str
    values: tuple[float, ...]  # of the metric, after each round
    sites: tuple[Site, ...]  # of data that come in parts; else empty
    bounty_wei: int
    dust_wei: int
    payouts: tuple[Payout, ...]
    audit: AuditRun
    tampered_audit: AuditRun
    gas: Mapping[str, tuple[int, int]]  # call -> (times, gas in all)
    final_model: str
    claim_root: str
    bonus_wei: int  # slashed bonds that went to the trainers with the pots
    slashed: tuple[Slashed, ...]
    compensated: tuple[Compensated, ...]
    wall_s: float
    cpu_s: float

    def to_json(self) -> dict[str, object]:
        """Return the report for `--json`."""
        return {
            "task": self.task,
            "metric": self.metric,
            self.metric: list(self.values),
            "sites": [site.to_json() for site in self.sites],
            "bounty_wei": self.bounty_wei,
            "dust_wei": self.dust_wei,
            "payouts": [vars(payout) for payout in self.payouts],
            "audit": {"ok": self.audit.ok, "exit_code": self.audit.exit_code},
            "tampered_audit": {
                "ok": self.tampered_audit.ok,
                "exit_code": self.tampered_audit.exit_code,
                "first_difference": self.tampered_audit.first_difference,
            },
            "gas": {name: {"calls": calls, "gas": gas} for name, (calls, gas) in sorted(self.gas.items())},
            "final_model": self.final_model,
            "claim_root": self.claim_root,
            "bonus_wei": self.bonus_wei,
            "slashed": [vars(item) for item in self.slashed],
            "compensated": [vars(item) for item in self.compensated],
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
        }


@dataclass(frozen=True)
class Trained:
    """What the rounds came to."""

    measured: list[Measured]  # each new model
    last: SealedRound
    finding: str  # what the watcher found, in words; empty when nobody lied


@dataclass(frozen=True)
class DemoProgress:
    """What the demo tells whoever watches."""

    step: Callable[[Progress], None]
    measured: Callable[[SealedRound, Measured], None]
    note: Callable[[str], None]


Carrier = Callable[[DemoParties], AbstractContextManager[Transport]]


@contextmanager
def carry_locally(parties: DemoParties) -> Iterator[Transport]:
    """Call the trainers in this process."""
    yield LocalTransport(parties.everybody)


@contextmanager
def carry_by_simulation(parties: DemoParties) -> Iterator[Transport]:
    """Carry orders and answers through Flower's simulation engine. Raises ConfigError without the extra `sim`."""
    from fl_platform.flower.simulation import simulation_transport

    with simulation_transport(parties.everybody) as transport:
        yield transport


CARRIERS: Mapping[str, Carrier] = {"": carry_locally, "simulation": carry_by_simulation}


def run_demo(
    settings: Settings,
    *,
    network: Network,
    workdir: Path,
    progress: DemoProgress,
    store: str,
    carrier: Carrier = carry_locally,
    federation: Federation | Dealt | None = None,
) -> DemoReport:
    """Run the whole demo in `workdir` (new or empty). `federation`: other data than the settings'. Raises FLError.

    `store` in the words of `store.opening`: this process and the audit's open it each for itself.
    """
    wall, cpu = time.perf_counter(), _cpu_seconds()
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / PASSWORD_FILE).write_text(PASSWORD + "\n")
    held = open_store(store, pin_token=environment().get(TOKEN_VARIABLE))
    with Workspace(workdir, network, store=held, password=PASSWORD, light=True) as workspace:
        wallets = make_wallets(workspace, settings)
        workspace.chain.fund(wallets["owner"].address, 10**21)
        progress.note("deploying the contracts")
        workspace.deploy(wallets["owner"], with_token=True)
        progress.note("escrowing the bounty, locking stakes")
        parties = open_demo_task(workspace, settings, wallets, progress.step, federation=federation)
        with carrier(parties) as transport:
            trained = (
                _train_under_a_liar(workspace, parties, transport, progress, settings.lie)
                if settings.lying
                else _train(parties, parties.aggregator, transport, progress)
            )
        measured, last = trained.measured, trained.last
        progress.note("waiting out the challenge window, paying claims")
        dust = _settle(workspace, parties, last)
        payouts = _payouts(workspace, parties, last)
        sites = _sites(parties, settings, measured[-1], payouts, progress)
        gas = {name: (spent.count, spent.total) for name, spent in workspace.chain.gas.by_call().items()}
        history = workspace.contracts().history(parties.task)
        copy = _damaged_copy(workspace, parties, last)
    audit, tampered = _audits(parties.task, workdir, copy, network, store, progress)
    return DemoReport(
        task=parties.task,
        metric=measured[-1].metric,
        values=tuple(round(item.value, 6) for item in measured),
        sites=sites,
        bounty_wei=parties.spec.money.pot * parties.spec.money.rounds,
        dust_wei=dust,
        payouts=payouts,
        audit=audit,
        tampered_audit=tampered,
        gas=gas,
        final_model="0x" + last.bundle.after.model.hex(),
        claim_root="0x" + last.bundle.claims.digest.hex(),
        bonus_wei=history.bonus,
        slashed=slashed_of(history, why=trained.finding),
        compensated=compensated_of(history),
        wall_s=time.perf_counter() - wall,
        cpu_s=_cpu_seconds() - cpu,
    )


def _train(parties: DemoParties, aggregator: Aggregator, transport: Transport, progress: DemoProgress) -> Trained:
    """Run all rounds and measure each new model."""
    measured: list[Measured] = []
    last: SealedRound | None = None
    for _ in range(parties.spec.money.rounds):
        last = aggregator.run(transport, rounds=1)[0]
        measured.append(measure(parties.federation.owner, last.judgement.model))
        progress.measured(last, measured[-1])
    assert last is not None
    return Trained(measured, last, "")


def _train_under_a_liar(
    workspace: Workspace, parties: DemoParties, transport: Transport, progress: DemoProgress, lie: str
) -> Trained:
    """Let the first aggregator lie in round 0, the watcher have it slashed, and the successor do the work again."""
    from fl_platform.cli.demo.lying import lying_aggregator, pursue, watcher_of

    liar = lying_aggregator(workspace, parties, when=0, lie=lie, watch=progress.step)
    liar.run(transport, rounds=1)
    progress.note("a watcher audits the seal")
    watcher = watcher_of(workspace, parties)
    findings = [pursue(workspace, parties, watcher, found) for found in watcher.step(workspace.chain.now())]
    if not any(finding.upheld for finding in findings):
        raise IntegrityError(f"the lie was not undone: {'; '.join(map(str, findings)) or 'the watcher saw none'}")
    progress.note("the seal fell; the successor goes on")
    done = _train(parties, aggregator_of(workspace, parties, SUCCESSOR, progress.step), transport, progress)
    return Trained(done.measured, done.last, str(findings[0]))


def _settle(workspace: Workspace, parties: DemoParties, last: SealedRound) -> int:
    """Claim for everybody, withdraw, record reputations, close the books. Return the dust that went to the owner."""
    owner = workspace.contracts(parties.wallets["owner"])
    final = owner.history(parties.task).final_at(last.bundle.round)
    assert final is not None
    workspace.chain.wait_until(final)
    leaves = claim_leaves(last.bundle.after)
    for account, standing in by_account(last.bundle.after).items():
        if standing.earned:
            owner.claim(parties.task, last.bundle.round, leaves, account)
            owner.withdraw(parties.task, account)
    owner.record_reputation(parties.task, last.bundle.round, leaves)
    owner.close_task(parties.task)
    paid = last.bundle.after.allotted
    due = parties.spec.money.pot * parties.spec.money.rounds + owner.history(parties.task).bonus
    if paid != due:
        raise IntegrityError(f"payouts of {paid} do not sum to bounty and slashed bonds, {due}")
    return last.bundle.after.earned_by(parties.wallets["owner"].address)


def _payouts(workspace: Workspace, parties: DemoParties, last: SealedRound) -> tuple[Payout, ...]:
    """Who got what, from the token's own books."""
    standings = by_account(last.bundle.after)
    contracts = workspace.contracts()
    token = parties.spec.money.token
    rows = []
    for member in parties.members:
        address = member.trainer.address
        paid = contracts.token_balance(token, address)
        rows.append(
            Payout("0x" + address.hex(), f"trainer ({member.kind})", paid, _reason(parties, address, standings))
        )
    for party in parties.spec.aggregators:
        earned = standings[party.address].earned if party.address in standings else 0
        reason = (
            f"{parties.spec.money.fee_bps / 100:g} % of each pot it sealed" if earned else "sealed nothing that stands"
        )
        rows.append(Payout("0x" + party.address.hex(), "aggregator", earned, reason))
    return tuple(rows)


def _sites(
    parties: DemoParties, settings: Settings, joint: Measured, payouts: tuple[Payout, ...], progress: DemoProgress
) -> tuple[Site, ...]:
    """Compare what each party gets alone and from the task, where parties are more than hands that the demo dealt."""
    if not settings.natural:
        return ()
    progress.note("training each site's rows alone, to compare")
    paid = {bytes.fromhex(payout.address[2:]): payout.amount_wei for payout in payouts}
    return tuple(sites_of(parties, settings.public.parts, joint, paid, seed=settings.seed))


def _reason(parties: DemoParties, address: bytes, standings: Mapping[bytes, Standing]) -> str:
    """One line from the sealed bundles."""
    reader = parties.aggregator.reader
    bundles = [reader.bundle(number) for number in range(parties.spec.money.rounds)]
    verdicts = [v for bundle in bundles for v in bundle.verdicts if v.trainer == address]
    counted = sum(v.weight > 0 for v in verdicts)
    refusals: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.weight == 0:
            refusals[verdict.code] = refusals.get(verdict.code, 0) + 1
    total = sum(max(0, standing.score_sum) for standing in standings.values())
    share = 100 * max(0, standings[address].score_sum) / total if address in standings and total else 0.0
    parts = [f"in the sum {counted} of {len(bundles)} rounds", f"{share:.1f} % of the score"]
    parts += [
        f"{code} {times}x: {MEANINGS.get(code, 'refused as malformed')}" for code, times in sorted(refusals.items())
    ]
    return "; ".join(parts)


# --- audits ----------------------------------------------------------------------------------------------------------


def _audits(
    task: int, workdir: Path, copy: Path, network: Network, store: str, progress: DemoProgress
) -> tuple[AuditRun, AuditRun]:
    """Audit the task, and a copy of which one byte was changed."""
    progress.note("auditing in a process of its own")
    audit = _audit(task, workdir, network, store)
    progress.note("auditing a copy of the store with one byte changed")
    if network.embedded:
        shutil.copytree(workdir / "chain", copy / "chain")
    return audit, _audit(task, copy, network, f"disk:{copy / 'store'}")


def _audit(task: int, workdir: Path, network: Network, store: str) -> AuditRun:
    """Run `fl-platform audit` as a stranger would: another process, nothing shared but chain and store."""
    out = workdir / "audit.json"
    out.unlink(missing_ok=True)
    place = network.url if network.name == "rpc" else network.name
    command = [
        sys.executable, "-m", "fl_platform", "--workdir", str(workdir), "--network", place, "--store", store,
        "--password-file", str(workdir / PASSWORD_FILE), "audit", str(task), "--key", "auditor", "--json", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not out.exists():
        raise IntegrityError(f"the audit did not report (exit {done.returncode}): {done.stderr.strip()[-500:]}")
    report = json.loads(out.read_text())
    difference = report["first_difference"]
    return AuditRun(done.returncode, bool(report["ok"]), None if difference is None else difference["text"])


def _damaged_copy(workspace: Workspace, parties: DemoParties, last: SealedRound) -> Path:
    """Copy everything an auditor needs, with one byte of one admitted update flipped in the store."""
    copy = workspace.root / "tampered"
    shutil.rmtree(copy, ignore_errors=True)
    for name in ("deployments", "wallets"):
        shutil.copytree(workspace.root / name, copy / name)
    shutil.copyfile(workspace.root / PASSWORD_FILE, copy / PASSWORD_FILE)
    store = DiskStore(copy / "store")
    _copy_objects(parties, workspace.store, store)
    admitted = {v.trainer for v in last.bundle.verdicts if v.weight > 0}
    victim = next(e.receipt for e in last.bundle.entries if e.receipt.trainer in admitted)
    flip_byte(store.path_of(store.locate(victim.update)))
    return copy


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def _copy_objects(parties: DemoParties, source: Store, target: DiskStore) -> None:
    """Copy every object of the task that is there; whatever daemon served it, the copy is a folder."""
    reader = parties.aggregator.reader
    bundles = [reader.bundle(number) for number in range(parties.spec.money.rounds)]
    seals = [record.seal for record in reader.history().rounds if record.seal is not None]
    digests = [parties.spec.digest, parties.spec.initial_model, *(seal.bundle for seal in seals)]
    for bundle in bundles:
        digests += [bundle.aggregate, bundle.after.model, *(entry.receipt.update for entry in bundle.entries)]
    for digest in dict.fromkeys(digests):
        with suppress(StoreMissing):  # what an attacker never stored
            target.put(source.get(source.locate(digest), max_bytes=MAX_OBJECT_BYTES))


def _cpu_seconds() -> float:
    """CPU seconds of this process and of those it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
