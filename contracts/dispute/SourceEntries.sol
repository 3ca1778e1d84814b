// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IComplaints} from "../interfaces/IComplaints.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IReveals} from "../interfaces/IReveals.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISources} from "../interfaces/ISources.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {Language} from "../libraries/Language.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {Terms} from "../libraries/Terms.sol";

/// @title SourceEntries
/// @notice The sources that are read of a round's entries: receipts, tenures, and why an update is left out.
abstract contract SourceEntries is ISources {
    IRoundLedger public immutable ledger;
    IEscrow public immutable escrow;
    IReveals public immutable reveals;
    IComplaints public immutable complaints;

    constructor(address ledger_, address escrow_, address reveals_, address complaints_) {
        ledger = IRoundLedger(ledger_);
        escrow = IEscrow(escrow_);
        reveals = IReveals(reveals_);
        complaints = IComplaints(complaints_);
    }

    function _ofEntry(Target calldata t, uint256 source, uint256 index, bytes calldata evidence)
        internal
        view
        returns (int256)
    {
        IRoundLedger.Receipt memory receipt = _entry(t, index, evidence);
        if (source == Language.SOURCE_ENTRY_PARENT) return int256(uint256(receipt.parent));
        if (source == Language.SOURCE_LENGTH) return int256(uint256(receipt.length));
        if (source == Language.SOURCE_SAMPLES) return int256(uint256(receipt.samples));
        if (source == Language.SOURCE_CONTENT) return int256(uint256(receipt.contentRoot));
        // a receipt of another task, round or life is nobody's here
        if (receipt.task != t.task || receipt.round != t.round || receipt.life != t.roster.life) return 0;
        // a task without a reference names the zero address, which is nobody's
        bool party = receipt.trainer == t.terms.reference_ && receipt.trainer != address(0);
        if (party) return source == Language.SOURCE_STAKE ? int256(0) : int256(Language.REFERENCE_SEAT);
        IEscrow.Tenure memory tenure = escrow.tenure(t.task, receipt.trainer);
        // who takes a seat after the roster has none in its round
        if (source == Language.SOURCE_SEAT_OF) {
            return tenure.seat < t.roster.seats ? int256(uint256(tenure.seat)) : int256(0);
        }
        // who joins and leaves in the roster's own second is not in it, or still is
        bool was = tenure.joinedAt != 0 && tenure.joinedAt < t.roster.rosteredAt
            && (tenure.leftAt == 0 || tenure.leftAt >= t.roster.rosteredAt);
        return was ? int256(uint256(tenure.joinedStake)) : int256(0);
    }

    function _isRefusalRefuted(Target calldata t, uint256 index, int256 value, bytes calldata evidence)
        internal
        view
        returns (bool)
    {
        bytes32 receipt = Receipts.structHashOf(_entry(t, index, evidence));
        uint256 at = reveals.convictedAt(receipt);
        bool convicted = at != 0 && at <= t.record.asOf;
        if (value == int256(Language.REFUSED_CONVICTED)) return !convicted;
        if (convicted || value < 0 || value > int256(Language.REFUSED_MISSING)) return true;
        if (value == int256(Language.REFUSED_MISSING)) return !_isMissing(t, receipt);
        return value == int256(Language.REFUSED_WITHHELD) && _isRevealed(t, receipt, _shown(evidence).boxes);
    }

    /// @dev Whether the first package that a trainer forced out has a box for every recipient, made for the recipient's key: what
    /// such a box holds is the trainer's to answer for ({IReveals.badWrap}).
    function _isRevealed(Target calldata t, bytes32 receipt, KeyWraps.Box[] calldata boxes)
        internal
        view
        returns (bool)
    {
        bytes32 kept = reveals.revealed(receipt);
        if (kept == 0) return false;
        if (KeyWraps.hashOf(boxes) != kept) revert Sources_Mismatch(t.task, t.round);
        bytes memory recipients;
        for (uint256 i = 0; i < boxes.length; ++i) {
            recipients = bytes.concat(recipients, abi.encode(boxes[i].recipient, boxes[i].key));
        }
        return keccak256(recipients) == t.terms.recipientsHash;
    }

    /// @dev Whether enough of the task's witnesses had said by the seal's time that an update was not to be had.
    function _isMissing(Target calldata t, bytes32 receipt) internal view returns (bool) {
        uint256 needed = t.terms.complaintsNeeded;
        if (needed == 0) return false;
        if (keccak256(abi.encodePacked(t.witnesses)) != t.terms.witnessesHash) {
            revert Sources_Mismatch(t.task, t.round);
        }
        return complaints.countOf(receipt, t.witnesses, t.record.asOf) >= needed;
    }

    /// @dev abi.encode of one dynamic struct is its offset, then the struct.
    function _shown(bytes calldata evidence) internal pure returns (Entry calldata shown) {
        assembly ("memory-safe") {
            shown := add(evidence.offset, 0x20)
        }
    }

    // --- a roster that is not sealed ----------------------------------------------------------------------------------

    /// @inheritdoc ISources
    function requireRostered(
        uint256,
        uint256,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata,
        uint32 index,
        bytes calldata entry,
        bytes calldata signature
    ) external view returns (bool) {
        Receipts.requireSigned(address(ledger), _shown(entry).receipt, signature);
        _requireLeaf(roster, index, entry);
        return true;
    }

    /// @inheritdoc ISources
    function isDescending(
        uint256,
        uint256,
        IRoundLedger.RosterRecord calldata roster,
        uint32 index,
        bytes calldata first,
        bytes calldata second,
        address[] calldata
    ) external pure returns (bool) {
        return _requireLeaf(roster, uint256(index) + 1, second) <= _requireLeaf(roster, index, first);
    }

    /// @dev `index` is below the count, and so below 2^32, or this reverts.
    function _requireLeaf(IRoundLedger.RosterRecord calldata roster, uint256 index, bytes calldata entry)
        internal
        pure
        returns (address trainer)
    {
        Entry calldata shown = _shown(entry);
        trainer = shown.receipt.trainer;
        bytes32 leaf = MerkleSum.leafHash(uint32(index), trainer, shown.stake, Receipts.structHash(shown.receipt));
        MerkleSum.requireLeaf(roster.root, roster.totalStake, roster.count, index, leaf, shown.stake, shown.siblings);
    }

    // --- a sealed round -----------------------------------------------------------------------------------------------

    /// @dev Entry `index`: the roster's in their order, forced ones behind.
    function _entry(Target calldata t, uint256 index, bytes calldata evidence)
        internal
        view
        returns (IRoundLedger.Receipt memory)
    {
        Entry calldata shown = _shown(evidence);
        if (index < t.roster.count) {
            _requireLeaf(t.roster, index, evidence);
            return shown.receipt;
        }
        bytes32 hash = Receipts.structHash(shown.receipt);
        address trainer = shown.receipt.trainer;
        uint256 seat = escrow.tenure(t.task, trainer).seat;
        bytes32 kept = ledger.forced(t.task, t.round, t.roster.life, index - t.roster.count);
        if (keccak256(abi.encode(seat, trainer, hash)) != kept) revert Sources_Mismatch(t.task, t.round);
        return shown.receipt;
    }
}
