// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "../interfaces/IReferee.sol";
import {ITapes} from "../interfaces/ITapes.sol";
import {Language} from "../libraries/Language.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Tails} from "../libraries/Tails.sol";

/// @title TapeNodes
/// @notice Which nodes a tape and its running values have: what can be asked for, and what is nowhere.
abstract contract TapeNodes is ITapes {
    uint256 internal constant FAN = 5; // levels of a tree that one answer shows
    uint256 internal constant PARTS = 7; // levels of two of an inner product's, each part over 128 below it

    /// @inheritdoc ITapes
    function standing(bytes calldata, IReferee.Question calldata q, IReferee.Instruction calldata instruction)
        external
        pure
        returns (bool nowhere, bool top, uint256 axis)
    {
        (Facts memory facts, uint256 blockLeaves) = (Tails.facts(1), Tails.word(1));
        (top, axis) = (true, 3);
        bool placed = q.place[0] | q.place[1] | q.place[2] != 0;
        bool named = q.node == IReferee.Node.Prefixes || q.node == IReferee.Node.Operand;
        if (q.leaf != 0 && !named) return (true, top, axis);
        if (q.node == IReferee.Node.Columns) {
            nowhere = placed || q.column != 0 || _isOutside(q, Refutation.depthOf(facts.round.columns));
            return (nowhere, top, axis);
        }
        if (q.column >= facts.round.columns) return (true, top, axis);
        uint256 packed = Refutation.requireInstruction(facts.round, q.column, instruction.words, instruction.path);
        if (q.node == IReferee.Node.Cells) {
            uint256 depth = Refutation.depthIn(facts.round, (packed >> 108) & 0xFFF);
            return (placed || _isOutside(q, depth), top, axis);
        }
        if (!_isRowCell(facts.round, q, packed)) return (true, top, axis);
        if (q.node == IReferee.Node.Operand) {
            nowhere = !_hasOperand(facts, q, packed);
        } else if (q.node == IReferee.Node.Row) {
            nowhere = q.level > Refutation.depthOf(facts.leaves) || uint256(q.index) << q.level >= facts.leaves;
        } else if (q.node == IReferee.Node.Sums) {
            axis = blockPlace(packed);
            uint256 leaves = axis == 3 ? facts.counting : blockLeaves;
            (nowhere, top) = _runs(q, leaves, PARTS, 4);
            if (axis < 3 && blockLeaves == 0) nowhere = false;
        } else {
            (nowhere, top) = _runs(q, facts.round.lengths[_lastAxis(packed)], FAN, 3);
            if (q.leaf >= facts.leaves) nowhere = true;
        }
    }

    /// @dev Whether a run of a running value is nowhere, and whether it is the whole.
    function _runs(IReferee.Question calldata q, uint256 length, uint256 fan, uint256 most)
        internal
        pure
        returns (bool nowhere, bool top)
    {
        if (q.level == 0 || q.level > most) return (true, true);
        uint256 covered = 1 << (fan * uint256(q.level));
        return (uint256(q.index) * covered >= length, covered >= length);
    }

    function _isOutside(IReferee.Question calldata q, uint256 depth) internal pure returns (bool) {
        return q.level > depth || uint256(q.index) >> (depth - q.level) != 0;
    }

    /// @dev Whether the question's cell is a product or a sum of rows, as its kind wants, inside of its column.
    function _isRowCell(Refutation.Round memory round, IReferee.Question calldata q, uint256 packed)
        internal
        pure
        returns (bool)
    {
        uint8 op = uint8(packed >> 120);
        bool fits = op == Language.DOT || op == Language.DOT_SHIFTED;
        if (q.node == IReferee.Node.Operand) {
            fits = fits || op == Language.COMBINE;
        } else if (q.node != IReferee.Node.Sums) {
            fits = op == Language.COMBINE || (q.node == IReferee.Node.Row && op == Language.STEP);
        }
        if (!fits) return false;
        uint256 axes = (packed >> 108) & 0xFFF;
        uint256 count = Refutation.countOf(axes);
        for (uint256 i = 0; i < 3; ++i) {
            if (q.place[i] >= (i < count ? round.lengths[Refutation.axisAt(axes, i)] : 1)) return false;
        }
        return true;
    }

    /// @dev Whether a product or sum reads so many rows, and these have so many leaves.
    function _hasOperand(Facts memory f, IReferee.Question calldata q, uint256 packed) internal pure returns (bool) {
        bool sum = uint8(packed >> 120) == Language.COMBINE;
        return q.level == 0 && q.index < f.leaves && q.leaf < (sum ? f.round.lengths[_lastAxis(packed)] : 2);
    }

    /// @dev The last axis of the rows that a COMBINE adds up.
    function _lastAxis(uint256 packed) internal pure returns (uint256) {
        uint256 axes = _operand(packed, 0) & 0xFFF;
        return Refutation.axisAt(axes, Refutation.countOf(axes) - 1);
    }

    /// @inheritdoc ITapes
    function blockPlace(uint256 packed) public pure returns (uint256 place) {
        uint256 axes = (packed >> 108) & 0xFFF;
        // axes that are not there are 0
        while (place < 3 && (axes >> (8 - 4 * place)) & 0xF != Language.AXIS_BLOCK) ++place;
    }

    function _operand(uint256 packed, uint256 index) internal pure returns (uint256) {
        return (packed >> (36 * (2 - index))) & 0xFFFFFFFFF;
    }
}
