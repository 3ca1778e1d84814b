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
    /// @notice How many questions may follow one from another after the challenge window, where each is asked and shown as late
    /// as can be: what sets the last second for all of them.
    uint256 internal constant DEPTH = 12;
    /// @notice For how many blocks after its own a commitment counts.
    uint256 internal constant COMMITMENT_BLOCKS = 50;

    /// @param asker Who locked the bond; zero when the question was never asked.
    /// @param time Until when it can be shown; once shown, when it was.
    /// @param shown It was shown.
    struct State {
        address asker;
        uint40 time;
        bool shown;
    }

    address public immutable tapes;
    /// @notice Decides cells that are hashes ({IPoseidon}), in place of `tapes`.
    address public immutable poseidon;

    /// @notice By seal, and by roster and leaf ({Rosters}: then by life): what was shown of one says nothing of another.
    mapping(bytes32 key => mapping(bytes32 id => State)) public questions;
    /// @notice Hash of the parts or prefixes that a question was answered with.
    mapping(bytes32 id => bytes32) public shownDigest;
    /// @notice By who committed, and commitment: its block. Who repeats another's commitment to itself has none of its own calls.
    mapping(address challenger => mapping(bytes32 commitment => uint256)) public committedIn;

    constructor(address tapes_, address poseidon_) {
        (tapes, poseidon) = (tapes_, poseidon_);
    }

    // --- what the heir says -------------------------------------------------------------------------------------------

    /// @dev Bind a target to the chain: abi.encode of {ITapes.Facts}. Reverts where it is none.
    function _facts(bytes calldata target) internal view virtual returns (bytes memory);

    /// @dev The leaves of a block: the first, and how many. Reverts where `target` does not show that.
    function _block(bytes calldata target, uint256 block_) internal view virtual returns (uint256 first, uint256 count);

    /// @dev The first second at which nothing more can be asked or refuted but what follows from an answer; and how long
    /// an answer may take.
    function _windows(bytes calldata target) internal view virtual returns (uint256 end, uint256 answer);

    /// @dev Revert unless the caller may ask for what shows sums over updates.
    function _requireKeyHolder(bytes calldata target) internal view virtual;

    /// @dev Revert unless the caller is who sealed. What running values are is nobody else's to say: they are no part of the
    /// tape, and false ones that add up would fell an honest seal.
    function _requireSealer(bytes calldata target) internal view virtual;

    /// @dev Take the task's ask bond.
    function _lockBond(bytes calldata target, address from) internal virtual;

    function _returnBond(bytes calldata target, address asker) internal virtual;

    /// @dev Pay the asker's bond to who sealed, whoever shows or dismisses: so asking costs as much where one answers oneself.
    function _forfeitBond(bytes calldata target, address asker) internal virtual;

    /// @dev A question was asked; the round stands still from the first one on.
    function _opened(bytes calldata target) internal virtual;

    /// @dev A question was answered, or had no answer.
    function _closed(bytes calldata target) internal virtual;

    /// @dev Revert unless this call's answer shows a node of kind Claims or Roster.
    function _requireShown() internal view virtual;

    /// @dev Whether there is no such node of kind Claims or Roster as this call's question asks for.
    function _isNowhere() internal view virtual returns (bool);

    /// @dev Whether this call's claim and evidence refute a source's cell.
    function _refutesSource(bytes memory facts) internal view virtual returns (bool);

    /// @dev Whether this call's claim refutes what is paid.
    function _refutesOutput(bytes memory facts) internal view virtual returns (bool);

    /// @dev The seal falls.
    function _fall(bytes calldata target, address challenger) internal virtual;

    /// @dev Whether it fell before.
    function _isFallen(bytes calldata target) internal view virtual returns (bool);

    // --- what others are asked ----------------------------------------------------------------------------------------

    /// @dev Ask about this very call: its data goes on as it came, under another selector, so that each offset in it leads
    /// where it leads here; `more` follows.
    function _consult(address whom, bytes4 selector, bytes memory more) internal view returns (bytes memory answer) {
        bool good;
        (good, answer) = whom.staticcall(abi.encodePacked(selector, msg.data[4:], more));
        // whoever is asked returns a word at least, so no code there is no answer
        if (good && answer.length != 0) return answer;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }

    function _isSo(address whom, bytes4 selector, bytes memory more) internal view returns (bool) {
        return abi.decode(_consult(whom, selector, more), (bool));
    }

    // --- questions ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function ask(bytes calldata target, Question calldata question, bytes32 after_) external {
        bytes32 key = bytes32(_facts(target));
        bytes32 id = idOf(key, question);
        if (questions[key][id].asker != address(0)) revert Referee_QuestionState(id);
        if (_isRunning(question)) _requireKeyHolder(target);
        uint256 answer = _requireAskable(target, questions[key][after_]);
        uint256 deadline = block.timestamp + answer;
        questions[key][id] = State(msg.sender, uint40(deadline), false);
        emit Asked(key, id, msg.sender, deadline, question);
        _opened(target);
        _lockBond(target, msg.sender);
    }

    /// @dev How many questions an answer followed from is not counted: whoever asked first would say it for all others. So
    /// any late answer lets anybody ask, up to a time that nobody can move.
    function _requireAskable(bytes calldata target, State memory above) private view returns (uint256 answer) {
        uint256 end;
        (end, answer) = _windows(target);
        uint256 last = end + 2 * DEPTH * answer;
        if (above.shown && above.time + answer > end) end = above.time + answer;
        if (end > last) end = last;
        if (block.timestamp >= end) revert Referee_Deadline(end);
    }

    /// @inheritdoc IReferee
    function show(bytes calldata target, Question calldata question, Answer calldata answer) external {
        bytes memory facts = _facts(target);
        bytes32 key = bytes32(facts);
        bytes32 id = idOf(key, question);
        State memory state = questions[key][id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (block.timestamp >= state.time) revert Referee_Deadline(state.time);
        if (_isRunning(question)) _requireSealer(target);
        _requireAnswer(target, facts, id, question, answer);
        questions[key][id].shown = true;
        questions[key][id].time = uint40(block.timestamp);
        _tell(key, id, question, answer);
        _closed(target);
        _forfeitBond(target, state.asker);
    }

    /// @dev Whether it asks for running values, which show sums over updates, or for what they are sums of.
    function _isRunning(Question calldata question) private pure returns (bool) {
        return question.node == Node.Sums || question.node == Node.Prefixes || question.node == Node.Operand;
    }

    /// @dev Whether it asks for what is beside the tape: the heir binds it.
    function _isOutside(Question calldata question) private pure returns (bool) {
        return question.node == Node.Claims || question.node == Node.Roster;
    }

    function _tell(bytes32 key, bytes32 id, Question calldata q, Answer calldata a) private {
        // a claim's way up is what a claim about it needs; that of a running value was shown before
        bytes calldata above = _isOutside(q) ? a.above : a.above[:0];
        emit Shown(key, id, msg.sender, q, a.hashes, a.cells, a.siblings, a.parts, above, a.leaf);
    }

    function _requireAnswer(
        bytes calldata target,
        bytes memory facts,
        bytes32 id,
        Question calldata q,
        Answer calldata answer
    ) private {
        if (q.node == Node.Sums) {
            // a product by shifted blocks runs over all that counts, as one without blocks does
            uint256 axis = ITapes(tapes).blockPlace(uint256(answer.instruction.words[0]));
            uint256 count;
            if (axis < 3) (, count) = _block(target, q.place[axis]);
            bytes32 above = _digestOf(bytes32(facts), q.node, q.column, q.place, 0, q.level + 1, q.index / 128);
            shownDigest[id] =
                bytes32(_consult(tapes, ITapes.partsDigest.selector, abi.encodePacked(facts, count, above)));
        } else if (q.node == Node.Prefixes) {
            bytes32 above = _digestOf(bytes32(facts), q.node, q.column, q.place, q.leaf, q.level + 1, q.index / 32);
            shownDigest[id] = bytes32(_consult(tapes, ITapes.prefixesDigest.selector, abi.encodePacked(facts, above)));
        } else if (_isOutside(q)) {
            _requireShown();
        } else {
            _consult(tapes, ITapes.requireTree.selector, facts);
        }
    }

    /// @inheritdoc IReferee
    function lapse(bytes calldata target, Question calldata question) external {
        bytes32 key = bytes32(_facts(target));
        bytes32 id = idOf(key, question);
        State memory state = questions[key][id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (block.timestamp < state.time) revert Referee_Deadline(state.time);
        delete questions[key][id].asker;
        emit Fell(key, state.asker, question.column);
        // falls first: who is paid may call again, and a seal falls once
        _fall(target, state.asker);
        _returnBond(target, state.asker);
    }

    /// @inheritdoc IReferee
    function dismiss(bytes calldata target, Question calldata question, Instruction calldata) external {
        bytes memory facts = _facts(target);
        bytes32 key = bytes32(facts);
        bytes32 id = idOf(key, question);
        State memory state = questions[key][id];
        if (state.asker == address(0) || state.shown) revert Referee_QuestionState(id);
        if (!_isUnanswerable(target, facts, question)) revert Referee_Answerable(id);
        delete questions[key][id];
        emit Dismissed(key, id, msg.sender);
        _closed(target);
        _forfeitBond(target, state.asker);
    }

    function _isUnanswerable(bytes calldata target, bytes memory facts, Question calldata q)
        private
        view
        returns (bool)
    {
        if (_isOutside(q)) return _isNowhere();
        (bool nowhere, bool top, uint256 axis) = _standing(facts, 0);
        if (!nowhere && axis < 3) {
            (, uint256 count) = _block(target, q.place[axis]);
            if (count == 0) return true;
            (nowhere, top,) = _standing(facts, count);
        }
        if (nowhere || top) return nowhere;
        uint32 fan = q.node == Node.Sums ? 128 : 32;
        return _digestOf(bytes32(facts), q.node, q.column, q.place, q.leaf, q.level + 1, q.index / fan) == 0;
    }

    function _standing(bytes memory facts, uint256 blockLeaves) private view returns (bool, bool, uint256) {
        bytes memory answer = _consult(tapes, ITapes.standing.selector, abi.encodePacked(facts, blockLeaves));
        return abi.decode(answer, (bool, bool, uint256));
    }

    /// @inheritdoc IReferee
    function reclaim(bytes calldata target, Question calldata question) external {
        bytes32 key = _keyOf(target);
        bytes32 id = idOf(key, question);
        State memory state = questions[key][id];
        if (state.asker == address(0) || state.shown || !_isFallen(target)) revert Referee_QuestionState(id);
        delete questions[key][id].asker;
        _returnBond(target, state.asker);
    }

    /// @dev The name of a target that may have fallen.
    function _keyOf(bytes calldata target) internal view virtual returns (bytes32);

    /// @notice Return the name of a question.
    function idOf(bytes32 key, Question calldata question) public pure returns (bytes32) {
        return keccak256(abi.encode(key, question));
    }

    // --- who is paid for evidence -------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function commit(bytes32 commitment) external {
        committedIn[msg.sender][commitment] = block.number;
    }

    /// @dev Who is paid for a call: its sender, if it committed to it; else nobody, and what it is worth goes to the pot.
    function _rewarded(address challenger, bytes32 dataHash) internal view returns (address) {
        uint256 at = committedIn[challenger][keccak256(abi.encode(challenger, dataHash))];
        bool counts = at != 0 && at < block.number && block.number <= at + COMMITMENT_BLOCKS;
        return counts ? challenger : address(0);
    }

    // --- refutations --------------------------------------------------------------------------------------------------

    /// @inheritdoc IReferee
    function refute(bytes calldata target, Refutation.Claim calldata claim) external {
        bytes memory facts = _requireDisputable(target);
        // who decides it looks whether this is the column's instruction
        address by = uint8(uint256(claim.words[0]) >> 120) < Language.POSEIDON ? tapes : poseidon;
        if (!_isSo(by, ITapes.refutes.selector, facts)) revert Referee_NotRefuted(claim.column);
        _refuted(target, bytes32(facts), claim.column);
    }

    /// @inheritdoc IReferee
    function refuteSource(bytes calldata target, Refutation.Claim calldata claim, bytes calldata) external {
        bytes memory facts = _requireDisputable(target);
        if (!_refutesSource(facts)) revert Referee_NotRefuted(claim.column);
        _refuted(target, bytes32(facts), claim.column);
    }

    /// @inheritdoc IReferee
    function refuteOutput(bytes calldata target, OutputClaim calldata claim) external {
        bytes memory facts = _requireDisputable(target);
        if (!_refutesOutput(facts)) revert Referee_NotRefuted(claim.output);
        _refuted(target, bytes32(facts), claim.output);
    }

    /// @inheritdoc IReferee
    function refutePadding(bytes calldata target, uint256 index, bytes32, bytes32[] calldata) external {
        bytes memory facts = _requireDisputable(target);
        if (!_isSo(tapes, ITapes.refutesPadding.selector, facts)) revert Referee_NotRefuted(index);
        _refuted(target, bytes32(facts), index);
    }

    /// @inheritdoc IReferee
    function refuteDot(bytes calldata target, DotClaim calldata claim) external {
        bytes memory facts = _requireDisputable(target);
        (uint256 first, uint256 count) = _blockOf(target, claim);
        bytes32 above = _digestOf(bytes32(facts), Node.Sums, claim.column, claim.place, 0, 1, claim.leaf / 128);
        bytes memory more = abi.encodePacked(facts, first, count, above);
        if (!_isSo(tapes, ITapes.refutesDot.selector, more)) revert Referee_NotRefuted(claim.column);
        _refuted(target, bytes32(facts), claim.column);
    }

    /// @inheritdoc IReferee
    function refuteCombine(bytes calldata target, CombineClaim calldata claim) external {
        bytes memory facts = _requireDisputable(target);
        uint32 before = claim.entry == 0 ? 0 : (claim.entry - 1) / 32;
        bytes32 key = bytes32(facts);
        bytes32 above = _digestOf(key, Node.Prefixes, claim.column, claim.place, claim.leaf, 1, claim.entry / 32);
        bytes32 aboveBefore = _digestOf(key, Node.Prefixes, claim.column, claim.place, claim.leaf, 1, before);
        bytes memory more = abi.encodePacked(facts, above, aboveBefore);
        if (!_isSo(tapes, ITapes.refutesCombine.selector, more)) revert Referee_NotRefuted(claim.column);
        _refuted(target, bytes32(facts), claim.column);
    }

    function _refuted(bytes calldata target, bytes32 key, uint256 column) internal {
        emit Fell(key, msg.sender, column);
        _fall(target, _rewarded(msg.sender, keccak256(msg.data)));
    }

    /// @dev A question that was asked at the last second of all is answered within one answer; the step that it leads to may take
    /// as long.
    function _requireDisputable(bytes calldata target) internal view returns (bytes memory facts) {
        (uint256 end, uint256 answer) = _windows(target);
        end += 2 * (DEPTH + 1) * answer;
        if (block.timestamp >= end) revert Referee_Deadline(end);
        return _facts(target);
    }

    /// @dev The block in which a claim's leaf lies, where the product needs one.
    function _blockOf(bytes calldata target, DotClaim calldata claim)
        private
        view
        returns (uint256 first, uint256 count)
    {
        uint256 packed = uint256(claim.instruction.words[0]);
        uint256 axis = ITapes(tapes).blockPlace(packed);
        if (axis < 3) return _block(target, claim.place[axis]);
        if (uint8(packed >> 120) != Language.DOT) return _block(target, claim.block_);
    }

    function _digestOf(
        bytes32 key,
        Node node,
        uint16 column,
        uint32[3] calldata place,
        uint32 leaf,
        uint8 level,
        uint32 index
    ) private view returns (bytes32) {
        return shownDigest[keccak256(abi.encode(key, Question(node, column, place, leaf, level, index)))];
    }
}
