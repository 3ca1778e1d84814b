"""Evidence goes out behind a commitment to it, once, and not at all where it shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import TASKLESS, Step
from fl_platform.chain.types import TxReceipt
from fl_platform.errors import RpcUnavailable, TransactionReverted
from fl_platform.ledger.evidence import send_evidence
from fl_platform.protocol.receipt import Domain
from tests.support.chain import AGGREGATOR, ETHER, Stage, disputed_stage, receipt_of, wallet

TRAINER, CHALLENGER = wallet(10), wallet(11)


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with disputed_stage() as made:
        yield made


class Case:
    """A trainer that signed two receipts of a task of its own, and who shows it."""

    def __init__(self, stage: Stage, title: str) -> None:
        self.stage, self.own = stage, stage.as_(CHALLENGER)
        self.task = stage.open(stage.spec(title=title))
        stage.join(self.task, TRAINER)
        stage.bond(self.task, AGGREGATOR)
        self.first = receipt_of(TRAINER, self.task, 0)
        self.step = Step(self.task, TASKLESS, "equivocation")
        self.sent = self._nonce()

    def send(self, *, honest: bool = False, **how: object) -> TxReceipt | None:
        other = self.first if honest else replace(self.first, samples=11)
        referee = self.own.deployment.contract("Referee")
        domain = Domain(self.own.chain_id, self.own.ledger_address)
        shown = [part for one in (self.first, other) for part in (one, TRAINER.sign_receipt(one, domain).signature)]
        return send_evidence(
            self.own.chain, referee, referee, "equivocation", *shown, signer=CHALLENGER, step=self.step, **how  # type: ignore[arg-type]
        )  # fmt: skip

    def _nonce(self) -> int:
        return self.own.chain.backend.nonce(CHALLENGER.address)

    @property
    def transactions(self) -> int:
        return self._nonce() - self.sent

    @property
    def credit(self) -> int:
        return self.own.member(self.task, CHALLENGER.address).credit


def test_the_reward_is_whose_commitment_came_before(shared: Stage) -> None:
    case = Case(shared, "once")
    done = case.send()
    assert done is not None
    assert done.ok
    assert (case.transactions, case.credit) == (2, ETHER * 3 // 10)
    assert case.send() == done, "once over all restarts"
    assert case.transactions == 2


def test_stopped_anywhere_the_same_call_goes_out_behind_its_commitment(
    shared: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, chain = Case(shared, "stopped"), type(shared.chain)
    honest, calls = chain.send, list[tuple[str, object]]()

    def stops_at_the_evidence(self: Chain, contract: Contract, function: str, *arguments: Any, **how: Any) -> Any:
        calls.append((function, how.get("salt") or arguments[0]))
        if function != "commit" and len(calls) == 2:
            raise RpcUnavailable("stopped")
        return honest(self, contract, function, *arguments, **how)

    monkeypatch.setattr(chain, "send", stops_at_the_evidence)
    with pytest.raises(RpcUnavailable):
        case.send()
    assert case.send() is not None
    assert case.credit == ETHER * 3 // 10
    first, again = calls[:2], calls[2:]
    assert first == again, "another salt would be another commitment"
    assert [name for name, _ in again] == ["commit", "equivocation"]


def test_in_a_hurry_the_evidence_counts_and_the_pot_gets_the_reward(shared: Stage) -> None:
    case = Case(shared, "hurried")
    assert case.send(hurried=True) is not None
    assert (case.transactions, case.credit) == (1, 0)
    assert case.own.member(case.task, TRAINER.address).stake == 0


def test_nothing_is_sent_of_what_shows_nothing_or_is_done(shared: Stage) -> None:
    case = Case(shared, "nothing")
    with pytest.raises(TransactionReverted, match="Equivocations_NotShown"):
        case.send(honest=True)
    assert case.send(already=lambda: True) is None
    assert case.transactions == 0
