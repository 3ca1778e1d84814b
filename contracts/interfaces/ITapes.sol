// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Refutation} from "../libraries/Refutation.sol";
import {IReferee} from "./IReferee.sol";

/// @title ITapes
/// @notice What follows from a tape alone: whether a node is what an answer says, and whether a cell, a product or a sum does
/// not follow. Pure: who seals, who pays and by when is {IReferee}'s.
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
    /// @param blockLeaves Of the block of a product that is block by block; zero: not known yet.
    /// @return nowhere There is no such node, or a field is set that its kind has not.
    /// @return top Nothing above it must be shown first.
    /// @return axis The axis of blocks of a product that is block by block; 3 where none is asked for.
    function standing(
        Facts calldata facts,
        IReferee.Question calldata question,
        IReferee.Instruction calldata instruction,
        uint256 blockLeaves
    ) external pure returns (bool nowhere, bool top, uint256 axis);

    /// @notice Revert unless an answer shows a node of kind Columns, Cells or Row.
    function requireTree(Facts calldata facts, IReferee.Question calldata question, IReferee.Answer calldata answer)
        external
        pure;

    /// @notice Revert unless an answer shows a node of kind Sums; return the digest of its parts.
    /// @param blockLeaves Of the block of a product that is block by block.
    /// @param above Digest of the parts of the node above; zero: not shown.
    function partsDigest(
        Facts calldata facts,
        IReferee.Question calldata question,
        IReferee.Answer calldata answer,
        uint256 blockLeaves,
        bytes32 above
    ) external pure returns (bytes32);

    /// @notice Revert unless an answer shows a node of kind Prefixes; return the digest of its hashes.
    function prefixesDigest(
        Facts calldata facts,
        IReferee.Question calldata question,
        IReferee.Answer calldata answer,
        bytes32 above
    ) external pure returns (bytes32);

    /// @notice Return whether a cell does not follow. Reverts where the claim is not about this tape.
    function refutes(Facts calldata facts, Refutation.Claim calldata claim) external pure returns (bool);

    /// @notice Return whether something lies behind the last column.
    function refutesPadding(Facts calldata facts, uint256 index, bytes32 node, bytes32[] calldata siblings)
        external
        pure
        returns (bool);

    /// @notice Return whether a part of an inner product is not what two leaves give.
    /// @param first First leaf of the block that the product is over, or that its leaf lies in.
    /// @param count Leaves of that block.
    /// @param above Digest of the parts that the leaf's is among.
    function refutesDot(
        Facts calldata facts,
        IReferee.DotClaim calldata claim,
        uint256 first,
        uint256 count,
        bytes32 above
    ) external pure returns (bool);

    /// @notice Return whether a leaf of a sum is not what an entry makes of the leaf before it.
    /// @param above Digest of the prefixes that the one after the entry is among.
    /// @param aboveBefore The same of the one before it.
    function refutesCombine(
        Facts calldata facts,
        IReferee.CombineClaim calldata claim,
        bytes32 above,
        bytes32 aboveBefore
    ) external pure returns (bool);
}
