"""The suite that every chain back end passes: what the rest of the platform relies on, whatever serves it.

A test module subclasses `BackendSuite` and gives it a `chain` fixture.
"""

from __future__ import annotations

import pytest

from fl_platform.chain.artifacts import load
from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import Step
from fl_platform.chain.types import Call, CallReverted, LogFilter
from fl_platform.errors import ChainError, TransactionReverted, WalletError
from tests.support.chain import ETHER, wallet

ME, OTHER = wallet(100), wallet(101)


class BackendSuite:
    """Inherited tests; `chain` is a fresh chain with a rich `ME`."""

    @pytest.fixture
    def token(self, chain: Chain) -> Contract:
        """A faucet token."""
        artifact = load("FaucetToken")
        receipt = chain.create(artifact, signer=ME)
        assert receipt.contract is not None
        assert receipt.ok
        return Contract("FaucetToken", receipt.contract, artifact.abi)

    def test_a_send_is_mined_and_its_event_decodes(self, chain: Chain, token: Contract) -> None:
        receipt = chain.send(token, "mint", OTHER.address, 7, signer=ME)
        assert receipt is not None
        assert receipt.ok
        assert receipt.gas_used > 21_000
        (event,) = chain.events([token], first=receipt.block, last=receipt.block)
        assert event.name == "Transfer"
        assert event.values == {"from": bytes(20), "to": OTHER.address, "value": 7}
        assert (event.log.block_hash, event.log.transaction) == (receipt.block_hash, receipt.transaction)
        assert chain.read(token, "balanceOf", OTHER.address) == 7

    def test_logs_are_filtered_by_address_topic_and_block(self, chain: Chain, token: Contract) -> None:
        first = chain.send(token, "mint", ME.address, 1, signer=ME)
        last = chain.send(token, "approve", OTHER.address, 2, signer=ME)
        assert first is not None
        assert last is not None
        approvals = chain.events([token], names=["Approval"])
        assert [event.values["value"] for event in approvals] == [2]
        assert chain.events([token], first=first.block, last=first.block)[0].values["value"] == 1
        assert chain.backend.logs(LogFilter(0, last.block, (OTHER.address,))) == ()

    def test_a_custom_error_is_decoded_with_its_arguments(self, chain: Chain, token: Contract) -> None:
        limit = chain.read(token, "LIMIT")
        with pytest.raises(TransactionReverted, match=r"FaucetToken_TooMuch\(amount=\d+, limit=\d+\)") as caught:
            chain.send(token, "mint", ME.address, limit + 1, signer=ME)
        assert (caught.value.error, caught.value.values) == ("FaucetToken_TooMuch", (limit + 1, limit))

    def test_a_reverting_trial_run_costs_nothing(self, chain: Chain, token: Contract) -> None:
        before = chain.backend.nonce(ME.address)
        with pytest.raises(TransactionReverted):
            chain.send(token, "transfer", OTHER.address, 1, signer=ME)
        assert chain.backend.nonce(ME.address) == before

    def test_a_raw_call_reports_its_revert_data(self, chain: Chain, token: Contract) -> None:
        call = Call(token.address, token.abi.encode("transfer", OTHER.address, 5), ME.address)
        with pytest.raises(CallReverted) as caught:
            chain.backend.call(call)
        assert token.abi.decode_revert(caught.value.data).name == "ERC20InsufficientBalance"

    def test_the_same_bytes_twice_are_one_transaction(self, chain: Chain) -> None:
        fees = chain.backend.fees()
        fields = {"nonce": chain.backend.nonce(ME.address), "gas": 21_000, "chainId": chain.chain_id}
        offer = {"maxFeePerGas": fees.ceiling, "maxPriorityFeePerGas": fees.priority or 0}
        raw = ME.sign_transaction(Call(OTHER.address, b"", ME.address, 5), **fields, **offer)
        first = chain.backend.broadcast(raw)
        receipt = chain.backend.receipt(first)
        assert receipt is not None
        assert receipt.ok
        assert chain.backend.broadcast(raw) == first
        assert chain.backend.nonce(ME.address) == fields["nonce"] + 1
        assert chain.balance(OTHER.address) == 5

    def test_a_step_is_sent_once(self, chain: Chain, token: Contract) -> None:
        first = chain.send(token, "mint", OTHER.address, 3, signer=ME, step=Step(1, 0, "mint"))
        again = chain.send(token, "mint", OTHER.address, 3, signer=ME, step=Step(1, 0, "mint"))
        assert again == first
        assert chain.read(token, "balanceOf", OTHER.address) == 3

    def test_time_moves_where_it_is_put(self, chain: Chain) -> None:
        target = chain.now() + 5_000
        chain.wait_until(target)
        assert target <= chain.now() <= target + 2
        chain.wait_until(target - 100)
        assert chain.now() <= target + 2

    def test_blocks_link_and_end(self, chain: Chain, token: Contract) -> None:
        head = chain.head()
        block = chain.backend.block(head.number)
        assert block == head
        parent = chain.backend.block(head.number - 1)
        assert parent is not None
        assert parent.hash == head.parent
        assert chain.backend.block(head.number + 1_000) is None

    def test_a_past_state_can_be_read(self, chain: Chain, token: Contract) -> None:
        before = chain.head().number
        chain.send(token, "mint", OTHER.address, 9, signer=ME)
        assert chain.read(token, "balanceOf", OTHER.address, block=before) == 0
        assert chain.read(token, "balanceOf", OTHER.address) == 9

    def test_a_snapshot_takes_the_chain_back(self, chain: Chain, token: Contract) -> None:
        mark, head = chain.backend.snapshot(), chain.head()
        receipt = chain.send(token, "mint", OTHER.address, 9, signer=ME)
        assert receipt is not None
        chain.backend.revert(mark)
        assert chain.head() == head
        assert chain.backend.receipt(receipt.transaction) is None
        assert chain.read(token, "balanceOf", OTHER.address) == 0
        assert chain.send(token, "mint", OTHER.address, 4, signer=ME) is not None

    def test_no_contract_at_the_address_is_said(self, chain: Chain, token: Contract) -> None:
        nowhere = Contract("FaucetToken", OTHER.address, token.abi)
        with pytest.raises(ChainError, match="no FaucetToken answers at 0x"):
            chain.read(nowhere, "totalSupply")

    def test_an_empty_wallet_is_told_what_it_needs(self, chain: Chain, token: Contract) -> None:
        poor = wallet(102)
        with pytest.raises(WalletError, match=r"has 0 wei, mint may cost \d+ wei; fund it"):
            chain.send(token, "mint", poor.address, 1, signer=poor)

    def test_gas_is_accounted_by_call(self, chain: Chain, token: Contract) -> None:
        chain.send(token, "mint", ME.address, 1, signer=ME)
        chain.send(token, "mint", ME.address, 1, signer=ME)
        used = chain.gas.by_call()
        assert set(used) == {"deploy FaucetToken", "mint"}
        assert used["mint"].count == 2
        assert used["mint"].least <= used["mint"].mean_up <= used["mint"].most

    def test_funding_adds(self, chain: Chain) -> None:
        chain.fund(OTHER.address, ETHER)
        chain.fund(OTHER.address, ETHER)
        assert chain.balance(OTHER.address) == 2 * ETHER
