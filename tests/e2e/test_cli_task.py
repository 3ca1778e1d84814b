"""One whole paid task by command line only: deploy, open, join, train, seal, prove, verify, claim, audit, leave.

On anvil and ganache every trainer, the owner's reference and the aggregator is a process of its own; on the embedded
chain, which one process holds at a time, the trainers run in the aggregator's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from fl_platform.learning.models import digits_mlp
from tests.support import nodes
from tests.support.cli import Cli, CliInside

TRAINERS = 4
ROUNDS = 2
POT = 100 * 10**18
STAKE = 50 * 10**18
NAMES = [f"trainer-{number}" for number in range(TRAINERS)]

Train = Callable[[Cli], Any]


def prepare(cli: Cli) -> None:
    """Everything before the first round."""
    cli("wallet", "new", "--light", "owner", "aggregator", "auditor", *NAMES)
    cli("deploy", "--wallet", "owner")
    cli("wallet", "fund", "owner", "aggregator", *NAMES, "--tokens", "200")
    opened = cli.report(
        "task", "open", "--wallet", "owner", "--trainers", str(TRAINERS), "--rounds", str(ROUNDS), "--pot", "100",
        "--epochs", "2", "--aggregator", "aggregator", "--auditor", "auditor", "--windows", "hourly",
        "--proofs", str(TRAINERS),
    )  # fmt: skip
    assert (opened["task"], opened["bounty_wei"]) == (1, ROUNDS * POT)
    for name in NAMES:
        cli("trainer", "join", "1", "--wallet", name)
    cli("aggregator", "bond", "1", "--wallet", "aggregator")
    assert len(cli.report("task", "list")[0]["members"]) == TRAINERS


def log_of(cli: Cli) -> tuple[str, str]:
    """Return the words that make a command write its rounds to the one log of all roles."""
    return "--log", f"jsonl:{cli.folder / 'rounds.jsonl'}"


def train_here(cli: Cli) -> Any:
    """Run all trainers in the aggregator's process."""
    return cli.report("aggregator", "run", "1", "--wallet", "aggregator", "--local", *log_of(cli))


def train_apart(cli: Cli) -> Any:
    """Run each trainer and the reference as a process of its own."""
    with contextlib.ExitStack() as stack:
        ways = [(name, "--part", f"{i}/{TRAINERS}") for i, name in enumerate(NAMES, 1)]
        crew = [
            stack.enter_context(cli.staying("trainer", "run", "1", "--wallet", *way, *log_of(cli)))
            for way in (*ways, ("owner", "--reference"))
        ]
        done = cli.report("aggregator", "run", "1", "--wallet", "aggregator", *log_of(cli))
        assert [process.wait(60) for process in crew] == [0] * (TRAINERS + 1)  # they go home when the task is over
    return done


def logged(cli: Cli, done: Any) -> None:
    """What every role wrote of its rounds."""
    lines = [json.loads(line) for line in (cli.folder / "rounds.jsonl").read_text().splitlines()]
    sealed = [line["values"] for line in lines if line["role"] == "aggregator"]
    assert [values["model"] for values in sealed] == [item["model"] for item in done["sealed"]]
    assert [(values["in_sum"], values["absent"]) for values in sealed] == [(TRAINERS, 0)] * ROUNDS
    for name, role in (*((name, "trainer") for name in NAMES), ("owner", "reference")):
        mine = [line for line in lines if (line["who"], line["role"]) == (name, role)]
        assert [line["round"] for line in mine][:ROUNDS] == list(range(ROUNDS))
        first, second = (line["values"] for line in mine[:ROUNDS])
        assert first["loss_last"] < first["loss_first"]
        assert first["validation_metric[accuracy]"] < second["validation_metric[accuracy]"]


def settle(cli: Cli) -> None:
    """Everything after the last round."""
    refused = cli("rewards", "claim", "1", "--wallet", "trainer-0", code=5)
    assert "--fast-forward" in refused.stderr
    mine = cli.report("rewards", "claim", "1", "--wallet", "trainer-0", "--withdraw", "--fast-forward")
    others = cli.report("rewards", "claim", "1", "--wallet", "owner", "--all", "--withdraw")
    paid = {item["account"]: item["withdrawn_wei"] for item in mine}
    for item in others:
        paid[item["account"]] = paid.get(item["account"], 0) + item["withdrawn_wei"]
    left = cli.report("task", "close", "1", "--wallet", "owner")["released_wei"]
    assert sum(paid.values()) + left == ROUNDS * POT
    rounding = paid.pop(cli.report("wallet", "show", "owner")["address"])
    assert rounding <= 2 * TRAINERS * ROUNDS
    assert sum(wei > 0 for wei in paid.values()) == TRAINERS + 1  # and the aggregator
    wallet = cli.report("wallet", "show", "trainer-0", "--balance")
    assert wallet["token_wei"] == 200 * 10**18 - STAKE + paid[wallet["address"]]
    assert cli.report("reputation", "record", "1", "--wallet", "owner")["trainers"] == TRAINERS


def look_back(cli: Cli) -> None:
    """What auditors and trainers are told."""
    assert cli.report("audit", "1", "--key", "auditor")["ok"]
    public = cli.report("audit", "1", "--public", code=3)
    assert public["ok"]
    assert public["unchecked"]
    told = cli("why", "trainer-1").stdout
    assert "Verdict admitted" in told
    assert "of the round's positive scores" in told
    assert "waiting to be withdrawn 0 tokens" in told
    left = cli.report("trainer", "leave", "1", "--wallet", "trainer-1", "--fast-forward")
    assert left["done"]
    assert left["returned_wei"] == STAKE


def take_the_model(cli: Cli, done: Any) -> None:
    """What the bounty paid for, as a file: as it was sealed, and measured on rows of one's own."""
    learned = cli.report("task", "model", "1", "-o", str(cli.folder / "model.safetensors"))
    assert (learned["round"], learned["model"], learned["own_rows"]) == (1, done["sealed"][1]["model"], None)
    digits_mlp().load_state_dict(load_file(learned["file"]))
    assert learned["sha256"] == hashlib.sha256(Path(learned["file"]).read_bytes()).hexdigest()
    assert learned["root"] in Path(learned["card"]).read_text()
    refused = cli("task", "model", "1", "-o", str(cli.folder / "model.safetensors"), code=5)
    assert "overwrite with --force" in refused.stderr
    whole = cli.report("task", "model", "1", "--force", "--data", "digits", "-o", str(cli.folder / "model.safetensors"))
    assert (whole["own_rows"]["metric"], whole["own_rows"]["rows"]) == ("accuracy", 360)
    assert whole["own_rows"]["value"] > 0.5
    digits_mlp().load_state_dict(load_file(whole["file"]))


def prove_and_verify(cli: Cli) -> None:
    """The last round's settlement is proved, handed in, and verified by whoever wants: from chain, file and bundle."""
    proof, folder = str(cli.folder / "proof.json"), cli.folder / "exported"
    done = cli.report("prove", "1", "--submit", "--wallet", "trainer-0", "--out", proof)
    assert (done["round"], done["trainers"], done["accepted_before"]) == (1, TRAINERS, None)
    assert done["development_key"]
    assert 250_000 < done["gas"] < 330_000
    again = cli.report("prove", "1", "1", "--submit", "--wallet", "trainer-1")
    assert (again["accepted_before"]["claimant"], again["transaction"]) == (done["claimant"], None)
    for words in (("verify", "1"), ("verify", "1", "1"), ("verify", "1", "--proof", proof)):
        lines = cli.report(*words, code=3)["lines"]
        said = {line["result"] for line in lines if line["layer"] == "S" and line["round"] == 1}
        assert "DIFFERENCE" not in said
        accepted = f"accepted on chain by {done['claimant']}, its claims are the sealed ones"
        assert any(accepted in line["why"] for line in lines)
    assert "DIFFERENCE" in cli("verify", "1", "0", "--proof", proof, code=4).stdout
    layers = cli.report("audit", "1", "--export", str(folder), code=3)["layers"]
    assert [line["layer"] for line in layers] == ["M", "P", "S"]
    first = str(cli.folder / "first.json")  # made by one who pays no gas, handed in by another
    cli("prove", "1", "0", "--claimant", "trainer-2", "--wallet", "owner", "--out", first)
    assert "only that wallet" in cli("prove", "1", "--submit", "--wallet", "trainer-1", "--from", first, code=5).stderr
    handed = cli.report("prove", "1", "--submit", "--wallet", "trainer-2", "--from", first)
    assert (handed["round"], handed["gas"] > 250_000) == (0, True)
    files = ["--bundle", str(folder / "round-1.bundle.json"), "--spec", str(folder / "spec.json")]
    more = ["--sums", str(folder / "round-1.sums"), "--models", str(folder)]
    told = cli("verify", *files, *more, "--proof", proof, code=3).stdout
    assert "M  equal: round 1: verdicts, weights, scores" in told
    assert "S  equal: round 1: the list of claims" in told
    assert "S  equal: round 1: the key of the proof" in told
    assert "DIFFERENCE" in cli("verify", *files, "--sums", str(folder / "round-0.sums"), code=4).stdout


def whole_task(cli: Cli, train: Train) -> None:
    """The story."""
    prepare(cli)
    done = train(cli)
    assert done["state"] == "done"
    assert [set(item["verdicts"].values()) for item in done["sealed"]] == [{"admitted", "reference"}] * ROUNDS
    logged(cli, done)
    prove_and_verify(cli)
    settle(cli)
    take_the_model(cli, done)
    look_back(cli)


def test_a_task_on_the_embedded_chain(tmp_path: Path) -> None:
    whole_task(CliInside(tmp_path), train_here)


@pytest.mark.node
@pytest.mark.parametrize("start", [nodes.anvil, nodes.ganache], ids=["anvil", "ganache"])
def test_a_task_of_many_processes(tmp_path: Path, start: Callable[[], AbstractContextManager[nodes.Node]]) -> None:
    with start() as node:
        variable = f"FL_PLATFORM_{node.name.upper()}_URL"
        whole_task(Cli(tmp_path, node.name, {variable: node.url}), train_apart)


@pytest.mark.node
def test_a_task_opens_on_a_rehearsal_of_sepolia(tmp_path: Path) -> None:
    """Sepolia's settings (chain id, two confirmations, safe head) against one-second blocks."""
    with nodes.sepolia_rehearsal(accounts=0) as node:
        cli = Cli(tmp_path, "sepolia", {"FL_PLATFORM_SEPOLIA_URL": node.url})
        cli("wallet", "new", "--light", "owner", "aggregator")
        deployed = cli.report("deploy", "--wallet", "owner")
        assert deployed["chain_id"] == nodes.SEPOLIA_CHAIN_ID
        assert "SettlementProofs" in deployed["contracts"]
        cli("wallet", "fund", "owner", "--tokens", "10")
        words = (
            "task", "open", "--wallet", "owner", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1",
            "--aggregator", "aggregator",
        )  # fmt: skip
        assert "anyone can forge proofs" in cli(*words, "--proofs", "2", code=7).stderr  # it needs a ceremony's key
        opened = cli.report(*words)
        assert [task["task"] for task in cli.report("task", "list")] == [opened["task"]]
        assert "no sealed round" in cli("prove", "1", "--wallet", "owner", code=5).stderr
        assert cli.report("verify", "1", code=3)["ok"]  # nothing is sealed yet; what it lacks a key for is listed
