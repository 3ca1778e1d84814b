"""`--attack lying-aggregator=1`: an aggregator that seals a lie, and the watcher that has it slashed.

Tests: tests/adversarial/test_a08_lying_aggregator.py
"""

from __future__ import annotations

from fl_platform.attacks.lying import DEFAULT_LIE, Lying
from fl_platform.cli.demo.federation import DemoParties
from fl_platform.dispute.defender import Defender
from fl_platform.dispute.referee import Referee
from fl_platform.dispute.watcher import Finding, Watcher
from fl_platform.judging.program import terms_of
from fl_platform.round.aggregator import Aggregator
from fl_platform.round.waiting import Watch
from fl_platform.round.witness import witnesses_here
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.workspace import Workspace, reveal_key

ASKS = 16  # questions that a watcher of the demo has the bonds for


def lying_aggregator(
    workspace: Workspace, parties: DemoParties, *, when: int, lie: str = DEFAULT_LIE, watch: Watch = lambda _: None
) -> Aggregator:
    """Return an aggregator in the place of the honest one that lies in round `when`. Raises KeyError: unknown lie."""
    signer = parties.wallets["aggregator"]
    return Aggregator(
        reader=workspace.reader(parties.task),
        contracts=workspace.contracts(signer),
        reveal_key=reveal_key(signer),
        workdir=workspace.role_folder("aggregator"),
        wait_until=workspace.chain.wait_until,
        watch=watch,
        witnesses=witnesses_here(workspace, parties.task, parties.wallets.values()),
        conduct=Lying(lie, when=when),
    )


def pursue(workspace: Workspace, parties: DemoParties, watcher: Watcher, finding: Finding) -> Finding:
    """Go on with what a watcher asked until the seal falls, the liar showing what it sealed; the finding as it ends."""
    signer = parties.wallets["aggregator"]
    referee = Referee(workspace.contracts(signer), signer)
    reader = workspace.reader(parties.task)
    liar = Defender(reader, referee, opener=opener_of(workspace, parties, "aggregator"))
    while finding.asked and not finding.upheld:
        if all(answer.problem for answer in liar.step(workspace.chain.now())):  # of what is not true there is no proof
            workspace.chain.wait_until(workspace.chain.now() + reader.spec.windows.takeover)
        finding = watcher.follow(finding)
    return finding


def watcher_of(workspace: Workspace, parties: DemoParties, *, wallet: str = "auditor") -> Watcher:
    """Return a watcher whose transactions come from a wallet of the demo that holds a key to the updates."""
    signer, reader = parties.wallets[wallet], workspace.reader(parties.task)
    contracts = workspace.contracts(signer)
    contracts.mint(signer.address, ASKS * ask_bond(workspace, parties))
    return Watcher(reader, Referee(contracts, signer), opener=opener_of(workspace, parties, wallet))


def ask_bond(workspace: Workspace, parties: DemoParties) -> int:
    """Return what a question about a seal costs until it is answered, wei."""
    return terms_of(workspace.reader(parties.task).spec).ask_bond


def opener_of(workspace: Workspace, parties: DemoParties, wallet: str) -> UpdateOpener:
    """Return what opens updates with the key of a wallet of the demo."""
    signer, reader = parties.wallets[wallet], workspace.reader(parties.task)
    return UpdateOpener(
        workspace.store, domain=reader.domain, spec=reader.spec, recipient=signer.address,
        key=reveal_key(signer),
    )  # fmt: skip
