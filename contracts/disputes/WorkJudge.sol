// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {ITraceDisputes} from "../interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {Contents} from "../libraries/Contents.sol";
import {Documents} from "../libraries/Documents.sol";
import {Layouts} from "../libraries/Layouts.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {Traces} from "../libraries/Traces.sol";
import {JudgeBase} from "./JudgeBase.sol";

/// @title WorkJudge
/// @notice What the trainers handed in: content roots, weights, single coordinates of the sums, ranges and the layout. Whoever
/// holds the updates can open their leaves. For Gram entries, which are long sums, see {IBisections}.
contract WorkJudge is JudgeBase {
    using Traces for Evidence;

    /// @notice Thrown when a shown receipt is not the entry's.
    error Judge_ReceiptMismatch(bytes32 given, bytes32 expected);

    /// @notice Thrown when a model has no such coordinate.
    error Judge_NoCoordinate(uint256 index, uint256 place, uint256 size);

    /// @notice Thrown when `extra` has not the bytes that the question wants.
    error Judge_ExtraShape(uint256 given);

    IRoundLedger public immutable ledger;
    ITaskRegistry public immutable registry;

    constructor(address ledger_, address registry_) {
        (ledger, registry) = (IRoundLedger(ledger_), ITaskRegistry(registry_));
    }

    /// @dev One coordinate of vectors: its leaf, its place there, bits of an update's integers, depth of the tree.
    struct Coordinate {
        uint256 index;
        uint256 place;
        uint256 bits;
        uint256 depth;
    }

    /// @notice One coordinate of one update.
    struct RangeProof {
        uint256 row;
        uint256 index;
        uint256 place;
        Contents.Leaf leaf;
    }

    /// @notice The model's tensors and where the specification lists them.
    /// @param list Place of the opening quote of "tensors" in the document.
    /// @param offsets Place of the opening quote of the first scale's "offsets"; 0 in later rounds.
    /// @param before The seal before with its work leaf; in round 0 it is not read.
    struct LayoutProof {
        bytes document;
        uint256 list;
        uint256 offsets;
        bytes tensors;
        Before before;
    }

    /// @inheritdoc ITraceJudge
    function refutes(Case calldata c, Evidence calldata e) external view returns (bool) {
        e.requireHeader(c.record.trace);
        if (e.counts[Traces.WORK] != 1 || e.counts[Traces.RULES] != 1 || e.counts[Traces.ROUND] != 1) return true;
        if (c.question == uint8(ITraceDisputes.Question.Work)) return _work(e);
        if (c.question == uint8(ITraceDisputes.Question.Sum)) return _sum(e);
        if (c.question == uint8(ITraceDisputes.Question.Range)) return _range(e);
        if (c.question == uint8(ITraceDisputes.Question.Layout)) return _layout(c, e);
        revert Judge_UnknownQuestion(c.question);
    }

    /// @dev openings: work, round, then an entry (extra: its receipt) or none (extra: the number of a row that no trainer
    /// has, whose weight must be zero).
    function _work(Evidence calldata e) private pure returns (bool) {
        bytes calldata work = _openWork(e, 0);
        if (work.length != Traces.WORK_HEAD + 64 * uint256(e.counts[Traces.GRAM])) return true;
        if (e.openings.length == 2) {
            (bytes calldata o,) = e.open(1, Traces.ROUND, Traces.ROUND_BYTES);
            uint256 row = uint256(bytes32(e.extra));
            bool trainers = row >= Traces.round(o).reference_ && row < Traces.trainersEnd(Traces.round(o));
            if (row >= e.counts[Traces.GRAM] || trainers) return false;
            (, int256 told) = Traces.rowAt(work, row);
            return told != 0;
        }
        (bytes calldata w,) = e.open(2, Traces.ENTRY, Traces.ENTRY_BYTES);
        Traces.EntryLeaf calldata entry = Traces.entry(w);
        if (entry.row == 0 || entry.row > e.counts[Traces.GRAM]) return false;
        IRoundLedger.Receipt calldata receipt = _receipt(e.extra);
        bytes32 hash = Receipts.structHash(receipt);
        if (hash != entry.receipt) revert Judge_ReceiptMismatch(hash, entry.receipt);
        (bytes32 content, int256 weight) = Traces.rowAt(work, entry.row - 1);
        return content != receipt.contentRoot || weight != int256(entry.weight);
    }

    /// @dev openings: rules, work. extra, packed: index of the leaf and the coordinate's place in it (32 bytes each), the leaf
    /// of the sums, the leaf of every Gram row whose weight is not zero, in the order of rows; a leaf is its blind, body and
    /// siblings, one behind the other.
    function _sum(Evidence calldata e) private pure returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        (uint256 size, uint256 bits) = (Traces.rules(w).size, Traces.rules(w).bits);
        bytes calldata work = _openWork(e, 1);
        bytes calldata extra = e.extra;
        (uint256 index, uint256 place) = (uint256(bytes32(extra[:32])), uint256(bytes32(extra[32:64])));
        _requireCoordinate(index, place, size);
        if (bits > Contents.SUM_BITS) return true; // no honest rules have it
        return _sumDiffers(extra[64:], work, Coordinate(index, place, bits, Contents.depthOf(size)));
    }

    /// @dev Every addition and product below is of numbers under 2^191, or of places in calldata: none can wrap.
    function _sumDiffers(bytes calldata leaves, bytes calldata work, Coordinate memory c) private pure returns (bool) {
        unchecked {
            uint256 count = _rowsOf(work);
            (uint256 at, uint256 end) = _reach(leaves);
            int256 told = _coordinate(at, end, c, Contents.SUM_BITS, Traces.sumsOf(work));
            at += Contents.packedLength(16 * Contents.SUM_BITS, c.depth);
            uint256 length = Contents.packedLength(16 * c.bits, c.depth);
            int256 total = 0;
            // one turn a Gram row
            for (uint256 row = 0; row < count; ++row) {
                (bytes32 root, int256 weight) = Traces.rowAt(work, row);
                if (weight == 0) continue;
                // no honest weight reaches it; one that does is a lie that the question Work decides
                if (!_within(weight)) return true;
                total += weight * _coordinate(at, end, c, c.bits, root);
                at += length;
            }
            return total != told;
        }
    }

    /// @dev Return one integer of the leaf packed at `at`, which must end before `end` and lie under `root`.
    function _coordinate(uint256 at, uint256 end, Coordinate memory c, uint256 bits, bytes32 root)
        private
        pure
        returns (int256)
    {
        unchecked {
            if (at + Contents.packedLength(16 * bits, c.depth) > end) {
                revert Contents.Contents_LeafShape(c.index, 16 * bits, c.depth);
            }
            bytes32 given = Contents.rootAt(at, c.index, 16 * bits, c.depth);
            if (given != root) revert Contents.Contents_LeafMismatch(c.index, given, root);
            return Contents.integerAt(at + 32, c.place, bits);
        }
    }

    /// @dev Return how many Gram rows a work leaf lists; `_openWork` has checked its length.
    function _rowsOf(bytes calldata work) private pure returns (uint256) {
        return (work.length - Traces.WORK_HEAD) / 64;
    }

    /// @dev Return where some bytes begin and end in calldata.
    function _reach(bytes calldata data) private pure returns (uint256 from, uint256 to) {
        assembly ("memory-safe") {
            from := data.offset
            to := add(from, data.length)
        }
    }

    /// @dev openings: rules, work, round. extra: RangeProof. A judged update holds the one value that no encoder writes.
    function _range(Evidence calldata e) private pure returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        bytes calldata work = _openWork(e, 1);
        (bytes calldata o,) = e.open(2, Traces.ROUND, Traces.ROUND_BYTES);
        RangeProof calldata p = _rangeProof(e.extra);
        Traces.RulesLeaf calldata r = Traces.rules(w);
        if (p.row >= Traces.trainersEnd(Traces.round(o)) || p.row >= _rowsOf(work)) return false;
        _requireCoordinate(p.index, p.place, r.size);
        uint256 depth = Contents.depthOf(r.size);
        (bytes32 root,) = Traces.rowAt(work, p.row);
        Contents.requireLeaf(p.leaf, p.index, r.bits, depth, root);
        (uint256 body,) = _reach(p.leaf.body);
        return Contents.integerAt(body, p.place, r.bits) == -int256(1 << (r.bits - 1));
    }

    /// @dev openings: rules, work. extra: LayoutProof. Sizes follow from the specification, offsets from its first scale or,
    /// where one aggregator sealed both rounds, from what it handed on: nobody answers for what another has handed on.
    function _layout(Case calldata c, Evidence calldata e) private view returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        bytes calldata work = _openWork(e, 1);
        LayoutProof calldata p = _layoutProof(e.extra);
        bytes calldata document = p.document;
        Documents.requireDigest(document, registry.task(c.task).spec);
        if (c.round == 0) {
            (bytes memory expected, uint256 total) = Layouts.firstIn(document, p.list, p.offsets);
            return keccak256(expected) != Traces.layoutOf(work) || total != Traces.rules(w).size;
        }
        (bytes calldata old,) = _openBefore(ledger, c, p.before, Traces.WORK, 0);
        if (p.before.record.aggregator == c.record.aggregator && Traces.layoutAfterOf(old) != Traces.layoutOf(work)) {
            return true;
        }
        Contents.requireLayout(p.tensors, Traces.layoutOf(work));
        (bool same, uint256 sum) = Layouts.sizesAre(document, p.list, p.tensors);
        return !same || sum != Traces.rules(w).size;
    }

    function _openWork(Evidence calldata e, uint256 place) private pure returns (bytes calldata work) {
        (work,) = e.open(place, Traces.WORK, 0);
        if (work.length < Traces.WORK_HEAD || (work.length - Traces.WORK_HEAD) % 64 != 0) {
            revert Traces.Traces_EvidenceShape(Traces.WORK, work.length, Traces.WORK_HEAD);
        }
    }

    function _requireCoordinate(uint256 index, uint256 place, uint256 size) private pure {
        if (place >= Contents.COORDINATES || index * Contents.COORDINATES + place >= size) {
            revert Judge_NoCoordinate(index, place, size);
        }
    }

    // abi.encode of one dynamic struct is its offset, 0x20, then the struct; of a static one it is the struct

    function _receipt(bytes calldata extra) private pure returns (IRoundLedger.Receipt calldata p) {
        if (extra.length != 12 * 32) revert Judge_ExtraShape(extra.length);
        assembly ("memory-safe") {
            p := extra.offset
        }
    }

    function _rangeProof(bytes calldata extra) private pure returns (RangeProof calldata p) {
        assembly ("memory-safe") {
            p := add(extra.offset, 0x20)
        }
    }

    function _layoutProof(bytes calldata extra) private pure returns (LayoutProof calldata p) {
        assembly ("memory-safe") {
            p := add(extra.offset, 0x20)
        }
    }
}
