// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {RoundSteps} from "./RoundSteps.sol";

/// @title DisputeSeam
/// @notice The way back of {RoundLedger}: what the disputes contract can do, and nobody else. See {IDisputes}.
abstract contract DisputeSeam is RoundSteps {
    using Heads for uint256;

    /// @notice The challenger's part of a bond lost in a dispute; below one half, so that accusing oneself never pays.
    uint256 public constant CHALLENGER_BPS = 3_000;

    modifier onlyDisputes() {
        if (msg.sender != disputes) revert RoundLedger_NotDisputes(msg.sender);
        _;
    }

    /// @inheritdoc IRoundLedger
    function markChallenged(uint256 task, uint256 round, SealRecord calldata record) external onlyDisputes {
        uint256 h = _heads[task];
        if (round >= h.round()) revert RoundLedger_WrongRound(task, round, h.round());
        _requireRecord(task, round, record);
        uint256 word = _windows[task];
        uint256 to = record.sealedAt + word.challengeWindow();
        if (block.timestamp >= to) revert RoundLedger_TooLate(task, to);
        Side memory side = _sides[task];
        uint64 bit = _bit(round, word.ring());
        if (side.mask & bit != 0) revert RoundLedger_ChallengeState(task, round, true);
        if (side.mask == 0) {
            side.frozenSince = uint40(block.timestamp);
            side.lowest = uint16(round);
            _heads[task] = h | Heads.CHALLENGED;
        } else if (round < side.lowest) {
            side.lowest = uint16(round);
        }
        side.mask |= bit;
        _sides[task] = side;
        emit RoundChallenged(task, round);
    }

    /// @inheritdoc IRoundLedger
    function resolveChallenge(
        uint256 task,
        uint256 round,
        SealRecord calldata record,
        bool upheld,
        address challenger,
        address[] calldata aggregators
    ) external onlyDisputes {
        _requireList(task, aggregators);
        if (!isChallenged(task, round)) revert RoundLedger_ChallengeState(task, round, false);
        _requireRecord(task, round, record);
        if (!upheld) {
            _reject(task, round);
            emit ChallengeResolved(task, round, false, round, 0);
            return;
        }
        uint256 voidedTo = _everRostered(task, _heads[task]);
        (uint256 slashed, uint256 toPot) =
            escrow.slash(task, record.aggregator, type(uint256).max, challenger, CHALLENGER_BPS);
        _rewind(task, round, voidedTo, record.forced);
        _ring[task][round % _windows[task].ring()] = record.rosterDigest;
        _succeed(task, round, record.aggregator, aggregators);
        _raiseBonus(task, toPot);
        emit ChallengeResolved(task, round, true, voidedTo, slashed);
    }

    /// @inheritdoc IRoundLedger
    function slashMember(uint256 task, address account, uint256 amount, address challenger, uint256 shareBps)
        external
        onlyDisputes
        returns (uint256 slashed)
    {
        if (_heads[task] & Heads.CLOSED != 0) revert RoundLedger_AlreadyClosed(task);
        uint256 toPot;
        (slashed, toPot) = escrow.slash(task, account, amount, challenger, shareBps);
        _raiseBonus(task, toPot);
    }

    function _reject(uint256 task, uint256 round) private {
        Side memory side = _sides[task];
        uint256 size = _windows[task].ring();
        side.mask &= ~_bit(round, size);
        if (side.mask == 0) {
            // the dispute's time belongs to nobody's deadline
            _heads[task] = (_heads[task] & ~Heads.CHALLENGED).delay(block.timestamp - side.frozenSince);
        } else if (round == side.lowest) {
            // at most ring <= 64 turns: the mask is not empty
            uint256 next = round + 1;
            while (side.mask & _bit(next, size) == 0) ++next;
            side.lowest = uint16(next);
        }
        _sides[task] = side;
    }

    /// @dev Take the head back to `round`: later rounds are void, and so are their disputes.
    function _rewind(uint256 task, uint256 round, uint256 ever, bytes32 forced) private {
        Side memory side = _sides[task];
        uint256 size = _windows[task].ring();
        uint256 h = _heads[task];
        // at most ring <= 64 turns: disputed rounds lie within one ring below the head
        for (uint256 i = round; i < h.round(); ++i) {
            side.mask &= ~_bit(i, size);
        }
        side.everRostered = uint16(ever);
        side.frozenSince = uint40(block.timestamp);
        if (side.mask == 0) h &= ~Heads.CHALLENGED;
        h = h.atRound(round);
        if (forced != 0) {
            h |= Heads.FORCED;
            _forcedChain[task] = forced;
        }
        _sides[task] = side;
        _heads[task] = h;
    }

    /// @dev Give the reopened round to whoever is next: the current aggregator if it took over from the sealer before,
    /// else the next in the list; compensate when nobody is left.
    function _succeed(uint256 task, uint256 round, address sealer, address[] calldata aggregators) private {
        uint256 h = _heads[task];
        Phase phase = h.phase();
        bool ended = phase == Phase.Refunded || phase == Phase.Compensated;
        uint256 place = h.aggregator() == sealer ? h.index() + 1 : h.index();
        if (ended || place == aggregators.length) {
            _heads[task] = h.step(Phase.Compensated);
            _end(task, round, false);
            return;
        }
        address next = aggregators[place];
        _heads[task] = h.step(Phase.Rostered).handOver(next, place, _isBonded(task, next)) | Heads.TAKEOVER;
    }
}
