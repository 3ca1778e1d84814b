// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Traces} from "./Traces.sol";

/// @title Contents
/// @notice The tree over a vector's integers, of which a dispute opens a leaf or two. Twin of
/// `fl_platform/updates/content.py`, where it is explained, and of `protocol/trace.py` (layout).
///
///   leaf k = keccak256(0x00, k u32, blind, 16 * bits bytes)      128 integers of 4, 8, 16 or 64 bits, little endian
///   node   = keccak256(0x01, left, right)                        depth is fixed by the vector's size
///   layout = keccak256(size u64, offset u8 of every tensor)      a coordinate counts 4^offset in an inner product
library Contents {
    /// @notice Thrown when a leaf is not under the content root.
    error Contents_LeafMismatch(uint256 index, bytes32 given, bytes32 expected);

    /// @notice Thrown when a leaf has not the bytes that its width and size imply, or a path not the depth.
    error Contents_LeafShape(uint256 index, uint256 bodyBytes, uint256 siblings);

    /// @notice Thrown when a list of tensors is not the one that the trace names.
    error Contents_LayoutMismatch(bytes32 given, bytes32 expected);

    uint256 internal constant COORDINATES = 128;
    uint256 internal constant SUM_BITS = 64;
    /// @notice Width of the public directions' integers.
    uint256 internal constant DIRECTION_BITS = 16;
    /// @notice Levels of a tree that one answer shows.
    uint256 internal constant LEVELS = 7;
    uint256 private constant TENSOR_BYTES = 9;

    /// @notice One leaf with its path.
    struct Leaf {
        bytes32 blind;
        bytes body;
        bytes32[] siblings;
    }

    /// @notice Return how many leaves a vector of `size` coordinates has.
    function leafCount(uint256 size) internal pure returns (uint256) {
        return (size + COORDINATES - 1) / COORDINATES;
    }

    /// @notice Return the depth of the tree over a vector of `size` coordinates.
    function depthOf(uint256 size) internal pure returns (uint256) {
        return Traces.depthOf(leafCount(size));
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

    /// @notice Return the root that leaf `index` leads to, packed in calldata from `from` on: blind, `body` bytes, `depth`
    /// siblings. Requirements: the caller has checked that so many bytes are there.
    function rootAt(uint256 from, uint256 index, uint256 body, uint256 depth) internal pure returns (bytes32) {
        bytes32 hash;
        // memory-safe: writes [m, m + 37 + body) past the free pointer and moves no pointer
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), shl(224, index))
            calldatacopy(add(m, 5), from, add(32, body))
            hash := keccak256(m, add(37, body))
            from := add(from, add(32, body))
        }
        return _climb(hash, index, from, depth);
    }

    /// @notice Return the bytes of a packed leaf.
    function packedLength(uint256 body, uint256 depth) internal pure returns (uint256) {
        return 32 + body + 32 * depth;
    }

    /// @dev memory-safe: writes [m, m + 65) past the free pointer and moves no pointer. The siblings' words are read in place:
    /// callers have checked that `depth` of them lie in calldata from `from` on.
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

    /// @notice Revert unless nodes and leaf are what lies below `node` (1: the root; 2 i, 2 i + 1: the children of i) of the
    /// tree over `size` sums: its descendants at most {LEVELS} further down, or on the bottom row the leaf, unblinded. A node
    /// that no tree of that size has is not held against anything.
    function requireSubtree(uint256 node, uint256 size, bytes32[] calldata nodes, Leaf calldata leaf, bytes32 root)
        internal
        pure
    {
        if (node == 0) return;
        uint256 depth = depthOf(size);
        uint256 level = 0;
        // node has 32 bits: at most 32 turns
        while (node >> (level + 1) != 0) ++level;
        uint256 position = node - (1 << level);
        if (level > depth || position << (depth - level) >= leafCount(size)) return;
        if (level == depth) {
            if (leaf.blind != 0 || nodes.length != 0) revert Contents_LeafShape(position, leaf.body.length, nodes.length);
            requireLeaf(leaf, position, SUM_BITS, depth, root);
            return;
        }
        uint256 width = 1 << (depth - level < LEVELS ? depth - level : LEVELS);
        if (nodes.length != width || leaf.siblings.length != level) {
            revert Contents_LeafShape(position, nodes.length, leaf.siblings.length);
        }
        bytes32 hash = _fold(nodes);
        // one turn a level
        for (uint256 i = 0; i < level; ++i) {
            bytes32 other = leaf.siblings[i];
            hash = position >> i & 1 == 0 ? Traces.nodeHash(hash, other) : Traces.nodeHash(other, hash);
        }
        if (hash != root) revert Contents_LeafMismatch(position, hash, root);
    }

    /// @dev The root over at most 128 nodes, a power of two of them.
    function _fold(bytes32[] memory row) private pure returns (bytes32) {
        for (uint256 width = row.length; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) row[i >> 1] = Traces.nodeHash(row[i], row[i + 1]);
        }
        return row[0];
    }

    /// @notice Return integer `place` (0 .. 127) of a leaf's body, which begins at `body` in calldata and was checked.
    /// @dev Reads calldata only. Little endian: 64 bits are turned round in three swaps.
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
                let word := shr(192, calldataload(add(body, shl(3, place))))
                word := or(shr(8, and(word, 0xff00ff00ff00ff00)), shl(8, and(word, 0x00ff00ff00ff00ff)))
                word := or(shr(16, and(word, 0xffff0000ffff0000)), shl(16, and(word, 0x0000ffff0000ffff)))
                value := signextend(7, or(shr(32, word), shl(32, and(word, 0xffffffff))))
            }
        }
    }

    /// @notice Return sum 4^offset * a * b over the coordinates of leaf `index`.
    /// @param tensors The preimage of the layout hash, checked by the caller.
    function product(
        bytes calldata a,
        uint256 aBits,
        bytes calldata b,
        uint256 bBits,
        uint256 index,
        bytes calldata tensors
    ) internal pure returns (int256 total) {
        uint256 first = index * COORDINATES;
        uint256 start = 0;
        // one turn a tensor; a leaf lies in one or a few of them
        for (uint256 t = 0; t < tensors.length; t += TENSOR_BYTES) {
            uint256 stop = start + uint64(bytes8(tensors[t:t + 8]));
            if (start >= first + COORDINATES) break;
            if (stop > first) {
                uint256 from = start > first ? start - first : 0;
                uint256 to = stop < first + COORDINATES ? stop - first : COORDINATES;
                total += _dot(a, aBits, b, bBits, from, to) * int256(1 << (2 * uint256(uint8(tensors[t + 8]))));
            }
            start = stop;
        }
    }

    /// @dev Sum of a * b over places [from, to) of two bodies of 16 * bits bytes, to <= 128. Proof of the assembly:
    /// - memory-safe: reads calldata only; place i < 128 lies inside a body at 4, 8 and 16 bits, and a load past the end of
    ///   calldata reads zeros, which the shifts drop;
    /// - a product is below 2^30 and there are at most 128, so the sum cannot wrap.
    /// A width that is none of the three is read as 4: no honest rules leaf has one (question Rules).
    function _dot(
        bytes calldata a,
        uint256 aBits,
        bytes calldata b,
        uint256 bBits,
        uint256 from,
        uint256 to
    ) private pure returns (int256 sum) {
        assembly ("memory-safe") {
            function read(offset, i, bits) -> value {
                switch bits
                case 8 { value := signextend(0, shr(248, calldataload(add(offset, i)))) }
                case 16 {
                    let word := shr(240, calldataload(add(offset, shl(1, i))))
                    value := signextend(1, or(shr(8, word), shl(8, and(word, 0xff))))
                }
                default {
                    let pair := shr(248, calldataload(add(offset, shr(1, i))))
                    value := sub(xor(and(shr(shl(2, and(i, 1)), pair), 15), 8), 8)
                }
            }
            // an update is multiplied by an update as a rule: widths that are equal have loops of their own
            switch or(shl(8, aBits), bBits)
            case 0x0808 {
                for { let i := from } lt(i, to) { i := add(i, 1) } {
                    let x := signextend(0, byte(0, calldataload(add(a.offset, i))))
                    sum := add(sum, mul(x, signextend(0, byte(0, calldataload(add(b.offset, i))))))
                }
            }
            case 0x1010 {
                for { let i := shl(1, from) } lt(i, shl(1, to)) { i := add(i, 2) } {
                    let x := calldataload(add(a.offset, i))
                    let y := calldataload(add(b.offset, i))
                    x := signextend(1, or(byte(0, x), shl(8, byte(1, x))))
                    sum := add(sum, mul(x, signextend(1, or(byte(0, y), shl(8, byte(1, y))))))
                }
            }
            default {
                for { let i := from } lt(i, to) { i := add(i, 1) } {
                    sum := add(sum, mul(read(a.offset, i, aBits), read(b.offset, i, bBits)))
                }
            }
        }
    }

    /// @notice Return the sum of a layout's sizes.
    function sizeOf(bytes calldata tensors) internal pure returns (uint256 size) {
        // one turn a tensor
        for (uint256 t = 0; t < tensors.length; t += TENSOR_BYTES) {
            size += uint64(bytes8(tensors[t:t + 8]));
        }
    }

    /// @notice Revert unless `tensors` is the preimage of `expected`.
    function requireLayout(bytes calldata tensors, bytes32 expected) internal pure {
        bytes32 given = keccak256(tensors);
        if (given != expected || tensors.length % TENSOR_BYTES != 0) revert Contents_LayoutMismatch(given, expected);
    }
}
