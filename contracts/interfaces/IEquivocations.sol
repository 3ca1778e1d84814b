// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IEquivocations
/// @notice A trainer that signs two receipts for one round loses its stake.
interface IEquivocations {
    /// @notice Emitted when a trainer signed two receipts for one round; `slashed` is its stake.
    event EquivocationProved(
        uint256 indexed task, uint256 round, address indexed trainer, address indexed challenger, uint256 slashed
    );

    /// @notice Thrown when two receipts do not show that their trainer signed twice for one round.
    error Equivocations_NotShown(uint256 task, address trainer);

    /// @notice Show two receipts that one trainer signed for one round, life and parent; its stake is taken. What others have
    /// locked, an aggregator's bond too, is not. Only while no roster
    /// or seal of the task fell and nobody took over: a round that is there again is signed for again. The challenger's part is its who
    /// committed to the call ({IReferee}).
    function equivocation(
        IRoundLedger.Receipt calldata first,
        bytes calldata firstSignature,
        IRoundLedger.Receipt calldata second,
        bytes calldata secondSignature
    ) external;
}
