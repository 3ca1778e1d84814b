// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "../interfaces/IReferee.sol";
import {ITapes} from "../interfaces/ITapes.sol";
import {Language} from "../libraries/Language.sol";
import {Refutation} from "../libraries/Refutation.sol";

/// @title RefereeCore
/// @notice See {IReferee}. Who asks, shows and refutes, and by when; what follows from a tape is {ITapes}', how a seal is bound
/// to the chain and who pays is the heir's.
abstract contract RefereeCore is IReferee {
    /// @notice How many questions may follow one from another.
    uint256 public constant DEPTH = 12;

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

    ITapes public immutable tapes;

    mapping(bytes32 id => State) public questions;
    /// @notice Hash of the parts or prefixes that a question was answered with.
    mapping(bytes32 id => bytes32) public shownDigest;

    constructor(address tapes_) {
        tapes = ITapes(tapes_);
    }

    // --- what the heir says -------------------------------------------------------------------------------------------

    /// @dev Bind a target to the chain. Reverts where it is none.
    function _facts(bytes calldata target) internal view virtual returns (ITapes.Facts memory);

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
        ITapes.Facts memory facts = _facts(target);
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
        ITapes.Facts memory facts = _facts(target);
        bytes32 id = idOf(facts.key, question);
        State memory state = questions[id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (block.timestamp >= state.time) revert Referee_Deadline(state.time);
        _requireAnswer(target, facts, id, question, answer);
        (questions[id].shown, questions[id].time) = (true, uint40(block.timestamp));
        _tell(facts.key, id, question, answer);
        _payBond(target, state.asker, msg.sender);
    }

    function _tell(bytes32 key, bytes32 id, Question calldata q, Answer calldata a) private {
        emit Shown(key, id, msg.sender, q, a.hashes, a.cells, a.siblings, a.parts, a.leaf);
    }

    function _requireAnswer(
        bytes calldata target,
        ITapes.Facts memory facts,
        bytes32 id,
        Question calldata q,
        Answer calldata answer
    ) private {
        if (q.node == Node.Sums) {
            (, uint256 count) = _block(target, uint256(answer.instruction.words[0]), q.place, 0);
            bytes32 above = _digestOf(facts.key, q.node, q.column, q.place, 0, q.level + 1, q.index / 128);
            shownDigest[id] = tapes.partsDigest(facts, q, answer, count, above);
        } else if (q.node == Node.Prefixes) {
            bytes32 above = _digestOf(facts.key, q.node, q.column, q.place, q.leaf, q.level + 1, q.index / 32);
            shownDigest[id] = tapes.prefixesDigest(facts, q, answer, above);
        } else {
            tapes.requireTree(facts, q, answer);
        }
    }

    /// @inheritdoc IReferee
    function lapse(bytes calldata target, Question calldata question) external {
        ITapes.Facts memory facts = _facts(target);
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
    function dismiss(bytes calldata target, Question calldata question, Instruction calldata instruction) external {
        ITapes.Facts memory facts = _facts(target);
        bytes32 id = idOf(facts.key, question);
        State memory state = questions[id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (!_isUnanswerable(target, facts, question, instruction)) revert Referee_Answerable(id);
        delete questions[id];
        emit Dismissed(facts.key, id, msg.sender);
        _payBond(target, state.asker, msg.sender);
    }

    function _isUnanswerable(
        bytes calldata target,
        ITapes.Facts memory facts,
        Question calldata q,
        Instruction calldata instruction
    ) private view returns (bool) {
        (bool nowhere, bool top, uint256 axis) = tapes.standing(facts, q, instruction, 0);
        if (!nowhere && axis < 3) {
            (, uint256 count) = _block(target, q.place[axis]);
            (nowhere, top,) = tapes.standing(facts, q, instruction, count);
        }
        if (nowhere || top) return nowhere;
        uint32 fan = q.node == Node.Sums ? 128 : 32;
        return _digestOf(facts.key, q.node, q.column, q.place, q.leaf, q.level + 1, q.index / fan) == 0;
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

    // --- refutations --------------------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function refute(bytes calldata target, Refutation.Claim calldata claim) external {
        ITapes.Facts memory facts = _requireDisputable(target);
        if (!tapes.refutes(facts, claim)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    /// @inheritdoc IReferee
    function refutePadding(bytes calldata target, uint256 index, bytes32 node, bytes32[] calldata siblings) external {
        ITapes.Facts memory facts = _requireDisputable(target);
        if (!tapes.refutesPadding(facts, index, node, siblings)) revert Referee_NotRefuted(index);
        _refuted(target, facts.key, index);
    }

    /// @inheritdoc IReferee
    function refuteDot(bytes calldata target, DotClaim calldata claim) external {
        ITapes.Facts memory facts = _requireDisputable(target);
        (uint256 first, uint256 count) = _block(target, uint256(claim.instruction.words[0]), claim.place, claim.block_);
        bytes32 above = _digestOf(facts.key, Node.Sums, claim.column, claim.place, 0, 1, claim.leaf / 128);
        if (!tapes.refutesDot(facts, claim, first, count, above)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    /// @inheritdoc IReferee
    function refuteCombine(bytes calldata target, CombineClaim calldata claim) external {
        ITapes.Facts memory facts = _requireDisputable(target);
        uint32 before = claim.entry == 0 ? 0 : (claim.entry - 1) / 32;
        bytes32 above = _digestOf(facts.key, Node.Prefixes, claim.column, claim.place, claim.leaf, 1, claim.entry / 32);
        bytes32 aboveBefore = _digestOf(facts.key, Node.Prefixes, claim.column, claim.place, claim.leaf, 1, before);
        if (!tapes.refutesCombine(facts, claim, above, aboveBefore)) revert Referee_NotRefuted(claim.column);
        _refuted(target, facts.key, claim.column);
    }

    function _refuted(bytes calldata target, bytes32 key, uint256 column) internal {
        emit Fell(key, msg.sender, column);
        _fall(target, msg.sender);
    }

    /// @dev What a lie's last step takes may come as long after the window as a last question could.
    function _requireDisputable(bytes calldata target) internal view returns (ITapes.Facts memory facts) {
        (uint256 end, uint256 answer) = _windows(target);
        end += (DEPTH + 1) * answer;
        if (block.timestamp >= end) revert Referee_Deadline(end);
        return _facts(target);
    }

    function _block(bytes calldata target, uint256 packed, uint32[3] calldata place, uint256 block_)
        private
        view
        returns (uint256 first, uint256 count)
    {
        uint256 axis = tapes.blockPlace(packed);
        bool shifted = uint8(packed >> 120) == Language.DOT_SHIFTED;
        if (axis < 3 || shifted) return _block(target, axis < 3 ? place[axis] : block_);
    }

    function _digestOf(bytes32 key, Node node, uint16 column, uint32[3] calldata place, uint32 leaf, uint8 level, uint32 index)
        private
        view
        returns (bytes32)
    {
        return shownDigest[keccak256(abi.encode(key, Question(node, column, place, leaf, level, index)))];
    }
}
