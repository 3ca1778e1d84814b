// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Language} from "./Language.sol";
import {Operations} from "./Operations.sol";

/// @title Refutation
/// @notice Decides whether one cell of a round's tape is what its instruction makes of others. Knows no rule: the program
/// says what each cell is. Twin of fl_platform/protocol/openings.py; layouts are in protocol/program.py and tape.py. No
/// contract of the platform calls it yet: disputes are decided by contracts/disputes/.
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
    /// @param lengths By axis ({Language}), from 1: entries, entries again, seats, blocks, directions, directions again.
    struct Round {
        bytes32 program;
        bytes32 tape;
        uint256 columns;
        uint256[7] lengths;
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
        uint256 packed = _requireInstruction(round, claim);
        uint256 axes = (packed >> 108) & 0xFFF;
        _requireInside(round, axes, claim.place);
        _requireCell(round, claim.column, axes, claim.place, claim.claimed);
        uint8 op = uint8(packed >> 120);
        bool plain = op >= Language.FIRST_PLAIN && op <= Language.LAST_PLAIN;
        if (!plain && op != Language.CONST && op != Language.GATHER && op != Language.MUST) {
            revert Refutation_OtherKind(op);
        }
        int256[3] memory x = _operands(round, claim, packed, op);
        if (op == Language.CONST) return claim.claimed.value != int256(uint256(claim.words[1]));
        // a check that is 0 fells its seal, whether or not the tape says so
        if (op == Language.MUST) return x[0] == 0 || claim.claimed.value != x[0];
        if (op == Language.GATHER) return claim.claimed.value != x[0];
        return claim.claimed.value != Operations.give(op, x[0], x[1], x[2]);
    }

    /// @dev Each operand that the instruction has, read where its map says.
    function _operands(Round memory round, Claim memory claim, uint256 packed, uint8 op)
        private
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
            x[i - 1] = _operand(round, claim, packed, operand, i - 1, op == Language.GATHER && i == 1 ? x[1] : int256(-1), op);
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
            (spot, inside) = _placeOf(round, (packed >> 108) & 0xFFF, claim.place, axes, map, op == Language.GATHER && index == 0);
        }
        if (op == Language.GATHER && index == 0) {
            uint256 last = _count(axes) - 1;
            uint256 length = round.lengths[_axis(axes, last)];
            inside = inside && named >= 0 && uint256(named) < length;
            if (inside) spot[last] = uint256(named);
        }
        Cell memory cell = claim.operands[index];
        if (!inside) {
            if (cell.siblings.length != 0) revert Refutation_WrongLength();
            return 0;
        }
        _requireCell(round, operand >> 20, axes, spot, cell);
        return cell.value;
    }

    /// @dev Where a cell at `place` reads an operand. `gathered`: its last axis is named by another cell.
    function _placeOf(
        Round memory round,
        uint256 own,
        uint256[3] memory place,
        uint256 axes,
        uint256 map,
        bool gathered
    ) private pure returns (uint256[3] memory spot, bool inside) {
        uint256[7] memory known;
        uint256 owned = _count(own);
        for (uint256 i = 0; i < owned; ++i) {
            known[_axis(own, i)] = place[i];
        }
        if (map == Language.MAP_BEFORE) {
            uint256 last = _axis(own, owned - 1);
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
        uint256 count = _count(axes);
        for (uint256 i = 0; i < count; ++i) {
            uint256 axis = _axis(axes, i);
            if (map == Language.MAP_LAST && i == count - 1) {
                if (round.lengths[axis] == 0) return (spot, false);
                spot[i] = round.lengths[axis] - 1;
            } else if (!(gathered && i == count - 1)) {
                spot[i] = known[axis];
            }
        }
        return (spot, true);
    }

    function _requireInstruction(Round memory round, Claim memory claim) private pure returns (uint256) {
        bytes32 leaf = keccak256(abi.encodePacked(uint8(0), claim.words));
        uint256 depth = _depth(round.columns + 1);
        if (claim.path.length != depth || claim.column >= round.columns) revert Refutation_WrongLength();
        bytes32 root = _climb(leaf, claim.column + 1, claim.path, 0, depth);
        root = keccak256(abi.encodePacked(uint8(3), uint16(round.columns), root));
        if (root != round.program) revert Refutation_NotInProgram();
        return uint256(claim.words[0]);
    }

    function _requireInside(Round memory round, uint256 axes, uint256[3] memory place) private pure {
        uint256 count = _count(axes);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 length = i < count ? round.lengths[_axis(axes, i)] : 1;
            if (place[i] >= length) revert Refutation_NoSuchPlace();
        }
    }

    function _requireCell(Round memory round, uint256 column, uint256 axes, uint256[3] memory spot, Cell memory cell)
        private
        pure
    {
        uint256 index;
        uint256 depth;
        uint256 count = _count(axes);
        for (uint256 i = 0; i < count; ++i) {
            uint256 levels = _depth(round.lengths[_axis(axes, i)]);
            index = (index << levels) | spot[i];
            depth += levels;
        }
        uint256 above = _depth(round.columns);
        if (cell.siblings.length != depth + above) revert Refutation_WrongLength();
        bytes32 node = keccak256(abi.encodePacked(uint8(0), cell.value, bytes32(0)));
        node = _climb(node, index, cell.siblings, 0, depth);
        node = keccak256(abi.encodePacked(uint8(2), uint16(column), uint8(depth), node));
        if (_climb(node, column, cell.siblings, depth, above) != round.tape) {
            revert Refutation_NotInTape(column, index);
        }
    }

    /// @dev From a node up, by so many siblings from `from` on.
    function _climb(bytes32 node, uint256 index, bytes32[] memory siblings, uint256 from, uint256 levels)
        private
        pure
        returns (bytes32)
    {
        for (uint256 i = 0; i < levels; ++i) {
            bytes32 sibling = siblings[from + i];
            node = index & 1 == 0
                ? keccak256(abi.encodePacked(uint8(1), node, sibling))
                : keccak256(abi.encodePacked(uint8(1), sibling, node));
            index >>= 1;
        }
        return node;
    }

    /// @dev How many levels an axis has: ceil(log2(length)), 0 for an empty one.
    function _depth(uint256 length) private pure returns (uint256 levels) {
        while ((uint256(1) << levels) < length) ++levels;
    }

    function _count(uint256 axes) private pure returns (uint256) {
        return axes == 0 ? 0 : axes & 0xFF == 0 ? 1 : axes & 0xF == 0 ? 2 : 3;
    }

    function _axis(uint256 axes, uint256 i) private pure returns (uint256) {
        return (axes >> (8 - 4 * i)) & 0xF;
    }
}
