// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {Language} from "../libraries/Language.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {LedgerState} from "./LedgerState.sol";
import {Overturn} from "./Overturn.sol";

/// @title RoundLedger
/// @notice See {IRoundLedger}. A round in three steps, and what it pays: {rosterRound}, {forceInclude}, {sealRound}, {claim}. Who
/// works on it is {Succession}'s, the way back {Overturn}'s. Holds no money; the escrow moves it on this contract's word. No
/// owner, no upgrade.
contract RoundLedger is Overturn {
    using Heads for uint256;

    /// @dev Round and life in which a trainer forced a receipt last: (round + 1) << 8 | life.
    mapping(uint256 task => mapping(address trainer => uint256)) private _forcedMark;

    constructor(address escrow_, address registry_, address settlement_, address disputes_)
        LedgerState(escrow_, registry_, settlement_, disputes_)
    {}

    /// @inheritdoc IRoundLedger
    function rosterRound(uint256 task, uint256 round, bytes32 root, uint32 count, uint128 totalStake) external {
        TaskState storage t = _tasks[task];
        uint256 h = t.head;
        if (!h.permits(msg.sender, round, Heads.OPEN)) _explain(task, h, round, Phase.Open);
        uint256 word = t.windows;
        (uint256 from, uint256 to) = _stepWindow(task, h, word);
        _requireWindow(task, from, to);
        if (count == 0 || count > Language.MOST_ROSTERED || totalStake == 0 || root == 0) {
            revert RoundLedger_RosterOutOfBounds(count, Language.MOST_ROSTERED, totalStake);
        }
        t.head = h.step(Phase.Rostered);
        bytes32 digest;
        bytes32 topic = RoundRostered.selector;
        (uint256 seats_, uint256 life) = (word.seats(), h.life());
        // The five arguments are static words at calldata 4..164 and were range-checked by the reads above and the compiler's
        // decoder. memory-safe: writes [m, m + 288) past the free pointer. The buffer is abi.encode(task, round, root, count,
        // totalStake, seats, now, sender, life); the event's data are words 2 to 8 of it.
        assembly ("memory-safe") {
            let m := mload(0x40)
            calldatacopy(m, 4, 160)
            mstore(add(m, 160), seats_)
            mstore(add(m, 192), timestamp())
            mstore(add(m, 224), caller())
            mstore(add(m, 256), life)
            digest := keccak256(m, 288)
            log2(add(m, 32), 224, topic, task)
        }
        _keep(t, word.slotOf(round), digest);
    }

    /// @inheritdoc IRoundLedger
    function forceInclude(Receipt calldata receipt, bytes calldata signature) external {
        (uint256 task, uint256 round, address trainer) = (receipt.task, receipt.round, receipt.trainer);
        _requireForceable(task, round);
        bytes32 hash = Receipts.structHash(receipt);
        address signer = _recover(_hashTypedDataV4(hash), signature);
        if (signer != trainer) revert RoundLedger_ReceiptSignatureInvalid(trainer, signer);
        uint256 h = _tasks[task].head;
        IEscrow.Tenure memory tenure = escrow.tenure(task, trainer);
        // who joins after the roster is not in its round, and takes no place on the list
        bool member = tenure.joinedAt < h.time() && escrow.member(task, trainer).flags & MemberFlags.TRAINER != 0;
        if (!member) revert RoundLedger_NotMember(task, trainer);
        // the list is open from a roster to its first seal at most, so the head's life is the round's
        uint256 life = h.life();
        if (receipt.life != life) revert RoundLedger_ReceiptForeign(task, round);
        uint256 mark = ((round + 1) << 8) | life;
        if (_forcedMark[task][trainer] == mark) revert RoundLedger_AlreadyForced(task, round, trainer);
        _forcedMark[task][trainer] = mark;
        uint256 index = h & Heads.FORCED == 0 ? 0 : _forcedCount[task];
        if (index == Language.MOST_FORCED) revert RoundLedger_ForcedFull(task, round, Language.MOST_FORCED);
        if (index == 0) _tasks[task].head = h | Heads.FORCED;
        _forcedCount[task] = index + 1;
        forced[task][round][life][index] = keccak256(abi.encode(tenure.seat, trainer, hash));
        emit ReceiptForced(task, round, trainer, uint8(life), index, tenure.seat, receipt, signature);
    }

    /// @inheritdoc IRoundLedger
    function sealRound(uint256 task, uint256 round, SealInput calldata record) external {
        TaskState storage t = _tasks[task];
        uint256 h = t.head;
        if (!h.permits(msg.sender, round, Heads.ROSTERED)) _explain(task, h, round, Phase.Rostered);
        uint256 word = t.windows;
        (uint256 from, uint256 to) = _stepWindow(task, h, word);
        _requireWindow(task, from, to);
        _requireSeal(task, round, record, from);
        _requireAllotment(task, record.claimTotal, record.claimCount, _allotted(task, round, h, word), from);
        // a block time and a 24-bit window; a 16-bit round
        unchecked {
            t.head = h.sealed_(round + 1, round + 1 == h.rounds() ? Phase.Done : Phase.Open);
            uint256 count = h & Heads.FORCED == 0 ? 0 : _forcedCount[task];
            _keepSeal(t, task, round, record, count, block.timestamp + word.challengeWindow(), word.slotOf(round));
        }
    }

    /// @inheritdoc IRoundLedger
    function claim(
        uint256 task,
        uint256 round,
        ClaimRecord calldata record,
        Leaf calldata leaf,
        bytes calldata siblings
    ) external returns (uint256 amount) {
        _requireFinal(task, round, record);
        bytes32 hash = MerkleSum.leafHash(leaf.index, leaf.owner, leaf.amount, leaf.data);
        MerkleSum.requireLeaf(
            record.claimRoot, record.claimTotal, record.claimCount, leaf.index, hash, leaf.amount, siblings
        );
        amount = escrow.creditClaim(task, leaf.owner, leaf.amount, record.claimTotal);
        emit RewardClaimed(task, leaf.owner, round, amount, leaf.amount);
    }

    /// @inheritdoc IRoundLedger
    function markClosed(uint256 task) external {
        if (msg.sender != settlement) revert RoundLedger_NotSettlement(msg.sender);
        uint256 h = _tasks[task].head;
        Phase phase = h.phase();
        if (phase == Phase.None || phase == Phase.Open || phase == Phase.Rostered) {
            revert RoundLedger_WrongPhase(task, phase, Phase.Done);
        }
        if (h & Heads.CLOSED != 0) revert RoundLedger_AlreadyClosed(task);
        _requireCalm(task, h);
        if (phase == Phase.Compensated) _requireWindow(task, _closableFrom(task, h), type(uint256).max);
        _tasks[task].head = h | Heads.CLOSED;
    }

    function _requireForceable(uint256 task, uint256 round) private view {
        uint256 h = _tasks[task].head;
        _requireCalm(task, h);
        if (h.phase() != Phase.Rostered) revert RoundLedger_WrongPhase(task, h.phase(), Phase.Rostered);
        if (h.round() != round) revert RoundLedger_ReceiptForeign(task, round);
        // after a takeover the list is closed: the window is empty
        uint256 length = h & Heads.TAKEOVER == 0 ? _tasks[task].windows.windowAt(2) : 0;
        _requireWindow(task, h.time(), h.time() + length);
    }

    /// @dev Emits `RoundSealed` and puts the digest of the round's claim record in the place of its roster's.
    function _keepSeal(
        TaskState storage t,
        uint256 task,
        uint256 round,
        SealInput calldata record,
        uint256 count,
        uint256 finalAt,
        uint256 slot
    ) private {
        bytes32[64] storage ring = t.ring;
        bytes32 roster;
        bytes32 digest;
        // one whole slot; see `_keep`
        assembly ("memory-safe") {
            roster := sload(add(ring.slot, slot))
        }
        bytes32 topic = RoundSealed.selector;
        // `record` is seven static words: bundle, model, trace, asOf, claimRoot, claimTotal, claimCount; the caller has read
        // the three narrow ones through the compiler's range checks. memory-safe: writes [m, m + 320) past the free pointer.
        // First the event's data: round, the seven words, now, sender. Then abi.encode(roster, bundle, model, trace, asOf,
        // forced, sender), whose hash is the content. Then abi.encode(task, round, content, claimRoot, claimTotal, claimCount, finalAt, slot).
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, round)
            calldatacopy(add(m, 32), record, 224)
            mstore(add(m, 256), timestamp())
            mstore(add(m, 288), caller())
            log2(m, 320, topic, task)
            mstore(m, roster)
            calldatacopy(add(m, 32), record, 128)
            mstore(add(m, 160), count)
            mstore(add(m, 192), caller())
            mstore(add(m, 64), keccak256(m, 224))
            mstore(m, task)
            mstore(add(m, 32), round)
            calldatacopy(add(m, 96), add(record, 128), 96)
            mstore(add(m, 192), finalAt)
            mstore(add(m, 224), slot)
            digest := keccak256(m, 256)
        }
        _keep(t, slot, digest);
    }

    function _requireSeal(uint256 task, uint256 round, SealInput calldata record, uint256 from) private view {
        if (record.bundle == 0 || record.model == 0 || record.claimRoot == 0) {
            revert RoundLedger_SealIncomplete(task, round);
        }
        uint256 asOf = record.asOf;
        if (asOf < from || asOf >= block.timestamp) {
            revert RoundLedger_AsOfOutOfBounds(task, asOf, from, block.timestamp);
        }
    }

    /// @dev All that there is, or less by what was slashed since the seal's window opened at `from`: who slashes block after
    /// block keeps nobody from sealing.
    function _requireAllotment(uint256 task, uint256 total, uint256 count, uint256 due, uint256 from) private view {
        bool fits = total == due || (total < due && total + _late(task, from) >= due);
        if (!fits || count == 0 || count > MerkleSum.MAX_LEAVES) {
            revert RoundLedger_AllotmentMismatch(total, count, due);
        }
    }

    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        ECDSA.RecoverError problem;
        (signer, problem,) = ECDSA.tryRecover(digest, signature);
        if (problem != ECDSA.RecoverError.NoError) signer = address(0);
    }
}
