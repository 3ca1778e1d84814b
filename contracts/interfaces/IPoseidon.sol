// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Refutation} from "../libraries/Refutation.sol";

/// @title IPoseidon
/// @notice The hash that a circuit can afford, and whether a cell that is one follows: what of {IReferee} is not {ITapes}'.
/// Poseidon over BN254's scalar field, order r, of width nine: of eight numbers below r, and of 0 in the first lane. It is
/// apart from the others because its constants are as long as a contract.
interface IPoseidon {
    /// @notice Return the hash of eight cells, each modulo r.
    function hash(int256[8] memory cells) external pure returns (uint256);

    /// @notice Return whether a cell of kind POSEIDON or POSEIDON3 is not what follows. Follows ({Tails}): the facts.
    /// @param claim Of POSEIDON, `operands` are the eight cells that it reads, and the first one's path is that of the node
    /// over all of them; of an axis of four places or less, they are as many as its tree has leaves.
    function refutes(bytes calldata target, Refutation.Claim calldata claim) external pure returns (bool);
}
