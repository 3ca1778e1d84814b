// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title CipherLeaves
/// @notice Opening one leaf of a sealed update and reading one block of it. Twin of `fl_platform/store/envelope.py`.
///
///   leaf k = sha256(0x00, k u32, 1,024 bytes; the last one shorter)     node = sha256(0x01, left, right)
///   padded to a power of two with leaves of 32 zero bytes; the number of leaves follows from the length
library CipherLeaves {
    uint256 internal constant LEAF_BYTES = 1_024;
    uint256 internal constant BLOCK_BYTES = 16;

    /// @notice One leaf with its path.
    struct Leaf {
        bytes body;
        bytes32[] siblings;
    }

    /// @notice Thrown when a leaf is not under the root that the receipt signs.
    error CipherLeaves_LeafMismatch(uint256 index, bytes32 given, bytes32 expected);

    /// @notice Thrown when a leaf has not the bytes, or a path not the depth, that the file's length implies.
    error CipherLeaves_LeafShape(uint256 index, uint256 bodyBytes, uint256 siblings);

    /// @notice Return AES block `number` of a sealed file, zeros behind its end.
    /// @param leaf The leaf that the block lies in: number / 64.
    function blockOf(Leaf calldata leaf, uint256 number, uint256 length, bytes32 root)
        internal
        view
        returns (bytes16 data)
    {
        uint256 index = number * BLOCK_BYTES / LEAF_BYTES;
        _requireLeaf(leaf, index, length, root);
        uint256 start = number * BLOCK_BYTES - index * LEAF_BYTES;
        uint256 end = start + BLOCK_BYTES;
        // a shorter slice is filled up with zeros
        return bytes16(leaf.body[start:end < leaf.body.length ? end : leaf.body.length]);
    }

    /// @notice Return whether a tree of `count` leaves, at least one, has this depth: ceil(log2(count)).
    function isDepth(uint256 depth, uint256 count) internal pure returns (bool) {
        return depth < 64 && count <= 1 << depth && (depth == 0 || count > 1 << (depth - 1));
    }

    function _requireLeaf(Leaf calldata leaf, uint256 index, uint256 length, bytes32 root) private view {
        uint256 rest = length - index * LEAF_BYTES;
        uint256 size = rest < LEAF_BYTES ? rest : LEAF_BYTES;
        uint256 count = (length + LEAF_BYTES - 1) / LEAF_BYTES;
        if (leaf.body.length != size || !isDepth(leaf.siblings.length, count)) {
            revert CipherLeaves_LeafShape(index, leaf.body.length, leaf.siblings.length);
        }
        bytes32 hash = _rootOf(leaf.body, leaf.siblings, index);
        if (hash != root) revert CipherLeaves_LeafMismatch(index, hash, root);
    }

    function _rootOf(bytes calldata body, bytes32[] calldata siblings, uint256 index)
        private
        view
        returns (bytes32 hash)
    {
        // memory-safe: writes [m, m + 5 + body) and then [m, m + 65) past the free pointer and the first word of the scratch
        // space, and moves no pointer. The decoder has checked that body and siblings lie in calldata.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), shl(224, index))
            calldatacopy(add(m, 5), body.offset, body.length)
            let good := staticcall(gas(), 2, m, add(5, body.length), 0, 32)
            mstore8(m, 1)
            let end := add(siblings.offset, shl(5, siblings.length))
            for { let cursor := siblings.offset } lt(cursor, end) { cursor := add(cursor, 32) } {
                // m + 1: left child, m + 33: right child; an odd position is a right one
                let side := shl(5, and(index, 1))
                mstore(add(m, add(1, side)), mload(0))
                mstore(add(m, sub(33, side)), calldataload(cursor))
                good := and(good, staticcall(gas(), 2, m, 65, 0, 32))
                index := shr(1, index)
            }
            // SHA-256 fails only for want of gas
            if iszero(good) { revert(0, 0) }
            hash := mload(0)
        }
    }
}
