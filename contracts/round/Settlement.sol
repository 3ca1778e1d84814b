// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";

/// @title Settlement
/// @notice See {ISettlement}. Holds no money.
contract Settlement is ISettlement {
    using Heads for uint256;
    using LedgerReads for IRoundLedger.Words;

    /// @param total Compensation for rostered trainers, in wei.
    /// @param paid What of it was credited.
    struct Compensation {
        uint128 total;
        uint128 paid;
    }

    /// @param closedAt When the books were closed, Unix seconds.
    /// @param swept What the residual shares divide is known.
    /// @param perShare What every residual share gets, in wei; zero until swept.
    /// @param seats Seats below this one have a share.
    struct Closing {
        uint40 closedAt;
        bool swept;
        uint128 perShare;
        uint32 seats;
    }

    IEscrow public immutable escrow;
    ITaskRegistry public immutable registry;
    IRoundLedger public immutable ledger;

    mapping(uint256 task => Compensation) private _compensations;
    mapping(uint256 task => Closing) private _closings;

    constructor(address escrow_, address registry_, address ledger_) {
        escrow = IEscrow(escrow_);
        registry = ITaskRegistry(registry_);
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc ISettlement
    function closeTask(uint256 task, IRoundLedger.ClaimRecord calldata last, IRoundLedger.RosterRecord calldata roster)
        external
    {
        ledger.markClosed(task);
        IRoundLedger.Words memory words = ledger.words(task);
        uint256 round = words.head.round();
        IRoundLedger.Phase phase = words.head.phase();
        uint256 left = escrow.account(task).funded;
        if (round != 0) {
            ledger.requireFinal(task, round - 1, last);
            // what the last final round allotted is claimed or stays claimable
            left -= last.claimTotal;
        }
        uint256 toTrainers = _trainersPart(words, phase, left);
        _closings[task].closedAt = uint40(block.timestamp);
        emit TaskClosed(task, phase, left - toTrainers, toTrainers);
        if (left != toTrainers) escrow.release(task, registry.ownerOf(task), left - toTrainers, 0);
        if (phase != IRoundLedger.Phase.Compensated) return;
        _closings[task].seats = uint32(_seatsOf(task, words, roster));
        // A roster that left trainers out (their receipts are on the forced list) must not divide the pot: all members do.
        if (words.head & Heads.FORCED != 0) _divide(task, toTrainers);
        else _compensations[task].total = uint128(toTrainers);
    }

    /// @inheritdoc ISettlement
    function claimCompensation(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata record,
        IRoundLedger.Leaf calldata leaf,
        bytes calldata siblings
    ) external returns (uint256 amount) {
        _requireCompensable(task, round, record);
        bytes32 hash = MerkleSum.leafHash(leaf.index, leaf.owner, leaf.amount, leaf.data);
        MerkleSum.requireLeaf(record.root, record.totalStake, record.count, leaf.index, hash, leaf.amount, siblings);
        IEscrow.Member memory m = escrow.member(task, leaf.owner);
        if (m.flags & MemberFlags.TRAINER == 0) revert Settlement_NotMember(task, leaf.owner);
        if (m.flags & MemberFlags.COMPENSATED != 0) revert Settlement_AlreadyPaid(task, leaf.owner);
        Compensation storage pool = _compensations[task];
        // an inflated leaf must not weigh more than the stake behind it
        uint256 weight = leaf.amount < m.stake ? leaf.amount : m.stake;
        amount = uint256(pool.total) * weight / record.totalStake;
        if (amount == 0) revert Settlement_NothingToPay(task, leaf.owner);
        // one leaf a trainer, all of one Merkle-sum tree: the parts add up to at most the total
        pool.paid += uint128(amount);
        emit CompensationClaimed(task, round, leaf.owner, amount);
        escrow.release(task, leaf.owner, amount, MemberFlags.COMPENSATED);
    }

    /// @inheritdoc ISettlement
    function sweepCompensation(uint256 task) external {
        IRoundLedger.Words memory words = _requireCompensated(task);
        Closing memory closing = _requireClosed(task);
        if (closing.swept) revert Settlement_NothingToPay(task, address(0));
        uint256 from = closing.closedAt + words.unbonding();
        if (block.timestamp < from) revert Settlement_TooEarly(task, from);
        Compensation memory pool = _compensations[task];
        _divide(task, pool.total - pool.paid);
    }

    /// @inheritdoc ISettlement
    function claimResidual(uint256 task, address trainer) external returns (uint256 amount) {
        Closing memory closing = _requireClosed(task);
        uint16 flags = escrow.member(task, trainer).flags;
        bool early = escrow.tenure(task, trainer).seat < closing.seats;
        if (!early || flags & MemberFlags.RESIDUAL == 0) revert Settlement_NotMember(task, trainer);
        if (flags & MemberFlags.RESIDUAL_PAID != 0) revert Settlement_AlreadyPaid(task, trainer);
        amount = closing.perShare;
        if (amount == 0) revert Settlement_NothingToPay(task, trainer);
        emit ResidualClaimed(task, trainer, amount);
        escrow.release(task, trainer, amount, MemberFlags.RESIDUAL_PAID);
    }

    /// @inheritdoc ISettlement
    function settlement(uint256 task)
        external
        view
        returns (uint256 total, uint256 paid, uint256 closedAt, uint256 perShare, bool swept, uint256 seats)
    {
        Compensation memory pool = _compensations[task];
        Closing memory closing = _closings[task];
        return (pool.total, pool.paid, closing.closedAt, closing.perShare, closing.swept, closing.seats);
    }

    /// @dev `left` is everything that final rounds did not allot; see the table in {ISettlement}.
    function _trainersPart(IRoundLedger.Words memory words, IRoundLedger.Phase phase, uint256 left)
        private
        pure
        returns (uint256)
    {
        if (phase != IRoundLedger.Phase.Compensated) return 0;
        return left - words.windows.pot() * (words.head.rounds() - words.everRostered());
    }

    function _divide(uint256 task, uint256 amount) private {
        uint256 shares = registry.membersBelow(task, _closings[task].seats);
        uint256 perShare = shares == 0 ? 0 : amount / shares;
        _closings[task].swept = true;
        _closings[task].perShare = uint128(perShare);
        emit CompensationSwept(task, amount, shares, perShare);
        uint256 rest = amount - perShare * shares;
        if (rest != 0) escrow.release(task, registry.ownerOf(task), rest, 0);
    }

    function _requireClosed(uint256 task) private view returns (Closing memory closing) {
        closing = _closings[task];
        if (closing.closedAt == 0) revert Settlement_NotClosed(task);
    }

    function _requireCompensated(uint256 task) private view returns (IRoundLedger.Words memory words) {
        words = ledger.words(task);
        IRoundLedger.Phase phase = words.head.phase();
        if (phase != IRoundLedger.Phase.Compensated) {
            revert Settlement_WrongPhase(task, phase, IRoundLedger.Phase.Compensated);
        }
    }

    function _requireCompensable(uint256 task, uint256 round, IRoundLedger.RosterRecord calldata record) private view {
        IRoundLedger.Words memory words = _requireCompensated(task);
        uint256 current = words.head.round();
        if (current != round) revert Settlement_WrongRound(task, round, current);
        uint256 to = _requireClosed(task).closedAt + words.unbonding();
        if (block.timestamp >= to) revert Settlement_TooLate(task, to);
        _requireRoster(task, round, record, words.ringDigest(ledger, task, round));
    }

    /// @dev Who joined later cannot have trained for the round that failed: the seats that there were at its roster, or, where
    /// none stands, when a roster or a seal fell last.
    function _seatsOf(uint256 task, IRoundLedger.Words memory words, IRoundLedger.RosterRecord calldata roster)
        private
        view
        returns (uint256)
    {
        uint256 round = words.head.round();
        bytes32 kept = words.ringDigest(ledger, task, round);
        if (kept == Heads.VOID) return words.seatsAtFall();
        _requireRoster(task, round, roster, kept);
        return roster.seats;
    }

    function _requireRoster(uint256 task, uint256 round, IRoundLedger.RosterRecord calldata record, bytes32 expected)
        private
        pure
    {
        bytes32 digest = keccak256(abi.encode(task, round, record));
        if (digest != expected) revert Settlement_RecordMismatch(task, round, digest, expected);
    }
}
