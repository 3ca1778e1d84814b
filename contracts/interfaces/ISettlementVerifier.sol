// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title ISettlementVerifier
/// @notice A Groth16 verifier of one settlement circuit. Its implementations are generated (scripts/build_circuits.py).
interface ISettlementVerifier {
    /// @notice Return whether the key's secrets are known to everyone: such a verifier proves nothing off local networks.
    function DEVELOPMENT() external view returns (bool);

    /// @notice Return how many slots the circuit has.
    function SLOTS() external view returns (uint256);

    /// @notice Return whether a proof holds.
    ///
    /// Notes:
    /// - proof is A.x, A.y, B.x (part with u first), B.y (the same), C.x, C.y; input is commitment, value, rho.
    /// - Answers false, never reverts, for inputs that are not below r, coordinates that are not below p, points that are
    ///   not on their curve or not in its group of order r, and infinity.
    function verify(uint256[8] calldata proof, uint256[3] calldata input) external view returns (bool holds);
}
