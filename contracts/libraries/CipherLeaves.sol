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
        pure
        returns (bytes16 data)
    {
        uint256 index = number * BLOCK_BYTES / LEAF_BYTES;
        _requireLeaf(leaf, index, length, root);
        uint256 start = number * BLOCK_BYTES - index * LEAF_BYTES;
        uint256 end = start + BLOCK_BYTES;
        // a shorter slice is filled up with zeros
        return bytes16(leaf.body[start:end < leaf.body.length ? end : leaf.body.length]);
    }

    function _requireLeaf(Leaf calldata leaf, uint256 index, uint256 length, bytes32 root) private pure {
        uint256 rest = length - index * LEAF_BYTES;
        uint256 size = rest < LEAF_BYTES ? rest : LEAF_BYTES;
        uint256 count = (length + LEAF_BYTES - 1) / LEAF_BYTES;
        uint256 depth = 0;
        // lengths are below 2^64: at most 54 turns
        while (1 << depth < count) ++depth;
        if (leaf.body.length != size || leaf.siblings.length != depth) {
            revert CipherLeaves_LeafShape(index, leaf.body.length, leaf.siblings.length);
        }
        bytes32 hash = sha256(abi.encodePacked(uint8(0), uint32(index), leaf.body));
        uint256 position = index;
        for (uint256 i = 0; i < depth; ++i) {
            bytes32 sibling = leaf.siblings[i];
            hash = position & 1 == 0
                ? sha256(abi.encodePacked(uint8(1), hash, sibling))
                : sha256(abi.encodePacked(uint8(1), sibling, hash));
            position >>= 1;
        }
        if (hash != root) revert CipherLeaves_LeafMismatch(index, hash, root);
    }
}
