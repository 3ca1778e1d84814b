"""What a round costs each trainer as more take part: digits, 4,810 parameters, one epoch, all in this process.

The demo's configuration: commitments, near-duplicates, Krum, worth against the owner's reference. CPU seconds of whole
rounds after the first (best of several), divided by the trainers. Of them, `trainers` is what trainers and reference
do with an order, `aggregator` all the rest: admission, inner products, scores, trace, seal and the embedded chain. The
rows are dealt among the trainers (180 each of 8, 3 each of 480), so that each trains less the more there are; nearly
all that a trainer pays here is its commitment and the proof that it knows what is in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fl_platform.cli.demo.federation import DemoParties, Settings, make_wallets, open_demo_task
from fl_platform.config import NETWORKS
from fl_platform.learning.public import PUBLIC
from fl_platform.protocol.messages import RevealOrder, RoundOrder
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting
from fl_platform.store.disk import DiskStore
from fl_platform.task.workspace import Workspace
from scripts.bench.harness import Row, at_most

COUNTS = {8: 6, 32: 3, 128: 2, 480: 1}  # trainers -> rounds after the first that are measured
BAR = 1.3
UNIT = "CPU-s a trainer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a person choose how many take part."""
    parser.add_argument("--counts", type=int, nargs="+", default=None, help=f"trainers; default {[*COUNTS]}")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure each number of trainers and hold its round against that of the first."""
    first: float | None = None
    for trainers in args.counts or ([8, 16] if args.quick else COUNTS):
        cost = measure(trainers, rounds=COUNTS.get(trainers, 1))
        name = f"{trainers} trainers: a round"
        if first is None:
            first = cost.whole
            yield Row(name, cost.whole, UNIT)
        else:
            beside = {"unit": UNIT, "reference": "the least number of trainers", "reference_value": first}
            yield at_most(name, cost.whole, BAR, ratio=cost.whole / first, **beside)
        yield Row(f"{trainers} trainers: of it, trainers", cost.trainers, UNIT)
        yield Row(f"{trainers} trainers: of it, aggregator", cost.whole - cost.trainers, UNIT)


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a round, divided by its trainers."""

    whole: float
    trainers: float  # what trainers and reference did


class Timed(LocalTransport):
    """Adds up what the trainers cost while they answer."""

    spent = 0.0

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterator[bytes]:
        """See Transport."""
        return self._timed(iter(super().exchange(order, waiting)))

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterator[bytes]:
        """See Transport."""
        return self._timed(iter(super().reveal(order, waiting)))

    def _timed(self, answers: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            started = time.process_time()
            answer = next(answers, None)
            self.spent += time.process_time() - started
            if answer is None:
                return
            yield answer


def measure(trainers: int, *, rounds: int) -> Cost:
    """Run one round and then `rounds` more; return the cheapest of these."""
    settings = Settings(
        data="digits", trainers=trainers, rounds=rounds + 1, attacks=(), seed=1, byzantine=2, partition="iid",
        mnist=None, plan=replace(PUBLIC["digits"].plan, epochs=1),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="fl-trainers-") as folder:
        store = DiskStore(Path(folder) / "store")
        with Workspace(Path(folder), NETWORKS["embedded"], store=store, password="demo", light=True) as workspace:
            return _measured(_parties(workspace, settings), trainers, rounds)


def _parties(workspace: Workspace, settings: Settings) -> DemoParties:
    wallets = make_wallets(workspace, settings)
    workspace.chain.fund(wallets["owner"].address, 10**21)
    workspace.deploy(wallets["owner"], with_token=True)
    return open_demo_task(workspace, settings, wallets, lambda _: None)


def _measured(parties: DemoParties, trainers: int, rounds: int) -> Cost:
    transport = Timed(parties.everybody)
    parties.aggregator.run(transport, rounds=1)
    costs = []
    for _ in range(rounds):
        transport.spent, started = 0.0, time.process_time()
        parties.aggregator.run(transport, rounds=1)
        costs.append(Cost((time.process_time() - started) / trainers, transport.spent / trainers))
    return min(costs, key=lambda cost: cost.whole)
