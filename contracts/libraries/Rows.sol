// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Language} from "./Language.sol";

/// @title Rows
/// @notice Vectors over a model's parameters, of which a dispute opens a leaf or two. Twin of fl_platform/protocol/rows.py.
///
///   leaf k = keccak256(0x00, k u32, blind, body)      128 integers of 4, 8, 16 or 32 bits, little endian, in 16 * bits bytes
///   node   = keccak256(0x01, left, right)             depth is fixed by the number of leaves
///
/// Every block of parameters begins a leaf.
library Rows {
    /// @notice Thrown when a leaf is not under the content root, or has not the bytes or the path that it must have.
    error Rows_LeafMismatch(uint256 index);

    uint256 internal constant COORDINATES = 128;
    uint256 internal constant SUM_BITS = 32;
    /// @notice Bytes of a leaf of sums.
    uint256 internal constant SUM_BODY = 16 * SUM_BITS;

    /// @notice One leaf with its path.
    struct Leaf {
        bytes32 blind;
        bytes body;
        bytes32[] siblings;
    }

    /// @notice Return the width of a row's integers; zero for what is no row.
    function bitsOf(uint256 kind, uint256 updateBits) internal pure returns (uint256) {
        if (kind == Language.KIND_UPDATE) return updateBits;
        return kind == Language.KIND_SUMS ? SUM_BITS : 0;
    }

    /// @notice Return a leaf's hash.
    function leafHash(uint256 index, bytes32 blind, bytes memory body) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(0), uint32(index), blind, body));
    }

    /// @notice Revert unless `leaf` is leaf `index` under `root`, in a tree of `depth` levels.
    function requireLeaf(Leaf memory leaf, uint256 index, uint256 bits, uint256 depth, bytes32 root) internal pure {
        if (leaf.body.length != 16 * bits || leaf.siblings.length != depth) revert Rows_LeafMismatch(index);
        if (climb(leafHash(index, leaf.blind, leaf.body), index, leaf.siblings, 0, depth) != root) {
            revert Rows_LeafMismatch(index);
        }
    }

    /// @notice Return where a node leads by `levels` siblings from `from` on.
    function climb(bytes32 node, uint256 index, bytes32[] memory siblings, uint256 from, uint256 levels)
        internal
        pure
        returns (bytes32)
    {
        for (uint256 i = 0; i < levels; ++i) {
            node = index & 1 == 0 ? nodeHash(node, siblings[from + i]) : nodeHash(siblings[from + i], node);
            index >>= 1;
        }
        return node;
    }

    /// @notice Return the hash of a node over two children.
    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32 hash) {
        // memory-safe: writes [m, m + 65) past the free pointer and moves no pointer: tag 1, left 32, right 32
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            mstore(add(m, 1), left)
            mstore(add(m, 33), right)
            hash := keccak256(m, 65)
        }
    }

    /// @notice Return the inner product of two leaves' integers.
    function dot(bytes memory a, uint256 aBits, bytes memory b, uint256 bBits) internal pure returns (int256 sum) {
        // 128 products below 2^62: no wrap
        unchecked {
            for (uint256 i = 0; i < COORDINATES; ++i) {
                sum += integerAt(a, i, aBits) * integerAt(b, i, bBits);
            }
        }
    }

    /// @notice Return the body of sums `before` + weight * body, each as 32 bits hold it.
    function combine(bytes memory before, bytes memory body, uint256 bits, int256 weight)
        internal
        pure
        returns (bytes memory sums)
    {
        sums = new bytes(SUM_BODY);
        unchecked {
            for (uint256 i = 0; i < COORDINATES; ++i) {
                uint256 value = uint256(integerAt(before, i, SUM_BITS) + weight * integerAt(body, i, bits));
                for (uint256 k = 0; k < 4; ++k) {
                    sums[4 * i + k] = bytes1(uint8(value >> (8 * k)));
                }
            }
        }
    }

    /// @notice Return integer `place` of a body of 16 * bits bytes. An update's one value outside of the symmetric range,
    /// which no encoder writes, is read as 0.
    /// @dev memory-safe: reads inside the body, `place` < 128 and its length checked by the caller, or up to 31 bytes behind it,
    /// which the shifts drop.
    function integerAt(bytes memory body, uint256 place, uint256 bits) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            let data := add(body, 32)
            switch bits
            case 8 { value := signextend(0, byte(0, mload(add(data, place)))) }
            case 16 {
                let word := mload(add(data, shl(1, place)))
                value := signextend(1, or(byte(0, word), shl(8, byte(1, word))))
            }
            case 32 {
                let word := mload(add(data, shl(2, place)))
                word := or(or(byte(0, word), shl(8, byte(1, word))), or(shl(16, byte(2, word)), shl(24, byte(3, word))))
                value := signextend(3, word)
            }
            default {
                let pair := byte(0, mload(add(data, shr(1, place))))
                value := sub(xor(and(shr(shl(2, and(place, 1)), pair), 15), 8), 8)
            }
        }
        if (bits != SUM_BITS && value == -int256(1 << (bits - 1))) return 0;
    }
}
