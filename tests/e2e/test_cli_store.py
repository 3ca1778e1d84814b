"""Parties that share no disk: each has its own folder and wallet, one serves a store, and nothing else is in common.

On the embedded chain, which one process holds, the parties share a folder but read and write through the server alone.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fl_platform.store import DiskStore
from tests.support import nodes, served
from tests.support.cli import Cli, CliInside

TERMS = ("--trainers", "2", "--rounds", "2", "--pot", "10", "--epochs", "1", "--windows", "minutes")
OBJECTS = 2 + 2 + 2 * 6  # rules and model; two bindings; of each round three updates, roster, sums, bundle, model


@pytest.mark.slow
def test_a_task_through_a_served_store_on_the_embedded_chain(tmp_path: Path) -> None:
    cli = CliInside(tmp_path)
    cli("wallet", "new", "--light", "owner", "aggregator", "auditor", "one", "two")
    addresses = [cli.report("wallet", "show", name)["address"] for name in ("owner", "aggregator", "one", "two")]
    allowed = {bytes.fromhex(address[2:]) for address in addresses}
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "aggregator", "one", "two", "--tokens", "100")
    with served.serving(tmp_path / "served", members=allowed.__contains__) as server:
        store = ("--store", server.url)
        refused = cli(*store, "task", "open", "--wallet", "auditor", *TERMS, "--aggregator", "aggregator", code=5)
        assert "is no member of a task that this store serves" in refused.stderr
        opened = cli(
            *store, "task", "open", "--wallet", "owner", *TERMS, "--aggregator", "aggregator", "--auditor", "auditor",
            "--worth", "equal",
        )  # fmt: skip
        assert f"objects stored: 2 at {server.url}" in opened.stderr
        for name in ("one", "two"):
            cli(*store, "trainer", "join", "1", "--wallet", name)
        cli(*store, "aggregator", "bond", "1", "--wallet", "aggregator")
        done = cli.report(*store, "aggregator", "run", "1", "--wallet", "aggregator", "--local")
        assert [set(item["verdicts"].values()) for item in done["sealed"]] == [{"admitted"}] * 2
        assert cli.report(*store, "audit", "1", "--key", "auditor")["ok"]
        assert not (tmp_path / "w" / "store").exists()  # nothing lies in the parties' folder
        missing = cli("audit", "1", code=4)
        whose = f"It is the owner {addresses[0]} that should have it: name that party's store with --store"
        assert whose.lower() in missing.stderr.lower()  # addresses are shown with their checksum
        nowhere = cli("--store", server.url.replace("127.0.0.1", "127.0.0.3"), "wallet", "list")
        assert "owner" in nowhere.stdout  # a store is asked when it is needed
    gone = cli(*store, "audit", "1", code=6)
    assert "cannot be reached" in gone.stderr


@pytest.mark.node
def test_five_parties_that_share_a_chain_and_a_served_store(tmp_path: Path) -> None:
    with nodes.anvil() as node, contextlib.ExitStack() as stack:
        variables = {"FL_PLATFORM_ANVIL_URL": node.url}

        def party(name: str) -> Cli:
            (tmp_path / name).mkdir()
            made = Cli(tmp_path / name, "anvil", variables)
            made("wallet", "new", "--light", name)
            return made

        owner, aggregator, auditor = party("owner"), party("aggregator"), party("auditor")
        trainers = {name: party(name) for name in ("north", "south")}
        owner("deploy", "--wallet", "owner")
        deployed = tmp_path / "owner" / "w" / "deployments" / "anvil.json"
        for one in (aggregator, auditor, *trainers.values()):
            one("deploy", "--from", str(deployed))
        for name, one in (("owner", owner), ("aggregator", aggregator), *trainers.items()):
            one("wallet", "fund", name, "--tokens", "100")

        url = serve(stack, owner, tmp_path / "serving.json")
        store = ("--store", url)
        named = {role: one.report("wallet", "show", role)["party"] for role, one in
                 (("aggregator", aggregator), ("auditor", auditor))}  # fmt: skip
        owner(
            *store, "task", "open", "--wallet", "owner", *TERMS, "--aggregator", named["aggregator"],
            "--auditor", named["auditor"],
        )  # fmt: skip
        early = trainers["north"](*store, "trainer", "join", "1", "--reference", code=5)
        assert "is no member of a task" in early.stderr  # it has no stake yet
        for name, one in trainers.items():
            joined = one(*store, "trainer", "join", "1", "--wallet", name)
            assert f"at {url}" in joined.stderr
        aggregator(*store, "aggregator", "bond", "1")

        sockets = tmp_path / "sockets"
        sockets.mkdir()
        crew = [
            stack.enter_context(
                one.staying(*store, "trainer", "run", "1", "--part", f"{place}/2", "--socket",
                            str(sockets / f"{name}.sock"))
            )
            for place, (name, one) in enumerate(trainers.items(), 1)
        ]  # fmt: skip
        reference = sockets / "owner.reference.sock"
        crew.append(
            stack.enter_context(owner.staying(*store, "trainer", "run", "1", "--reference", "--socket", str(reference)))
        )
        ways = ("--trainers-sockets", str(sockets), "--patience", "240")
        done = aggregator.report(*store, "aggregator", "run", "1", *ways)
        assert [set(item["verdicts"].values()) for item in done["sealed"]] == [{"admitted", "reference"}] * 2
        assert [process.wait(60) for process in crew] == [0] * 3

        assert auditor.report(*store, "audit", "1", "--key", "auditor")["ok"]
        for one in (owner, aggregator, auditor, *trainers.values()):
            assert one is owner or not (one.folder / "w" / "store").exists()
        assert len(list(DiskStore(tmp_path / "owner" / "w" / "store").cids())) > OBJECTS
        shutil.rmtree(tmp_path / "owner" / "w" / "store" / "objects")
        assert "the owner 0x" in auditor(*store, "audit", "1", code=4).stderr


def serve(stack: contextlib.ExitStack, owner: Cli, told: Path) -> str:
    """Start the owner's server and return its address once it listens."""
    process = stack.enter_context(
        owner.staying("store", "serve", "--allow", "owner", "--bind", "127.0.0.1:0", "--json", str(told))
    )
    for _ in range(1200):
        if told.exists():
            return str(json.loads(told.read_text())["url"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            raise AssertionError(f"the server ended with {process.returncode}")
    raise AssertionError("the server did not start")
