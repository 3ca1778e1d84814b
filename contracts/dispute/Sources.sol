// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "../interfaces/IReferee.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISources} from "../interfaces/ISources.sol";
import {ITapes} from "../interfaces/ITapes.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {Language} from "../libraries/Language.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {Rows} from "../libraries/Rows.sol";
import {Tails} from "../libraries/Tails.sol";
import {Terms} from "../libraries/Terms.sol";
import {SourceEntries} from "./SourceEntries.sol";

/// @title Sources
/// @notice See {ISources}.
contract Sources is SourceEntries {
    uint256 private constant FAN = 5; // levels of the claims' tree that one answer shows
    uint256 private constant CLAIM_BYTES = 68; // owner 20, amount 16, reputation 32
    uint256 private constant TARGET_BYTES = 41 * 32; // of a target before its lists' contents
    uint256 private constant SEAT_COLUMN = Language.AXIS_SEAT << 8;
    uint256 private constant FIRST_TRAINER = Language.REFERENCE_SEAT + 1;

    ITaskRegistry public immutable registry;

    constructor(address ledger_, address escrow_, address registry_, address reveals_, address complaints_)
        SourceEntries(ledger_, escrow_, reveals_, complaints_)
    {
        registry = ITaskRegistry(registry_);
    }

    // --- which seal ---------------------------------------------------------------------------------------------------

    /// @dev abi.encode of one dynamic struct is its offset, then the struct. What the referee itself reads of it lies in here.
    function _target(bytes calldata target) private pure returns (Target calldata t) {
        if (target.length < TARGET_BYTES) revert Sources_Mismatch(0, 0);
        assembly ("memory-safe") {
            t := add(target.offset, 0x20)
        }
    }

    /// @inheritdoc ISources
    function factsOf(bytes calldata target) external view returns (ITapes.Facts memory facts) {
        Target calldata t = _target(target);
        if (!_isSealed(t.task, t.round, t.record)) revert Sources_Mismatch(t.task, t.round);
        if (Terms.rootOf(t.terms) != registry.rulesOf(t.task)) revert Sources_Mismatch(t.task, t.round);
        facts.key = keccak256(abi.encode(t.task, t.round, t.record));
        (facts.leaves, facts.counting, facts.updateBits) = (t.terms.leaves, t.terms.counting, t.terms.updateBits);
        facts.round = _roundOf(t, t.round, t.record, t.roster);
        if (facts.round.program != registry.programOf(t.task)) revert Sources_Mismatch(t.task, t.round);
    }

    /// @inheritdoc ISources
    function isVoid(bytes calldata target) external view returns (bool) {
        Target calldata t = _target(target);
        // the terms say what a bond is, also of a seal that fell
        if (Terms.rootOf(t.terms) != registry.rulesOf(t.task)) revert Sources_Mismatch(t.task, t.round);
        return !_isSealed(t.task, t.round, t.record);
    }

    /// @inheritdoc ISources
    function requireKeyHolder(bytes calldata target) external view returns (bool) {
        Target calldata t = _target(target);
        address who = address(uint160(Tails.word(1)));
        _requireList(t);
        for (uint256 i = 0; i < Language.KEYED_AGGREGATORS && i < t.aggregators.length; ++i) {
            if (t.aggregators[i] == who) return true;
        }
        if (keccak256(abi.encodePacked(t.auditors)) != t.terms.auditorsHash) revert Sources_Mismatch(t.task, t.round);
        for (uint256 i = 0; i < t.auditors.length; ++i) {
            if (t.auditors[i] == who) return true;
        }
        revert Sources_Mismatch(t.task, t.round);
    }

    /// @inheritdoc ISources
    function blockOf(bytes calldata target) external pure returns (uint256 first, uint256 count) {
        Target calldata t = _target(target);
        uint256 index = Tails.word(1);
        for (uint256 i = 0; i < t.blocks.length; ++i) {
            if (t.blocks[i].index != index) continue;
            Terms.requireBlock(t.terms, t.blocks[i]);
            return (uint256(t.blocks[i].words[0]), uint256(t.blocks[i].words[1]));
        }
        revert Terms.Terms_Mismatch(index);
    }

    /// @dev Whether the chain has this seal now, blocked by a dispute or not.
    function _isSealed(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        private
        view
        returns (bool)
    {
        IRoundLedger.Words memory state = ledger.words(task);
        if (round >= Heads.round(state.head)) return false;
        IRoundLedger.ClaimRecord memory claims = LedgerReads.claimRecord(state, round, record);
        bytes32 kept = LedgerReads.ringDigest(state, ledger, task, round);
        return keccak256(abi.encode(task, round, claims)) == kept;
    }

    function _roundOf(
        Target calldata t,
        uint256 round,
        IRoundLedger.SealRecord memory record,
        IRoundLedger.RosterRecord memory roster
    ) private pure returns (Refutation.Round memory out) {
        if (keccak256(abi.encode(t.task, round, roster)) != record.rosterDigest) revert Sources_Mismatch(t.task, round);
        out.program = keccak256(abi.encodePacked(uint8(3), t.columns, t.programTree));
        (out.tape, out.columns) = (record.trace, t.columns);
        uint256 entries = uint256(roster.count) + record.forced;
        uint256 directions = t.terms.directions;
        uint256[16] memory lengths = out.lengths;
        lengths[Language.AXIS_ENTRY] = lengths[Language.AXIS_OTHER] = entries;
        lengths[Language.AXIS_SEAT] = roster.seats;
        lengths[Language.AXIS_BLOCK] = t.terms.blocks;
        lengths[Language.AXIS_DIRECTION] = lengths[Language.AXIS_OTHER_DIRECTION] = directions;
        // groups of eight of each, of eight of these, and so on
        lengths[Language.AXIS_ENTRY_8] = lengths[Language.AXIS_OTHER_8] = (entries + 7) >> 3;
        lengths[Language.AXIS_ENTRY_64] = lengths[Language.AXIS_OTHER_64] = (entries + 63) >> 6;
        uint256 groups = roster.seats;
        for (uint256 axis = Language.AXIS_SEAT_8; axis <= Language.AXIS_SEAT_32768; ++axis) {
            lengths[axis] = groups = (groups + 7) >> 3;
        }
    }

    // --- sources ------------------------------------------------------------------------------------------------------

    /// @inheritdoc ISources
    function refutes(bytes calldata target, Refutation.Claim calldata claim, bytes calldata evidence)
        external
        view
        returns (bool)
    {
        Target calldata t = _target(target);
        Refutation.Round memory round = Tails.facts(0).round;
        uint256 packed = Refutation.requireInstruction(round, claim.column, claim.words, claim.path);
        uint256 axes = (packed >> 108) & 0xFFF;
        Refutation.requireCell(round, claim.column, axes, claim.place, claim.claimed);
        int256 value = claim.claimed.value;
        if (!Refutation.isInside(round, axes, claim.place)) return value != 0;
        uint8 op = uint8(packed >> 120);
        if (op == Language.PREV) return value != _carried(t, claim, packed, evidence);
        if (op != Language.SOURCE) revert Refutation.Refutation_OtherKind(op);
        uint256 source = uint256(claim.words[1]);
        if (source & 0xFF == Language.SOURCE_WORD) {
            // the claim says what the word is not, so its true value comes with the path
            (int256 word, bytes32[] memory path) = abi.decode(evidence, (int256, bytes32[]));
            Terms.requireWord(t.terms, source >> 8, word, path);
            return value != word;
        }
        if (source == Language.SOURCE_REFUSED) return _isRefusalRefuted(t, claim.place[0], value, evidence);
        if (source >= Language.SOURCE_SEAT_OF && source <= Language.SOURCE_CONTENT) {
            return value != _ofEntry(t, source, claim.place[0], evidence);
        }
        if (source >= Language.SOURCE_BLOCK_SIZE) return value != _ofBlock(t, source, claim.place[0], evidence);
        return value != _ofRound(t, source, evidence);
    }

    function _ofRound(Target calldata t, uint256 source, bytes calldata evidence) private view returns (int256) {
        if (source == Language.SOURCE_COUNT) return int256(uint256(t.roster.count) + t.record.forced);
        if (source == Language.SOURCE_ROUND) return int256(t.round);
        if (source == Language.SOURCE_AGGREGATOR) return int256(_placeOf(t, t.record.aggregator));
        if (source != Language.SOURCE_POT && source != Language.SOURCE_PARENT) {
            revert Refutation.Refutation_OtherKind(1);
        }
        uint256 before;
        bytes32 model = t.terms.initialModel;
        if (t.round != 0) {
            IRoundLedger.SealRecord memory parent = _parent(t, evidence).record;
            (before, model) = (parent.claimTotal, parent.model);
        }
        if (source == Language.SOURCE_PARENT) return int256(uint256(model));
        uint256 pot = t.record.claimTotal - before;
        return int256(pot < 1 << 80 ? pot : (1 << 80) - 1);
    }

    function _ofBlock(Target calldata t, uint256 source, uint256 index, bytes calldata evidence)
        private
        pure
        returns (int256)
    {
        Terms.Block memory b = abi.decode(evidence, (Terms.Block));
        if (b.index != index) revert Terms.Terms_Mismatch(index);
        Terms.requireBlock(t.terms, b);
        return b.words[2 + source - Language.SOURCE_BLOCK_SIZE];
    }

    function _carried(Target calldata t, Refutation.Claim calldata claim, uint256 packed, bytes calldata evidence)
        private
        view
        returns (int256)
    {
        int256 first = int256(uint256(claim.words[1]));
        if (t.round == 0) return first;
        Parent memory parent = _parent(t, evidence);
        Refutation.Round memory before = _roundOf(t, t.round - 1, parent.record, parent.roster);
        uint256 operand = (packed >> 72) & 0xFFFFFFFFF;
        uint256 axes = operand & 0xFFF;
        uint256 count = Refutation.countOf(axes);
        for (uint256 i = 0; i < count; ++i) {
            if (claim.place[i] >= before.lengths[Refutation.axisAt(axes, i)]) return first;
        }
        Refutation.requireCell(before, operand >> 20, axes, claim.place, parent.cell);
        return parent.cell.value;
    }

    /// @dev The seal before stands as long as this one does, and its digest is in the ring as long as this one's may fall.
    function _parent(Target calldata t, bytes calldata evidence) private view returns (Parent memory) {
        Parent calldata shown;
        assembly ("memory-safe") {
            shown := add(evidence.offset, 0x20)
        }
        if (!_isSealed(t.task, t.round - 1, shown.record)) revert Sources_Mismatch(t.task, t.round - 1);
        return shown;
    }

    function _placeOf(Target calldata t, address aggregator) private view returns (uint256 place) {
        _requireList(t);
        // a sealer is one of the list
        while (t.aggregators[place] != aggregator) ++place;
    }

    function _requireList(Target calldata t) private view {
        if (keccak256(abi.encode(t.aggregators)) != ledger.aggregatorsHash(t.task)) {
            revert Sources_Mismatch(t.task, t.round);
        }
    }

    // --- what is paid -------------------------------------------------------------------------------------------------

    /// @inheritdoc ISources
    function refutesOutput(bytes calldata target, IReferee.OutputClaim calldata claim) external view returns (bool) {
        Target calldata t = _target(target);
        if (t.record.claimCount != t.roster.seats) return true;
        if (claim.output == Language.OUTPUT_TOTAL || claim.output == Language.OUTPUT_MODEL) {
            uint256 told = claim.output == Language.OUTPUT_TOTAL ? t.record.claimTotal : uint256(t.record.model);
            return _outputOf(claim, 0, 0) != int256(told);
        }
        uint256 seat = claim.leaf.index;
        bytes32 leaf = MerkleSum.leafHash(claim.leaf.index, claim.leaf.owner, claim.leaf.amount, claim.leaf.data);
        MerkleSum.requireLeaf(
            t.record.claimRoot, t.record.claimTotal, t.record.claimCount, seat, leaf, claim.leaf.amount, claim.siblings
        );
        if (!_isOf(t, seat, claim.leaf.owner)) return true;
        int256 value = _outputOf(claim, SEAT_COLUMN, seat);
        if (claim.output == Language.OUTPUT_EARNED) return value != int256(uint256(claim.leaf.amount));
        if (claim.output != Language.OUTPUT_REPUTATION) revert Refutation.Refutation_OtherKind(uint8(claim.output));
        return value != int256(uint256(claim.leaf.data));
    }

    /// @dev Whether a seat is an account's. Seats of the list that nobody has are the zero address'.
    function _isOf(Target calldata t, uint256 seat, address account) private view returns (bool) {
        if (seat == Language.REFERENCE_SEAT) return account == registry.ownerOf(t.task);
        if (seat < Language.REFERENCE_SEAT) {
            _requireList(t);
            return account == (seat < t.aggregators.length ? t.aggregators[seat] : address(0));
        }
        return escrow.tenure(t.task, account).seat == seat;
    }

    function _outputOf(IReferee.OutputClaim calldata claim, uint256 axes, uint256 seat) private pure returns (int256) {
        Refutation.Round memory round = Tails.facts(0).round;
        uint256 depth = Refutation.depthOf(round.columns + 1);
        if (claim.path.length != depth) revert Refutation.Refutation_WrongLength();
        bytes32 root = Rows.climb(keccak256(abi.encodePacked(uint8(0), claim.header)), 0, claim.path, 0, depth);
        if (keccak256(abi.encodePacked(uint8(3), uint16(round.columns), root)) != round.program) {
            revert Refutation.Refutation_NotInProgram();
        }
        uint256 at = Language.HEADER_OUTPUTS + 2 * claim.output;
        uint256 column = uint16(bytes2(claim.header[at:at + 2]));
        Refutation.requireCell(round, column, axes, [seat, 0, 0], claim.cell);
        return claim.cell.value;
    }

    /// @inheritdoc ISources
    function isNowhere(bytes calldata target, IReferee.Question calldata q) public pure returns (bool) {
        Target calldata t = _target(target);
        if (q.column != 0 || q.leaf != 0 || q.place[0] | q.place[1] | q.place[2] != 0) return true;
        if (q.node == IReferee.Node.Roster) return q.level != 0 || q.index >= t.roster.count;
        uint256 depth = MerkleSum.depthOf(t.record.claimCount);
        return q.level > depth || uint256(q.index) << q.level >= t.record.claimCount;
    }

    /// @inheritdoc ISources
    function requireShown(bytes calldata target, IReferee.Question calldata q, IReferee.Answer calldata a)
        external
        view
        returns (bool)
    {
        Target calldata t = _target(target);
        if (isNowhere(target, q)) revert ITapes.Tapes_NoSuchNode();
        if (q.node == IReferee.Node.Roster) {
            Receipts.requireSigned(address(ledger), _shown(a.parts).receipt, a.above);
            _entry(t, q.index, a.parts);
            return true;
        }
        (bytes32 hash, uint256 sum) = q.level == 0 ? _claim(q.index, a.parts) : _fold(q.level, a.parts);
        // so many nodes the level has, which are one level less each
        uint256 count = (uint256(t.record.claimCount) + (1 << q.level) - 1) >> q.level;
        MerkleSum.requireLeaf(t.record.claimRoot, t.record.claimTotal, count, q.index, hash, sum, a.above);
        return true;
    }

    function _claim(uint32 index, bytes calldata parts) private pure returns (bytes32 hash, uint256 sum) {
        if (parts.length != CLAIM_BYTES) revert ITapes.Tapes_WrongAnswer();
        sum = uint128(bytes16(parts[20:36]));
        hash = MerkleSum.leafHash(index, address(bytes20(parts[:20])), uint128(sum), bytes32(parts[36:]));
    }

    function _fold(uint256 level, bytes calldata parts) private pure returns (bytes32, uint256) {
        uint256 width = 1 << (level < FAN ? level : FAN);
        if (parts.length != width * MerkleSum.SIBLING) revert ITapes.Tapes_WrongAnswer();
        uint256[] memory sums = new uint256[](width);
        bytes32[] memory hashes = new bytes32[](width);
        for (uint256 i = 0; i < width; ++i) {
            uint256 at = i * MerkleSum.SIBLING;
            sums[i] = uint128(bytes16(parts[at:at + 16]));
            hashes[i] = bytes32(parts[at + 16:at + 48]);
        }
        for (; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                hashes[i >> 1] = MerkleSum.nodeHash(sums[i], hashes[i], sums[i + 1], hashes[i + 1]);
                sums[i >> 1] = MerkleSum.addSums(sums[i], sums[i + 1]);
            }
        }
        return (hashes[0], sums[0]);
    }
}
