"""What taking part was worth to each party of data that come in parts: its model alone, the joint one, and its pay.

Tests: tests/unit/cli/test_demo_sites.py
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from fl_platform.cli.demo.federation import DemoParties
from fl_platform.learning.evaluation import Measured, measure
from fl_platform.learning.parameters import State
from fl_platform.learning.plan import FEDAVG, TrainPlan
from fl_platform.learning.task import LearningTask, rows_in_memory
from fl_platform.learning.train import Past, train_locally


@dataclass(frozen=True)
class Site:
    """One party's line of the report. Both models are measured on the same rows, which nobody learned from."""

    name: str
    address: str
    kind: str  # "honest" or its attack
    rows: int  # that it learns from
    alone: float  # the metric of what it learns from its own rows only, in as many rounds of the same plan
    joint: float  # the metric of the task's last model
    amount_wei: int  # its pay

    def to_json(self) -> dict[str, object]:
        """Return the line for `--json`."""
        return {**asdict(self), "alone": round(self.alone, 6), "joint": round(self.joint, 6)}


def sites_of(
    parties: DemoParties, names: tuple[str, ...], joint: Measured, paid: dict[bytes, int], *, seed: int
) -> list[Site]:
    """Train each party's rows alone and return a line each. `paid`: address -> wei."""
    initial = parties.aggregator.reader.model(parties.spec.initial_model)
    plan, rounds = TrainPlan.of(parties.spec.training), parties.spec.money.rounds
    sites = []
    for number, (name, member, party) in enumerate(
        zip(names, parties.members, parties.federation.parties, strict=True)
    ):
        alone = learn_alone(party, initial, plan, rounds, seed=seed + number)
        address = member.trainer.address
        sites.append(
            Site(
                name=name,
                address="0x" + address.hex(),
                kind=member.kind,
                rows=len(rows_in_memory(party)),
                alone=measure(party, alone).value,
                joint=joint.value,
                amount_wei=paid[address],
            )
        )
    return sites


def learn_alone(task: LearningTask, initial: State, plan: TrainPlan, rounds: int, *, seed: int) -> State:
    """Return what a party learns in `rounds` rounds of a task in which nobody else takes part."""
    plan = replace(plan, algorithm=FEDAVG, parameters=())  # of what the others do, nothing is left to correct for
    state = initial
    for number in range(rounds):
        update = train_locally(task, state, plan=plan, seed=seed * rounds + number, past=Past(number, rounds))
        state = {name: state[name] + change for name, change in update.delta.items()}
    return state
