// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITraceJudge} from "../interfaces/ITraceJudge.sol";

/// @title Traces
/// @notice Trace trees: layouts of the leaves, and their proofs. Twin of `fl_platform/protocol/trace.py`, where every field
/// is explained.
///
///   leaf  = keccak256(0x00, kind u8, index u32, words)
///   node  = keccak256(0x01, left, right)
///   trace = keccak256(0x02, count u32 of every kind, root of every kind)
library Traces {
    /// @notice Thrown when counts and roots are not the preimage of the sealed trace.
    error Traces_HeaderMismatch(bytes32 given, bytes32 expected);

    /// @notice Thrown when a leaf is not in the tree of its kind.
    error Traces_LeafMismatch(uint256 kind, uint256 index);

    /// @notice Thrown when a question needs another number of leaves or words.
    error Traces_EvidenceShape(uint256 kind, uint256 given, uint256 expected);

    uint256 internal constant RULES = 0;
    uint256 internal constant ROUND = 1;
    uint256 internal constant ENTRY = 2;
    uint256 internal constant GRAM = 3;
    uint256 internal constant STANDING = 4;
    uint256 internal constant WORK = 5;
    uint256 internal constant KINDS = 6;

    uint256 internal constant RULES_BYTES = 14 * 32;
    uint256 internal constant ROUND_BYTES = 37 * 32;
    uint256 internal constant ENTRY_BYTES = 21 * 32;
    uint256 internal constant STANDING_BYTES = 13 * 32;

    uint256 internal constant ADMITTED = 0;
    uint256 internal constant REFERENCE = 1;
    uint256 internal constant NO_WORK = 2;
    uint256 internal constant TOO_LONG = 3;
    uint256 internal constant NOT_SELECTED = 4;
    uint256 internal constant REPLAY = 5;
    uint256 internal constant OFF_REFERENCE = 6;
    uint256 internal constant REFUSED = 7;
    uint256 internal constant OFF_ROSTER = 8;

    struct RulesLeaf {
        uint256 stakeCapBps;
        uint256 clipBps;
        uint256 rejectBps;
        uint256 floorBps;
        uint256 duplicateBps;
        uint256 byzantine;
        uint256 multiKrum;
        uint256 feeBps;
        uint256 baseBps;
        uint256 alphaNum;
        uint256 alphaDen;
        uint256 worth;
        uint256 size;
        uint256 bits;
    }

    struct RoundLeaf {
        uint256 measured;
        uint256 reference_;
        uint256 candidates;
        uint256 rounding;
        uint256 longest;
        uint256 candidateStake;
        uint256 cappedTotal;
        uint256 median;
        uint256 keptStake;
        uint256 liveTotal;
        uint256 selectedTotal;
        uint256 byzantine;
        int256 cosineMedian;
        uint256 divisor;
        uint256 rosterStake;
        uint256 pot;
        uint256 fee;
        uint256 basePot;
        uint256 potsBefore;
        uint256 positiveScores;
        uint256 dueTotal;
        uint256 lackingTotal;
        uint256 scoredPot;
        uint256 basePool;
        uint256 byAdmitted;
        uint256 shareTotal;
        uint256 potsAfter;
        int256 determinant;
        int256[4] solution;
        uint256[4] direction;
        uint256 referenceLength;
    }

    struct EntryLeaf {
        uint256 trainer;
        uint256 stake;
        bytes32 receipt;
        uint256 forced;
        uint256 code;
        uint256 row;
        uint256 firstCap;
        uint256 squared;
        uint256 norm;
        int256 cosine;
        uint256 krum;
        uint256 capped;
        uint256 full;
        uint256 weight;
        int256 quality;
        uint256 group;
        uint256 groupStake;
        int256 groupQuality;
        uint256 groupLargest;
        int256 score;
        uint256 rosterCap;
    }

    struct StandingLeaf {
        uint256 trainer;
        uint256 entry;
        uint256 previous;
        int256 scoreBefore;
        uint256 scoredBefore;
        uint256 baseBefore;
        uint256 reputationBefore;
        uint256 due;
        uint256 lacking;
        int256 scoreAfter;
        uint256 scoredAfter;
        uint256 baseAfter;
        uint256 reputationAfter;
    }

    /// @notice Return the trace root that counts and roots stand for.
    function rootOf(uint32[6] calldata counts, bytes32[6] calldata roots) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint8(2), counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], roots[0], roots[1],
                roots[2], roots[3], roots[4], roots[5]
            )
        );
    }

    /// @notice Revert unless the evidence's header is that of `trace`.
    function requireHeader(ITraceJudge.Evidence calldata evidence, bytes32 trace) internal pure {
        bytes32 given = rootOf(evidence.counts, evidence.roots);
        if (given != trace) revert Traces_HeaderMismatch(given, trace);
    }

    /// @notice Return the hash of a leaf.
    function leafHash(uint256 kind, uint256 index, bytes calldata words) internal pure returns (bytes32 hash) {
        // memory-safe: writes [m, m + 6 + length) past the free pointer and moves no pointer. Fields go in from left to
        // right: tag 1, kind 1, index 4, words; the shift drops whatever lies above the index's 32 bits.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore8(add(m, 1), kind)
            mstore(add(m, 2), shl(224, index))
            calldatacopy(add(m, 6), words.offset, words.length)
            hash := keccak256(m, add(6, words.length))
        }
    }

    /// @notice Return the hash of a node.
    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32 hash) {
        // memory-safe: writes [m, m + 65) past the free pointer and moves no pointer.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            mstore(add(m, 1), left)
            mstore(add(m, 33), right)
            hash := keccak256(m, 65)
        }
    }

    /// @notice Return ceil(log2(count)); 0 for none or one.
    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        // counts are 32 bits wide: at most 32 turns
        while ((1 << depth) < count) ++depth;
    }

    /// @notice Return how many bytes a leaf of `kind` has under these counts.
    function lengthOf(uint256 kind, uint32[6] calldata counts) internal pure returns (uint256) {
        if (kind == RULES) return RULES_BYTES;
        if (kind == ROUND) return ROUND_BYTES;
        if (kind == ENTRY) return ENTRY_BYTES;
        if (kind == GRAM) return 32 * uint256(counts[GRAM]);
        if (kind == STANDING) return STANDING_BYTES;
        return WORK_HEAD + 64 * uint256(counts[GRAM]);
    }

    /// @notice Return the words of opening `place`, which must be a leaf of `kind` with `length` bytes (0: any).
    function open(ITraceJudge.Evidence calldata evidence, uint256 place, uint256 kind, uint256 length)
        internal
        pure
        returns (bytes calldata words, uint256 index)
    {
        return openIn(evidence.counts, evidence.roots, evidence.openings[place], kind, length);
    }

    /// @notice The same for a leaf under any header.
    function openIn(
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        ITraceJudge.Opening calldata opening,
        uint256 kind,
        uint256 length
    ) internal pure returns (bytes calldata words, uint256 index) {
        words = opening.words;
        index = opening.index;
        uint256 count = counts[kind];
        if (length != 0 && words.length != length) revert Traces_EvidenceShape(kind, words.length, length);
        if (index >= count || opening.siblings.length != depthOf(count)) revert Traces_LeafMismatch(kind, index);
        bytes32 hash = climb(leafHash(kind, index, words), index, opening.siblings);
        if (hash != roots[kind]) revert Traces_LeafMismatch(kind, index);
    }

    /// @dev Folds a path in one buffer. memory-safe: writes [m, m + 65) past the free pointer and moves no pointer: tag, left,
    /// right, as in `nodeHash`; an odd position puts the node on the right, 32 bytes further, and its sibling on the left.
    function climb(bytes32 hash, uint256 position, bytes32[] calldata siblings) internal pure returns (bytes32) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            let end := add(siblings.offset, shl(5, siblings.length))
            for { let at := siblings.offset } lt(at, end) { at := add(at, 32) } {
                let shift := shl(5, and(position, 1))
                mstore(add(add(m, 1), shift), hash)
                mstore(sub(add(m, 33), shift), calldataload(at))
                hash := keccak256(m, 65)
                position := shr(1, position)
            }
        }
        return hash;
    }

    /// @notice Demand that `evidence.all` is every leaf of `kind`, `length` bytes each; return how many.
    function requireAll(ITraceJudge.Evidence calldata evidence, uint256 kind, uint256 length)
        internal
        pure
        returns (uint256 count)
    {
        count = evidence.counts[kind];
        bytes calldata words = evidence.all;
        if (words.length != count * length) revert Traces_EvidenceShape(kind, words.length, count * length);
        bytes32 root = rootOver(kind, 0, count, length, words, 1 << depthOf(count));
        if (root != evidence.roots[kind]) revert Traces_LeafMismatch(kind, count);
    }

    /// @dev The root over `width` places from leaf `first` on, `count` of them leaves of `length` bytes. Proof of the assembly:
    /// - calldata: leaf i is read at words.offset + i * length, i < count, and the caller has checked the length of all.
    /// - memory-safe: it takes [level, level + 32 width) from the free pointer on; behind it lies the buffer of one leaf (6 +
    ///   length bytes: tag 1, kind 1, index 4, words) or node (65 bytes), which is past the new free pointer.
    /// - nodes: pair j lies at level + 64 j, its parent goes to level + 32 j, which no later pair reads. Places without a leaf
    ///   are zero: the buffer is written only behind them.
    function rootOver(uint256 kind, uint256 first, uint256 count, uint256 length, bytes calldata words, uint256 width)
        internal
        pure
        returns (bytes32 root)
    {
        assembly ("memory-safe") {
            let level := mload(0x40)
            let m := add(level, shl(5, width))
            mstore(0x40, m)
            calldatacopy(level, calldatasize(), shl(5, width))
            mstore8(m, 0)
            mstore8(add(m, 1), kind)
            let at := words.offset
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                mstore(add(m, 2), shl(224, add(first, i)))
                calldatacopy(add(m, 6), at, length)
                mstore(add(level, shl(5, i)), keccak256(m, add(6, length)))
                at := add(at, length)
            }
            mstore8(m, 1)
            for {} gt(width, 1) { width := shr(1, width) } {
                let end := add(level, shl(5, width))
                let parent := level
                for { let pair := level } lt(pair, end) { pair := add(pair, 64) } {
                    mstore(add(m, 1), mload(pair))
                    mstore(add(m, 33), mload(add(pair, 32)))
                    mstore(parent, keccak256(m, 65))
                    parent := add(parent, 32)
                }
            }
            root := mload(level)
        }
    }

    // Layouts are static words in calldata, so a leaf is read in place. Every caller has checked the length.

    function rules(bytes calldata words) internal pure returns (RulesLeaf calldata leaf) {
        assembly ("memory-safe") {
            leaf := words.offset
        }
    }

    function round(bytes calldata words) internal pure returns (RoundLeaf calldata leaf) {
        assembly ("memory-safe") {
            leaf := words.offset
        }
    }

    function entry(bytes calldata words) internal pure returns (EntryLeaf calldata leaf) {
        assembly ("memory-safe") {
            leaf := words.offset
        }
    }

    function standing(bytes calldata words) internal pure returns (StandingLeaf calldata leaf) {
        assembly ("memory-safe") {
            leaf := words.offset
        }
    }

    // Out of all leaves: `requireAll` has checked the length, and callers stay below the count that it returned.

    function entryAt(bytes calldata all, uint256 index) internal pure returns (EntryLeaf calldata leaf) {
        uint256 from = index * ENTRY_BYTES;
        assembly ("memory-safe") {
            leaf := add(all.offset, from)
        }
    }

    function standingAt(bytes calldata all, uint256 index) internal pure returns (StandingLeaf calldata leaf) {
        uint256 from = index * STANDING_BYTES;
        assembly ("memory-safe") {
            leaf := add(all.offset, from)
        }
    }

    /// @notice Return the first Gram row that is neither the reference's nor a trainer's.
    function trainersEnd(RoundLeaf calldata leaf) internal pure returns (uint256) {
        return leaf.reference_ + leaf.candidates;
    }

    // The work leaf: content root of the sums, layout hash of this round and of the next, then (content root, weight) of
    // every Gram row.

    uint256 internal constant WORK_HEAD = 96;

    /// @notice Return the content root of the sums.
    function sumsOf(bytes calldata work) internal pure returns (bytes32) {
        return bytes32(work[0:32]);
    }

    /// @notice Return the hash of the tensors' sizes and offsets ({Contents}).
    function layoutOf(bytes calldata work) internal pure returns (bytes32) {
        return bytes32(work[32:64]);
    }

    /// @notice Return the same hash for the round after.
    function layoutAfterOf(bytes calldata work) internal pure returns (bytes32) {
        return bytes32(work[64:96]);
    }

    /// @notice Return content root and weight of a Gram row. Requirements: there is such a row.
    function rowAt(bytes calldata work, uint256 row) internal pure returns (bytes32 content, int256 weight) {
        // reads calldata only; inside `work`, as callers have checked
        assembly ("memory-safe") {
            let at := add(add(work.offset, WORK_HEAD), shl(6, row))
            content := calldataload(at)
            weight := calldataload(add(at, 32))
        }
    }

    /// @notice Return word `place` of a Gram row. Requirements: the row has so many.
    function wordAt(bytes calldata row, uint256 place) internal pure returns (int256 word) {
        if (place >= row.length >> 5) revert Traces_LeafMismatch(GRAM, place);
        // inside the row, by the line above
        assembly ("memory-safe") {
            word := calldataload(add(row.offset, shl(5, place)))
        }
    }
}
