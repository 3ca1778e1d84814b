// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IPoseidon} from "../interfaces/IPoseidon.sol";
import {CellHashes} from "../libraries/CellHashes.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Tails} from "../libraries/Tails.sol";

/// @title Poseidon
/// @notice See {IPoseidon}. Holds nothing, reads nothing but its calldata.
contract Poseidon is IPoseidon {
    /// @inheritdoc IPoseidon
    function hash(int256[8] memory cells) external pure returns (uint256) {
        return CellHashes.hash(cells);
    }

    /// @inheritdoc IPoseidon
    function refutes(bytes calldata, Refutation.Claim calldata claim) external pure returns (bool) {
        return CellHashes.isRefuted(Tails.facts(0).round, claim);
    }
}
