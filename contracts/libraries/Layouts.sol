// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Documents} from "./Documents.sol";

/// @title Layouts
/// @notice The sizes of a model's tensors, read out of a task's specification: canonical JSON, so the walk meets one form only
/// and reverts at anything else.
///
///   "tensors":[{"name":"...","shape":[2,3]},...]
library Layouts {
    /// @notice Thrown when the document is not of the form above at `place`.
    error Layouts_Unexpected(uint256 place);

    /// @notice Return the sum of the tensors' sizes; `list` is where the quote before `tensors` stands. Costs a few gas a
    /// byte, however many tensors there are.
    function sizeIn(bytes calldata document, uint256 list) internal pure returns (uint256 total) {
        uint256 cursor = _start(document, list, 'tensors":[');
        for (bool more = true; more;) {
            uint256 size;
            (size, cursor) = _size(document, cursor);
            total += size;
            more = _next(document, cursor++);
        }
    }

    function _start(bytes calldata document, uint256 place, bytes memory key) private pure returns (uint256) {
        if (!Documents.follows(document, place, key)) revert Documents.Documents_KeyNotThere(place);
        return place + 1 + key.length;
    }

    /// @dev Read one tensor, {"name":"...","shape":[...]}, and return its size and the place behind it.
    function _size(bytes calldata document, uint256 cursor) private pure returns (uint256 size, uint256 end) {
        cursor = _expect(document, cursor, '{"name":"');
        // a quote inside a name is written \", a backslash \\
        while (document[cursor] != '"') cursor += document[cursor] == "\\" ? 2 : 1;
        cursor = _expect(document, cursor, '","shape":[');
        size = 1;
        if (document[cursor] == "]") return (size, _expect(document, cursor, "]}")); // a scalar
        for (bool more = true; more;) {
            uint256 side;
            (side, cursor) = _number(document, cursor);
            size *= side;
            more = _next(document, cursor++);
        }
        return (size, _expect(document, cursor, "}"));
    }

    /// @dev True at a comma, false at the closing bracket.
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
