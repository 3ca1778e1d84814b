// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title ISettlement
/// @notice How the books of an ended task are closed, so that no wei stays behind whatever went wrong.
///
/// Once the last sealed round is final, what it did not allot is divided:
///
///   Done          the owner gets the bonus left
///   Refunded      the owner gets the bonus left and the pots of rounds that never had a roster: all that are left
///   Compensated   the owner gets the pots of rounds that never had a roster; everything else (the failed round's pot, the
///                 voided rounds' pots, the failed aggregator's bond and the bonus left) goes to the trainers on the
///                 failed round's roster, by stake
///
/// A pot that ever had a roster never returns to the owner. What is left of a compensation when its window ends (rounding,
/// roster leaves of nobody) is divided into equal residual shares, one for every trainer that had a seat at the failed
/// round's roster (where that is void: when a roster or a seal fell last) and did not leave before the end. So even a roster of random
/// hashes strands nothing.
///
/// Notes:
/// - Claims of final rounds go on after closing, without a limit in time (IRoundLedger.claim).
/// - Where the failed round's roster is void, nobody claims by it, and all of the compensation goes to the residual shares.
/// - A compensated task is closed a takeover window after its end at the earliest: until then its roster can fall ({IRosters}),
///   also where the last aggregator passed before an answer was due.
/// - A trainer that was not on the failed round's roster but on a voided one gets a residual share only.
/// - When trainers forced their receipts into the failed round, its roster left them out and must not share out the pot:
///   all of the compensation goes to the residual shares.
interface ISettlement {
    /// @notice Emitted when a task's books were closed: what the owner got, and what waits for the trainers.
    event TaskClosed(uint256 indexed task, IRoundLedger.Phase phase, uint256 toOwner, uint256 toTrainers);

    /// @notice Emitted when a rostered trainer was compensated.
    event CompensationClaimed(uint256 indexed task, uint256 indexed round, address indexed trainer, uint256 amount);

    /// @notice Emitted when what nobody could claim as compensation was divided into residual shares.
    event CompensationSwept(uint256 indexed task, uint256 amount, uint256 shares, uint256 perShare);

    /// @notice Emitted when a residual share was paid.
    event ResidualClaimed(uint256 indexed task, address indexed trainer, uint256 amount);

    /// @notice Thrown when the head is in another phase than the call needs.
    error Settlement_WrongPhase(uint256 task, IRoundLedger.Phase phase, IRoundLedger.Phase needed);

    /// @notice Thrown when the call names another round than the one that is compensated.
    error Settlement_WrongRound(uint256 task, uint256 round, uint256 current);

    /// @notice Thrown when the books are not closed yet.
    error Settlement_NotClosed(uint256 task);

    /// @notice Thrown when the compensation window is still open: `from` is the first second past it.
    error Settlement_TooEarly(uint256 task, uint256 from);

    /// @notice Thrown when the compensation window is over: `to` is the first second past it.
    error Settlement_TooLate(uint256 task, uint256 to);

    /// @notice Thrown when a roster record is not the one whose digest the ring keeps.
    error Settlement_RecordMismatch(uint256 task, uint256 round, bytes32 digest, bytes32 expected);

    /// @notice Thrown when the account is no trainer of the task, or has no residual share in it.
    error Settlement_NotMember(uint256 task, address account);

    /// @notice Thrown when an account already took its compensation or residual share.
    error Settlement_AlreadyPaid(uint256 task, address account);

    /// @notice Thrown when nothing is there to be paid.
    error Settlement_NothingToPay(uint256 task, address account);

    /// @notice Close the books of a task that has ended. Anyone.
    /// Requirements: phase Done, Refunded or Compensated, that for a takeover window at least; the last sealed round is final; no
    /// dispute is open.
    /// @param last The last sealed round's record; ignored when no round is sealed.
    /// @param roster The failed round's roster; ignored where none stands, and where no round is compensated.
    function closeTask(uint256 task, IRoundLedger.ClaimRecord calldata last, IRoundLedger.RosterRecord calldata roster)
        external;

    /// @notice Credit a rostered trainer's part of the compensation: total * min(leaf.amount, stake) / totalStake.
    /// Requirements: the task is closed and Compensated; inside the window; once a trainer; the leaf is in the roster.
    /// @dev Warning: the part is limited by the stake that is still locked, so claim before exiting.
    function claimCompensation(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata record,
        IRoundLedger.Leaf calldata leaf,
        bytes calldata siblings
    ) external returns (uint256 amount);

    /// @notice Divide what the compensation left (rounding, leaves of nobody) into equal residual shares; to the owner where
    /// nobody has one, and the last wei that do not divide.
    function sweepCompensation(uint256 task) external;

    /// @notice Credit one residual share of what was swept. Anyone may call for any trainer that has one.
    function claimResidual(uint256 task, address trainer) external returns (uint256 amount);

    /// @notice Return the compensation or residual money of a closed task; residual shares are those of seats below `seats`.
    function settlement(uint256 task)
        external
        view
        returns (uint256 total, uint256 paid, uint256 closedAt, uint256 perShare, bool swept, uint256 seats);
}
