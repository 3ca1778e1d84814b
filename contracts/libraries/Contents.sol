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
        // memory-safe: writes [m, m + 37 + body) and then [m, m + 65) past the free pointer and moves no pointer. The
        // siblings' words are read in place: the decoder has checked that they lie in calldata.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), shl(224, index))
            mstore(add(m, 5), blind)
            calldatacopy(add(m, 37), body.offset, body.length)
            hash := keccak256(m, add(37, body.length))
            mstore8(m, 1)
            let position := index
            let end := add(siblings.offset, shl(5, depth))
            for { let cursor := siblings.offset } lt(cursor, end) { cursor := add(cursor, 32) } {
                // m + 1: left child, m + 33: right child; an odd position is a right one
                let side := shl(5, and(position, 1))
                mstore(add(m, add(1, side)), hash)
                mstore(add(m, sub(33, side)), calldataload(cursor))
                hash := keccak256(m, 65)
                position := shr(1, position)
            }
        }
        if (hash != root) revert Contents_LeafMismatch(index, hash, root);
    }

    /// @notice Return integer `place` (0 .. 127) of a leaf's body.
    function integerAt(bytes calldata body, uint256 place, uint256 bits) internal pure returns (int256) {
        if (bits == 8) return int8(uint8(body[place]));
        if (bits == 16) return _wide(body[2 * place:2 * place + 2]);
        if (bits == 4) {
            uint256 pair = uint8(body[place >> 1]);
            uint256 nibble = place & 1 == 0 ? pair & 15 : pair >> 4;
            return int256(nibble ^ 8) - 8;
        }
        return _wide(body[8 * place:8 * place + 8]);
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
            for { let i := from } lt(i, to) { i := add(i, 1) } {
                sum := add(sum, mul(read(a.offset, i, aBits), read(b.offset, i, bBits)))
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

    function _wide(bytes calldata word) private pure returns (int256 value) {
        // at most 8 turns: little endian
        uint256 raw = 0;
        for (uint256 i = word.length; i > 0; --i) {
            raw = raw << 8 | uint8(word[i - 1]);
        }
        return word.length == 2 ? int256(int16(uint16(raw))) : int256(int64(uint64(raw)));
    }
}
