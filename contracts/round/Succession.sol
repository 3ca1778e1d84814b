// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {LedgerState} from "./LedgerState.sol";

/// @title Succession
/// @notice Who works on a round of {RoundLedger}: opening, seats, bonds, and how a round is handed on.
abstract contract Succession is LedgerState {
    using Heads for uint256;

    uint256 internal constant MAX_SEATS = 65_536;
    /// @notice What a missed deadline costs an aggregator: basis points of the pot, rounded up, at most its bond.
    uint256 internal constant LATENESS_BPS = 1_000;

    /// @inheritdoc IRoundLedger
    function openLedger(
        uint256 task,
        ITaskRegistry.Windows calldata windows,
        uint256 pot,
        uint256 bond,
        uint256 rounds,
        address[] calldata aggregators
    ) external {
        if (msg.sender != address(registry)) revert RoundLedger_NotRegistry(msg.sender);
        _requireAggregators(aggregators);
        _tasks[task].windows = _packWindows(windows, aggregators.length, pot);
        Terms storage terms = _terms[task];
        terms.bond = uint80(bond);
        terms.unbonding = windows.unbonding;
        terms.takeover = uint24(windows.takeover);
        aggregatorsHash[task] = keccak256(abi.encode(aggregators));
        _tasks[task].head = Heads.create(aggregators[0], rounds);
        emit LedgerOpened(task, block.timestamp, aggregators);
    }

    /// @inheritdoc IRoundLedger
    function takeSeat(uint256 task) external returns (uint32 seat) {
        if (msg.sender != address(registry)) revert RoundLedger_NotRegistry(msg.sender);
        uint256 word = _tasks[task].windows;
        uint256 taken = word.seats();
        if (taken == MAX_SEATS) revert RoundLedger_SeatsTaken(task, MAX_SEATS);
        _tasks[task].windows = word + Heads.ONE_SEAT;
        return uint32(taken);
    }

    /// @inheritdoc IRoundLedger
    function bondAggregator(uint256 task, address[] calldata aggregators, uint256 index, uint256 amount) external {
        _requireList(task, aggregators);
        if (index >= aggregators.length || aggregators[index] != msg.sender) {
            revert RoundLedger_NotListed(task, msg.sender);
        }
        uint256 required = _terms[task].bond;
        if (amount < required) revert RoundLedger_BondTooSmall(task, amount, required);
        uint256 h = _tasks[task].head;
        if (h.aggregator() == msg.sender) _tasks[task].head = h | Heads.BONDED;
        emit AggregatorBonded(task, msg.sender, amount);
        escrow.lock(task, msg.sender, amount, MemberFlags.AGGREGATOR, MemberFlags.BUSY);
    }

    /// @inheritdoc IRoundLedger
    function unbondAggregator(uint256 task) external {
        if (!_isBonded(task, msg.sender)) revert RoundLedger_NotBonded(task, msg.sender);
        uint256 h = _tasks[task].head;
        if (h.aggregator() == msg.sender) {
            Phase phase = h.phase();
            if (phase == Phase.Open || phase == Phase.Rostered) revert RoundLedger_StillCurrent(task, msg.sender);
            _tasks[task].head = h & ~Heads.BONDED;
        }
        uint256 readyAt = block.timestamp + _terms[task].unbonding;
        emit AggregatorLeft(task, msg.sender, readyAt);
        escrow.beginUnbonding(task, msg.sender, readyAt, MemberFlags.AGGREGATOR);
    }

    /// @inheritdoc IRoundLedger
    function advance(uint256 task, address[] calldata aggregators) external {
        _requireList(task, aggregators);
        uint256 h = _tasks[task].head;
        _requireCalm(task, h);
        Phase phase = h.phase();
        if (phase != Phase.Open && phase != Phase.Rostered) revert RoundLedger_WrongPhase(task, phase, Phase.Open);
        _requireLate(task, h);
        uint256 place = h.index() + 1;
        uint256 slashed = _fineLate(task, h, place == aggregators.length && phase == Phase.Rostered);
        address next = _handOver(task, h, phase, place, aggregators);
        emit AggregatorReplaced(task, h.round(), h.aggregator(), next, slashed);
        _raiseBonus(task, slashed);
    }

    /// @inheritdoc IRoundLedger
    function passRound(uint256 task, uint256 round, address[] calldata aggregators) external {
        _requireList(task, aggregators);
        uint256 h = _tasks[task].head;
        if (!h.permits(msg.sender, round, Heads.ROSTERED)) _explain(task, h, round, Phase.Rostered);
        (uint256 from, uint256 to) = _stepWindow(task, h, _tasks[task].windows);
        _requireWindow(task, from, to);
        emit RoundPassed(task, round, msg.sender, _handOver(task, h, Phase.Rostered, h.index() + 1, aggregators));
    }

    /// @dev Give the head's round to the aggregator at `place`, in phase `phase`. Where there is none the task ends: a round
    /// that ever had a roster is compensated, also when that roster is void.
    function _handOver(uint256 task, uint256 h, Phase phase, uint256 place, address[] calldata aggregators)
        internal
        returns (address next)
    {
        if (place == aggregators.length) {
            bool refunded = phase == Phase.Open && _everRostered(task, h) <= h.round();
            // no claim by a roster that is void
            if (phase == Phase.Open) _keep(_tasks[task], _tasks[task].windows.slotOf(h.round()), Heads.VOID);
            _tasks[task].head = h.step(refunded ? Phase.Refunded : Phase.Compensated);
            _end(task, h.round(), refunded);
            return address(0);
        }
        next = aggregators[place];
        _tasks[task].head = h.step(phase).handOver(next, place, _isBonded(task, next)) | Heads.TAKEOVER;
    }

    function _requireLate(uint256 task, uint256 h) private view {
        (, uint256 to) = _stepWindow(task, h, _tasks[task].windows);
        if (block.timestamp < to) revert RoundLedger_TooEarly(task, to);
    }

    /// @dev Rounds up: lateness is never free. Leaving a roster unsealed with nobody to take over costs the whole bond.
    function _fineLate(uint256 task, uint256 h, bool whole) private returns (uint256 slashed) {
        if (h & Heads.BONDED == 0) return 0;
        uint256 fine = whole ? type(uint256).max : (_tasks[task].windows.pot() * LATENESS_BPS + 9_999) / 10_000;
        (slashed,) = escrow.slash(task, h.aggregator(), fine, address(0), 0);
    }

    function _end(uint256 task, uint256 round, bool refunded) private {
        if (refunded) emit RoundRefunded(task, round);
        else emit RoundCompensated(task, round);
        registry.endTask(task);
    }

    function _isBonded(uint256 task, address account) private view returns (bool) {
        return escrow.member(task, account).flags & MemberFlags.AGGREGATOR != 0;
    }

    /// @dev Says which part of `Heads.permits` failed.
    function _explain(uint256 task, uint256 h, uint256 round, Phase needed) internal view {
        if (h.aggregator() != msg.sender) revert RoundLedger_NotAggregator(task, msg.sender, h.aggregator());
        if (h.phase() != needed) revert RoundLedger_WrongPhase(task, h.phase(), needed);
        if (h.round() != round) revert RoundLedger_WrongRound(task, round, h.round());
        if (h & Heads.BONDED == 0) revert RoundLedger_NotBonded(task, msg.sender);
        _requireCalm(task, h);
    }

    /// @dev `slot` is a remainder by the ring's size, which `openLedger` keeps at or below 64, so it lies in the array; an
    /// element is one whole slot. (The compiler would read it first, to keep neighbours that a bytes32 does not have.)
    function _keep(TaskState storage t, uint256 slot, bytes32 digest) internal {
        bytes32[64] storage ring = t.ring;
        assembly ("memory-safe") {
            sstore(add(ring.slot, slot), digest)
        }
    }

    function _requireAggregators(address[] calldata aggregators) private pure {
        uint256 length = aggregators.length;
        if (length == 0 || length > Heads.MAX_AGGREGATORS) revert RoundLedger_AggregatorsInvalid(length, 0);
        // at most 8 * 7 / 2 turns
        for (uint256 i = 0; i < length; ++i) {
            if (aggregators[i] == address(0)) revert RoundLedger_AggregatorsInvalid(length, i);
            for (uint256 j = 0; j < i; ++j) {
                if (aggregators[i] == aggregators[j]) revert RoundLedger_AggregatorsInvalid(length, i);
            }
        }
    }

    function _packWindows(ITaskRegistry.Windows calldata w, uint256 aggregators, uint256 pot)
        private
        pure
        returns (uint256)
    {
        _requireWindowBounds("minRound", w.minRound, 1, Heads.MAX_WINDOW);
        _requireWindowBounds("roster", w.roster, uint256(w.minRound) + 1, Heads.MAX_WINDOW);
        _requireWindowBounds("forceInclude", w.forceInclude, 0, Heads.MAX_WINDOW);
        _requireWindowBounds("reveal", w.reveal, 0, Heads.MAX_WINDOW);
        // a seal comes after the first second of its window, also after a takeover
        _requireWindowBounds("seal", w.seal, 2, Heads.MAX_WINDOW);
        // the ring has ceil(challenge / minRound) + 1 slots, at most MAX_RING
        _requireWindowBounds("challenge", w.challenge, 1, _least(uint256(w.minRound) * (Heads.MAX_RING - 1)));
        _requireWindowBounds("takeover", w.takeover, 2, Heads.MAX_WINDOW);
        uint256 all = uint256(w.roster) + w.forceInclude + w.reveal + w.seal + w.challenge + aggregators * w.takeover;
        _requireWindowBounds("unbonding", w.unbonding, all + 1, type(uint32).max);
        uint256 ring = (uint256(w.challenge) + w.minRound - 1) / w.minRound + 1;
        uint256[6] memory windows = [uint256(w.minRound), w.roster, w.forceInclude, w.reveal, w.seal, w.challenge];
        return Heads.packWindows(windows, pot, Heads.FIRST_SEATS, ring);
    }

    function _least(uint256 limit) private pure returns (uint256) {
        return limit < Heads.MAX_WINDOW ? limit : Heads.MAX_WINDOW;
    }

    function _requireWindowBounds(bytes32 name, uint256 value, uint256 minimum, uint256 maximum) private pure {
        if (value < minimum || value > maximum) {
            revert RoundLedger_WindowOutOfBounds(name, value, minimum, maximum);
        }
    }
}
