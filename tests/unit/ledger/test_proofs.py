"""The gate of settlement proofs beside a platform: deployed, checked, and used by a wallet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fl_platform.chain.client import Chain
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.types import Deployed
from fl_platform.config import MINIMAL
from fl_platform.errors import ConfigError, DeploymentMismatch, TransactionReverted, WalletError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import PROOFS, check
from fl_platform.ledger.proofs import Proofs, add_proofs
from tests.support.chain import AGGREGATOR, EMBEDDED, ETHER, OWNER, SUCCESSOR, Stage, stage
from tests.support.faults import FaultyBackend, Killed
from tests.support.own_keys import forged, own_key
from tests.support.settlements import ROUND, TASK, provable
from zk.settlement.binding import list_hash
from zk.settlement.proof import prove_settlement
from zk.settlement.proof_file import ProofFile


@pytest.fixture(scope="module")
def s() -> Iterator[Stage]:
    with stage() as made:
        deployment = add_proofs(made.chain, OWNER, made.owner.deployment)
        made.as_(SUCCESSOR)
        yield Stage(made.chain, Contracts(made.chain, deployment, OWNER))


def made_for(proofs: Proofs, claimant: bytes) -> ProofFile:
    """A proof of the smallest rule's round for this gate and claimant."""
    made = provable()
    context = proofs.context(TASK, ROUND, claimant, made.key.digest)
    return ProofFile(context, prove_settlement(made.circuit, made.parameters, made.tape, context), made.key)


def test_the_deployment_is_checked_with_its_proofs(s: Stage) -> None:
    right = s.owner.deployment
    check(s.chain, right)
    foreign = Deployed(PROOFS, right.contracts["Escrow"].address)
    with pytest.raises(DeploymentMismatch, match="SettlementProofs: other code"):
        check(s.chain, replace(right, contracts={**right.contracts, PROOFS: foreign}))


def test_a_platform_without_proofs_says_so() -> None:
    with stage() as made:
        assert PROOFS not in made.owner.deployment.contracts
        with pytest.raises(ConfigError, match=r"no settlement proofs: run `fl-platform deploy` again"):
            Proofs(made.owner)


def test_a_proof_is_handed_in_once_by_whom_it_was_made_for(s: Stage) -> None:
    proofs = Proofs(s.owner, SUCCESSOR)
    made = made_for(proofs, SUCCESSOR.address)
    claimed, key = made.claimed, provable().key.digest
    assert made.holds()
    assert proofs.accepted(TASK, ROUND) == ()
    assert proofs.accepted_list(TASK, ROUND, claimed.commitment, key) is None
    with pytest.raises(WalletError, match="--wallet"):
        Proofs(s.owner).submit(made)
    with pytest.raises(TransactionReverted, match="Refused"):
        Proofs(s.owner, OWNER).submit(made)
    sent = proofs.submit(made)
    assert sent is not None
    (found,) = proofs.accepted(TASK, ROUND)
    assert (found.commitment, found.key, found.claimant) == (claimed.commitment, key, SUCCESSOR.address)
    assert found.list_hash == list_hash(claimed.values) == proofs.accepted_list(TASK, ROUND, claimed.commitment, key)
    assert proofs.accepted(TASK, ROUND + 1) == ()
    assert proofs.submit(made) == sent  # done is done
    s.as_(AGGREGATOR)
    assert Proofs(s.owner, AGGREGATOR).submit(made) is None  # somebody else's counts as done


def test_what_was_accepted_under_one_key_is_not_under_another(s: Stage) -> None:
    """Anybody may bring a key whose secrets it keeps: what it has proved stands beside, not in place of, the task's."""
    proofs = Proofs(s.owner, AGGREGATOR)
    context = proofs.context(TASK, ROUND + 1, AGGREGATOR.address, provable().key.digest)
    first = forged(context, commitment=5, values=(10**18, 1))
    assert proofs.submit(first) is not None
    assert proofs.accepted_list(TASK, ROUND + 1, 5, own_key().digest) == list_hash((10**18, 1))
    assert proofs.accepted_list(TASK, ROUND + 1, 5, provable().key.digest) is None
    (found,) = proofs.accepted(TASK, ROUND + 1)
    assert found.key == own_key().digest
    passed_off = replace(first, key=provable().key, context=context)
    with pytest.raises(TransactionReverted, match="Refused"):
        proofs.submit(passed_off)


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
                assert PROOFS in expected.contracts
                again.release_journal()
