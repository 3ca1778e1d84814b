// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title ILedgerViews
/// @notice What people and programs ask about a task's rounds and no contract needs, computed from {IRoundLedger}'s words.
interface ILedgerViews {
    /// @notice What `roundState` answers.
    enum RoundState {
        None,
        Open,
        Rostered,
        Sealed,
        Challenged,
        Final,
        Void,
        Compensated,
        Refunded
    }

    /// @notice What the ledger fixed at the opening; windows in seconds, pot and bond in wei, ring in slots.
    struct Config {
        uint32 minRound;
        uint32 roster;
        uint32 forceInclude;
        uint32 reveal;
        uint32 seal;
        uint32 challenge;
        uint32 takeover;
        uint32 unbonding;
        uint80 pot;
        uint80 bond;
        uint8 ring;
        bytes32 aggregatorsHash;
    }

    /// @notice Return what a task's ledger fixed.
    function config(uint256 task) external view returns (Config memory);

    /// @notice Return the digest that the ring keeps where `round` lies; it may be another round's. (In storage the digests
    /// of rounds that a dispute blocks are complemented, so that no claim finds them; this returns them as they were.)
    function ringDigest(uint256 task, uint256 round) external view returns (bytes32);

    /// @notice Return when the head's next step can be made: roster in Open, seal in Rostered; zeros otherwise.
    function window(uint256 task) external view returns (uint256 from, uint256 to);

    /// @notice Return what a seal of `round` would allot now at the most, in wei: it is let off what was slashed in its window.
    function allotted(uint256 task, uint256 round) external view returns (uint256);

    /// @notice Return the slashed money that seals have allotted or will allot, in wei.
    function bonus(uint256 task) external view returns (uint256);

    /// @notice Return how many rounds had a roster at some time, void ones included: their pots stay with the trainers.
    function everRostered(uint256 task) external view returns (uint256);

    /// @notice Return how many seats a task has: 9 and one for every trainer that ever joined (IEscrow.Tenure).
    function seats(uint256 task) external view returns (uint256);

    /// @notice Return whether a dispute is open, and the lowest round that is disputed.
    function challenged(uint256 task) external view returns (bool open, uint256 lowest);

    /// @notice Return whether this very round is disputed.
    function isChallenged(uint256 task, uint256 round) external view returns (bool);

    /// @notice Return the state of a round. `record` is needed for sealed rounds only; a wrong one reverts.
    function roundState(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        external
        view
        returns (RoundState);

    /// @notice Return the digest of a roster record.
    function rosterDigest(uint256 task, uint256 round, IRoundLedger.RosterRecord calldata record)
        external
        pure
        returns (bytes32);

    /// @notice Return what claims need of a seal record of this task and round.
    function claimRecord(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        external
        view
        returns (IRoundLedger.ClaimRecord memory);

    /// @notice Return the EIP-712 digest that a trainer signs.
    function receiptDigest(IRoundLedger.Receipt calldata receipt) external view returns (bytes32);
}
