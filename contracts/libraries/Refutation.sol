// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Language} from "./Language.sol";
import {Operations} from "./Operations.sol";
import {Rows} from "./Rows.sol";

/// @title Refutation
/// @notice Decides whether one cell of a round's tape is what its instruction makes of others. Knows no rule: the program
/// says what each cell is. Twin of fl_platform/protocol/openings.py; layouts are in protocol/program.py and tape.py.
/// @dev No depth comes from the caller: it follows from how long the axes are, so no inner node passes for a leaf. Leaves,
/// nodes and columns have prefixes of their own.
library Refutation {
    /// @notice Thrown for an instruction that the program's root does not hold at that column.
    error Refutation_NotInProgram();
    /// @notice Thrown for a cell that the tape's root does not hold at its place.
    error Refutation_NotInTape(uint256 column, uint256 index);
    /// @notice Thrown for a place outside of its column.
    error Refutation_NoSuchPlace();
    /// @notice Thrown for a path, or a number of operands, that is not as long as it must be.
    error Refutation_WrongLength();
    /// @notice Thrown for an operation that is not decided by cells at named places: sources, sums, hints.
    error Refutation_OtherKind(uint8 op);

    uint256 private constant NONE = 0xFFFF << 20;

    /// @notice What a round's contract knows of its tape.
    /// @param lengths By axis ({Language}), from 1: entries, entries again, seats, blocks, directions, directions again, groups.
    struct Round {
        bytes32 program;
        bytes32 tape;
        uint256 columns;
        uint256[16] lengths;
    }

    /// @notice A cell, and its path: of the column first, then of the columns.
    struct Cell {
        int256 value;
        bytes32[] siblings;
    }

    /// @notice One cell that is said not to follow.
    /// @param operands In order; what lies outside of its column is 0 and has no path.
    struct Claim {
        uint256 column;
        uint256[3] place;
        bytes32[5] words;
        bytes32[] path;
        Cell claimed;
        Cell[] operands;
    }

    /// @notice Return whether the cell is not what follows. Reverts where the claim is not about this round's tape.
    function isRefuted(Round memory round, Claim memory claim) internal pure returns (bool) {
        uint256 packed = requireInstruction(round, claim.column, claim.words, claim.path);
        uint256 axes = (packed >> 108) & 0xFFF;
        requireCell(round, claim.column, axes, claim.place, claim.claimed);
        // what fills a column up to a power of two is 0
        if (!isInside(round, axes, claim.place)) return claim.claimed.value != 0;
        uint8 op = uint8(packed >> 120);
        bool plain = op >= Language.FIRST_PLAIN && op <= Language.LAST_PLAIN;
        if (!plain && op != Language.CONST && op != Language.GATHER && op != Language.MUST) {
            revert Refutation_OtherKind(op);
        }
        int256[3] memory x = operandsOf(round, claim, packed, op);
        if (op == Language.CONST) return claim.claimed.value != int256(uint256(claim.words[1]));
        // a check that is 0 fells its seal, whether or not the tape says so
        if (op == Language.MUST) return x[0] == 0 || claim.claimed.value != x[0];
        if (op == Language.GATHER) return claim.claimed.value != x[0];
        return claim.claimed.value != Operations.give(op, x[0], x[1], x[2]);
    }

    /// @notice Return each operand that the instruction has, read where its map says.
    function operandsOf(Round memory round, Claim memory claim, uint256 packed, uint8 op)
        internal
        pure
        returns (int256[3] memory x)
    {
        uint256 count;
        for (uint256 i = 3; i > 0; --i) {
            uint256 operand = (packed >> (36 * (3 - i))) & 0xFFFFFFFFF;
            if (operand == NONE) continue;
            if (count == 0) count = i;
            if (claim.operands.length != count) revert Refutation_WrongLength();
            // backwards: what is gathered lies where the operand behind it says
            x[i - 1] =
                _operand(round, claim, packed, operand, i - 1, op == Language.GATHER && i == 1 ? x[1] : int256(-1), op);
        }
        if (claim.operands.length != count) revert Refutation_WrongLength();
    }

    function _operand(
        Round memory round,
        Claim memory claim,
        uint256 packed,
        uint256 operand,
        uint256 index,
        int256 named,
        uint8 op
    ) private pure returns (int256) {
        uint256 axes = operand & 0xFFF;
        uint256[3] memory spot;
        bool inside;
        {
            uint256 map = (operand >> 12) & 0xFF;
            (spot, inside) =
                placeOf(round, (packed >> 108) & 0xFFF, claim.place, axes, map, op == Language.GATHER && index == 0);
        }
        if (op == Language.GATHER && index == 0) {
            uint256 last = countOf(axes) - 1;
            uint256 length = round.lengths[axisAt(axes, last)];
            inside = inside && named >= 0 && uint256(named) < length;
            if (inside) spot[last] = uint256(named);
        }
        Cell memory cell = claim.operands[index];
        if (!inside) {
            if (cell.siblings.length != 0) revert Refutation_WrongLength();
            return 0;
        }
        requireCell(round, operand >> 20, axes, spot, cell);
        return cell.value;
    }

    /// @notice Return where a cell at `place` reads an operand.
    /// @param gathered Its last axis is named by another cell.
    function placeOf(Round memory round, uint256 own, uint256[3] memory place, uint256 axes, uint256 map, bool gathered)
        internal
        pure
        returns (uint256[3] memory spot, bool inside)
    {
        uint256[16] memory known;
        uint256 owned = countOf(own);
        for (uint256 i = 0; i < owned; ++i) {
            known[axisAt(own, i)] = place[i];
        }
        if (map == Language.MAP_BEFORE) {
            uint256 last = axisAt(own, owned - 1);
            if (known[last] == 0) return (spot, false);
            known[last] -= 1;
        } else if (map == Language.MAP_SWAPPED) {
            (known[Language.AXIS_ENTRY], known[Language.AXIS_OTHER]) =
            (known[Language.AXIS_OTHER], known[Language.AXIS_ENTRY]);
            (known[Language.AXIS_DIRECTION], known[Language.AXIS_OTHER_DIRECTION]) =
            (known[Language.AXIS_OTHER_DIRECTION], known[Language.AXIS_DIRECTION]);
        } else if (map == Language.MAP_DIAGONAL) {
            known[Language.AXIS_OTHER] = known[Language.AXIS_ENTRY];
            known[Language.AXIS_OTHER_DIRECTION] = known[Language.AXIS_DIRECTION];
        }
        uint256 count = countOf(axes);
        for (uint256 i = 0; i < count; ++i) {
            uint256 axis = axisAt(axes, i);
            if (map == Language.MAP_LAST && i == count - 1) {
                if (round.lengths[axis] == 0) return (spot, false);
                spot[i] = round.lengths[axis] - 1;
            } else if (!(gathered && i == count - 1)) {
                spot[i] = known[axis];
            }
        }
        return (spot, true);
    }

    /// @notice Revert unless an instruction is that of a column; return its packed word.
    function requireInstruction(Round memory round, uint256 column, bytes32[5] memory words, bytes32[] memory path)
        internal
        pure
        returns (uint256)
    {
        bytes32 leaf = keccak256(abi.encodePacked(uint8(0), words));
        uint256 depth = depthOf(round.columns + 1);
        if (path.length != depth || column >= round.columns) revert Refutation_WrongLength();
        bytes32 root = Rows.climb(leaf, column + 1, path, 0, depth);
        root = keccak256(abi.encodePacked(uint8(3), uint16(round.columns), root));
        if (root != round.program) revert Refutation_NotInProgram();
        return uint256(words[0]);
    }

    /// @notice Return whether a place is one of a column with these axes. Reverts where it is not even in its padding.
    function isInside(Round memory round, uint256 axes, uint256[3] memory place) internal pure returns (bool inside) {
        uint256 count = countOf(axes);
        inside = true;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 length = i < count ? round.lengths[axisAt(axes, i)] : 1;
            if (place[i] >= length) inside = false;
            if (place[i] >> depthOf(length) != 0) revert Refutation_NoSuchPlace();
        }
    }

    /// @notice Return whether what fills the tree over the columns up to a power of two, with zeros, is something else.
    function isPaddingRefuted(Round memory round, uint256 index, bytes32 node, bytes32[] memory siblings)
        internal
        pure
        returns (bool)
    {
        uint256 depth = depthOf(round.columns);
        if (index < round.columns || index >> depth != 0) revert Refutation_NoSuchPlace();
        if (siblings.length != depth) revert Refutation_WrongLength();
        if (Rows.climb(node, index, siblings, 0, depth) != round.tape) revert Refutation_NotInTape(index, 0);
        return node != 0;
    }

    /// @notice Revert unless a cell is in the tape, at its place in a column with these axes.
    function requireCell(Round memory round, uint256 column, uint256 axes, uint256[3] memory spot, Cell memory cell)
        internal
        pure
    {
        uint256 index;
        uint256 count = countOf(axes);
        for (uint256 i = 0; i < count; ++i) {
            index = (index << depthOf(round.lengths[axisAt(axes, i)])) | spot[i];
        }
        requireNode(round, column, depthIn(round, axes), leafOf(cell.value), 0, index, cell.siblings);
    }

    /// @notice Revert unless `node` is node `index`, `level` levels above the cells of a column whose tree has `depth`.
    function requireNode(
        Round memory round,
        uint256 column,
        uint256 depth,
        bytes32 node,
        uint256 level,
        uint256 index,
        bytes32[] memory siblings
    ) internal pure {
        uint256 above = depthOf(round.columns);
        if (siblings.length != depth - level + above) revert Refutation_WrongLength();
        bytes32 root = Rows.climb(node, index, siblings, 0, depth - level);
        root = keccak256(abi.encodePacked(uint8(2), uint16(column), uint8(depth), root));
        if (Rows.climb(root, column, siblings, depth - level, above) != round.tape) {
            revert Refutation_NotInTape(column, index);
        }
    }

    /// @notice Return the leaf of a cell.
    function leafOf(int256 value) internal pure returns (bytes32 hash) {
        // memory-safe: writes [m, m + 65) past the free pointer and moves no pointer: tag 0, value 32, blind 32
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            mstore(add(m, 1), value)
            mstore(add(m, 33), 0)
            hash := keccak256(m, 65)
        }
    }

    /// @notice Return how deep the tree over a column with these axes is.
    function depthIn(Round memory round, uint256 axes) internal pure returns (uint256 depth) {
        uint256 count = countOf(axes);
        for (uint256 i = 0; i < count; ++i) {
            depth += depthOf(round.lengths[axisAt(axes, i)]);
        }
    }

    /// @notice Return how many levels an axis has: ceil(log2(length)), 0 for an empty one.
    function depthOf(uint256 length) internal pure returns (uint256 levels) {
        while ((uint256(1) << levels) < length) ++levels;
    }

    /// @notice Return how many axes there are.
    function countOf(uint256 axes) internal pure returns (uint256) {
        return axes == 0 ? 0 : axes & 0xFF == 0 ? 1 : axes & 0xF == 0 ? 2 : 3;
    }

    /// @notice Return the number of axis `i`.
    function axisAt(uint256 axes, uint256 i) internal pure returns (uint256) {
        return (axes >> (8 - 4 * i)) & 0xF;
    }
}
