// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IGameSeam
/// @notice Where disputes of more than one move plug in. The disputes contract is the only one that ledger and escrow trust;
/// it lends that trust, move by move, to the games that it names when it is deployed ({IBisections}, {IDemands}, {IReveals}).
///
/// A game about a sealed round is entered once and left once: upheld (the seal falls), dropped (the challenger loses its
/// bond) or without effect (the round is void by then). A game about a trainer locks a bond and may penalise.
interface IGameSeam {
    /// @notice Thrown when the caller is not one of the games.
    error Disputes_NotGame(address caller);

    /// @notice Thrown when a seal has no trace: nothing in it can be opened.
    error Disputes_NoTrace(uint256 task, uint256 round);

    /// @notice Enter a game about a sealed round: mark the round, lock `bondOf(task)` of the challenger's.
    /// Requirements: inside the challenge window, or at most five takeovers later while the seal is disputed; the challenger is
    /// not leaving; the escrow is approved for the bond.
    function enter(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, address challenger)
        external
        returns (uint256 bond);

    /// @notice Leave a game that the challenger won: its bond goes back, the seal falls.
    function uphold(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        address challenger,
        uint256 bond,
        address[] calldata aggregators
    ) external;

    /// @notice Leave a game that the challenger lost: its bond goes to `winner`, the task goes on if this was the round's last
    /// dispute.
    function drop(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        address challenger,
        uint256 bond,
        address winner
    ) external;

    /// @notice Leave a game whose round is void: its bond goes back.
    function release(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, address challenger, uint256 bond)
        external;

    /// @notice Lock `amount` of `from`'s tokens as a bond that no round is marked for. Requirements: `from` is not leaving.
    function lockBond(uint256 task, address from, uint256 amount) external;

    /// @notice Give such a bond back.
    function returnBond(uint256 task, address to, uint256 amount) external;

    /// @notice Give such a bond to somebody else.
    function forfeitBond(uint256 task, address from, uint256 amount, address winner) external;

    /// @notice Take up to `amount` of a trainer's stake; `shareBps` of it go to `challenger`, the rest to the task's pot.
    function penalise(uint256 task, address trainer, uint256 amount, address challenger, uint256 shareBps)
        external
        returns (uint256 slashed);

    /// @notice Return what a demand or a game costs in a task, in wei.
    function bondOf(uint256 task) external view returns (uint256);

    /// @notice Return whether a dispute that was upheld since took the seal away.
    function isVoid(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record) external view returns (bool);
}
