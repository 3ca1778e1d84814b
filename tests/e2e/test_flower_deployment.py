"""One SuperLink and SuperNodes as real processes over TLS with registered node keys, a real round on a real anvil."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_platform.config import Network
from fl_platform.flower.deployment import SuperLink, courier_run, run_status, superlink, supernode
from fl_platform.flower.keys import create_certificates, create_node_key
from fl_platform.flower.members import members_of
from fl_platform.flower.order_queue import OrderQueue
from fl_platform.flower.server_app import QUEUE_KEY
from fl_platform.flower.trainer_server import Answering, serve, serve_trainer
from tests.support.chain import stage
from tests.support.nodes import anvil
from tests.support.small_task import SmallTask, open_small_task

pytestmark = pytest.mark.node


class Stranger:
    """A trainer whose node is registered with the SuperLink but bound to no member."""

    def __init__(self) -> None:
        self.asked = 0

    def handle(self, message: bytes) -> bytes:
        """Be asked."""
        self.asked += 1
        return message


@contextlib.contextmanager
def federation(folder: Path, task: SmallTask, stranger: Answering) -> Iterator[tuple[SuperLink, int, OrderQueue]]:
    """Run a SuperLink, the members' SuperNodes, a stranger's, and the courier."""
    orders = OrderQueue(timeout_s=120, members=lambda: members_of(task.reader))
    keys = (*task.node_keys, create_node_key(folder, "stranger-key"))
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(superlink(folder, create_certificates(folder)))
        for number, (trainer, key) in enumerate(zip((*task.trainers, stranger), keys, strict=True)):
            path = folder / f"{number}.sock"
            stack.enter_context(serve_trainer(trainer, path))
            stack.enter_context(supernode(link, folder, f"supernode-{number}", key=key, trainer=path))
        stack.callback(serve(folder / "orders", orders.handle, lock=contextlib.nullcontext()).stop)
        run_id = stack.enter_context(courier_run(link, folder, {QUEUE_KEY: str(folder / "orders")}))
        stack.callback(orders.close)
        yield link, run_id, orders


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_a_round_passes_on_anvil(tmp_path: Path, strictness: str) -> None:
    stranger = Stranger()
    with anvil() as node, stage(Network("anvil", node.url)) as own:
        task = open_small_task(own, tmp_path / "task", trainers=2, strictness=strictness)
        folder = tmp_path / "f"
        folder.mkdir()
        with federation(folder, task, stranger) as (link, run_id, orders):
            (sealed,) = task.aggregator.run(orders)
            orders.close()
            while (status := run_status(link, run_id)) == "running":
                assert link.process.poll() is None
        history = task.reader.history()
    assert status == "finished:completed"
    assert [verdict.code for verdict in sealed.bundle.verdicts] == ["admitted", "admitted"]
    assert history.rounds[0].seal is not None
    assert history.rounds[0].seal.model == sealed.bundle.after.model_root
    assert stranger.asked == 0
