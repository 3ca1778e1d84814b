// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "../interfaces/IReferee.sol";
import {Language} from "../libraries/Language.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Rows} from "../libraries/Rows.sol";

/// @title RefereeCore
/// @notice See {IReferee}. What follows from a tape alone; how a seal is bound to the chain, and who pays, is its heir's.
abstract contract RefereeCore is IReferee {
    uint256 internal constant FAN = 5; // levels of a tree that one answer shows
    uint256 internal constant PARTS = 7; // levels of two of an inner product's, each part over 128 below it
    uint256 internal constant PART_BYTES = 16;
    /// @notice How many questions may follow one from another.
    uint256 public constant DEPTH = 12;

    /// @notice What a seal's target stands for.
    /// @param key Names it: what is shown is shown of this.
    /// @param round Roots and lengths.
    /// @param leaves Of a row; those of blocks that count come first.
    /// @param counting How many of them are in blocks that count.
    /// @param updateBits Width of an update's integers.
    struct Facts {
        bytes32 key;
        Refutation.Round round;
        uint256 leaves;
        uint256 counting;
        uint256 updateBits;
    }

    /// @param asker Who locked the bond; zero when the question was never asked.
    /// @param time Until when it can be shown; once shown, when it was.
    /// @param depth How many questions it followed from.
    /// @param shown It was shown.
    struct State {
        address asker;
        uint40 time;
        uint8 depth;
        bool shown;
    }

    mapping(bytes32 id => State) public questions;
    /// @notice Hash of the parts or prefixes that a question was answered with.
    mapping(bytes32 id => bytes32) public shownDigest;

    // --- what the heir says -------------------------------------------------------------------------------------------

    /// @dev Bind a target to the chain. Reverts where it is none.
    function _facts(bytes calldata target) internal view virtual returns (Facts memory);

    /// @dev The leaves of a block: the first, and how many. Reverts where `target` does not show that.
    function _block(bytes calldata target, uint256 block_) internal view virtual returns (uint256 first, uint256 count);

    /// @dev The first second at which nothing more can be asked or refuted but what follows from an answer; and how long
    /// an answer may take.
    function _windows(bytes calldata target) internal view virtual returns (uint256 end, uint256 answer);

    /// @dev Revert unless the caller may ask for what shows sums over updates.
    function _requireKeyHolder(bytes calldata target) internal view virtual;

    function _lockBond(bytes calldata target, address from) internal virtual;

    function _payBond(bytes calldata target, address asker, address to) internal virtual;

    /// @dev The seal falls.
    function _fall(bytes calldata target, address challenger) internal virtual;

    /// @dev Whether it fell before.
    function _isFallen(bytes calldata target) internal view virtual returns (bool);

    // --- questions ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function ask(bytes calldata target, Question calldata question, bytes32 after_) external {
        Facts memory facts = _facts(target);
        bytes32 id = idOf(facts.key, question);
        if (questions[id].asker != address(0)) revert Referee_QuestionState(id);
        if (question.node == Node.Sums || question.node == Node.Prefixes) _requireKeyHolder(target);
        (uint256 end, uint256 answer) = _windows(target);
        State memory above = questions[after_];
        uint256 depth = above.shown ? above.depth + 1 : 0;
        if (above.shown && above.time + answer > end && depth <= DEPTH) end = above.time + answer;
        if (block.timestamp >= end) revert Referee_Deadline(end);
        uint256 deadline = block.timestamp + answer;
        questions[id] = State(msg.sender, uint40(deadline), uint8(depth), false);
        emit Asked(facts.key, id, msg.sender, deadline, question);
        _lockBond(target, msg.sender);
    }

    /// @inheritdoc IReferee
    function show(bytes calldata target, Question calldata question, Answer calldata answer) external {
        Facts memory facts = _facts(target);
        bytes32 id = idOf(facts.key, question);
        State memory state = questions[id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (block.timestamp >= state.time) revert Referee_Deadline(state.time);
        if (question.node == Node.Sums) _showSums(target, facts, id, question, answer);
        else if (question.node == Node.Prefixes) _showPrefixes(facts, id, question, answer);
        else if (question.node == Node.Row) _showRow(facts, id, question, answer);
        else _showTape(facts, id, question, answer);
        (questions[id].shown, questions[id].time) = (true, uint40(block.timestamp));
        emit Shown(facts.key, id, msg.sender, question, answer);
        _payBond(target, state.asker, msg.sender);
    }

    /// @inheritdoc IReferee
    function lapse(bytes calldata target, Question calldata question) external {
        Facts memory facts = _facts(target);
        bytes32 id = idOf(facts.key, question);
        State memory state = questions[id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (block.timestamp < state.time) revert Referee_Deadline(state.time);
        delete questions[id].asker;
        emit Fell(facts.key, state.asker, question.column);
        _payBond(target, state.asker, state.asker);
        _fall(target, state.asker);
    }

    /// @inheritdoc IReferee
    function reclaim(bytes calldata target, Question calldata question) external {
        bytes32 id = idOf(_keyOf(target), question);
        State memory state = questions[id];
        if (state.asker == address(0) || state.shown || !_isFallen(target)) revert Referee_QuestionState(id);
        delete questions[id].asker;
        _payBond(target, state.asker, state.asker);
    }

    /// @dev The name of a target that may have fallen.
    function _keyOf(bytes calldata target) internal view virtual returns (bytes32);

    /// @notice Return the name of a question.
    function idOf(bytes32 key, Question calldata question) public pure returns (bytes32) {
        return keccak256(abi.encode(key, question));
    }

    // --- nodes of trees -----------------------------------------------------------------------------------------------

    function _showTape(Facts memory f, bytes32 id, Question calldata q, Answer calldata a) private pure {
        bool cells = q.node == Node.Cells;
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
        if (row.length != 1 << levels) revert Referee_WrongAnswer(id);
        bytes32 node = _fold(row);
        if (!cells) {
            uint256 top = Refutation.depthOf(f.round.columns);
            if (q.level > top || uint256(q.index) >> (top - q.level) != 0) revert Referee_NoSuchNode();
            if (a.siblings.length != top - q.level) revert Referee_WrongAnswer(id);
            if (Rows.climb(node, q.index, a.siblings, 0, top - q.level) != f.round.tape) revert Referee_WrongAnswer(id);
            return;
        }
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 depth = Refutation.depthIn(f.round, (packed >> 108) & 0xFFF);
        if (q.level > depth || uint256(q.index) >> (depth - q.level) != 0) revert Referee_NoSuchNode();
        Refutation.requireNode(f.round, q.column, depth, node, q.level, q.index, a.siblings);
    }

    function _showRow(Facts memory f, bytes32 id, Question calldata q, Answer calldata a) private pure {
        bytes32 root = bytes32(uint256(_cellOf(f, q.column, q.place, a.instruction, a.cell, Language.COMBINE).value));
        uint256 depth = Refutation.depthOf(f.leaves);
        if (q.level > depth || uint256(q.index) << q.level >= f.leaves) revert Referee_NoSuchNode();
        if (q.level == 0) {
            if (a.leaf.blind != 0) revert Referee_WrongAnswer(id);
            return Rows.requireLeaf(a.leaf, q.index, Rows.SUM_BITS, depth, root);
        }
        uint256 levels = q.level < FAN ? q.level : FAN;
        if (a.hashes.length != 1 << levels || a.siblings.length != depth - q.level) revert Referee_WrongAnswer(id);
        bytes32 node = _fold(a.hashes);
        if (Rows.climb(node, q.index, a.siblings, 0, depth - q.level) != root) revert Referee_WrongAnswer(id);
    }

    function _fold(bytes32[] memory row) private pure returns (bytes32) {
        for (uint256 width = row.length; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                row[i >> 1] = keccak256(abi.encodePacked(uint8(1), row[i], row[i + 1]));
            }
        }
        return row[0];
    }

    /// @dev The cell of a column with this operation, opened.
    function _cellOf(
        Facts memory f,
        uint256 column,
        uint32[3] calldata place,
        Instruction calldata instruction,
        Refutation.Cell calldata cell,
        uint8 op
    ) private pure returns (Refutation.Cell memory) {
        uint256 packed = Refutation.requireInstruction(f.round, column, instruction.words, instruction.path);
        uint8 found = uint8(packed >> 120);
        bool product = op == Language.DOT && found == Language.DOT_SHIFTED;
        if (found != op && !product) revert Referee_NoSuchNode();
        uint256 axes = (packed >> 108) & 0xFFF;
        uint256[3] memory spot = [uint256(place[0]), place[1], place[2]];
        if (!Refutation.isInside(f.round, axes, spot)) revert Referee_NoSuchNode();
        Refutation.requireCell(f.round, column, axes, spot, cell);
        return cell;
    }

    // --- running values -----------------------------------------------------------------------------------------------

    function _showSums(bytes calldata target, Facts memory f, bytes32 id, Question calldata q, Answer calldata a) private {
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 leaves = f.counting;
        if (_hasBlocks(packed)) (, leaves) = _block(target, _blockOf(packed, q.place));
        _requireParts(f, id, q, a, leaves);
        shownDigest[id] = keccak256(a.parts);
    }

    /// @dev The parts add up to what the node above says of this one, or to the cell.
    function _requireParts(Facts memory f, bytes32 id, Question calldata q, Answer calldata a, uint256 leaves) private view {
        uint256 width = 1 << (PARTS * (uint256(q.level) - 1));
        uint256 first = uint256(q.index) * width * 128;
        if (q.level == 0 || q.level > 4 || first >= leaves) revert Referee_NoSuchNode();
        uint256 count = (leaves - first + width - 1) / width;
        if (count > 128) count = 128;
        if (a.parts.length != count * PART_BYTES) revert Referee_WrongAnswer(id);
        int256 sum;
        for (uint256 i = 0; i < count; ++i) {
            sum += _partAt(a.parts, i);
        }
        int256 told;
        if (width * 128 >= leaves) {
            told = _cellOf(f, q.column, q.place, a.instruction, a.cell, Language.DOT).value;
        } else {
            Question memory above = Question(q.node, q.column, q.place, q.leaf, q.level + 1, q.index / 128);
            _requireShown(f.key, above, a.above);
            told = _partAt(a.above, q.index % 128);
        }
        if (sum != told) revert Referee_WrongAnswer(id);
    }

    function _showPrefixes(Facts memory f, bytes32 id, Question calldata q, Answer calldata a) private {
        uint256 packed = Refutation.requireInstruction(f.round, q.column, a.instruction.words, a.instruction.path);
        uint256 entries = f.round.lengths[_lastAxis(packed)];
        uint256 width = 1 << (FAN * (uint256(q.level) - 1));
        uint256 first = uint256(q.index) * width * 32;
        if (q.level == 0 || q.level > 3 || first >= entries || q.leaf >= f.leaves) revert Referee_NoSuchNode();
        uint256 count = (entries - first + width - 1) / width;
        if (count > 32) count = 32;
        if (a.hashes.length != count) revert Referee_WrongAnswer(id);
        bytes32 told;
        if (width * 32 >= entries) {
            bytes32 root = bytes32(uint256(_cellOf(f, q.column, q.place, a.instruction, a.cell, Language.COMBINE).value));
            if (a.leaf.blind != 0) revert Referee_WrongAnswer(id);
            Rows.requireLeaf(a.leaf, q.leaf, Rows.SUM_BITS, Refutation.depthOf(f.leaves), root);
            told = Rows.leafHash(q.leaf, 0, a.leaf.body);
        } else {
            Question memory above = Question(q.node, q.column, q.place, q.leaf, q.level + 1, q.index / 32);
            _requireShown(f.key, above, a.above);
            told = _hashAt(a.above, q.index % 32);
        }
        if (a.hashes[count - 1] != told) revert Referee_WrongAnswer(id);
        shownDigest[id] = keccak256(abi.encodePacked(a.hashes));
    }

    function _requireShown(bytes32 key, Question memory question, bytes calldata shown) private view {
        bytes32 id = keccak256(abi.encode(key, question));
        if (shownDigest[id] == 0 || shownDigest[id] != keccak256(shown)) revert Referee_WrongAnswer(id);
    }

    /// @dev A load past the end of calldata reads zeros; callers hold the length against the digest.
    function _partAt(bytes calldata parts, uint256 index) private pure returns (int256) {
        return int256(int128(uint128(bytes16(parts[index * PART_BYTES:(index + 1) * PART_BYTES]))));
    }

    function _hashAt(bytes calldata hashes, uint256 index) private pure returns (bytes32) {
        return bytes32(hashes[index * 32:(index + 1) * 32]);
    }

    // --- refutations --------------------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function refute(bytes calldata target, Refutation.Claim calldata claim) external {
        Facts memory facts = _requireDisputable(target);
        if (!Refutation.isRefuted(facts.round, claim)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    /// @inheritdoc IReferee
    function refutePadding(bytes calldata target, uint256 index, bytes32 node, bytes32[] calldata siblings) external {
        Facts memory facts = _requireDisputable(target);
        if (!Refutation.isPaddingRefuted(facts.round, index, node, siblings)) revert Referee_NotRefuted(index);
        _refuted(target, facts.key, index);
    }

    /// @inheritdoc IReferee
    function refuteDot(bytes calldata target, DotClaim calldata claim) external {
        Facts memory facts = _requireDisputable(target);
        if (!_dotDiffers(target, facts, claim)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    /// @inheritdoc IReferee
    function refuteCombine(bytes calldata target, CombineClaim calldata claim) external {
        Facts memory facts = _requireDisputable(target);
        if (!_combineDiffers(facts, claim)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    function _refuted(bytes calldata target, bytes32 key, uint256 column) internal {
        emit Fell(key, msg.sender, column);
        _fall(target, msg.sender);
    }

    /// @dev What a lie's last step takes may come as long after the window as a last question could.
    function _requireDisputable(bytes calldata target) internal view returns (Facts memory facts) {
        (uint256 end, uint256 answer) = _windows(target);
        end += (DEPTH + 1) * answer;
        if (block.timestamp >= end) revert Referee_Deadline(end);
        return _facts(target);
    }

    function _dotDiffers(bytes calldata target, Facts memory f, DotClaim calldata c) private view returns (bool) {
        Refutation.Cell memory cell = _cellOf(f, c.column, c.place, c.instruction, c.cell, Language.DOT);
        uint256 packed = uint256(c.instruction.words[0]);
        bytes32 left = _rowOf(f, packed, c.place, c.rows[0], 0);
        bytes32 right = _rowOf(f, packed, c.place, c.rows[1], 1);
        if (left == 0 || right == 0) return cell.value != 0;
        (uint256 first, uint256 count) = (0, f.counting);
        bool shifted = uint8(packed >> 120) == Language.DOT_SHIFTED;
        if (_hasBlocks(packed)) (first, count) = _block(target, _blockOf(packed, c.place));
        if (c.leaf >= count) revert Referee_NoSuchNode();
        int256 told = cell.value;
        if (count > 1) {
            Question memory above = Question(Node.Sums, c.column, c.place, 0, 1, c.leaf / 128);
            _requireShown(f.key, above, c.shown);
            told = _partAt(c.shown, c.leaf % 128);
        }
        int256 found = _product(f, c, first + c.leaf, left, right);
        if (shifted) found = found << _shiftOf(target, f, packed, c);
        return found != told;
    }

    /// @dev The instruction's immediate has the kinds of both rows.
    function _product(Facts memory f, DotClaim calldata c, uint256 leaf, bytes32 left, bytes32 right)
        private
        pure
        returns (int256)
    {
        uint256 depth = Refutation.depthOf(f.leaves);
        uint256 kinds = uint256(c.instruction.words[1]);
        uint256 leftBits = Rows.bitsOf(kinds & 0xFF, f.updateBits);
        uint256 rightBits = Rows.bitsOf(kinds >> 8, f.updateBits);
        Rows.requireLeaf(c.leaves[0], leaf, leftBits, depth, left);
        Rows.requireLeaf(c.leaves[1], leaf, rightBits, depth, right);
        return Rows.dot(c.leaves[0].body, leftBits, c.leaves[1].body, rightBits);
    }

    function _shiftOf(bytes calldata target, Facts memory f, uint256 packed, DotClaim calldata c)
        private
        view
        returns (uint256)
    {
        (uint256 first, uint256 count) = _block(target, c.block_);
        if (c.leaf < first || c.leaf >= first + count) revert Referee_NoSuchNode();
        return uint256(_beside(f, packed, c.place, Language.AXIS_BLOCK, c.block_, c.shift, 2).value);
    }

    function _combineDiffers(Facts memory f, CombineClaim calldata c) private view returns (bool) {
        uint256 packed = Refutation.requireInstruction(f.round, c.column, c.instruction.words, c.instruction.path);
        if (uint8(packed >> 120) != Language.COMBINE) revert Referee_NoSuchNode();
        if (f.round.lengths[_lastAxis(packed)] == 0) {
            // a sum of nothing is nothing; `row` is the cell itself
            bytes32 told = bytes32(uint256(_cellOf(f, c.column, c.place, c.instruction, c.row, Language.COMBINE).value));
            Rows.requireLeaf(c.rowLeaf, c.leaf, Rows.SUM_BITS, Refutation.depthOf(f.leaves), told);
            return keccak256(c.rowLeaf.body) != keccak256(new bytes(Rows.SUM_BODY));
        }
        _requireShown(f.key, _above(c, c.entry), c.shown);
        bytes memory sums = new bytes(Rows.SUM_BODY);
        if (c.entry != 0) {
            bytes32 hash = _hashAt(c.shown, (c.entry - 1) % 32);
            if (c.entry % 32 == 0) {
                _requireShown(f.key, _above(c, c.entry - 1), c.beforeShown);
                hash = _hashAt(c.beforeShown, 31);
            }
            if (c.before.length != Rows.SUM_BODY || Rows.leafHash(c.leaf, 0, c.before) != hash) {
                revert Rows.Rows_LeafMismatch(c.leaf);
            }
            sums = c.before;
        }
        bytes32 root = bytes32(uint256(_beside(f, packed, c.place, _lastAxis(packed), c.entry, c.row, 0).value));
        if (root != 0) {
            int256 weight = _beside(f, packed, c.place, _lastAxis(packed), c.entry, c.weight, 1).value;
            Rows.requireLeaf(c.rowLeaf, c.leaf, f.updateBits, Refutation.depthOf(f.leaves), root);
            sums = Rows.combine(sums, c.rowLeaf.body, f.updateBits, weight);
        }
        return Rows.leafHash(c.leaf, 0, sums) != _hashAt(c.shown, c.entry % 32);
    }

    function _above(CombineClaim calldata c, uint256 entry) private pure returns (Question memory) {
        return Question(Node.Prefixes, c.column, c.place, c.leaf, 1, uint32(entry / 32));
    }

    // --- operands of rows ---------------------------------------------------------------------------------------------

    function _rowOf(Facts memory f, uint256 packed, uint32[3] calldata place, Refutation.Cell calldata cell, uint256 index)
        private
        pure
        returns (bytes32)
    {
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

    function _opened(Facts memory f, uint256 own, uint256[3] memory place, Refutation.Cell calldata cell, uint256 operand)
        private
        pure
        returns (Refutation.Cell memory)
    {
        uint256 axes = operand & 0xFFF;
        (uint256[3] memory spot,) = Refutation.placeOf(f.round, own, place, axes, (operand >> 12) & 0xFF, false);
        Refutation.requireCell(f.round, operand >> 20, axes, spot, cell);
        return cell;
    }

    function _operand(uint256 packed, uint256 index) private pure returns (uint256) {
        return (packed >> (36 * (2 - index))) & 0xFFFFFFFFF;
    }

    /// @dev The last axis of the rows that a COMBINE adds up.
    function _lastAxis(uint256 packed) private pure returns (uint256) {
        uint256 axes = _operand(packed, 0) & 0xFFF;
        return Refutation.axisAt(axes, Refutation.countOf(axes) - 1);
    }

    function _hasBlocks(uint256 packed) private pure returns (bool) {
        uint256 axes = (packed >> 108) & 0xFFF;
        for (uint256 i = 0; i < Refutation.countOf(axes); ++i) {
            if (Refutation.axisAt(axes, i) == Language.AXIS_BLOCK) return true;
        }
        return false;
    }

    function _blockOf(uint256 packed, uint32[3] calldata place) private pure returns (uint256) {
        uint256 axes = (packed >> 108) & 0xFFF;
        uint256 i = 0;
        while (Refutation.axisAt(axes, i) != Language.AXIS_BLOCK) ++i;
        return place[i];
    }
}
