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
        return kind == Language.KIND_SUMS || kind == Language.KIND_MODEL ? SUM_BITS : 0;
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

    /// @notice Revert unless those of some nodes on one level, from `first` on, that are behind the last leaf are of nothing:
    /// else a row's root would differ, and no leaf of it.
    function requireEmptyBehind(bytes32[] memory nodes, uint256 first, uint256 level, uint256 leaves) internal pure {
        bytes32 empty;
        for (uint256 i = 0; i < level; ++i) {
            empty = nodeHash(empty, empty);
        }
        for (uint256 i = 0; i < nodes.length; ++i) {
            if ((first + i) << level >= leaves && nodes[i] != empty) revert Rows_LeafMismatch((first + i) << level);
        }
    }

    /// @notice Return the node over a row of nodes, as many as a power of two. The row is used up.
    function fold(bytes32[] memory row) internal pure returns (bytes32) {
        for (uint256 width = row.length; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                row[i >> 1] = nodeHash(row[i], row[i + 1]);
            }
        }
        return row[0];
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

    /// @notice Return the inner product of two leaves' integers, of `aBits` and `bBits` bits: 4, 8, 16 or 32. An update's one
    /// value outside of its symmetric range, which no encoder writes, is read as 0.
    /// @dev memory-safe: reads inside both bodies, whose lengths {requireLeaf} has checked, and up to 31 bytes behind them,
    /// which are dropped. 128 products below 2^62: no wrap.
    function dot(bytes memory a, uint256 aBits, bytes memory b, uint256 bBits) internal pure returns (int256 sum) {
        assembly ("memory-safe") {
            function read(data, i, bits) -> value {
                switch bits
                case 8 { value := signextend(0, byte(0, mload(add(data, i)))) }
                case 16 {
                    let word := mload(add(data, shl(1, i)))
                    value := signextend(1, or(byte(0, word), shl(8, byte(1, word))))
                }
                case 32 {
                    let w := mload(add(data, shl(2, i)))
                    value := signextend(
                        3,
                        or(or(byte(0, w), shl(8, byte(1, w))), or(shl(16, byte(2, w)), shl(24, byte(3, w))))
                    )
                    leave
                }
                default {
                    let pair := byte(0, mload(add(data, shr(1, i))))
                    value := sub(xor(and(shr(shl(2, and(i, 1)), pair), 15), 8), 8)
                }
                if eq(value, sub(0, shl(sub(bits, 1), 1))) { value := 0 }
            }
            let first := add(a, 32)
            let second := add(b, 32)
            for { let i := 0 } lt(i, 128) { i := add(i, 1) } {
                sum := add(sum, mul(read(first, i, aBits), read(second, i, bBits)))
            }
        }
    }

    /// @notice Return the body of sums `before` + weight * body, each as 32 bits hold it; `body` of an update.
    function combine(bytes memory before, bytes memory body, uint256 bits, int256 weight)
        internal
        pure
        returns (bytes memory)
    {
        return _moved(before, body, bits, weight, 0, type(int256).min, type(int256).max);
    }

    /// @notice Return the body of a model's integers moved by `sums`: each w + floor(f s / 2^STEP_POINT + 1/2), saturating.
    /// @param packed 2 f, + 1 where nothing may be below 0; f is the factor of the block that they lie in.
    function step(bytes memory model, bytes memory sums, int256 packed) internal pure returns (bytes memory) {
        int256 most = int256(Language.LARGEST_WEIGHT);
        return
            _moved(model, sums, SUM_BITS, packed >> 1, Language.STEP_POINT, packed & 1 == 0 ? -most : int256(0), most);
    }

    /// @dev Each of `before` + floor(factor * body / 2^point + 1/2), within bounds; `point` 0: without the half.
    /// memory-safe: reads as in {dot}; writes [found + 32, found + 544), which `found` has, four bytes a turn.
    function _moved(
        bytes memory before,
        bytes memory body,
        uint256 bits,
        int256 factor,
        uint256 point,
        int256 least,
        int256 most
    ) private pure returns (bytes memory found) {
        found = new bytes(SUM_BODY);
        assembly ("memory-safe") {
            function wide(at) -> value {
                let w := mload(at)
                value := signextend(
                    3,
                    or(or(byte(0, w), shl(8, byte(1, w))), or(shl(16, byte(2, w)), shl(24, byte(3, w))))
                )
            }
            let half := shr(1, shl(point, 1))
            let data := add(body, 32)
            for { let i := 0 } lt(i, 128) { i := add(i, 1) } {
                let at := add(32, shl(2, i))
                let value
                switch bits
                case 8 { value := signextend(0, byte(0, mload(add(data, i)))) }
                case 16 {
                    let w := mload(add(data, shl(1, i)))
                    value := signextend(1, or(byte(0, w), shl(8, byte(1, w))))
                }
                case 32 { value := wide(add(body, at)) }
                default {
                    value := sub(xor(and(shr(shl(2, and(i, 1)), byte(0, mload(add(data, shr(1, i))))), 15), 8), 8)
                }
                // an update has no such integer; a row of 32 bits may
                if and(eq(value, sub(0, shl(sub(bits, 1), 1))), lt(bits, 32)) { value := 0 }
                value := add(wide(add(before, at)), sar(point, add(mul(factor, value), half)))
                if slt(value, least) { value := least }
                if sgt(value, most) { value := most }
                let place := add(found, at)
                mstore8(place, value)
                mstore8(add(place, 1), shr(8, value))
                mstore8(add(place, 2), shr(16, value))
                mstore8(add(place, 3), shr(24, value))
            }
        }
    }
}
