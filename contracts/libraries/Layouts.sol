// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Documents} from "./Documents.sol";

/// @title Layouts
/// @notice Where a model's parameters lie in the leaves of a content tree: each tensor starts a leaf ({Contents}). Read out of
/// a task's specification: canonical JSON, so the walk meets one form only and reverts at anything else. Twin of
/// `fl_platform/protocol/leaves.py`. Costs a few gas a byte of the list, however many parameters there are.
///
///   "tensors":[{"counted":true,"name":"...","nonnegative":false,"point":24,"shape":[2,3]},...]
library Layouts {
    /// @notice Thrown when the document is not of the form above at `place`.
    error Layouts_Unexpected(uint256 place);

    uint256 private constant COORDINATES = 128;

    /// @notice Of one leaf.
    /// @param first Its first coordinate.
    /// @param count How many it has, 1 to 128; 0 where there is no such leaf.
    /// @param leaves Leaves of the tree.
    struct Span {
        uint256 first;
        uint256 count;
        uint256 leaves;
    }

    /// @notice Return which coordinates leaf `index` covers.
    function spanOf(bytes calldata document, uint256 list, uint256 index) internal pure returns (Span memory span) {
        uint256 cursor = _start(document, list, 'tensors":[');
        uint256 start = 0;
        for (bool more = true; more;) {
            uint256 size;
            (size, cursor) = _tensor(document, cursor);
            uint256 end = span.leaves + _leaves(size);
            if (span.leaves <= index && index < end) {
                uint256 before = (index - span.leaves) * COORDINATES;
                span.first = start + before;
                span.count = size - before < COORDINATES ? size - before : COORDINATES;
            }
            (start, span.leaves) = (start + size, end);
            more = _next(document, cursor++);
        }
    }

    function _leaves(uint256 size) private pure returns (uint256) {
        return (size + COORDINATES - 1) / COORDINATES;
    }

    function _start(bytes calldata document, uint256 place, bytes memory key) private pure returns (uint256) {
        if (!Documents.follows(document, place, key)) revert Documents.Documents_KeyNotThere(place);
        return place + 1 + key.length;
    }

    /// @dev Read one tensor and return its size and the place behind it.
    function _tensor(bytes calldata document, uint256 cursor) private pure returns (uint256 size, uint256 end) {
        cursor = _flag(document, _expect(document, cursor, '{"counted":', 11));
        cursor = _expect(document, cursor, ',"name":"', 9);
        // a quote inside a name is written \", a backslash \\
        while (document[cursor] != '"') cursor += document[cursor] == "\\" ? 2 : 1;
        cursor = _flag(document, _expect(document, cursor, '","nonnegative":', 16));
        cursor = _expect(document, cursor, ',"point":', 9);
        (, cursor) = _number(document, document[cursor] == "-" ? cursor + 1 : cursor);
        cursor = _expect(document, cursor, ',"shape":[', 10);
        size = 1;
        if (document[cursor] == "]") return (size, _expect(document, cursor, "]}", 2)); // a scalar
        for (bool more = true; more;) {
            uint256 side;
            (side, cursor) = _number(document, cursor);
            size *= side;
            more = _next(document, cursor++);
        }
        return (size, _expect(document, cursor, "}", 1));
    }

    function _flag(bytes calldata document, uint256 cursor) private pure returns (uint256) {
        if (document[cursor] == "t") return _expect(document, cursor, "true", 4);
        return _expect(document, cursor, "false", 5);
    }

    /// @dev True at a comma, false at the closing bracket.
    function _next(bytes calldata document, uint256 cursor) private pure returns (bool) {
        if (document[cursor] == ",") return true;
        if (document[cursor] != "]") revert Layouts_Unexpected(cursor);
        return false;
    }

    /// @dev Return the place behind `length` bytes of text, at most 32, which must stand at `cursor`.
    function _expect(bytes calldata document, uint256 cursor, bytes32 text, uint256 length)
        private
        pure
        returns (uint256 end)
    {
        end = cursor + length;
        bytes32 word;
        // reads calldata only, where zeros lie behind its end
        assembly ("memory-safe") {
            word := calldataload(add(document.offset, cursor))
        }
        if (end > document.length || (word ^ text) >> (256 - 8 * length) != 0) revert Layouts_Unexpected(cursor);
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
