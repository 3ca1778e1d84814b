"""A Brownie user's view: the project compiles, deploys and reverts with its custom error, on whatever --network names.

Deployment goes by a plain transaction, as in scripts/deploy_brownie.py: on a live network Brownie 1.22.2 raises in a
background thread when a container's own `deploy` records the contract.
"""

import pytest
from brownie import Contract
from web3.exceptions import ContractLogicError


@pytest.fixture
def token(accounts, FaucetToken):
    created = accounts[0].transfer(data=FaucetToken.bytecode)
    return Contract.from_abi("FaucetToken", created.contract_address, FaucetToken.abi)


def test_anyone_mints_up_to_the_limit(accounts, token):
    token.mint(accounts[1], token.LIMIT(), {"from": accounts[2]})
    assert token.balanceOf(accounts[1]) == token.LIMIT()


def test_one_more_than_the_limit_is_refused(accounts, token):
    with pytest.raises(ContractLogicError):
        token.mint(accounts[1], token.LIMIT() + 1, {"from": accounts[2]})
    assert token.totalSupply() == 0
