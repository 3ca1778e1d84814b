// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {Receipts} from "../libraries/Receipts.sol";

/// @title LedgerState
/// @notice What the parts of {RoundLedger} share: storage, digests and guards; what only readers need is in {LedgerViews}.
abstract contract LedgerState is IRoundLedger, EIP712 {
    using Heads for uint256;

    /// @dev What only open disputes touch.
    /// @param mask Bit (round % ring) is set while that round is disputed.
    /// @param frozenSince When the task stood still (Unix seconds); meaningful while a dispute is open.
    /// @param lowest The lowest disputed round; meaningful while a dispute is open.
    struct Side {
        uint64 mask;
        uint40 frozenSince;
        uint16 lowest;
    }

    /// @param head See {Heads}.
    /// @param windows See {Heads}.
    /// @param side What only open disputes touch.
    /// @param ring Digests of the last rounds; only the first `windows.ring()` are used.
    struct TaskState {
        uint256 head;
        uint256 windows;
        Side side;
        bytes32[64] ring;
    }

    /// @dev What a slash changes stands beside what the opening fixed: no slash pays for a slot that was zero.
    /// @param bond As opened, in wei.
    /// @param unbonding As opened, in seconds.
    /// @param everRostered Rounds [0, everRostered) had a roster once, void or not; a lower bound, see `_everRostered`.
    /// @param bonus Slashed money that seals allot, in wei.
    /// @param takeover As opened, in seconds.
    /// @param seatsAtFall Seats that existed when a roster or a seal fell last.
    struct Terms {
        uint80 bond;
        uint32 unbonding;
        uint16 everRostered;
        uint80 bonus;
        uint24 takeover;
        uint24 seatsAtFall;
    }

    IEscrow public immutable escrow;
    ITaskRegistry public immutable registry;
    /// @notice The only address that can close a task's books.
    address public immutable settlement;
    /// @notice The only address that can open and decide disputes; zero in a deployment without.
    address public immutable disputes;

    mapping(uint256 task => TaskState) internal _tasks;
    mapping(uint256 task => Terms) internal _terms;
    /// @inheritdoc IRoundLedger
    mapping(uint256 task => bytes32) public aggregatorsHash;
    /// @dev Of the head's round, where its flag says that there are some.
    mapping(uint256 task => uint256) internal _forcedCount;
    /// @dev What of the bonus came while a seal's window was open: when that opened, above 80 bits of wei. No two windows of a
    /// task open in one second, so it says which one it was.
    mapping(uint256 task => uint256) private _lateOf;
    /// @inheritdoc IRoundLedger
    mapping(uint256 task => mapping(uint256 round => mapping(uint256 life => mapping(uint256 index => bytes32)))) public
        forced;

    constructor(address escrow_, address registry_, address settlement_, address disputes_) EIP712("fl-platform", "1") {
        escrow = IEscrow(escrow_);
        registry = ITaskRegistry(registry_);
        settlement = settlement_;
        disputes = disputes_;
    }

    /// @inheritdoc IRoundLedger
    function head(uint256 task) external view returns (Head memory) {
        return _tasks[task].head.unpack();
    }

    /// @inheritdoc IRoundLedger
    function words(uint256 task) external view returns (Words memory out) {
        TaskState storage t = _tasks[task];
        Side storage side = t.side;
        Terms storage terms = _terms[task];
        (out.head, out.windows) = (t.head, t.windows);
        // each of the two structs fills one slot
        uint256 word;
        assembly ("memory-safe") {
            word := sload(side.slot)
        }
        out.side = word;
        assembly ("memory-safe") {
            word := sload(terms.slot)
        }
        out.terms = word;
    }

    /// @inheritdoc IRoundLedger
    function ringSlot(uint256 task, uint256 slot) external view returns (bytes32) {
        return _tasks[task].ring[slot];
    }

    /// @inheritdoc IRoundLedger
    function forcedCount(uint256 task) external view returns (uint256) {
        return _tasks[task].head & Heads.FORCED == 0 ? 0 : _forcedCount[task];
    }

    /// @inheritdoc IRoundLedger
    function requireFinal(uint256 task, uint256 round, ClaimRecord calldata record) external view {
        _requireFinal(task, round, record);
    }

    /// @dev [from, to) of the head's next step; `word` is the task's windows.
    function _stepWindow(uint256 task, uint256 h, uint256 word) internal view returns (uint256 from, uint256 to) {
        if (h & Heads.TAKEOVER == 0) {
            (from, to) = h.stepWindow(word);
        } else {
            from = h.time();
            to = from + _terms[task].takeover;
        }
    }

    /// @dev Of a task that ended compensated: until then its roster can fall, and from then on its books can be closed.
    function _closableFrom(uint256 task, uint256 h) internal view returns (uint256) {
        return h.time() + _terms[task].takeover;
    }

    function _isChallenged(uint256 task, uint256 round, uint256 h) internal view returns (bool) {
        if (h & Heads.CHALLENGED == 0 || round >= h.round()) return false;
        uint256 size = _tasks[task].windows.ring();
        // a disputed round's slot is never reused while the task stands still, so residues are unique among these
        return round + size > h.round() && _tasks[task].side.mask & _bit(round, size) != 0;
    }

    function _bit(uint256 round, uint256 size) internal pure returns (uint64) {
        // size <= Heads.MAX_RING = 64
        return uint64(1 << (round % size));
    }

    function _allotted(uint256 task, uint256 round, uint256 h, uint256 word) internal view returns (uint256 total) {
        // an 80-bit pot, a round number, an 80-bit bonus
        unchecked {
            total = word.pot() * (round + 1);
            if (h & Heads.HAS_BONUS != 0) total += _terms[task].bonus;
        }
    }

    /// @dev How many rounds had a roster at some time. Voided rounds count: their pots never return to the owner.
    function _everRostered(uint256 task, uint256 h) internal view returns (uint256 count) {
        Phase phase = h.phase();
        count = h.round();
        if (phase == Phase.Rostered || phase == Phase.Compensated) ++count;
        uint256 before = _terms[task].everRostered;
        if (before > count) count = before;
    }

    function _requireCalm(uint256 task, uint256 h) internal view {
        if (h & Heads.CHALLENGED != 0) revert RoundLedger_TaskChallenged(task, _tasks[task].side.lowest);
    }

    function _requireWindow(uint256 task, uint256 from, uint256 to) internal view {
        if (block.timestamp < from) revert RoundLedger_TooEarly(task, from);
        if (block.timestamp >= to) revert RoundLedger_TooLate(task, to);
    }

    function _requireList(uint256 task, address[] calldata aggregators) internal view {
        if (keccak256(abi.encode(aggregators)) != aggregatorsHash[task]) revert RoundLedger_AggregatorsMismatch(task);
    }

    /// @dev For sealed rounds, blocked by a dispute or not; `h` is the head.
    function _requireRecord(uint256 task, uint256 round, uint256 h, SealRecord calldata record)
        internal
        view
        returns (uint256 finalAt)
    {
        TaskState storage t = _tasks[task];
        uint256 word = t.windows;
        uint256 slot = round % word.ring();
        finalAt = record.sealedAt + word.challengeWindow();
        bytes32 digest = Heads.digestOf(task, round, record, finalAt, slot);
        bytes32 expected = t.ring[slot];
        if (h & Heads.CHALLENGED != 0 && round >= t.side.lowest) expected = ~expected;
        if (digest != expected) revert RoundLedger_RecordMismatch(task, round, digest, expected);
    }

    /// @dev The same, and the round must lie below the head.
    function _requireSealed(uint256 task, uint256 round, uint256 h, SealRecord calldata record)
        internal
        view
        returns (uint256 finalAt)
    {
        if (round >= h.round()) revert RoundLedger_WrongRound(task, round, h.round());
        return _requireRecord(task, round, h, record);
    }

    /// @dev One slot tells it all: a seal's digest is in the ring as it is while no dispute blocks the round, complemented
    /// while one does, and overwritten when the round is void. The slot comes with the record and is bound by its digest.
    function _requireFinal(uint256 task, uint256 round, ClaimRecord calldata record) internal view {
        bytes32 digest = Heads.digestOf(task, round, record);
        // a slot past the ring reverts, one inside it holds either this record's digest or not
        bytes32 expected = _tasks[task].ring[record.slot];
        if (digest != expected) {
            if (digest == ~expected) revert RoundLedger_TaskChallenged(task, _tasks[task].side.lowest);
            revert RoundLedger_RecordMismatch(task, round, digest, expected);
        }
        if (block.timestamp < record.finalAt) revert RoundLedger_NotFinal(task, round, record.finalAt);
    }

    function _raiseBonus(uint256 task, uint256 amount) internal {
        if (amount == 0) return;
        uint256 total = _terms[task].bonus + amount;
        // slashed stakes of one task; deposits are below 2^79 each, and the escrow's own 80-bit fields stop earlier
        if (total > type(uint80).max) total = type(uint80).max;
        uint256 h = _tasks[task].head | Heads.HAS_BONUS;
        if (h.phase() == Phase.Rostered) _noteLate(task, h, total - _terms[task].bonus);
        _terms[task].bonus = uint80(total);
        _tasks[task].head = h;
        emit BonusRaised(task, amount, total);
    }

    /// @dev `amount` is slashed. Once the window of a seal is open that seal need not allot it.
    function _noteLate(uint256 task, uint256 h, uint256 amount) private {
        (uint256 from,) = _stepWindow(task, h, _tasks[task].windows);
        if (block.timestamp <= from) return;
        // a part of the bonus, which fits into 80 bits
        _lateOf[task] = (from << 80) | (_late(task, from) + amount);
    }

    /// @dev What was slashed after the window of a seal opened at `from`.
    function _late(uint256 task, uint256 from) internal view returns (uint256) {
        uint256 word = _lateOf[task];
        return word >> 80 == from ? word & type(uint80).max : 0;
    }
}
