// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {RefereeCore} from "./RefereeCore.sol";
import {IDisputes} from "../interfaces/IDisputes.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRosters} from "../interfaces/IRosters.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISources} from "../interfaces/ISources.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {Terms} from "../libraries/Terms.sol";

/// @title Rosters
/// @notice See {IRosters}: a roster as a target of its own. What a leaf is, {ISources} says.
/// @dev Every call begins with the same static words: task, round, a roster's seven, and where a question is meant, terms and
/// index. So calldata [4, 292) is what the ring keeps the hash of, and [4, 772) names a question. Dirt above a field's width makes
/// another name: of a roster that no ring holds, or of a question that nobody asked.
abstract contract Rosters is RefereeCore, IDisputes, IRosters {
    uint256 private constant ROSTER_END = 4 + 9 * 32;
    uint256 private constant TERMS_END = ROSTER_END + 14 * 32;
    uint256 private constant QUESTION_END = TERMS_END + 32;

    /// @inheritdoc IDisputes
    address public immutable ledger;
    address public immutable escrow;
    address public immutable registry;
    address public immutable sources;

    constructor(address ledger_, address escrow_, address registry_, address sources_) {
        (ledger, escrow, registry, sources) = (ledger_, escrow_, registry_, sources_);
    }

    /// @inheritdoc IRosters
    function askRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index
    ) external {
        IRoundLedger.Words memory state = _words(task);
        bool known = index < roster.count && _terms() == ITaskRegistry(registry).rulesOf(task);
        if (!known || !_stands(task, state)) revert ISources.Sources_Mismatch(task, round);
        uint256 life = Heads.life(state.head);
        State storage question = questions[_question()][bytes32(life)];
        if (question.asker != address(0)) revert Referee_QuestionState(_question());
        uint256 deadline = block.timestamp + LedgerReads.takeover(state) / 2;
        (question.asker, question.time) = (msg.sender, uint40(deadline));
        emit RosterAsked(_roster(), index, uint8(life), msg.sender, deadline);
        _lockBond(task, msg.sender, terms.askBond);
    }

    /// @inheritdoc IRosters
    function showRoster(
        uint256 task,
        uint256,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index,
        bytes calldata entry,
        bytes calldata signature
    ) external {
        State storage question = _open(Heads.life(_words(task).head));
        if (block.timestamp >= question.time) revert Referee_Deadline(question.time);
        _consult(sources, ISources.requireRostered.selector, "");
        (question.shown, question.time) = (true, uint40(block.timestamp));
        emit RosterShown(_roster(), index, entry, signature);
        _payBond(task, question.asker, terms.askBond, roster.aggregator);
    }

    /// @inheritdoc IRosters
    function lapseRoster(
        uint256 task,
        uint256,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32,
        address[] calldata aggregators
    ) external {
        State storage question = _open(Heads.life(_words(task).head));
        if (block.timestamp < question.time) revert Referee_Deadline(question.time);
        address asker = question.asker;
        delete question.asker;
        // falls first: who is paid may call again, and a roster falls once
        _fallRoster(task, roster, asker, aggregators);
        _payBond(task, asker, terms.askBond, asker);
    }

    /// @inheritdoc IRosters
    function reclaimRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata,
        Terms.Facts calldata terms,
        uint32,
        uint8 life
    ) external {
        IRoundLedger.Words memory state = _words(task);
        if (life == Heads.life(state.head) && _stands(task, state)) revert Rosters_Stands(task, round);
        State storage question = _open(life);
        address asker = question.asker;
        delete question.asker;
        _payBond(task, asker, terms.askBond, asker);
    }

    /// @inheritdoc IRosters
    function refuteRoster(
        uint256 task,
        uint256,
        IRoundLedger.RosterRecord calldata roster,
        uint32 index,
        bytes calldata,
        bytes calldata,
        address[] calldata aggregators
    ) external {
        if (!_isSo(sources, ISources.isDescending.selector, "")) revert Rosters_Ascending(index);
        _fallRoster(task, roster, _rewarded(msg.sender, keccak256(msg.data)), aggregators);
    }

    /// @dev The ledger compares the digest with the ring's, and so has maker and seats from here.
    function _fallRoster(
        uint256 task,
        IRoundLedger.RosterRecord calldata roster,
        address challenger,
        address[] calldata aggregators
    ) private {
        IRoundLedger(ledger).overturnRoster(task, _roster(), roster.aggregator, roster.seats, challenger, aggregators);
    }

    function _lockBond(uint256 task, address from, uint256 amount) internal {
        IEscrow(escrow).lockBond(task, from, amount);
    }

    function _payBond(uint256 task, address from, uint256 amount, address to) internal {
        IEscrow(escrow).payBond(task, from, amount, to);
    }

    function _words(uint256 task) internal view returns (IRoundLedger.Words memory) {
        return IRoundLedger(ledger).words(task);
    }

    function _roster() private pure returns (bytes32) {
        return keccak256(msg.data[4:ROSTER_END]);
    }

    function _terms() private pure returns (bytes32) {
        return keccak256(msg.data[ROSTER_END:TERMS_END]);
    }

    function _question() private pure returns (bytes32) {
        return keccak256(msg.data[4:QUESTION_END]);
    }

    /// @dev This call's question, which waits for its answer.
    function _open(uint256 life) private view returns (State storage question) {
        question = questions[_question()][bytes32(life)];
        if (question.asker == address(0) || question.shown) revert Referee_QuestionState(_question());
    }

    /// @dev Whether this call's roster can fall: it is not sealed, nor the time over that it has after a compensated end, which a
    /// dispute makes longer. No dispute complements the slot of the head's own round.
    function _stands(uint256 task, IRoundLedger.Words memory state) private view returns (bool) {
        IRoundLedger.Phase phase = Heads.phase(state.head);
        if (phase == IRoundLedger.Phase.Compensated) {
            if (block.timestamp >= LedgerReads.closableFrom(state) && !LedgerReads.isFrozen(state)) return false;
        } else if (phase != IRoundLedger.Phase.Rostered) {
            return false;
        }
        uint256 slot = Heads.slotOf(state.windows, Heads.round(state.head));
        return IRoundLedger(ledger).ringSlot(task, slot) == _roster();
    }
}
