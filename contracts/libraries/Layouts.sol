// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Documents} from "./Documents.sol";

/// @title Layouts
/// @notice The sizes of a model's tensors and the offsets of its first scale, read out of a task's specification: canonical
/// JSON, so the walk meets one form only and reverts at anything else.
///
///   "tensors":[{"name":"...","shape":[2,3]},...]        "offsets":[0,1,...]
library Layouts {
    /// @notice Thrown when the document is not of the form above at `place`.
    error Layouts_Unexpected(uint256 place);

    uint256 private constant TENSOR_BYTES = 9;

    /// @notice Return the layout of round 0 and the sum of its sizes; places are where the quotes before `tensors` and
    /// `offsets` stand. Costs a few gas a byte, however many tensors there are.
    function firstIn(bytes calldata document, uint256 list, uint256 offsets)
        internal
        pure
        returns (bytes memory tensors, uint256 total)
    {
        uint256 cursor = _start(document, list, 'tensors":[');
        uint256 other = _start(document, offsets, 'offsets":[');
        // a tensor takes 22 bytes of text at least, and 9 here
        tensors = new bytes(document.length);
        uint256 length = 0;
        for (bool more = true; more; length += TENSOR_BYTES) {
            uint256 size;
            uint256 offset;
            (size, cursor) = _size(document, cursor);
            (offset, other) = _number(document, other);
            _write(tensors, length, size, offset);
            total += size;
            more = _next(document, cursor++);
            if (_next(document, other++) != more) revert Layouts_Unexpected(other);
        }
        // memory-safe: shortens the array; length <= document.length, since each turn read 22 bytes
        assembly ("memory-safe") {
            mstore(tensors, length)
        }
    }

    /// @notice Say whether a layout has the sizes of a specification, and return their sum.
    function sizesAre(bytes calldata document, uint256 list, bytes calldata tensors)
        internal
        pure
        returns (bool same, uint256 total)
    {
        uint256 cursor = _start(document, list, 'tensors":[');
        uint256 place = 0;
        for (bool more = true; more; place += TENSOR_BYTES) {
            uint256 size;
            (size, cursor) = _size(document, cursor);
            if (place >= tensors.length || uint64(bytes8(tensors[place:place + 8])) != size) return (false, 0);
            total += size;
            more = _next(document, cursor++);
        }
        return (place == tensors.length, total);
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

    /// @dev Write size u64 and offset u8 at `place`, where the caller has made room.
    function _write(bytes memory tensors, uint256 place, uint256 size, uint256 offset) private pure {
        for (uint256 i = 0; i < 8; ++i) {
            tensors[place + i] = bytes1(uint8(size >> (56 - 8 * i)));
        }
        tensors[place + 8] = bytes1(uint8(offset));
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
