"""A whole round in one process, CPU-seconds by part, against bare PyTorch doing the same training.

Ten trainers with 600 rows each and the owner with 1,000 (its reference update, row 0), McMahan's MNIST CNN with
1,663,370 parameters, batches of 32, one epoch, int8, one thread: the demo's own parties and roles on the embedded chain
and a store on disk, from the order to the seal. Bare PyTorch trains the same eleven models from the same parent on the
same rows in a plain loop, and averages ten; it runs in turn with the rounds. A round is steady from the third on:
caches, compiled loops and public directions are there. Figures are medians.

Rows are MNIST's with --mnist FOLDER, else random images of MNIST's shape: the work is the same.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fl_platform.chain.client import Chain
from fl_platform.cli.demo.federation import DemoParties, Settings, make_wallets, open_demo_task
from fl_platform.config import resolve
from fl_platform.judging import judge, model_step, round_rows
from fl_platform.judging.commitments import Layer, Openings
from fl_platform.learning.datasets import Labelled, Split, load_mnist_split
from fl_platform.learning.parameters import State, load_state, state_arrays
from fl_platform.learning.public import PUBLIC
from fl_platform.learning.tasks import Federation, federate
from fl_platform.ledger.contracts import Contracts
from fl_platform.round import aggregator, committing, signing, trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.store.disk import DiskStore
from fl_platform.task import decrypting
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import Workspace
from fl_platform.updates import content, model_row
from scripts.bench.harness import Parts, Row, cpu_by_part, cpu_seconds

TRAINERS, ROWS = 10, 600
WARM, STEADY = 2, 3  # rounds
MODEL = "mnist-cnn"


@dataclass(frozen=True)
class Mode:
    """One way to run a task."""

    name: str
    commitments: bool
    strict: bool
    bar: float  # times bare PyTorch


MODES = (
    Mode("without commitments", commitments=False, strict=False, bar=1.3),
    Mode("with commitments", commitments=True, strict=False, bar=2.8),
    Mode("with commitments, strict", commitments=True, strict=True, bar=2.0),
)
# A part is the CPU time inside these functions, less that of other parts inside them.
PARTS: Parts = {
    "training": ((trainer, "train_locally"),),
    "encoding": ((trainer, "encode_update"),),
    "commitments": ((trainer, "commit_update"),),
    "proofs of knowledge": ((committing, "prove_knowledge"),),
    "sealing": ((trainer, "encrypt"), (trainer, "derive_update_key")),
    "key wraps": ((signing, "wrap_for_all"), (decrypting, "unwrap_key")),
    "store, writing": ((DiskStore, "put"),),
    "store, reading": ((DiskStore, "get"),),
    "opening updates": ((decrypting.UpdateOpener, "open"),),
    "content roots": ((content, "content_root"), (model_row, "content_root")),
    "checking commitments": ((Openings, "add"), (Openings, "faults"), (Layer, "faults"), (judge, "blinding_sums")),
    "inner products": ((round_rows, "products"),),
    "sum and new model": ((round_rows, "weighted_sum"), (model_step, "moved"), (judge, "encode_model")),
    "sums of earlier rounds": ((judge, "past_sums"),),
    "tape": ((judge, "evaluate"),),
    "decoding models": ((TaskReader, "model"), (TaskReader, "model_row")),
    "chain": (
        (Contracts, "roster_round"), (Contracts, "seal_round"), (Contracts, "history"), (Contracts, "window"),
        (Chain, "wait_until"),
    ),
    "own tape before the seal": ((aggregator, "require_true_tape"),),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the folder of MNIST's four files."""
    parser.add_argument("--mnist", type=Path, metavar="FOLDER", help="MNIST's gzipped files (default: random images)")


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure the three modes; --quick: two trainers, few rows, one steady round, no bar."""
    quick = bool(args.quick)
    trainers, rows, root = (2, 64, 64) if quick else (TRAINERS, ROWS, PUBLIC["mnist"].root_rows)
    split = _split(args.mnist, trainers * rows + root)
    federation = federate(split, model=MODEL, parties=trainers, root_rows=root, seed=1)
    named = "MNIST" if args.mnist else "random images of MNIST's shape"
    for mode in MODES:
        yield from _mode_rows(mode, federation, named, quick=quick)


def _split(folder: Path | None, count: int) -> Split:
    if folder is not None:
        whole = load_mnist_split(folder)
        return Split(whole.train.take(slice(count)), whole.test.take(slice(100)))
    rng = np.random.default_rng(1)
    train, test = (
        Labelled(rng.standard_normal((size, 1, 28, 28), np.float32), rng.integers(0, 10, size)) for size in (count, 100)
    )
    return Split(train, test)


def _mode_rows(mode: Mode, federation: Federation, data: str, *, quick: bool) -> Iterator[Row]:
    trainers = len(federation.parties)
    settings = Settings(
        "mnist", trainers, WARM + STEADY, (), seed=1, byzantine=0, partition="iid", mnist=None, strict=mode.strict,
        commitments=mode.commitments,
    )  # fmt: skip
    ours: list[dict[str, float]] = []
    bare: list[float] = []
    first = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace(Path(folder), resolve("embedded", {}), password="benchmark", light=True) as workspace,
    ):
        parties = _open(workspace, settings, federation)
        transport = LocalTransport(parties.everybody)
        for number in range(WARM + (1 if quick else STEADY)):
            spent = cpu_by_part(lambda: parties.aggregator.run(transport, rounds=1), PARTS)
            parent = parties.aggregator.reader.model(parties.aggregator.reader.current_state().model)
            train_bare = functools.partial(_train_bare, federation, parent)
            if number < WARM:
                first = first or spent["all"]
                train_bare()
                continue
            ours.append(spent)
            bare.append(cpu_seconds(train_bare))
    yield from _rows(mode, ours, bare, data, first=first, judged=not quick)


def _open(workspace: Workspace, settings: Settings, federation: Federation) -> DemoParties:
    """Do what the demo does before its first round."""
    wallets = make_wallets(workspace, settings)
    workspace.chain.fund(wallets["owner"].address, 10**21)
    workspace.deploy(wallets["owner"], with_token=True)
    return open_demo_task(workspace, settings, wallets, lambda _: None, federation=federation)


def _rows(
    mode: Mode, ours: list[dict[str, float]], bare: list[float], data: str, *, first: float, judged: bool
) -> Iterator[Row]:
    whole, floor = statistics.median(spent["all"] for spent in ours), statistics.median(bare)
    ratio = whole / floor
    yield Row(
        f"round {mode.name}", whole, "CPU-s", f"bare PyTorch, reference update included, {data}", floor, ratio,
        f"<= {mode.bar:g}" if judged else None, ratio <= mode.bar if judged else None,
    )  # fmt: skip
    yield Row(f"round {mode.name}: the first round", first, "CPU-s")
    for part in (*PARTS, "rest"):
        seconds = statistics.median(spent.get(part, 0.0) for spent in ours)
        if seconds >= 0.0005:
            yield Row(f"round {mode.name}: {part}", round(seconds, 4), "CPU-s", "the round", whole, seconds / whole)


def _train_bare(federation: Federation, parent: State) -> State:
    """Train every party's model and the owner's in plain PyTorch; return the mean of the parties'."""
    torch.set_num_threads(1)
    plan = PUBLIC["mnist"].plan
    trained = [
        _bare_model(federation, rows, parent, plan.batch_size, plan.learning_rate) for rows in _hands(federation)
    ]
    return {name: np.mean([state[name] for state in trained[1:]], axis=0) for name in parent}


def _hands(federation: Federation) -> list[Labelled]:
    return [federation.root, *(party.train_data() for party in federation.parties)]


def _bare_model(federation: Federation, rows: Labelled, parent: State, batch: int, rate: float) -> State:
    module = federation.factory()
    load_state(module, parent)
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs, targets = torch.tensor(rows.x), torch.tensor(rows.y)
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    for chosen in torch.split(torch.randperm(len(rows)), batch):
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(module(inputs[chosen]), targets[chosen]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return state_arrays(module)
