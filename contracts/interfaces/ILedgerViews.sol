// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title ILedgerViews
/// @notice What people and programs ask about a task's rounds and no contract needs, computed from {IRoundLedger}'s words.
interface ILedgerViews {
    /// @notice Return the digest that the ring keeps where `round` lies; it may be another round's. (In storage the digests
    /// of rounds that a dispute blocks are complemented, so that no claim finds them; this returns them as they were.)
    function ringDigest(uint256 task, uint256 round) external view returns (bytes32);

    /// @notice Return when the head's next step can be made: roster in Open, seal in Rostered; zeros otherwise.
    function window(uint256 task) external view returns (uint256 from, uint256 to);

    /// @notice Return what a seal of `round` would allot now at the most, in wei: it is let off what was slashed in its window.
    function allotted(uint256 task, uint256 round) external view returns (uint256);

    /// @notice Return how many seats a task has: 9 and one for every trainer that ever joined (IEscrow.Tenure).
    function seats(uint256 task) external view returns (uint256);
}
