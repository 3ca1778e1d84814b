// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {KeyWraps} from "../libraries/KeyWraps.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Terms} from "../libraries/Terms.sol";
import {IReferee} from "./IReferee.sol";
import {IRoundLedger} from "./IRoundLedger.sol";
import {ITapes} from "./ITapes.sol";

/// @title ISources
/// @notice What binds a tape to the chain: which seal it is, where its cells come from, and what is paid by it. Reads the
/// platform's contracts, holds nothing.
///
/// It is asked about a call of {IReferee}: it gets its data as it came, and behind it ({Tails}) what is named here as following.
///
/// Each source has one value, fixed before the sealer's window opens or in the seal, so that nothing that anybody does later
/// changes a cell:
///
///   source          what it must be
///   word            a leaf of the words of the task's rules
///   count           roster leaves and forced receipts
///   round           the round
///   pot             what this seal's claims are more than those of the seal before, below 2^80
///   aggregator      the sealer's place in the frozen list
///   parent          digest of the model in the seal before; the terms' in round 0
///   seat            8 for the reference party, else the trainer's, if it was taken before the roster; else 0
///   stake           what the trainer joined with, if it had joined before the roster and left after it; else 0
///   entry's parent, length, samples, content: of its receipt
///   refused         `convicted` where the receipt was convicted by `asOf`, and only there; `withheld` where its key was
///                   not forced out in a package for all recipients of the terms; `missing` where as many of the task's
///                   witnesses as its terms say complained by `asOf`
///   block's size, whether it counts, first exponent: a leaf of the blocks of the task's terms
///   carried         the cell of the seal before; outside of that tape, and in round 0, what the instruction says
interface ISources {
    /// @notice A seal, with what binds it; the `bytes target` of {IReferee} is abi.encode of one.
    /// @param columns Of the program: as wide as the program's root has it, so that no other number has that root.
    /// @param programTree Root of the tree over the program's header and instructions.
    /// @param auditors Those of the task's terms, where one of them asks; else empty.
    /// @param witnesses Those of the task's terms, where an update is said to be missing; else empty.
    /// @param blocks Those that a claim or question is about, where it needs their leaves.
    struct Target {
        uint256 task;
        uint256 round;
        IRoundLedger.SealRecord record;
        IRoundLedger.RosterRecord roster;
        Terms.Facts terms;
        uint16 columns;
        bytes32 programTree;
        address[] aggregators;
        address[] auditors;
        address[] witnesses;
        Terms.Block[] blocks;
    }

    /// @notice An entry of a round. A forced one needs no `siblings`.
    /// @param stake As the roster leaf says.
    /// @param boxes Of the first package that its trainer forced out, where its key is said to be withheld; else empty.
    struct Entry {
        IRoundLedger.Receipt receipt;
        uint128 stake;
        bytes siblings;
        KeyWraps.Box[] boxes;
    }

    /// @notice The seal before, and its cell where the claimed one is carried.
    struct Parent {
        IRoundLedger.SealRecord record;
        IRoundLedger.RosterRecord roster;
        Refutation.Cell cell;
    }

    /// @notice Thrown when a target, or what is shown of it, is not what the chain keeps.
    error Sources_Mismatch(uint256 task, uint256 round);

    /// @notice Return what a target stands for. Reverts unless the seal stands, now, with these records, terms and program.
    function factsOf(bytes calldata target) external view returns (ITapes.Facts memory);

    /// @notice Return whether the seal is on chain no more: it fell, or one before it did.
    function isVoid(bytes calldata target) external view returns (bool);

    /// @notice Revert unless updates' keys are wrapped for an account: it is one of the first two of the task's list of
    /// aggregators, or one of its auditors; return true. Follows: the account.
    function requireKeyHolder(bytes calldata target) external view returns (bool);

    /// @notice Return first leaf and number of leaves of a block that the target shows. Follows: the block's number.
    function blockOf(bytes calldata target) external pure returns (uint256 first, uint256 count);

    /// @notice Return whether a source's or a carried cell is not what the chain says. Follows: the facts.
    /// @param evidence abi.encode of what its source needs: `(int256, bytes32[])` (a word, its path), {Terms.Block}, {Entry}, {Parent}; empty
    /// where it needs nothing.
    function refutes(bytes calldata target, Refutation.Claim calldata claim, bytes calldata evidence)
        external
        view
        returns (bool);

    /// @notice Return whether what is paid is not what the tape says. Follows: the facts.
    function refutesOutput(bytes calldata target, IReferee.OutputClaim calldata claim) external view returns (bool);

    /// @notice Revert unless an answer shows a node of kind Claims or Roster; return true.
    function requireShown(bytes calldata target, IReferee.Question calldata question, IReferee.Answer calldata answer)
        external
        view
        returns (bool);

    /// @notice Revert unless a leaf of a roster is there, and its trainer signed it for this ledger; return true.
    /// @dev The arguments are those of {IRosters}.showRoster, as they came. Which roster it is, the caller knows.
    function requireRostered(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index,
        bytes calldata entry,
        bytes calldata signature
    ) external view returns (bool);

    /// @notice Return whether leaves `index` and `index + 1` of a roster do not ascend by trainer; revert where they are not there.
    /// @dev The arguments are those of {IRosters}.refuteRoster, as they came.
    function isDescending(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        uint32 index,
        bytes calldata first,
        bytes calldata second,
        address[] calldata aggregators
    ) external pure returns (bool);

    /// @notice Return whether there is no such node of kind Claims or Roster, or a field is set that its kind has not.
    function isNowhere(bytes calldata target, IReferee.Question calldata question) external pure returns (bool);
}
