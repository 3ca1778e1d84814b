// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title FaucetToken
/// @notice A plain ERC-20 that gives itself away, for local networks and rehearsals.
/// @dev Warning: worthless by construction; anyone mints.
contract FaucetToken is ERC20 {
    /// @notice Thrown when one call asks for more than `limit`.
    error FaucetToken_TooMuch(uint256 amount, uint256 limit);

    /// @notice The largest amount of one call, in wei.
    uint256 public constant LIMIT = 1_000_000 ether;

    constructor() ERC20("fl-platform faucet", "FLF") {}

    /// @notice Mint `amount` wei to `to`.
    function mint(address to, uint256 amount) external {
        if (amount > LIMIT) revert FaucetToken_TooMuch(amount, LIMIT);
        _mint(to, amount);
    }
}
