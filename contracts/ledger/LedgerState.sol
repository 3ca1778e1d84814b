// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {Receipts} from "../libraries/Receipts.sol";

/// @title LedgerState
/// @notice What the parts of {RoundLedger} share: storage, digests, guards and views.
abstract contract LedgerState is IRoundLedger, EIP712 {
    using Heads for uint256;

    /// @dev What only disputes, slashes and endings touch.
    /// @param mask Bit (round % ring) is set while that round is disputed.
    /// @param frozenSince When the task stood still (Unix seconds); meaningful while a dispute is open.
    /// @param lowest The lowest disputed round; meaningful while a dispute is open.
    /// @param everRostered Rounds [0, everRostered) had a roster once, void or not; a lower bound, see `_everRostered`.
    /// @param bonus Slashed money that seals allot, in wei.
    struct Side {
        uint64 mask;
        uint40 frozenSince;
        uint16 lowest;
        uint16 everRostered;
        uint80 bonus;
    }

    struct Terms {
        uint80 bond;
        uint32 unbonding;
    }

    IEscrow public immutable escrow;
    ITaskRegistry public immutable registry;
    /// @notice The only address that can close a task's books.
    address public immutable settlement;
    /// @notice The only address that can open and decide disputes; zero in a deployment without.
    address public immutable disputes;

    mapping(uint256 task => uint256) internal _heads;
    mapping(uint256 task => uint256) internal _windows;
    mapping(uint256 task => mapping(uint256 slot => bytes32)) internal _ring;
    mapping(uint256 task => Side) internal _sides;
    mapping(uint256 task => Terms) internal _terms;
    mapping(uint256 task => bytes32) internal _aggregators;
    mapping(uint256 task => bytes32) internal _forcedChain;
    mapping(uint256 task => uint256) internal _forcedCount;

    constructor(address escrow_, address registry_, address settlement_, address disputes_) EIP712("fl-platform", "1") {
        escrow = IEscrow(escrow_);
        registry = ITaskRegistry(registry_);
        settlement = settlement_;
        disputes = disputes_;
    }

    /// @inheritdoc IRoundLedger
    function head(uint256 task) external view returns (Head memory) {
        return _heads[task].unpack();
    }

    /// @inheritdoc IRoundLedger
    function config(uint256 task) external view returns (Config memory out) {
        uint256 word = _windows[task];
        out.minRound = uint32(word.windowAt(0));
        out.roster = uint32(word.windowAt(1));
        out.forceInclude = uint32(word.windowAt(2));
        out.reveal = uint32(word.windowAt(3));
        out.seal = uint32(word.windowAt(4));
        out.challenge = uint32(word.windowAt(5));
        out.takeover = uint32(word.windowAt(6));
        out.unbonding = _terms[task].unbonding;
        out.pot = uint80(word.pot());
        out.bond = _terms[task].bond;
        out.ring = uint8(word.ring());
        out.aggregatorsHash = _aggregators[task];
    }

    /// @inheritdoc IRoundLedger
    function ringDigest(uint256 task, uint256 round) external view returns (bytes32) {
        uint256 size = _windows[task].ring();
        return size == 0 ? bytes32(0) : _ring[task][round % size];
    }

    /// @inheritdoc IRoundLedger
    function window(uint256 task) external view returns (uint256 from, uint256 to) {
        uint256 h = _heads[task];
        Phase phase = h.phase();
        if (phase == Phase.Open || phase == Phase.Rostered) return h.stepWindow(_windows[task]);
    }

    /// @inheritdoc IRoundLedger
    function allotted(uint256 task, uint256 round) external view returns (uint256) {
        return _allotted(task, round, _heads[task], _windows[task]);
    }

    /// @inheritdoc IRoundLedger
    function bonus(uint256 task) external view returns (uint256) {
        return _sides[task].bonus;
    }

    /// @inheritdoc IRoundLedger
    function everRostered(uint256 task) external view returns (uint256) {
        return _everRostered(task, _heads[task]);
    }

    /// @inheritdoc IRoundLedger
    function challenged(uint256 task) external view returns (bool open, uint256 lowest) {
        if (_heads[task] & Heads.CHALLENGED == 0) return (false, 0);
        return (true, _sides[task].lowest);
    }

    /// @inheritdoc IRoundLedger
    function isChallenged(uint256 task, uint256 round) public view returns (bool) {
        uint256 h = _heads[task];
        if (h & Heads.CHALLENGED == 0 || round >= h.round()) return false;
        uint256 size = _windows[task].ring();
        // a disputed round's slot is never reused while the task stands still, so residues are unique among these
        return round + size > h.round() && _sides[task].mask & _bit(round, size) != 0;
    }

    /// @inheritdoc IRoundLedger
    function forcedList(uint256 task) external view returns (bytes32 chain, uint256 count) {
        if (_heads[task] & Heads.FORCED == 0) return (0, 0);
        return (_forcedChain[task], _forcedCount[task]);
    }

    /// @inheritdoc IRoundLedger
    function requireFinal(uint256 task, uint256 round, SealRecord calldata record) external view {
        _requireFinal(task, round, record);
    }

    /// @inheritdoc IRoundLedger
    function roundState(uint256 task, uint256 round, SealRecord calldata record) external view returns (RoundState) {
        uint256 h = _heads[task];
        Phase phase = h.phase();
        uint256 current = h.round();
        if (phase == Phase.None || round >= h.rounds()) return RoundState.None;
        if (round == current) {
            if (phase == Phase.Open) return RoundState.Open;
            if (phase == Phase.Rostered) return RoundState.Rostered;
            return phase == Phase.Refunded ? RoundState.Refunded : RoundState.Compensated;
        }
        if (round > current) return round < _everRostered(task, h) ? RoundState.Void : RoundState.None;
        _requireRecord(task, round, record);
        if (isChallenged(task, round)) return RoundState.Challenged;
        bool blocked = h & Heads.CHALLENGED != 0 && round >= _sides[task].lowest;
        bool over = block.timestamp >= record.sealedAt + _windows[task].challengeWindow();
        return over && !blocked ? RoundState.Final : RoundState.Sealed;
    }

    /// @inheritdoc IRoundLedger
    function rosterDigest(uint256 task, uint256 round, RosterRecord calldata record) external pure returns (bytes32) {
        return keccak256(abi.encode(task, round, record));
    }

    /// @inheritdoc IRoundLedger
    function sealDigest(uint256 task, uint256 round, SealRecord calldata record) public pure returns (bytes32) {
        return keccak256(abi.encode(task, round, record));
    }

    /// @inheritdoc IRoundLedger
    function receiptHash(Receipt calldata receipt) external pure returns (bytes32) {
        return Receipts.structHash(receipt);
    }

    /// @inheritdoc IRoundLedger
    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        return _hashTypedDataV4(Receipts.structHash(receipt));
    }

    function _bit(uint256 round, uint256 size) internal pure returns (uint64) {
        // size <= Heads.MAX_RING = 64
        return uint64(1 << (round % size));
    }

    function _allotted(uint256 task, uint256 round, uint256 h, uint256 word) internal view returns (uint256 total) {
        total = word.pot() * (round + 1);
        if (h & Heads.HAS_BONUS != 0) total += _sides[task].bonus;
    }

    /// @dev How many rounds had a roster at some time. Voided rounds count: their pots never return to the owner.
    function _everRostered(uint256 task, uint256 h) internal view returns (uint256 count) {
        Phase phase = h.phase();
        count = h.round();
        if (phase == Phase.Rostered || phase == Phase.Compensated) ++count;
        uint256 before = _sides[task].everRostered;
        if (before > count) count = before;
    }

    function _requireCalm(uint256 task, uint256 h) internal view {
        if (h & Heads.CHALLENGED != 0) revert RoundLedger_TaskChallenged(task, _sides[task].lowest);
    }

    function _requireWindow(uint256 task, uint256 from, uint256 to) internal view {
        if (block.timestamp < from) revert RoundLedger_TooEarly(task, from);
        if (block.timestamp >= to) revert RoundLedger_TooLate(task, to);
    }

    function _requireList(uint256 task, address[] calldata aggregators) internal view {
        if (keccak256(abi.encode(aggregators)) != _aggregators[task]) revert RoundLedger_AggregatorsMismatch(task);
    }

    function _requireRecord(uint256 task, uint256 round, SealRecord calldata record) internal view {
        _requireDigest(task, round, sealDigest(task, round, record), _windows[task].ring());
    }

    function _requireDigest(uint256 task, uint256 round, bytes32 digest, uint256 size) internal view {
        // size is zero only for a task that does not exist, and its head was refused before
        bytes32 expected = _ring[task][round % size];
        if (digest != expected) revert RoundLedger_RecordMismatch(task, round, digest, expected);
    }

    function _requireFinal(uint256 task, uint256 round, SealRecord calldata record) internal view {
        uint256 h = _heads[task];
        if (round >= h.round()) revert RoundLedger_NotFinal(task, round, 0);
        uint256 word = _windows[task];
        _requireDigest(task, round, sealDigest(task, round, record), word.ring());
        if (h & Heads.CHALLENGED != 0) {
            uint256 lowest = _sides[task].lowest;
            if (round >= lowest) revert RoundLedger_TaskChallenged(task, lowest);
        }
        uint256 finalAt = record.sealedAt + word.challengeWindow();
        if (block.timestamp < finalAt) revert RoundLedger_NotFinal(task, round, finalAt);
    }

    function _raiseBonus(uint256 task, uint256 amount) internal {
        if (amount == 0) return;
        uint256 total = _sides[task].bonus + amount;
        // slashed stakes of one task; deposits are below 2^79 each, and the escrow's own 80-bit fields stop earlier
        if (total > type(uint80).max) total = type(uint80).max;
        _sides[task].bonus = uint80(total);
        _heads[task] |= Heads.HAS_BONUS;
        emit BonusRaised(task, amount, total);
    }
}
