// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title MerkleSum
/// @notice Merkle-sum trees: one root that fixes n amounts and their total. Twin of `fl_platform/protocol/merkle_sum.py`.
///
///   leaf = keccak256(0x00, index u32, owner address, amount u128, data bytes32)
///   node = keccak256(0x01, sumL u128, hashL bytes32, sumR u128, hashR bytes32)
///
/// Both children's sums stand inside the hash; the weaker H(hashL, hashR, sumL + sumR) lets a prover move value between
/// the children of a node (tests/contracts/test_twins.py does it). Depth is fixed by the count; missing leaves are
/// (hash 0, sum 0).
library MerkleSum {
    /// @notice Thrown when a tree has no leaves or more than `limit`.
    error MerkleSum_CountOutOfBounds(uint256 count, uint256 limit);

    /// @notice Thrown when a leaf's index is not below the count.
    error MerkleSum_IndexOutOfBounds(uint256 index, uint256 count);

    /// @notice Thrown when a path has another length (in bytes) than the tree's depth implies.
    error MerkleSum_PathLength(uint256 length, uint256 expected);

    /// @notice Thrown when two sums do not fit into 128 bits together.
    error MerkleSum_SumOverflow(uint256 left, uint256 right);

    /// @notice Thrown when a path leads to another root or total.
    error MerkleSum_NotInTree(bytes32 root, bytes32 expectedRoot, uint256 total, uint256 expectedTotal);

    uint256 internal constant MAX_LEAVES = 2 ** 20;
    /// @notice Bytes of one sibling: sum u128, hash.
    uint256 internal constant SIBLING = 48;
    /// @notice Bytes of a leaf where all are shown: owner 20, amount 16, data 16 (its upper half is zero).
    uint256 internal constant PACKED = 52;

    /// @notice Return ceil(log2(count)). Requirements: 1 <= count <= MAX_LEAVES.
    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        if (count == 0 || count > MAX_LEAVES) revert MerkleSum_CountOutOfBounds(count, MAX_LEAVES);
        // at most 20 turns
        unchecked {
            while ((1 << depth) < count) ++depth;
        }
    }

    /// @notice Return the hash of a leaf.
    function leafHash(uint32 index, address owner, uint128 amount, bytes32 data) internal pure returns (bytes32 hash) {
        // memory-safe: writes [m, m + 73) past the free pointer and moves no pointer. Fields are written from left to
        // right, each store's tail being overwritten by the next, so these bytes are exactly the packed encoding: tag 1,
        // index 4, owner 20, amount 16, data 32. The shifts also drop whatever dirt lies above a field's width.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), shl(224, index))
            mstore(add(m, 5), shl(96, owner))
            mstore(add(m, 25), shl(128, amount))
            mstore(add(m, 41), data)
            hash := keccak256(m, 73)
        }
    }

    /// @notice Return the hash of a node over two children.
    function nodeHash(uint256 leftSum, bytes32 left, uint256 rightSum, bytes32 right)
        internal
        pure
        returns (bytes32 hash)
    {
        // memory-safe: writes [m, m + 97) past the free pointer and moves no pointer; the fields' order and widths are
        // tag 1, sum 16, hash 32, sum 16, hash 32. Callers keep both sums below 2^128, so no bit is shifted out.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            mstore(add(m, 1), shl(128, leftSum))
            mstore(add(m, 17), left)
            mstore(add(m, 49), shl(128, rightSum))
            mstore(add(m, 65), right)
            hash := keccak256(m, 97)
        }
    }

    /// @notice Return left + right. Requirements: the sum fits into 128 bits.
    function addSums(uint256 left, uint256 right) internal pure returns (uint256 sum) {
        // both are below 2^128, so the 256-bit sum cannot wrap
        unchecked {
            sum = left + right;
        }
        if (sum > type(uint128).max) revert MerkleSum_SumOverflow(left, right);
    }

    /// @notice Revert unless a leaf stands at `index` of the tree (root, total, count).
    /// @param siblings The path from the leaf up: sum (u128) and hash, 48 bytes each.
    function requireLeaf(
        bytes32 root,
        uint256 total,
        uint256 count,
        uint256 index,
        bytes32 hash,
        uint256 sum,
        bytes calldata siblings
    ) internal pure {
        if (index >= count) revert MerkleSum_IndexOutOfBounds(index, count);
        uint256 expected = depthOf(count) * SIBLING;
        if (siblings.length != expected) revert MerkleSum_PathLength(siblings.length, expected);
        (hash, sum) = _climb(index, hash, sum, siblings);
        if (hash != root || sum != total) revert MerkleSum_NotInTree(hash, root, sum, total);
    }

    /// @dev Folds a path in one buffer. Proof of the assembly:
    /// - memory-safe: it writes only [m, m + 97), past the free pointer, and moves no pointer;
    /// - calldata: position runs over siblings in steps of 48 while position < end, and the caller has checked that the
    ///   length is a multiple of 48, so every sibling read lies inside the path (the load of its sum reads 16 bytes of its
    ///   hash, which the shift drops);
    /// - the buffer is tag 1 | left sum 16 | left hash 32 | right sum 16 | right hash 32, written from left to right as in
    ///   `nodeHash`, so no byte of [m, m + 97) is stale;
    /// - sums: both are below 2^128 before the addition (the leaf's by its type, a sibling's by the shift, the running one
    ///   by the check), so it cannot wrap; a sum of 2^128 or more leaves the loop with `overflow` set and reverts.
    function _climb(uint256 index, bytes32 hash, uint256 sum, bytes calldata siblings)
        private
        pure
        returns (bytes32, uint256)
    {
        bool overflow;
        uint256 otherSum;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            let position := siblings.offset
            let end := add(position, siblings.length)
            for {} lt(position, end) { position := add(position, 48) } {
                otherSum := shr(128, calldataload(position))
                let otherHash := calldataload(add(position, 16))
                switch and(index, 1)
                case 0 {
                    mstore(add(m, 1), shl(128, sum))
                    mstore(add(m, 17), hash)
                    mstore(add(m, 49), shl(128, otherSum))
                    mstore(add(m, 65), otherHash)
                }
                default {
                    mstore(add(m, 1), shl(128, otherSum))
                    mstore(add(m, 17), otherHash)
                    mstore(add(m, 49), shl(128, sum))
                    mstore(add(m, 65), hash)
                }
                hash := keccak256(m, 97)
                sum := add(sum, otherSum)
                if shr(128, sum) {
                    overflow := 1
                    break
                }
                index := shr(1, index)
            }
        }
        if (overflow) revert MerkleSum_SumOverflow(sum - otherSum, otherSum);
        return (hash, sum);
    }

    /// @notice Return the bottom row of a tree of `count` leaves, all of them missing: a byte for a tag, then 48 bytes a node.
    function emptyRow(uint256 count) internal pure returns (bytes memory row) {
        // fresh memory, so missing leaves are (0, 0)
        row = new bytes(1 + (1 << depthOf(count)) * SIBLING);
    }

    /// @notice Return root and total of a tree given all its leaves, {PACKED} bytes each: owner, amount, data (u128).
    function rootOf(bytes calldata leaves) internal pure returns (bytes32 root, uint256 total) {
        bytes memory row = emptyRow(leaves.length / PACKED);
        // Proof of the assembly: as in {Reputation}, whose loop also stores what it reads.
        // - calldata: position runs over `leaves` in steps of 52 while at least 52 bytes are left.
        // - memory-safe: nodes go to row + 33 + 48 i, 48 bytes each, i < count <= width, inside `row`; the sum's store is 32
        //   bytes long, its tail is overwritten by the hash. The leaf's preimage is built in [m, m + 73) past the free
        //   pointer: tag 1 (zero), index 4, owner 20, amount 16, data 32; each store's tail is overwritten by the next.
        assembly ("memory-safe") {
            let m := mload(0x40)
            let node := add(row, 33)
            let end := sub(add(leaves.offset, leaves.length), 51)
            let index := 0
            for { let position := leaves.offset } lt(position, end) { position := add(position, 52) } {
                mstore(m, shl(216, index))
                calldatacopy(add(m, 5), position, 36)
                mstore(add(m, 41), shr(128, calldataload(add(position, 36))))
                mstore(node, calldataload(add(position, 20)))
                mstore(add(node, 16), keccak256(m, 73))
                node := add(node, 48)
                index := add(index, 1)
            }
        }
        return fold(row);
    }

    /// @notice Fold a row of nodes in place, level by level; return root and total.
    /// @param row As `emptyRow` returns it, filled from the left. Its content is lost.
    /// @dev Proof of the assembly: pair j of a level lies at row + 33 + 96 j; its tag goes to the byte before, which is the
    /// last byte of pair j - 1 (already hashed) or the tag byte of `row`. Its parent goes to row + 33 + 48 j, which ends at
    /// or before the end of pair j, so no unread node is touched; width halves until one node is left. All writes lie inside
    /// `row`. Sums are below 2^128 before an addition, so it cannot wrap; one that reaches 2^128 ends the loop and reverts.
    function fold(bytes memory row) internal pure returns (bytes32 root, uint256 total) {
        uint256 width = row.length / SIBLING;
        bool overflow;
        uint256 left;
        uint256 right;
        assembly ("memory-safe") {
            let base := add(row, 33)
            for {} gt(width, 1) { width := shr(1, width) } {
                let parent := base
                let end := add(base, mul(width, 48))
                for { let pair := base } lt(pair, end) { pair := add(pair, 96) } {
                    left := shr(128, mload(pair))
                    right := shr(128, mload(add(pair, 48)))
                    let sum := add(left, right)
                    if shr(128, sum) {
                        overflow := 1
                        break
                    }
                    mstore8(sub(pair, 1), 1)
                    let hash := keccak256(sub(pair, 1), 97)
                    mstore(parent, shl(128, sum))
                    mstore(add(parent, 16), hash)
                    parent := add(parent, 48)
                }
                if overflow { break }
            }
            root := mload(add(base, 16))
            total := shr(128, mload(base))
        }
        if (overflow) revert MerkleSum_SumOverflow(left, right);
    }
}
