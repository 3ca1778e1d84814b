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

    /// @notice One coordinate of the sums with what it should be the sum of.
    /// @param index The leaf.
    /// @param place The coordinate in it, 0 .. 127.
    /// @param sums The leaf of the sums.
    /// @param rows The leaf of every Gram row whose weight is not zero, in the order of rows.
    struct SumProof {
        uint256 index;
        uint256 place;
        Contents.Leaf sums;
        Contents.Leaf[] rows;
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
            return row < e.counts[Traces.GRAM] && !trainers && Traces.weightAt(work, row) != 0;
        }
        (bytes calldata w,) = e.open(2, Traces.ENTRY, Traces.ENTRY_BYTES);
        Traces.EntryLeaf calldata entry = Traces.entry(w);
        if (entry.row == 0 || entry.row > e.counts[Traces.GRAM]) return false;
        IRoundLedger.Receipt calldata receipt = _receipt(e.extra);
        bytes32 hash = Receipts.structHash(receipt);
        if (hash != entry.receipt) revert Judge_ReceiptMismatch(hash, entry.receipt);
        return Traces.contentAt(work, entry.row - 1) != receipt.contentRoot
            || Traces.weightAt(work, entry.row - 1) != int256(entry.weight);
    }

    /// @dev openings: rules, work. extra: SumProof.
    function _sum(Evidence calldata e) private pure returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        Traces.RulesLeaf calldata r = Traces.rules(w);
        bytes calldata work = _openWork(e, 1);
        SumProof calldata p = _sumProof(e.extra);
        _requireCoordinate(p.index, p.place, r.size);
        uint256 depth = Contents.depthOf(r.size);
        Contents.requireLeaf(p.sums, p.index, Contents.SUM_BITS, depth, Traces.sumsOf(work));
        int256 total = 0;
        uint256 next = 0;
        // one turn a Gram row
        for (uint256 row = 0; row < (work.length - Traces.WORK_HEAD) / 64; ++row) {
            int256 weight = Traces.weightAt(work, row);
            if (weight == 0) continue;
            // no honest weight reaches it; one that does is a lie that the question Work decides
            if (!_within(weight)) return true;
            Contents.Leaf calldata leaf = p.rows[next++];
            Contents.requireLeaf(leaf, p.index, r.bits, depth, Traces.contentAt(work, row));
            total += weight * Contents.integerAt(leaf.body, p.place, r.bits);
        }
        return total != Contents.integerAt(p.sums.body, p.place, Contents.SUM_BITS);
    }

    /// @dev openings: rules, work, round. extra: RangeProof. A judged update holds the one value that no encoder writes.
    function _range(Evidence calldata e) private pure returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        bytes calldata work = _openWork(e, 1);
        (bytes calldata o,) = e.open(2, Traces.ROUND, Traces.ROUND_BYTES);
        RangeProof calldata p = _rangeProof(e.extra);
        Traces.RulesLeaf calldata r = Traces.rules(w);
        if (p.row >= Traces.trainersEnd(Traces.round(o))) return false;
        _requireCoordinate(p.index, p.place, r.size);
        uint256 depth = Contents.depthOf(r.size);
        Contents.requireLeaf(p.leaf, p.index, r.bits, depth, Traces.contentAt(work, p.row));
        return Contents.integerAt(p.leaf.body, p.place, r.bits) == -int256(1 << (r.bits - 1));
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

    function _sumProof(bytes calldata extra) private pure returns (SumProof calldata p) {
        assembly ("memory-safe") {
            p := add(extra.offset, 0x20)
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
