"""The gate of settlement proofs beside a platform: deployed, checked, left out, and used by a wallet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.evm import CHAIN_ID
from fl_platform.chain.types import Deployed
from fl_platform.config import MINIMAL
from fl_platform.errors import ConfigError, DeploymentMismatch, TransactionReverted, WalletError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import PROOFS, check
from fl_platform.ledger.proofs import CONTRACT, Proofs, add_proofs, left_out, list_hash
from tests.support.chain import AGGREGATOR, EMBEDDED, ETHER, OWNER, SUCCESSOR, Stage, stage
from tests.support.faults import FaultyBackend, Killed
from tests.support.settlement_vectors import round_of
from zk.settlement.prove import prove_settlement

TASK, ROUND = 3, 9


@pytest.fixture(scope="module")
def s() -> Iterator[Stage]:
    with stage() as made:
        deployment = add_proofs(made.chain, OWNER, made.owner.deployment)
        made.as_(SUCCESSOR)
        yield Stage(made.chain, Contracts(made.chain, deployment, OWNER))


def test_the_deployment_is_checked_with_its_proofs(s: Stage) -> None:
    right = s.owner.deployment
    check(s.chain, right)
    foreign = Deployed("SettlementVerifier4", right.contracts["SettlementVerifier16"].address)
    with pytest.raises(DeploymentMismatch, match="SettlementVerifier4: other code"):
        check(s.chain, replace(right, contracts={**right.contracts, "SettlementVerifier4": foreign}))
    second = add_proofs(s.chain, OWNER, right, label="second")
    mixed = {**right.contracts, CONTRACT: second.contracts[CONTRACT]}
    with pytest.raises(DeploymentMismatch, match=r"SettlementProofs trusts .* as SettlementVerifier"):
        check(s.chain, replace(right, contracts=mixed))


def test_a_platform_without_proofs_says_so() -> None:
    with stage() as made:
        assert CONTRACT not in made.owner.deployment.contracts
        with pytest.raises(ConfigError, match=r"no settlement proofs: run `fl-platform deploy` again"):
            Proofs(made.owner)


def test_development_keys_are_left_out_off_local_chains() -> None:
    assert [left_out(chain_id) for chain_id in (CHAIN_ID, 1337, 31337)] == [None] * 3
    why = left_out(11_155_111)
    assert why is not None
    assert "anyone can forge" in why
    assert "11155111" in why


def test_a_proof_is_handed_in_once_by_whom_it_was_made_for(s: Stage) -> None:
    proofs = Proofs(s.owner, SUCCESSOR)
    claimed = prove_settlement(round_of(4), proofs.context(TASK, ROUND, SUCCESSOR.address))
    assert proofs.accepted(TASK, ROUND) == ()
    assert proofs.accepted_list(TASK, ROUND, claimed.commitment) is None
    with pytest.raises(WalletError, match="--wallet"):
        Proofs(s.owner).submit(TASK, ROUND, claimed)
    with pytest.raises(TransactionReverted, match="Refused"):
        Proofs(s.owner, OWNER).submit(TASK, ROUND, claimed)
    sent = proofs.submit(TASK, ROUND, claimed)
    assert sent is not None
    (found,) = proofs.accepted(TASK, ROUND)
    assert (found.commitment, found.claimant) == (claimed.commitment, SUCCESSOR.address)
    assert found.list_hash == list_hash(claimed.values) == proofs.accepted_list(TASK, ROUND, claimed.commitment)
    assert proofs.accepted(TASK, ROUND + 1) == ()
    assert proofs.submit(TASK, ROUND, claimed) == sent  # done is done
    s.as_(AGGREGATOR)
    assert Proofs(s.owner, AGGREGATOR).submit(TASK, ROUND, claimed) is None  # somebody else's counts as done


def test_killed_at_any_call_it_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with EmbeddedBackend() as backend:
        backend.fund(OWNER.address, 100 * ETHER)
        with stage() as made:
            base = made.owner.deployment
            mark = backend.snapshot()
            counting = FaultyBackend(backend)
            expected = add_proofs(Chain(counting, EMBEDDED, policy=MINIMAL), OWNER, base)
            for k in range(4, counting.calls + 1, 5):
                backend.revert(mark)
                journal = folder / f"{k}"
                broken = FaultyBackend(backend, fail_at=k, after=bool(k % 2), error=Killed)
                with pytest.raises(Killed), Chain(broken, EMBEDDED, policy=MINIMAL, journal=journal) as dying:
                    add_proofs(dying, OWNER, base)
                again = Chain(backend, EMBEDDED, policy=MINIMAL, journal=journal)
                assert add_proofs(again, OWNER, base) == expected
                assert set(PROOFS) < set(expected.contracts)
                again.release_journal()
