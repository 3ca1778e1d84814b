// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {CellHashes} from "../libraries/CellHashes.sol";
import {Language} from "../libraries/Language.sol";
import {Operations} from "../libraries/Operations.sol";
import {Refutation} from "../libraries/Refutation.sol";

/// @title OperationsHarness
/// @notice Shows the operations of cells, and how one cell is decided, to the tests.
contract OperationsHarness {
    function give(uint8 op, int256 x, int256 y, int256 z) external pure returns (int256) {
        return Operations.give(op, x, y, z);
    }

    function isRefuted(Refutation.Round calldata round, Refutation.Claim calldata claim) external pure returns (bool) {
        bool hashed = uint8(uint256(claim.words[0]) >> 120) >= Language.POSEIDON;
        return hashed ? CellHashes.isRefuted(round, claim) : Refutation.isRefuted(round, claim);
    }
}
