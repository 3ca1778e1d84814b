"""The hour: an owner, two hospitals with rows of their own and an auditor read their pages and type what stands there.

Each has a home, a wallet and a folder of its own, and a user of its own where the machine allows. Orders go over a
Flower SuperLink and SuperNodes, objects over the owner's store. It ends with tokens in wallets, a model that beats what
each hospital gets alone, and an audit that recomputed everything.
"""

from __future__ import annotations

import contextlib
import csv
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.support import pages
from tests.support.nodes import anvil, ganache
from tests.support.pages import Person, Staying, sections

pytestmark = pytest.mark.node

# Sections of pages whose every command is typed here, in this order.
RUN = {
    "owner.md": ("Your project", "Money, and everything up", "What you get"),
    "data-owner.md": ("Look first", "Join", "Be paid"),
    "auditor.md": ("As a stranger", "With a key"),
}
JOINED_S = 600.0
ROUNDS, EPOCHS = 2, 10
# What it takes; the other lines look, try, or do again.
NEEDED = ("new", "deploy", "task open", "up owner", "task model", "follow", "join", "rewards claim", "audit 1 --key")
CHAINS = {"anvil": anvil, "ganache": ganache}


def needed(typed: list[str]) -> set[str]:
    """Return of what was typed the lines without which it does not go."""
    return {line for line in typed for words in NEEDED if f" {words} " in f"{line} " and "--export" not in line}


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table."""
    with path.open(newline="") as stream:
        head, *rows = list(csv.reader(stream))
    return head, rows


def write_rows(path: Path, head: list[str], rows: list[list[str]]) -> None:
    """Write a table."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])


class Hour:
    """The people, and what they type."""

    def __init__(self, root: Path, network: str, url: str) -> None:
        self.network = network
        variables = {f"FL_PLATFORM_{network.upper()}_URL": url}
        self.owner = Person("owner", root / "owner", 0, variables)
        self.hospitals = [Person(f"hospital {name}", root / f"hospital-{name}", n) for n, name in ((1, "a"), (2, "b"))]
        self.auditor = Person("auditor", root / "auditor", 3)
        self.left = {(page, name): list(sections(page)[name]) for page, names in RUN.items() for name in names}

    def line(self, page: str, section: str) -> str:
        """Return the next line of a section, for this network."""
        return self.left[page, section].pop(0).replace("--network anvil", f"--network {self.network}")

    def prepare_project(self, party: str) -> None:
        """Type the first section; keep some rows and give the hospitals others: small tumours, and large ones."""
        for line in self.left.pop(("owner.md", "Your project")):
            self.owner(line)
            if line == "cd mine":
                self._share_rows()
                self._edit(party)

    def _share_rows(self) -> None:
        head, rows = rows_of(self.owner.folder / "rows.csv")
        rows = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
        self.kept, rest = rows[:170], sorted(rows[170:], key=lambda row: float(row[0]))
        third = int(0.3 * len(rest))
        self.parts, self.head = (rest[:third], rest[-third:]), head
        write_rows(self.owner.folder / "rows.csv", head, self.kept)
        for hospital, part in zip(self.hospitals, self.parts, strict=True):
            write_rows(hospital.folder / "rows.csv", head, part)
            hospital.own(hospital.folder)

    def _edit(self, party: str) -> None:
        file = self.owner.folder / "federation.toml"
        text = file.read_text().replace("trainers = 4", "trainers = 2").replace("rounds = 5", f"rounds = {ROUNDS}")
        assert "trainers = 2" in text
        assert f"epochs = {EPOCHS}" in text
        file.write_text(text + f'auditor = ["{party}"]\n')

    @contextlib.contextmanager
    def up(self) -> Iterator[Staying]:
        """Pay, and run everything of the owner's while the block runs; the invitation is sent to everybody."""
        section = "owner.md", "Money, and everything up"
        self.owner(self.line(*section))
        self.owner(self.line(*section))
        with self.owner.staying(self.line(*section)) as up:
            up.await_text("is the invitation")
            for person in (*self.hospitals, self.auditor):
                person.receive(self.owner.folder / "hospital.toml")
            yield up

    def join(self) -> list[float]:
        """Let both hospitals look, join and train to the end; returns seconds from `join` to the first update."""
        (look,) = self.left.pop(("data-owner.md", "Look first"))
        join, again, status = self.left.pop(("data-owner.md", "Join"))
        for hospital in self.hospitals:
            assert "read it; it runs here only where your own --data names" in " ".join(hospital(look).split())
        begun = time.monotonic()
        first = []
        with contextlib.ExitStack() as stack:
            stays = [stack.enter_context(hospital.staying(join, answer="y\n")) for hospital in self.hospitals]
            for stay in stays:
                stay.await_text("round 0 trained and signed")
                first.append(time.monotonic() - begun)
            self.hospitals[0](status)
        # killed in the middle of the task; each goes on with the other command
        with contextlib.ExitStack() as stack:
            stays = [stack.enter_context(hospital.staying(again)) for hospital in self.hospitals]
            assert [stay.ended(JOINED_S) for stay in stays] == [0, 0], [stay.said() for stay in stays]
        return first

    def be_paid(self) -> list[int]:
        """Claim, and ask why; returns tokens paid, wei."""
        claim, why, trace, leave = self.left.pop(("data-owner.md", "Be paid"))
        paid = []
        for hospital in self.hospitals:
            (told,) = json.loads(hospital(f"{claim} --json -"))
            paid.append(int(told["withdrawn_wei"]))
            assert "admitted" in hospital(why)
            assert "wei earned up to and with this round" in hospital(trace)
            hospital(leave)
        return paid

    def audit(self) -> None:
        """As a stranger, then with the key, then looking at what the owner shows."""
        follow, stranger, verify = self.left.pop(("auditor.md", "As a stranger"))
        self.auditor(follow)
        self.auditor(stranger, code=3)
        self.auditor(verify, code=3)
        audit, export, watch, reputation = self.left.pop(("auditor.md", "With a key"))
        self.auditor(audit)
        self.auditor(export)
        self.auditor(watch, code=3)  # every window is over: nothing can be challenged any more
        self.auditor(reputation)
        model, show, status = self.left.pop(("owner.md", "What you get"))
        self.owner(model)
        assert "done" in self.owner(show)
        self.owner(status)

    def alone(self, part: list[list[str]]) -> float:
        """Return the accuracy on the owner's rows of what one hospital gets alone: plain PyTorch, as many epochs."""
        inputs, labels = self._tensors(part)
        torch.manual_seed(0)
        module = self._module()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
        for _ in range(ROUNDS * EPOCHS):
            for batch in torch.randperm(len(labels)).split(16):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(module(inputs[batch]), labels[batch]).backward()
                optimizer.step()
        return self._accuracy(module)

    def together(self) -> float:
        """Return the accuracy on the owner's rows of the model that was paid for."""
        module = self._module()
        module.load_state_dict(safetensors.torch.load_file(self.owner.folder / "model.safetensors"))
        return self._accuracy(module)

    def _module(self) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def _accuracy(self, module: torch.nn.Module) -> float:
        inputs, labels = self._tensors(self.kept)
        with torch.no_grad():
            return float((module(inputs).argmax(1) == labels).float().mean())

    def _tensors(self, rows: list[list[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        from fl_platform.templates.tabular.task import SCALE

        *names, target = self.head
        assert target == "malignant"
        scaled = [[(float(v) - SCALE[n][0]) / SCALE[n][1] for v, n in zip(row, names, strict=False)] for row in rows]
        return torch.tensor(scaled), torch.tensor([int(row[-1]) for row in rows])


@pytest.mark.parametrize("network", CHAINS)
def test_the_hour(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with CHAINS[network]() as node, tempfile.TemporaryDirectory(prefix="hour-") as folder:
        Path(folder).chmod(0o755)
        hour = Hour(Path(folder), network, node.url)
        make, show = hour.left["auditor.md", "With a key"][:2]
        hour.left["auditor.md", "With a key"] = hour.left["auditor.md", "With a key"][2:]
        hour.auditor(make)
        party = next(line.split()[-1] for line in hour.auditor(show).splitlines() if line.startswith("party"))
        hour.prepare_project(party)
        with hour.up() as up:
            first = hour.join()
            up.await_text("the store stays up")
            paid = hour.be_paid()
            hour.audit()
        assert up.process.returncode == 0
        together, alone = hour.together(), [hour.alone(part) for part in hour.parts]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    with capsys.disabled():
        print(
            f"\nthe hour on {network}: {time.monotonic() - begun:.0f} s, {cpu:.0f} CPU-s; join to first update "
            f"{max(first):.0f} s; accuracy alone {alone[0]:.3f} and {alone[1]:.3f}, together {together:.3f}; users of "
            f"their own: {pages.other_users_work()}"
        )
        for person in (hour.owner, *hour.hospitals, hour.auditor):
            print(f"  {person.name} typed {len(person.typed)} lines, needed {len(needed(person.typed))}")
    assert len(needed(hour.owner.typed)) <= 6
    assert all(len(needed(hospital.typed)) <= 3 for hospital in hour.hospitals)
    assert min(paid) > 0
    assert together > max(alone) + 0.1
    assert {key: lines for key, lines in hour.left.items() if lines} == {}
