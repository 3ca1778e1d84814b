// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {Succession} from "./Succession.sol";

/// @title Overturn
/// @notice The way back of {RoundLedger}: what the disputes contract can do, and nobody else. See {IDisputes}.
abstract contract Overturn is Succession {
    using Heads for uint256;

    /// @notice The challenger's part of a bond lost in a dispute; below one half, so that accusing oneself never pays.
    uint256 internal constant CHALLENGER_BPS = 3_000;

    modifier onlyDisputes() {
        if (msg.sender != disputes) revert RoundLedger_NotDisputes(msg.sender);
        _;
    }

    /// @inheritdoc IRoundLedger
    function markChallenged(uint256 task, uint256 round, SealRecord calldata record) external onlyDisputes {
        uint256 h = _tasks[task].head;
        uint256 to = _requireSealed(task, round, h, record);
        if (block.timestamp >= to) revert RoundLedger_TooLate(task, to);
        Side memory side = _tasks[task].side;
        uint256 size = _tasks[task].windows.ring();
        uint64 bit = _bit(round, size);
        if (side.mask & bit != 0) revert RoundLedger_ChallengeState(task, round, true);
        if (side.mask == 0) {
            side.frozenSince = uint40(block.timestamp);
            _tasks[task].head = h | Heads.CHALLENGED;
            _complement(task, round, h.round(), size);
            side.lowest = uint16(round);
        } else if (round < side.lowest) {
            _complement(task, round, side.lowest, size);
            side.lowest = uint16(round);
        }
        side.mask |= bit;
        _tasks[task].side = side;
        emit RoundChallenged(task, round);
    }

    /// @inheritdoc IRoundLedger
    function markUnchallenged(uint256 task, uint256 round, SealRecord calldata record) external onlyDisputes {
        uint256 h = _tasks[task].head;
        if (!_isChallenged(task, round, h)) revert RoundLedger_ChallengeState(task, round, false);
        _requireRecord(task, round, h, record);
        _reject(task, round);
        emit ChallengeResolved(task, round, false, round, 0);
    }

    /// @inheritdoc IRoundLedger
    function overturnSeal(
        uint256 task,
        uint256 round,
        SealRecord calldata record,
        address challenger,
        address[] calldata aggregators
    ) external onlyDisputes {
        _requireList(task, aggregators);
        uint256 h = _tasks[task].head;
        uint256 to = _requireSealed(task, round, h, record);
        if (block.timestamp >= to && !_isChallenged(task, round, h)) revert RoundLedger_TooLate(task, to);
        uint256 voidedTo = _everRostered(task, h);
        uint256 seats = _tasks[task].windows.seats();
        (uint256 slashed, uint256 toPot) = _condemn(task, voidedTo, seats, record.aggregator, challenger);
        h = _rewind(task, round, h, record);
        _succeed(task, h, Phase.Rostered, record.aggregator, aggregators);
        _raiseBonus(task, toPot);
        emit ChallengeResolved(task, round, true, voidedTo, slashed);
    }

    /// @inheritdoc IRoundLedger
    function overturnRoster(
        uint256 task,
        bytes32 roster,
        address maker,
        uint256 seats,
        address challenger,
        address[] calldata aggregators
    ) external onlyDisputes {
        _requireList(task, aggregators);
        uint256 h = _tasks[task].head;
        uint256 round = h.round();
        _requireCalm(task, h);
        Phase phase = h.phase();
        if (phase == Phase.Compensated) _requireWindow(task, 0, _closableFrom(task, h));
        else if (phase != Phase.Rostered) revert RoundLedger_WrongPhase(task, phase, Phase.Rostered);
        _voidRoster(task, round, roster);
        (uint256 slashed, uint256 toPot) = _condemn(task, _everRostered(task, h), seats, maker, challenger);
        address next = _succeed(task, h.fallBack(round), Phase.Open, maker, aggregators);
        emit RosterFell(task, round, maker, next, slashed);
        _raiseBonus(task, toPot);
    }

    /// @inheritdoc IRoundLedger
    function slashMember(uint256 task, address account, uint256 amount, address challenger, uint256 shareBps)
        external
        onlyDisputes
        returns (uint256 slashed)
    {
        if (_tasks[task].head & Heads.CLOSED != 0) revert RoundLedger_AlreadyClosed(task);
        uint256 toPot;
        (slashed, toPot) = escrow.slash(task, account, amount, challenger, shareBps);
        _raiseBonus(task, toPot);
    }

    /// @dev The slot stays non-zero, because the round comes again.
    function _voidRoster(uint256 task, uint256 round, bytes32 roster) private {
        uint256 slot = _tasks[task].windows.slotOf(round);
        bytes32 kept = _tasks[task].ring[slot];
        if (roster != kept) revert RoundLedger_RecordMismatch(task, round, roster, kept);
        _tasks[task].ring[slot] = Heads.VOID;
    }

    /// @dev Take the whole bond of whose roster or seal falls. Rounds [0, voidedTo) had a roster; who joins later is in none of
    /// them.
    function _condemn(uint256 task, uint256 voidedTo, uint256 seats, address maker, address challenger)
        private
        returns (uint256 slashed, uint256 toPot)
    {
        (_terms[task].everRostered, _terms[task].seatsAtFall) = (uint16(voidedTo), uint24(seats));
        return escrow.slash(task, maker, type(uint256).max, challenger, CHALLENGER_BPS);
    }

    /// @dev Block, or unblock, the seals of rounds [from, to) for claims. At most ring <= 64 turns: all lie in the ring.
    function _complement(uint256 task, uint256 from, uint256 to, uint256 size) private {
        for (uint256 i = from; i < to; ++i) {
            _tasks[task].ring[i % size] = ~_tasks[task].ring[i % size];
        }
    }

    function _reject(uint256 task, uint256 round) private {
        Side memory side = _tasks[task].side;
        uint256 size = _tasks[task].windows.ring();
        uint256 h = _tasks[task].head;
        side.mask &= ~_bit(round, size);
        if (side.mask == 0) {
            _complement(task, side.lowest, h.round(), size);
            // the dispute's time belongs to nobody's deadline
            _tasks[task].head = (h & ~Heads.CHALLENGED).delay(block.timestamp - side.frozenSince);
        } else if (round == side.lowest) {
            // at most ring <= 64 turns: the mask is not empty
            uint256 next = round + 1;
            while (side.mask & _bit(next, size) == 0) ++next;
            _complement(task, side.lowest, next, size);
            side.lowest = uint16(next);
        }
        _tasks[task].side = side;
    }

    /// @dev Return the head, taken back to `round`: later rounds are void, and so are their disputes. Their ring slots get a
    /// value that is no digest; they stay non-zero, because the rounds come again.
    function _rewind(uint256 task, uint256 round, uint256 h, SealRecord calldata record) private returns (uint256) {
        TaskState storage t = _tasks[task];
        uint256 size = t.windows.ring();
        if (h & Heads.CHALLENGED != 0) h = _dropDisputes(t, round, h, size);
        // at most ring <= 64 turns: rounds in the challenge window or in dispute lie within one ring below the head
        for (uint256 i = round + 1; i < h.round(); ++i) {
            t.ring[i % size] = Heads.VOID;
        }
        t.ring[round % size] = record.rosterDigest;
        h = h.fallBack(round);
        if (record.forced == 0) return h;
        _forcedCount[task] = record.forced;
        return h | Heads.FORCED;
    }

    /// @dev Forget disputes about rounds from `round` on; the task stands still as long as lower ones are open.
    function _dropDisputes(TaskState storage t, uint256 round, uint256 h, uint256 size) private returns (uint256) {
        Side memory side = t.side;
        // at most ring <= 64 turns, as in `_rewind`
        for (uint256 i = round; i < h.round(); ++i) {
            side.mask &= ~_bit(i, size);
        }
        side.frozenSince = uint40(block.timestamp);
        t.side = side;
        return side.mask == 0 ? h & ~Heads.CHALLENGED : h;
    }

    /// @dev Give the reopened round, in phase `next`, to whoever is next: the current aggregator if it took over from the maker
    /// before, else the next in the list; compensate when nobody is left.
    function _succeed(uint256 task, uint256 h, Phase next, address maker, address[] calldata aggregators)
        private
        returns (address)
    {
        Phase phase = h.phase();
        bool ended = phase == Phase.Refunded || phase == Phase.Compensated;
        uint256 place = h.aggregator() == maker ? h.index() + 1 : h.index();
        return _handOver(task, h, next, ended ? aggregators.length : place, aggregators);
    }
}
