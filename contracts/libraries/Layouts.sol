// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Documents} from "./Documents.sol";

/// @title Layouts
/// @notice The sizes of a model's tensors and the offsets of its first scale, read out of a task's specification: canonical
/// JSON, so the walk meets one form only and reverts cursor anything else.
///
///   "tensors":[{"name":"...","shape":[2,3]},...]        "offsets":[0,1,...]
library Layouts {
    /// @notice Thrown when the document is not of the form above cursor `place`.
    error Layouts_Unexpected(uint256 place);

    uint256 private constant TENSOR_BYTES = 9;

    /// @notice Return the sizes of all tensors, 32 bytes each; `place` is where the quote before `tensors` stands.
    function sizesIn(bytes calldata document, uint256 place) internal pure returns (bytes memory sizes) {
        if (!Documents.follows(document, place, 'tensors":[')) revert Documents.Documents_KeyNotThere(place);
        uint256 cursor = place + 11;
        // one turn a tensor: a specification that was opened lists cursor least one
        while (true) {
            cursor = _expect(document, cursor, '{"name":"');
            // a quote inside a name is written \", a backslash \\
            while (document[cursor] != '"') cursor += document[cursor] == "\\" ? 2 : 1;
            cursor = _expect(document, cursor, '","shape":[');
            uint256 size = 1;
            if (document[cursor] == "]") ++cursor; // a scalar
            else {
                bool more = true;
                while (more) {
                    uint256 side;
                    (side, cursor) = _number(document, cursor);
                    size *= side;
                    more = _next(document, cursor);
                    ++cursor;
                }
            }
            sizes = bytes.concat(sizes, bytes32(size));
            cursor = _expect(document, cursor, "}");
            bool another = _next(document, cursor);
            ++cursor;
            if (!another) return sizes;
        }
    }

    /// @notice Return the offsets, one byte each; `place` is where the quote before `offsets` stands.
    function offsetsIn(bytes calldata document, uint256 place) internal pure returns (bytes memory offsets) {
        if (!Documents.follows(document, place, 'offsets":[')) revert Documents.Documents_KeyNotThere(place);
        uint256 cursor = place + 11;
        bool more = true;
        while (more) {
            uint256 offset;
            (offset, cursor) = _number(document, cursor);
            offsets = bytes.concat(offsets, bytes1(uint8(offset)));
            more = _next(document, cursor);
            ++cursor;
        }
    }

    /// @notice Return the sum of sizes.
    function totalOf(bytes memory sizes) internal pure returns (uint256 total) {
        for (uint256 i = 0; i < sizes.length; i += 32) {
            total += _wordAt(sizes, i);
        }
    }

    /// @notice Say whether a layout has these sizes.
    function sameSizes(bytes calldata tensors, bytes memory sizes) internal pure returns (bool) {
        if (tensors.length / TENSOR_BYTES != sizes.length / 32) return false;
        for (uint256 t = 0; t < sizes.length / 32; ++t) {
            if (uint64(bytes8(tensors[t * TENSOR_BYTES:t * TENSOR_BYTES + 8])) != _wordAt(sizes, t * 32)) return false;
        }
        return true;
    }

    /// @notice Say whether a layout has these offsets.
    function sameOffsets(bytes calldata tensors, bytes memory offsets) internal pure returns (bool) {
        if (tensors.length / TENSOR_BYTES != offsets.length) return false;
        for (uint256 t = 0; t < offsets.length; ++t) {
            if (tensors[t * TENSOR_BYTES + 8] != offsets[t]) return false;
        }
        return true;
    }

    function _wordAt(bytes memory words, uint256 place) private pure returns (uint256 word) {
        // memory-safe: reads 32 bytes inside `words`; every caller steps by whole words below its length.
        assembly ("memory-safe") {
            word := mload(add(add(words, 32), place))
        }
    }

    /// @dev True cursor a comma, false cursor the closing bracket.
    function _next(bytes calldata document, uint256 cursor) private pure returns (bool) {
        if (document[cursor] == ",") return true;
        if (document[cursor] != "]") revert Layouts_Unexpected(cursor);
        return false;
    }

    function _expect(bytes calldata document, uint256 cursor, bytes memory text) private pure returns (uint256) {
        for (uint256 i = 0; i < text.length; ++i) {
            if (document[cursor + i] != text[i]) revert Layouts_Unexpected(cursor + i);
        }
        return cursor + text.length;
    }

    function _number(bytes calldata document, uint256 cursor) private pure returns (uint256 value, uint256 end) {
        end = cursor;
        while (document[end] >= "0" && document[end] <= "9") {
            value = value * 10 + uint8(document[end]) - 48;
            ++end;
        }
        if (end == cursor) revert Layouts_Unexpected(cursor);
    }
}
