// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {RefereeCore} from "./RefereeCore.sol";
import {Rosters} from "./Rosters.sol";
import {IBonds} from "../interfaces/IBonds.sol";
import {IEquivocations} from "../interfaces/IEquivocations.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IReferee} from "../interfaces/IReferee.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISources} from "../interfaces/ISources.sol";
import {Heads} from "../libraries/Heads.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {Receipts} from "../libraries/Receipts.sol";

/// @title Referee
/// @notice See {IReferee}: the contract that ledger and escrow trust with disputes. A target is abi.encode of an
/// {ISources.Target}. Holds no money: bonds lie in the escrow. No owner, no upgrade.
contract Referee is Rosters, IBonds, IEquivocations {
    /// @notice What a demand of a key or of content costs: basis points of the pot, rounded up.
    uint256 internal constant DEMAND_BPS = 500;
    /// @notice The challenger's part of a trainer's stake, in basis points; below one half, so that accusing oneself never
    /// pays.
    uint256 public constant CHALLENGER_BPS = 3_000;
    uint256 private constant BASIS = 10_000;

    /// @param count Questions that wait for an answer.
    /// @param last When the last answer came.
    /// @param marked The ledger stands still for this seal.
    struct Waiting {
        uint40 count;
        uint40 last;
        bool marked;
    }

    address public immutable reveals;

    mapping(bytes32 key => Waiting) public waiting;

    constructor(
        address tapes_,
        address poseidon_,
        address sources_,
        address ledger_,
        address escrow_,
        address registry_,
        address reveals_
    ) RefereeCore(tapes_, poseidon_) Rosters(ledger_, escrow_, registry_, sources_) {
        reveals = reveals_;
    }

    modifier onlyReveals() {
        if (msg.sender != reveals) revert Bonds_NotReveals(msg.sender);
        _;
    }

    // --- a seal -------------------------------------------------------------------------------------------------------

    /// @dev abi.encode of one dynamic struct is its offset, then the struct.
    function _target(bytes calldata target) private pure returns (ISources.Target calldata t) {
        assembly ("memory-safe") {
            t := add(target.offset, 0x20)
        }
    }

    function _facts(bytes calldata) internal view override returns (bytes memory) {
        return _consult(sources, ISources.factsOf.selector, "");
    }

    function _block(bytes calldata, uint256 block_) internal view override returns (uint256 first, uint256 count) {
        return abi.decode(_consult(sources, ISources.blockOf.selector, abi.encode(block_)), (uint256, uint256));
    }

    function _windows(bytes calldata target) internal view override returns (uint256 end, uint256 answer) {
        ISources.Target calldata t = _target(target);
        IRoundLedger.Words memory state = _words(t.task);
        return (t.record.sealedAt + Heads.challengeWindow(state.windows), LedgerReads.takeover(state));
    }

    function _requireKeyHolder(bytes calldata) internal view override {
        _consult(sources, ISources.requireKeyHolder.selector, abi.encode(msg.sender));
    }

    function _requireSealer(bytes calldata target) internal view override {
        address sealer = _target(target).record.aggregator;
        if (msg.sender != sealer) revert Referee_NotSealer(msg.sender, sealer);
    }

    function _requireShown() internal view override {
        _consult(sources, ISources.requireShown.selector, "");
    }

    function _isNowhere() internal view override returns (bool) {
        return _isSo(sources, ISources.isNowhere.selector, "");
    }

    function _refutesSource(bytes memory facts) internal view override returns (bool) {
        return _isSo(sources, ISources.refutes.selector, facts);
    }

    function _refutesOutput(bytes memory facts) internal view override returns (bool) {
        return _isSo(sources, ISources.refutesOutput.selector, facts);
    }

    function _isFallen(bytes calldata) internal view override returns (bool) {
        return _isSo(sources, ISources.isVoid.selector, "");
    }

    function _keyOf(bytes calldata target) internal pure override returns (bytes32) {
        ISources.Target calldata t = _target(target);
        return keccak256(abi.encode(t.task, t.round, t.record));
    }

    // --- what a question and its end do -------------------------------------------------------------------------------

    function _opened(bytes calldata target) internal override {
        Waiting storage w = waiting[_keyOf(target)];
        ++w.count;
        if (w.marked) return;
        w.marked = true;
        ISources.Target calldata t = _target(target);
        IRoundLedger(ledger).markChallenged(t.task, t.round, t.record);
    }

    function _closed(bytes calldata target) internal override {
        Waiting storage w = waiting[_keyOf(target)];
        (w.last, w.count) = (uint40(block.timestamp), w.count - 1);
        (uint256 end, uint256 answer) = _windows(target);
        // a later question, or a claim, may follow from an answer for as long as an answer may take
        if (w.count == 0 && block.timestamp + answer <= end) _unmark(target, w);
    }

    /// @inheritdoc IReferee
    function release(bytes calldata target) external {
        Waiting storage w = waiting[_keyOf(target)];
        (, uint256 answer) = _windows(target);
        if (!w.marked || w.count != 0 || _isFallen(target)) revert Referee_QuestionState(_keyOf(target));
        if (block.timestamp < w.last + answer) revert Referee_Deadline(w.last + answer);
        _unmark(target, w);
    }

    function _unmark(bytes calldata target, Waiting storage w) private {
        w.marked = false;
        ISources.Target calldata t = _target(target);
        IRoundLedger(ledger).markUnchallenged(t.task, t.round, t.record);
    }

    function _fall(bytes calldata target, address challenger) internal override {
        ISources.Target calldata t = _target(target);
        IRoundLedger(ledger).overturnSeal(t.task, t.round, t.record, challenger, t.aggregators);
    }

    // --- a trainer that signs twice -----------------------------------------------------------------------------------

    /// @inheritdoc IEquivocations
    function equivocation(
        IRoundLedger.Receipt calldata first,
        bytes calldata firstSignature,
        IRoundLedger.Receipt calldata second,
        bytes calldata secondSignature
    ) external {
        (uint256 task, address trainer) = (first.task, first.trainer);
        bool same = task == second.task && first.round == second.round && trainer == second.trainer
            && first.parent == second.parent && first.life == second.life;
        uint256 head = _words(task).head;
        // a round that is there again is signed for again
        bool once = Heads.life(head) | Heads.index(head) == 0 && Heads.phase(head) != IRoundLedger.Phase.Compensated;
        bytes32 hash = Receipts.requireSigned(ledger, first, firstSignature);
        bool differ = hash != Receipts.requireSigned(ledger, second, secondSignature);
        IEscrow.Member memory member = IEscrow(escrow).member(task, trainer);
        // what an aggregator, or an asker, has locked is no trainer's to lose
        bool staked = member.stake != 0 && member.flags & MemberFlags.TRAINER != 0;
        if (!same || !once || !differ || !staked) revert Equivocations_NotShown(task, trainer);
        uint256 slashed = IRoundLedger(ledger)
            .slashMember(task, trainer, member.stake, _rewarded(msg.sender, keccak256(msg.data)), CHALLENGER_BPS);
        emit EquivocationProved(task, first.round, trainer, msg.sender, slashed);
    }

    // --- bonds --------------------------------------------------------------------------------------------------------

    function _lockBond(bytes calldata target, address from) internal override {
        ISources.Target calldata t = _target(target);
        _lockBond(t.task, from, t.terms.askBond);
    }

    function _returnBond(bytes calldata target, address asker) internal override {
        ISources.Target calldata t = _target(target);
        _payBond(t.task, asker, t.terms.askBond, asker);
    }

    /// @dev Nothing of it goes to the pot: who seals a later round must know what to allot.
    function _forfeitBond(bytes calldata target, address asker) internal override {
        ISources.Target calldata t = _target(target);
        _payBond(t.task, asker, t.terms.askBond, t.record.aggregator);
    }

    /// @inheritdoc IBonds
    function lockBond(uint256 task, address from, uint256 amount) external onlyReveals {
        _lockBond(task, from, amount);
    }

    /// @inheritdoc IBonds
    function payBond(uint256 task, address from, uint256 amount, address to) external onlyReveals {
        _payBond(task, from, amount, to);
    }

    /// @inheritdoc IBonds
    function penalise(uint256 task, address trainer, uint256 amount, address challenger, uint256 shareBps)
        external
        onlyReveals
        returns (uint256 slashed)
    {
        return IRoundLedger(ledger).slashMember(task, trainer, amount, challenger, shareBps);
    }

    /// @inheritdoc IBonds
    function rewarded(address challenger, bytes32 dataHash) external view returns (address) {
        return _rewarded(challenger, dataHash);
    }

    /// @inheritdoc IBonds
    function bondOf(uint256 task) external view returns (uint256) {
        return (Heads.pot(_words(task).windows) * DEMAND_BPS + BASIS - 1) / BASIS;
    }
}
