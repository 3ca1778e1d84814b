"""A small whole task in a temporary folder: real chain, store, training and roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fl_platform.attacks import parse_attacks
from fl_platform.audit.audit_report import AuditReport
from fl_platform.audit.auditor import Auditor
from fl_platform.cli.demo.federation import DemoParties, Settings, make_wallets, open_demo_task
from fl_platform.config import resolve
from fl_platform.learning.plan import TrainPlan
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace, reveal_key

QUICK = TrainPlan(1, 32, 0.1)


def small_settings(**changes: object) -> Settings:
    """Return five trainers on digits, one of whom flips labels."""
    values: dict[str, object] = {
        "data": "digits",
        "trainers": 5,
        "rounds": 2,
        "attacks": parse_attacks(["label-flip=1"]),
        "seed": 7,
        "byzantine": 1,
        "partition": "iid",
        "mnist": None,
        "plan": QUICK,
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


@contextmanager
def rehearsal(
    folder: Path, settings: Settings | None = None, *, accepted: frozenset[bytes] = frozenset()
) -> Iterator[tuple[Workspace, DemoParties]]:
    """Yield a workspace and parties that have opened a task, joined and bonded; `accepted`: roots of own programs."""
    chosen = settings or small_settings()
    with Workspace(folder, resolve("embedded", {}), password="test", light=True, accepted=accepted) as workspace:
        wallets = make_wallets(workspace, chosen)
        workspace.chain.fund(wallets["owner"].address, 10**21)
        workspace.deploy(wallets["owner"], with_token=True)
        yield workspace, open_demo_task(workspace, chosen, wallets, lambda _: None)


def opener_for(workspace: Workspace, parties: DemoParties, reader: TaskReader, key: str | None) -> UpdateOpener | None:
    """Return what opens updates for a wallet by name; None for a stranger."""
    if key is None:
        return None
    signer = parties.wallets[key]
    return UpdateOpener(
        workspace.store, domain=reader.domain, spec=reader.spec,
        recipient=signer.address, key=reveal_key(signer),
    )  # fmt: skip


def audit(workspace: Workspace, parties: DemoParties, *, key: str | None = "auditor") -> AuditReport:
    """Audit with a reader of its own; `key` names the wallet, None is a stranger."""
    reader = workspace.reader(parties.task)
    return Auditor(reader, opener=opener_for(workspace, parties, reader, key)).audit()


def addresses(parties: DemoParties, kinds: Sequence[str]) -> set[bytes]:
    """Return the addresses of members of some kinds."""
    return {member.trainer.address for member in parties.members if member.kind in kinds}
