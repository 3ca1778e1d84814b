// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Refutation} from "./Refutation.sol";
import {Rows} from "./Rows.sol";

/// @title Terms
/// @notice What a task freezes beside its program. Twin of fl_platform/protocol/terms.py, which says how it is hashed.
library Terms {
    /// @notice Thrown when terms, or a part of them, are not those that the task froze.
    error Terms_Mismatch(uint256 index);

    uint256 internal constant WORD_DEPTH = 6;

    /// @param leaves Of a row; those of blocks that count come first.
    /// @param askBond What a question about a seal costs until it is answered, wei.
    /// @param recipientsHash Of address, x and y of the wrap key of each party that updates' keys are wrapped for, in order.
    /// @param complaintsNeeded How many of the witnesses must say that an update is not to be had; 0: nothing lets it be left out.
    struct Facts {
        uint256 blocks;
        uint256 directions;
        uint256 leaves;
        uint256 counting;
        uint256 updateBits;
        uint256 askBond;
        bytes32 initialModel;
        address reference_;
        bytes32 auditorsHash;
        bytes32 recipientsHash;
        bytes32 witnessesHash;
        uint256 complaintsNeeded;
        bytes32 wordsRoot;
        bytes32 blocksRoot;
    }

    /// @notice One block of parameters with its path.
    /// @param words First leaf, leaves, parameters, whether they count, exponent of the first step, bits that this
    /// has in the model, whether the model's numbers are never below 0, first parameter; from the third on in the order of
    /// {Language}'s sources.
    struct Block {
        uint256 index;
        int256[8] words;
        bytes32[] path;
    }

    /// @notice Return the root that the task keeps.
    function rootOf(Facts calldata facts) internal pure returns (bytes32) {
        return keccak256(abi.encode(facts));
    }

    /// @notice Revert unless `value` is word `index` of the rules.
    function requireWord(Facts calldata facts, uint256 index, int256 value, bytes32[] memory path) internal pure {
        bytes32 leaf = keccak256(abi.encodePacked(uint8(0), uint8(index), value));
        if (index >> WORD_DEPTH != 0 || path.length != WORD_DEPTH) revert Terms_Mismatch(index);
        if (Rows.climb(leaf, index, path, 0, WORD_DEPTH) != facts.wordsRoot) revert Terms_Mismatch(index);
    }

    /// @notice Revert unless a block is what it says.
    function requireBlock(Facts calldata facts, Block memory b) internal pure {
        bytes32 leaf = keccak256(abi.encodePacked(uint8(0), b.words));
        uint256 depth = Refutation.depthOf(facts.blocks);
        if (b.index >= facts.blocks || b.path.length != depth) revert Terms_Mismatch(b.index);
        if (Rows.climb(leaf, b.index, b.path, 0, depth) != facts.blocksRoot) revert Terms_Mismatch(b.index);
    }
}
