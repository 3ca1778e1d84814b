// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FaucetToken} from "../../contracts/FaucetToken.sol";
import {Base} from "./Base.sol";

/// The faucet gives anyone up to its limit per call, and never more.
contract FaucetTokenTest is Base {
    FaucetToken private token;

    function setUp() public {
        token = new FaucetToken();
    }

    function testFuzz_mint_givesExactlyWhatWasAsked(address to, uint256 amount) public {
        vm.assume(to != address(0));
        amount = bound(amount, 0, token.LIMIT());
        token.mint(to, amount);
        assertEq(token.balanceOf(to), amount, "balance");
        assertEq(token.totalSupply(), amount, "supply");
    }

    function test_mint_refusesOneMoreThanTheLimit() public {
        uint256 limit = token.LIMIT();
        token.mint(address(this), limit);
        vm.expectRevert(abi.encodeWithSelector(FaucetToken.FaucetToken_TooMuch.selector, limit + 1, limit));
        token.mint(address(this), limit + 1);
    }
}
