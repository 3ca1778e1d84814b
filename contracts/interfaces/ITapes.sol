// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Refutation} from "../libraries/Refutation.sol";
import {IReferee} from "./IReferee.sol";

/// @title ITapes
/// @notice What follows from a tape alone: whether a node is what an answer says, and whether a cell, a product or a sum does
/// not follow. Pure: who seals, who pays and by when is {IReferee}'s.
///
/// All but `blockPlace` are asked about a call of {IReferee}: they get its data as it came, so that no claim is encoded
/// twice, and behind it ({Tails}) the seal's facts and what else is named here as following.
interface ITapes {
    /// @notice What a seal's target stands for.
    /// @param key Names it: what is shown is shown of this.
    /// @param round Roots and lengths.
    /// @param leaves Of a row; those of blocks that count come first.
    /// @param counting How many of them are in blocks that count.
    /// @param updateBits Width of an update's integers.
    struct Facts {
        bytes32 key;
        Refutation.Round round;
        uint256 leaves;
        uint256 counting;
        uint256 updateBits;
    }

    /// @notice Thrown when a node is nowhere in this round.
    error Tapes_NoSuchNode();

    /// @notice Thrown when an answer, or what a claim repeats of one, is not what was asked for or shown.
    error Tapes_WrongAnswer();

    /// @notice Return which of a column's axes is that of blocks; 3: none.
    function blockPlace(uint256 packed) external pure returns (uint256 place);

    /// @notice Return how a question stands to this tape.
    /// Follows: the facts; leaves of the block of a product that is block by block, zero: not known yet.
    /// @param target Not read, here as below.
    /// @return nowhere There is no such node, or a field is set that its kind has not.
    /// @return top Nothing above it must be shown first.
    /// @return axis The axis of blocks of a product that is block by block; 3 where none is asked for.
    function standing(
        bytes calldata target,
        IReferee.Question calldata question,
        IReferee.Instruction calldata instruction
    ) external pure returns (bool nowhere, bool top, uint256 axis);

    /// @notice Revert unless an answer shows a node of kind Columns, Cells, Row or Operand; return true. Follows: the facts.
    function requireTree(bytes calldata target, IReferee.Question calldata question, IReferee.Answer calldata answer)
        external
        pure
        returns (bool);

    /// @notice Revert unless an answer shows a node of kind Sums; return the digest of its parts. Follows: the facts; leaves of
    /// the block of a product that is block by block; digest of the parts of the node above, zero: not shown.
    function partsDigest(bytes calldata target, IReferee.Question calldata question, IReferee.Answer calldata answer)
        external
        pure
        returns (bytes32);

    /// @notice Revert unless an answer shows a node of kind Prefixes; return the digest of its hashes. Follows: the facts;
    /// digest of the hashes of the node above.
    function prefixesDigest(bytes calldata target, IReferee.Question calldata question, IReferee.Answer calldata answer)
        external
        pure
        returns (bytes32);

    /// @notice Return whether a cell does not follow. Reverts where the claim is not about this tape. Follows: the facts.
    function refutes(bytes calldata target, Refutation.Claim calldata claim) external pure returns (bool);

    /// @notice Return whether something lies behind the last column. Follows: the facts.
    function refutesPadding(bytes calldata target, uint256 index, bytes32 node, bytes32[] calldata siblings)
        external
        pure
        returns (bool);

    /// @notice Return whether a part of an inner product is not what two leaves give. Follows: the facts; first leaf, and
    /// number of leaves, of the block that the product is over, or that its leaf lies in; digest of the parts that the leaf's is
    /// among.
    function refutesDot(bytes calldata target, IReferee.DotClaim calldata claim) external pure returns (bool);

    /// @notice Return whether a leaf of a sum is not what an entry makes of the leaf before it. Follows: the facts; digest of
    /// the prefixes that the one after the entry is among; the same of the one before it.
    function refutesCombine(bytes calldata target, IReferee.CombineClaim calldata claim) external pure returns (bool);
}
