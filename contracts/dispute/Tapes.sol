// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "../interfaces/IReferee.sol";
import {ITapes} from "../interfaces/ITapes.sol";
import {Language} from "../libraries/Language.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Rows} from "../libraries/Rows.sol";
import {Tails} from "../libraries/Tails.sol";
import {TapeNodes} from "./TapeNodes.sol";

/// @title Tapes
/// @notice See {ITapes}. Holds nothing, reads nothing but its calldata.
contract Tapes is TapeNodes {
    uint256 private constant PART_BYTES = 20; // a leaf of two sums, shifted by 63, has 132 bits, and all leaves 153

    // --- nodes of trees -----------------------------------------------------------------------------------------------

    /// @inheritdoc ITapes
    function requireTree(bytes calldata, IReferee.Question calldata q, IReferee.Answer calldata a)
        external
        pure
        returns (bool)
    {
        if (q.node == IReferee.Node.Operand) _requireOperand(Tails.facts(0), q, a);
        else if (q.node == IReferee.Node.Row) _requireRow(Tails.facts(0), q, a);
        else _requireTape(Tails.facts(0), q, a);
        return true;
    }

    function _requireTape(Facts memory f, IReferee.Question calldata q, IReferee.Answer calldata a) private pure {
        bool cells = q.node == IReferee.Node.Cells;
        uint256 levels = q.level < FAN ? q.level : FAN;
        bytes32[] memory row;
        if (cells && q.level <= FAN) {
            row = new bytes32[](a.cells.length);
            for (uint256 i = 0; i < row.length; ++i) {
                row[i] = Refutation.leafOf(a.cells[i]);
            }
        } else {
            row = a.hashes;
        }
        if (row.length != 1 << levels) revert Tapes_WrongAnswer();
        bytes32 node = Rows.fold(row);
        if (!cells) {
            uint256 top = Refutation.depthOf(f.round.columns);
            if (q.level > top || uint256(q.index) >> (top - q.level) != 0) revert Tapes_NoSuchNode();
            if (a.siblings.length != top - q.level) revert Tapes_WrongAnswer();
            if (Rows.climb(node, q.index, a.siblings, 0, top - q.level) != f.round.tape) revert Tapes_WrongAnswer();
            return;
        }
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 depth = Refutation.depthIn(f.round, (packed >> 108) & 0xFFF);
        if (q.level > depth || uint256(q.index) >> (depth - q.level) != 0) revert Tapes_NoSuchNode();
        Refutation.requireNode(f.round, q.column, depth, node, q.level, q.index, a.siblings);
    }

    function _requireRow(Facts memory f, IReferee.Question calldata q, IReferee.Answer calldata a) private pure {
        bool isModel = uint8(uint256(a.instruction.words[0]) >> 120) == Language.STEP;
        uint8 op = isModel ? Language.STEP : Language.COMBINE;
        bytes32 root = bytes32(uint256(_cellOf(f, q.column, q.place, a.instruction, a.cell, op).value));
        uint256 depth = Refutation.depthOf(f.leaves);
        if (q.level > depth || uint256(q.index) << q.level >= f.leaves) revert Tapes_NoSuchNode();
        if (q.level == 0) {
            if (a.leaf.blind != 0) revert Tapes_WrongAnswer();
            return Rows.requireLeaf(a.leaf, q.index, Rows.SUM_BITS, depth, root);
        }
        uint256 levels = q.level < FAN ? q.level : FAN;
        if (a.hashes.length != 1 << levels || a.siblings.length != depth - q.level) revert Tapes_WrongAnswer();
        Rows.requireEmptyBehind(a.hashes, uint256(q.index) << levels, q.level - levels, f.leaves);
        bytes32 node = Rows.fold(a.hashes);
        if (Rows.climb(node, q.index, a.siblings, 0, depth - q.level) != root) revert Tapes_WrongAnswer();
    }

    /// @dev Who sealed a product or sum has every leaf of the rows that it reads.
    function _requireOperand(Facts memory f, IReferee.Question calldata q, IReferee.Answer calldata a) private pure {
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        if (!_isRowCell(f.round, q, packed) || !_hasOperand(f, q, packed)) revert Tapes_NoSuchNode();
        bool sum = uint8(packed >> 120) == Language.COMBINE;
        bytes32 root = sum
            ? bytes32(uint256(_beside(f, packed, q.place, _lastAxis(packed), q.leaf, a.cell, 0).value))
            : _rowOf(f, packed, q.place, a.cell, q.leaf);
        if (root == 0) return;
        uint256 kind = sum ? Language.KIND_UPDATE : (uint256(a.instruction.words[1]) >> (8 * q.leaf)) & 0xFF;
        Rows.requireLeaf(a.leaf, q.index, Rows.bitsOf(kind, f.updateBits), Refutation.depthOf(f.leaves), root);
    }

    /// @dev The cell of a column with this operation, opened.
    function _cellOf(
        Facts memory f,
        uint256 column,
        uint32[3] calldata place,
        IReferee.Instruction calldata instruction,
        Refutation.Cell calldata cell,
        uint8 op
    ) private pure returns (Refutation.Cell memory) {
        uint256 packed = Refutation.requireInstruction(f.round, column, instruction.words, instruction.path);
        uint8 found = uint8(packed >> 120);
        bool product = op == Language.DOT && found == Language.DOT_SHIFTED;
        if (found != op && !product) revert Tapes_NoSuchNode();
        uint256 axes = (packed >> 108) & 0xFFF;
        uint256[3] memory spot = [uint256(place[0]), place[1], place[2]];
        if (!Refutation.isInside(f.round, axes, spot)) revert Tapes_NoSuchNode();
        Refutation.requireCell(f.round, column, axes, spot, cell);
        return cell;
    }

    // --- running values -----------------------------------------------------------------------------------------------

    /// @inheritdoc ITapes
    function partsDigest(bytes calldata, IReferee.Question calldata q, IReferee.Answer calldata a)
        external
        pure
        returns (bytes32)
    {
        (Facts memory f, uint256 blockLeaves, bytes32 above) = (Tails.facts(2), Tails.word(2), bytes32(Tails.word(1)));
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 leaves = blockPlace(packed) == 3 ? f.counting : blockLeaves;
        uint256 width = 1 << (PARTS * (uint256(q.level) - 1));
        uint256 first = uint256(q.index) * width * 128;
        if (q.level == 0 || q.level > 4 || first >= leaves) revert Tapes_NoSuchNode();
        uint256 count = (leaves - first + width - 1) / width;
        if (count > 128) count = 128;
        if (a.parts.length != count * PART_BYTES) revert Tapes_WrongAnswer();
        int256 sum;
        for (uint256 i = 0; i < count; ++i) {
            sum += _partAt(a.parts, i);
        }
        int256 told;
        if (width * 128 >= leaves) {
            told = _cellOf(f, q.column, q.place, a.instruction, a.cell, Language.DOT).value;
        } else {
            _requireShown(above, a.above);
            told = _partAt(a.above, q.index % 128);
        }
        if (sum != told) revert Tapes_WrongAnswer();
        return keccak256(a.parts);
    }

    /// @inheritdoc ITapes
    function prefixesDigest(bytes calldata, IReferee.Question calldata q, IReferee.Answer calldata a)
        external
        pure
        returns (bytes32)
    {
        (Facts memory f, bytes32 above) = (Tails.facts(1), bytes32(Tails.word(1)));
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 entries = f.round.lengths[_lastAxis(packed)];
        uint256 width = 1 << (FAN * (uint256(q.level) - 1));
        uint256 first = uint256(q.index) * width * 32;
        if (q.level == 0 || q.level > 3 || first >= entries || q.leaf >= f.leaves) revert Tapes_NoSuchNode();
        uint256 count = (entries - first + width - 1) / width;
        if (count > 32) count = 32;
        if (a.hashes.length != count) revert Tapes_WrongAnswer();
        bytes32 told;
        if (width * 32 >= entries) {
            bytes32 root =
                bytes32(uint256(_cellOf(f, q.column, q.place, a.instruction, a.cell, Language.COMBINE).value));
            if (a.leaf.blind != 0) revert Tapes_WrongAnswer();
            Rows.requireLeaf(a.leaf, q.leaf, Rows.SUM_BITS, Refutation.depthOf(f.leaves), root);
            told = Rows.leafHash(q.leaf, 0, a.leaf.body);
        } else {
            _requireShown(above, a.above);
            told = _hashAt(a.above, q.index % 32);
        }
        if (a.hashes[count - 1] != told) revert Tapes_WrongAnswer();
        return keccak256(abi.encodePacked(a.hashes));
    }

    function _requireShown(bytes32 digest, bytes calldata shown) private pure {
        if (digest == 0 || digest != keccak256(shown)) revert Tapes_WrongAnswer();
    }

    /// @dev A load past the end of calldata reads zeros; callers hold the length against the digest.
    function _partAt(bytes calldata parts, uint256 index) private pure returns (int256 part) {
        assembly ("memory-safe") {
            part := sar(96, calldataload(add(parts.offset, mul(20, index))))
        }
    }

    function _hashAt(bytes calldata hashes, uint256 index) private pure returns (bytes32) {
        return bytes32(hashes[index * 32:(index + 1) * 32]);
    }

    // --- refutations --------------------------------------------------------------------------------------------------

    /// @inheritdoc ITapes
    function refutes(bytes calldata, Refutation.Claim calldata claim) external pure returns (bool) {
        return Refutation.isRefuted(Tails.facts(0).round, claim);
    }

    /// @inheritdoc ITapes
    function refutesPadding(bytes calldata, uint256 index, bytes32 node, bytes32[] calldata siblings)
        external
        pure
        returns (bool)
    {
        return Refutation.isPaddingRefuted(Tails.facts(0).round, index, node, siblings);
    }

    /// @inheritdoc ITapes
    function refutesDot(bytes calldata, IReferee.DotClaim calldata c) external pure returns (bool) {
        (Facts memory f, uint256 first, uint256 count) = (Tails.facts(3), Tails.word(3), Tails.word(2));
        uint256 packed = uint256(c.instruction.words[0]);
        uint8 op = uint8(packed >> 120);
        bool isStep = op == Language.STEP;
        int256 told = _cellOf(f, c.column, c.place, c.instruction, c.cell, isStep ? Language.STEP : Language.DOT).value;
        bytes32 left = _rowOf(f, packed, c.place, c.rows[0], 0);
        bytes32 right = _rowOf(f, packed, c.place, c.rows[1], 1);
        // a shifted product runs over all that counts, a step over all leaves: theirs lies in the block that is given
        (uint256 from, uint256 length) = (0, isStep ? f.leaves : f.counting);
        if (blockPlace(packed) < 3) (from, length) = (first, count);
        if (left == 0 || right == 0 || length == 0) return told != 0;
        if (c.leaf >= length) revert Tapes_NoSuchNode();
        if (op != Language.DOT && (c.leaf < first || c.leaf >= first + count)) revert Tapes_NoSuchNode();
        (uint256 leftBits, uint256 rightBits) = _requireLeaves(f, c, from + c.leaf, left, right);
        (bytes memory a, bytes memory b) = (c.leaves[0].body, c.leaves[1].body);
        if (isStep) return _leafBelow(f, c, told) != Rows.leafHash(c.leaf, 0, Rows.step(a, b, _shiftOf(f, packed, c)));
        if (length > 1) {
            _requireShown(bytes32(Tails.word(1)), c.shown);
            told = _partAt(c.shown, c.leaf % 128);
        }
        int256 found = Rows.dot(a, leftBits, b, rightBits);
        if (op != Language.DOT) found = found << uint256(_shiftOf(f, packed, c));
        return found != told;
    }

    /// @dev The hash of a model's leaf, as `shown` tells it with the way up.
    function _leafBelow(Facts memory f, IReferee.DotClaim calldata c, int256 root) private pure returns (bytes32 told) {
        bytes32[] memory path;
        (told, path) = abi.decode(c.shown, (bytes32, bytes32[]));
        uint256 depth = Refutation.depthOf(f.leaves);
        if (path.length != depth) revert Tapes_NoSuchNode();
        if (Rows.climb(told, c.leaf, path, 0, depth) != bytes32(uint256(root))) revert Rows.Rows_LeafMismatch(c.leaf);
    }

    /// @dev The instruction's immediate has the kinds of both rows.
    function _requireLeaves(Facts memory f, IReferee.DotClaim calldata c, uint256 leaf, bytes32 left, bytes32 right)
        private
        pure
        returns (uint256 leftBits, uint256 rightBits)
    {
        uint256 depth = Refutation.depthOf(f.leaves);
        uint256 kinds = uint256(c.instruction.words[1]);
        leftBits = Rows.bitsOf(kinds & 0xFF, f.updateBits);
        rightBits = Rows.bitsOf(kinds >> 8, f.updateBits);
        Rows.requireLeaf(c.leaves[0], leaf, leftBits, depth, left);
        Rows.requireLeaf(c.leaves[1], leaf, rightBits, depth, right);
    }

    function _shiftOf(Facts memory f, uint256 packed, IReferee.DotClaim calldata c) private pure returns (int256) {
        return _beside(f, packed, c.place, Language.AXIS_BLOCK, c.block_, c.shift, 2).value;
    }

    /// @inheritdoc ITapes
    function refutesCombine(bytes calldata, IReferee.CombineClaim calldata c) external pure returns (bool) {
        Facts memory f = Tails.facts(2);
        uint256 packed = Refutation.requireInstruction(f.round, c.column, c.instruction.words, c.instruction.path);
        if (uint8(packed >> 120) != Language.COMBINE) revert Tapes_NoSuchNode();
        if (f.round.lengths[_lastAxis(packed)] == 0) {
            // a sum of nothing is nothing; `row` is the cell itself
            bytes32 told = bytes32(uint256(_cellOf(f, c.column, c.place, c.instruction, c.row, Language.COMBINE).value));
            Rows.requireLeaf(c.rowLeaf, c.leaf, Rows.SUM_BITS, Refutation.depthOf(f.leaves), told);
            return keccak256(c.rowLeaf.body) != keccak256(new bytes(Rows.SUM_BODY));
        }
        _requireShown(bytes32(Tails.word(2)), c.shown);
        bytes memory sums = new bytes(Rows.SUM_BODY);
        if (c.entry != 0) {
            bytes32 hash = _hashAt(c.shown, (c.entry - 1) % 32);
            if (c.entry % 32 == 0) {
                _requireShown(bytes32(Tails.word(1)), c.beforeShown);
                hash = _hashAt(c.beforeShown, 31);
            }
            if (c.before.length != Rows.SUM_BODY || Rows.leafHash(c.leaf, 0, c.before) != hash) {
                revert Rows.Rows_LeafMismatch(c.leaf);
            }
            sums = c.before;
        }
        bytes32 root = bytes32(uint256(_beside(f, packed, c.place, _lastAxis(packed), c.entry, c.row, 0).value));
        int256 weight;
        if (root != 0) weight = _beside(f, packed, c.place, _lastAxis(packed), c.entry, c.weight, 1).value;
        // what weighs nothing changes nothing, also where nobody has its leaf
        if (weight != 0) {
            Rows.requireLeaf(c.rowLeaf, c.leaf, f.updateBits, Refutation.depthOf(f.leaves), root);
            sums = Rows.combine(sums, c.rowLeaf.body, f.updateBits, weight);
        }
        return Rows.leafHash(c.leaf, 0, sums) != _hashAt(c.shown, c.entry % 32);
    }

    // --- operands of rows ---------------------------------------------------------------------------------------------

    function _rowOf(
        Facts memory f,
        uint256 packed,
        uint32[3] calldata place,
        Refutation.Cell calldata cell,
        uint256 index
    ) private pure returns (bytes32) {
        uint256[3] memory own = [uint256(place[0]), place[1], place[2]];
        return bytes32(uint256(_opened(f, (packed >> 108) & 0xFFF, own, cell, _operand(packed, index)).value));
    }

    /// @dev An operand that is read along one axis more than the column has.
    function _beside(
        Facts memory f,
        uint256 packed,
        uint32[3] calldata place,
        uint256 axis,
        uint256 at,
        Refutation.Cell calldata cell,
        uint256 index
    ) private pure returns (Refutation.Cell memory) {
        uint256 axes = (packed >> 108) & 0xFFF;
        uint256[3] memory own = [uint256(place[0]), place[1], place[2]];
        uint256 count = Refutation.countOf(axes);
        if (at >= f.round.lengths[axis]) revert Refutation.Refutation_NoSuchPlace();
        own[count] = at;
        return _opened(f, axes | (axis << (8 - 4 * count)), own, cell, _operand(packed, index));
    }

    function _opened(
        Facts memory f,
        uint256 own,
        uint256[3] memory place,
        Refutation.Cell calldata cell,
        uint256 operand
    ) private pure returns (Refutation.Cell memory) {
        uint256 axes = operand & 0xFFF;
        (uint256[3] memory spot,) = Refutation.placeOf(f.round, own, place, axes, (operand >> 12) & 0xFF, false);
        Refutation.requireCell(f.round, operand >> 20, axes, spot, cell);
        return cell;
    }
}
