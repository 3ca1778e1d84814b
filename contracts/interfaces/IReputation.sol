// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IReputation
/// @notice Reputation of trainers per task, as final rounds committed it in the `data` field of their claim leaves.
///
/// Notes:
/// - Holds no money and decides nothing; anyone can recompute every value from sealed rounds.
/// - A value is a fixed-point number below 2^128 whose scale the task's specification fixes.
interface IReputation {
    /// @notice Emitted when a final round's values were written for all `count` leaves of its claim tree, in tree order.
    event ReputationRecorded(uint256 indexed task, uint256 indexed round, bytes32 claimRoot, uint256 count);

    /// @notice Thrown when the packed list is not `count` entries of 52 bytes.
    error Reputation_LengthMismatch(uint256 length, uint256 expected);

    /// @notice Thrown when the list does not hash to the round's claim root (which binds the total).
    error Reputation_RootMismatch(bytes32 root, bytes32 expected);

    /// @notice Thrown when a value of the same or a later round is already written.
    error Reputation_Stale(uint256 task, uint256 round, uint256 written);

    /// @notice Write the reputation of every claim leaf of a final round. Anyone.
    /// Requirements: the round is final; it is later than the last one written; the list is the whole claim tree.
    /// @param leaves The claim leaves in tree order, packed: owner (20 bytes), amount (u128), reputation (u128).
    function record(uint256 task, uint256 round, IRoundLedger.ClaimRecord calldata seal, bytes calldata leaves) external;

    /// @notice Return a trainer's value and the round it is of; (0, 0, false) when none was written.
    function reputationOf(uint256 task, address trainer)
        external
        view
        returns (uint256 value, uint256 round, bool known);
}
