// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Contents
/// @notice The tree over a vector's integers, of which a dispute opens a leaf or two. Twin of
/// `fl_platform/updates/content.py`, where it is explained.
///
///   leaf k = keccak256(0x00, k u32, blind, 16 * bits bytes)      128 integers of 4, 8, 16 or 32 bits, little endian
///   node   = keccak256(0x01, left, right)                        depth is fixed by the vector's size
library Contents {
    /// @notice Thrown when a leaf is not under the content root.
    error Contents_LeafMismatch(uint256 index, bytes32 given, bytes32 expected);

    /// @notice Thrown when a leaf has not the bytes that its width and size imply, or a path not the depth.
    error Contents_LeafShape(uint256 index, uint256 bodyBytes, uint256 siblings);

    uint256 internal constant COORDINATES = 128;

    /// @notice One leaf with its path.
    struct Leaf {
        bytes32 blind;
        bytes body;
        bytes32[] siblings;
    }

    /// @notice Revert unless `leaf` is leaf `index`, of `bits`-bit integers, under `root` with a tree of `depth` levels.
    function requireLeaf(Leaf calldata leaf, uint256 index, uint256 bits, uint256 depth, bytes32 root) internal pure {
        bytes calldata body = leaf.body;
        bytes32[] calldata siblings = leaf.siblings;
        if (body.length != 16 * bits || siblings.length != depth) {
            revert Contents_LeafShape(index, body.length, siblings.length);
        }
        bytes32 blind = leaf.blind;
        bytes32 hash;
        uint256 from;
        // memory-safe: writes [m, m + 37 + body) past the free pointer and moves no pointer
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), shl(224, index))
            mstore(add(m, 5), blind)
            calldatacopy(add(m, 37), body.offset, body.length)
            hash := keccak256(m, add(37, body.length))
            from := siblings.offset
        }
        hash = _climb(hash, index, from, depth);
        if (hash != root) revert Contents_LeafMismatch(index, hash, root);
    }

    /// @dev memory-safe: writes [m, m + 65) past the free pointer and moves no pointer. The siblings' words are read in place:
    /// the caller has checked that `depth` of them lie in calldata from `from` on.
    function _climb(bytes32 hash, uint256 position, uint256 from, uint256 depth) private pure returns (bytes32) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            let end := add(from, shl(5, depth))
            for { let cursor := from } lt(cursor, end) { cursor := add(cursor, 32) } {
                // m + 1: left child, m + 33: right child; an odd position is a right one
                let side := shl(5, and(position, 1))
                mstore(add(m, add(1, side)), hash)
                mstore(add(m, sub(33, side)), calldataload(cursor))
                hash := keccak256(m, 65)
                position := shr(1, position)
            }
        }
        return hash;
    }

    /// @notice Return integer `place` (0 .. 127) of a leaf's body, which begins at `body` in calldata and was checked.
    /// @dev Reads calldata only. Little endian: 32 bits are turned round in two swaps.
    function integerAt(uint256 body, uint256 place, uint256 bits) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            switch bits
            case 8 { value := signextend(0, byte(0, calldataload(add(body, place)))) }
            case 16 {
                let word := calldataload(add(body, shl(1, place)))
                value := signextend(1, or(byte(0, word), shl(8, byte(1, word))))
            }
            case 4 {
                let pair := byte(0, calldataload(add(body, shr(1, place))))
                value := sub(xor(and(shr(shl(2, and(place, 1)), pair), 15), 8), 8)
            }
            default {
                let word := shr(224, calldataload(add(body, shl(2, place))))
                word := or(shr(8, and(word, 0xff00ff00)), shl(8, and(word, 0x00ff00ff)))
                value := signextend(3, or(shr(16, word), shl(16, and(word, 0xffff))))
            }
        }
    }
}
