"""Somebody else aggregates: its page and the owner's, typed by four people with folders of their own, over Flower.

The aggregator is reached by another name than loopback's address, so nodes come through its gate under TLS for that
name, and it is killed in the middle: what runs it starts it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from tests.support.nodes import anvil
from tests.support.pages import Person, Staying, sections

pytestmark = pytest.mark.node

# Sections of pages whose every command is typed here.
RUN = {"aggregator.md": ("Before the task is opened", "Work"), "owner.md": ("When somebody else aggregates",)}
TASK_S = 400.0  # on a busy machine; each Flower message starts processes


def kill_aggregator(up: Staying, folder: Path) -> None:
    """Kill the process of `aggregator run` that `up` has started, once it asks for the first round."""
    log = next(folder.glob("fl-workspace/roles/*/one/up-1")) / "aggregator.log"
    while "waiting for" not in log.read_text():
        with contextlib.suppress(Exception):
            up.process.wait(0.2)
            raise AssertionError(up.said())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"aggregator" in words and b"run" in words and str(folder).encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                return
    raise AssertionError("no aggregator runs")


def test_strangers() -> None:
    before, work = sections("aggregator.md")["Before the task is opened"], sections("aggregator.md")["Work"]
    (serve,) = sections("owner.md")["When somebody else aggregates"]
    with anvil() as node, tempfile.TemporaryDirectory(prefix="strangers-") as root, contextlib.ExitStack() as stack:
        Path(root).chmod(0o755)
        url = {"FL_PLATFORM_ANVIL_URL": node.url}
        owner = Person("owner", Path(root) / "owner", 0, url)
        aggregator, alice, bob = (Person(n, Path(root) / n, i) for i, n in enumerate(("agg", "alice", "bob"), 1))
        aggregator(before[0])
        said = aggregator(before[1])
        party = next(line.split()[-1] for line in said.splitlines() if line.startswith("party"))
        owner("fl-platform --network anvil deploy")
        owner(
            "fl-platform task open --trainers 2 --rounds 1 --pot 10 --epochs 1 --windows hourly --aggregator " + party
        )
        orders = owner.folder / "hospital.toml"
        referee = stack.enter_context(owner.staying(serve))
        referee.await_text("the reference waits for the aggregator's invitation")
        aggregator.receive(owner.folder / "task.toml")
        follow, up, show, leave = work
        aggregator(follow)
        upped = stack.enter_context(aggregator.staying(f"{up} --host localhost"))
        upped.await_text("is the invitation for data owners")
        for person in (alice, bob):
            person.receive(aggregator.folder / "hospital.toml")
        alice("fl-platform join hospital.toml --part 1/2", code=5)  # nobody is there to be asked
        joined = [
            stack.enter_context(person.staying(f"fl-platform join hospital.toml --part {part}/2", answer="y\n"))
            for part, person in enumerate((alice, bob), 1)
        ]
        kill_aggregator(upped, aggregator.folder)
        owner.receive(aggregator.folder / "hospital.toml")
        assert orders.exists()
        upped.await_text("disputes are answered until the last seal is final")  # a bond hangs on being there
        node.advance(3601)
        assert upped.ended(TASK_S) == 0, upped.said()
        assert "the aggregator ended with -9; it is started again" in upped.said()
        assert "round 0: waiting for" in upped.said()  # what its log says of rounds, it says here
        assert "round 0 sealed" in upped.said()
        assert [one.ended(60) for one in joined] == [0, 0]
        (told,) = json.loads(alice("fl-platform why me --json -"))
        assert told["rounds"][0]["verdict"] == "admitted"
        assert json.loads(bob("fl-platform audit 1 --json -", code=3))["ok"]  # from the owner's store, over the wire
        assert "done" in aggregator(show)
        assert "were paid to its wallet" in aggregator(leave)
