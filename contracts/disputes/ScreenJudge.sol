// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITraceDisputes} from "../interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {Traces} from "../libraries/Traces.sol";
import {JudgeBase} from "./JudgeBase.sol";

/// @title ScreenJudge
/// @notice Verdicts, caps and weights from the Gram matrix. Twin of `fl_platform/aggregation/rules.py` and `weights.py`.
contract ScreenJudge is JudgeBase {
    using Traces for Evidence;

    /// @dev rules.REFERENCE_BPS: a cosine below this part of the median one is work on something else.
    int256 private constant REFERENCE_BPS = 3_000;

    /// @inheritdoc ITraceJudge
    function refutes(Case calldata c, Evidence calldata e) external pure returns (bool) {
        e.requireHeader(c.record.trace);
        if (c.question == uint8(ITraceDisputes.Question.Entry)) return _entry(e);
        if (c.question == uint8(ITraceDisputes.Question.Entries)) return _entries(e);
        revert Judge_UnknownQuestion(c.question);
    }

    /// @dev openings: rules, round, entry, and the entry's Gram row where it has one.
    function _entry(Evidence calldata e) private pure returns (bool) {
        (bytes calldata rw,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        (bytes calldata ow,) = e.open(1, Traces.ROUND, Traces.ROUND_BYTES);
        (bytes calldata w,) = e.open(2, Traces.ENTRY, Traces.ENTRY_BYTES);
        Traces.RulesLeaf calldata r = Traces.rules(rw);
        Traces.RoundLeaf calldata o = Traces.round(ow);
        Traces.EntryLeaf calldata x = Traces.entry(w);
        if (x.stake >= LIMIT || _wildTotals(o) || _capsDiffer(r, o, x)) return true;
        if (x.code == Traces.REFUSED || x.code == Traces.OFF_ROSTER || x.code > Traces.OFF_ROSTER) {
            return x.code > Traces.OFF_ROSTER || x.row != 0 || _counts(x);
        }
        if (x.code == Traces.REFERENCE) return o.reference_ != 1 || x.row != 1 || x.stake != 0 || _counts(x);
        if (x.row <= o.reference_ || x.row > o.reference_ + o.candidates) return true;
        (bytes calldata g, uint256 row) = e.open(3, Traces.GRAM, uint256(e.counts[Traces.GRAM]) * 32);
        if (row + 1 != x.row) revert Traces.Traces_LeafMismatch(Traces.GRAM, row);
        return _lengthDiffers(o, x, Traces.wordAt(g, row)) || _verdictDiffers(r, o, x, g, row) || _weightDiffers(r, o, x);
    }

    function _wildTotals(Traces.RoundLeaf calldata o) private pure returns (bool) {
        return o.candidateStake >= LIMIT || o.keptStake >= LIMIT || o.rosterStake >= LIMIT || o.selectedTotal >= LIMIT
            || o.median >= LIMIT || o.reference_ > 1 || o.candidates >= LIMIT;
    }

    /// @dev Whether an entry that is out of the sum has anything of one that is in it.
    function _counts(Traces.EntryLeaf calldata x) private pure returns (bool) {
        return x.weight != 0 || x.full != 0 || x.capped != 0 || x.score != 0 || x.quality != 0 || x.krum != 0;
    }

    function _capsDiffer(Traces.RulesLeaf calldata r, Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x)
        private
        pure
        returns (bool)
    {
        uint256 first = x.row != 0 && x.code != Traces.REFERENCE ? _cap(x.stake, o.candidateStake, r.stakeCapBps) : 0;
        uint256 kept = _passed(x.code) ? _cap(x.stake, o.keptStake, r.stakeCapBps) : 0;
        uint256 roster = _rostered(x) ? _cap(x.stake, o.rosterStake, r.stakeCapBps) : 0;
        return x.firstCap != first || x.capped != kept || x.rosterCap != roster;
    }

    function _lengthDiffers(Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x, int256 squared)
        private
        pure
        returns (bool)
    {
        if (squared < 0 || o.rounding >= LIMIT || x.squared != uint256(squared)) return true;
        return !_isRoot(x.norm, _energy(x.squared, o.rounding) << 32);
    }

    /// @dev Everything but whether an update is a replay, which no question decides.
    function _verdictDiffers(
        Traces.RulesLeaf calldata r,
        Traces.RoundLeaf calldata o,
        Traces.EntryLeaf calldata x,
        bytes calldata g,
        uint256 row
    ) private pure returns (bool) {
        uint256 expected = _byLength(r, o, x, uint256(Traces.wordAt(g, row)));
        if (expected != Traces.ADMITTED) return x.code != expected || x.cosine != 0;
        if (x.code == Traces.NO_WORK || x.code == Traces.TOO_LONG) return true;
        if (x.code == Traces.REPLAY) return x.cosine != 0;
        if (o.reference_ == 0 || o.referenceLength == 0) return x.code == Traces.OFF_REFERENCE || x.cosine != 0;
        int256 inner = Traces.wordAt(g, 0);
        if (!_within(inner) || !_within(o.cosineMedian)) return true;
        if (x.cosine != _floorDiv(inner << 32, int256(x.norm))) return true;
        bool off = x.cosine <= 0 || x.cosine * int256(BASIS) < REFERENCE_BPS * o.cosineMedian;
        if (off != (x.code == Traces.OFF_REFERENCE)) return true;
        return x.code == Traces.NOT_SELECTED && o.byzantine == 0;
    }

    function _byLength(
        Traces.RulesLeaf calldata r,
        Traces.RoundLeaf calldata o,
        Traces.EntryLeaf calldata x,
        uint256 squared
    ) private pure returns (uint256) {
        if (squared > o.longest) return Traces.TOO_LONG;
        if (x.norm == 0 || x.norm < o.median * r.floorBps / BASIS) return Traces.NO_WORK;
        return x.norm > o.median * r.rejectBps / BASIS ? Traces.TOO_LONG : Traces.ADMITTED;
    }

    function _weightDiffers(Traces.RulesLeaf calldata r, Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x)
        private
        pure
        returns (bool)
    {
        if (x.code != Traces.ADMITTED) {
            return x.full != 0 || x.weight != 0 || (x.capped == 0 && (x.score != 0 || x.quality != 0 || x.krum != 0));
        }
        if (o.selectedTotal == 0) return true;
        if (x.full != WEIGHT_ONE * x.capped / o.selectedTotal) return true;
        uint256 limit = o.median * r.clipBps / BASIS;
        uint256 weight = x.norm <= limit ? x.full : WEIGHT_ONE * x.capped * limit / (o.selectedTotal * x.norm);
        return x.weight != weight;
    }

    /// @dev openings: rules, round. all: the entries.
    function _entries(Evidence calldata e) private pure returns (bool) {
        (bytes calldata rw,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        (bytes calldata ow,) = e.open(1, Traces.ROUND, Traces.ROUND_BYTES);
        Traces.RulesLeaf calldata r = Traces.rules(rw);
        Traces.RoundLeaf calldata o = Traces.round(ow);
        uint256 count = e.requireAll(Traces.ENTRY, Traces.ENTRY_BYTES);
        if (o.reference_ > 1 || o.measured > 1 || o.byAdmitted > 1 || o.median >= LIMIT) return true;
        if (r.worth == 0 && o.measured != (o.reference_ == 1 && o.referenceLength != 0 ? 1 : 0)) return true;
        if (r.worth == 2 && o.measured != 0) return true;
        Tally memory t;
        for (uint256 i = 0; i < count; ++i) {
            if (_tally(t, o, Traces.entryAt(e.all, i))) return true;
        }
        return _sumsDiffer(t, o) || _mediansDiffer(t, o) || _krumDiffers(t, r, o);
    }

    struct Tally {
        uint256 references;
        uint256 candidates;
        uint256 candidateStake;
        uint256 cappedTotal;
        uint256 kept;
        uint256 keptStake;
        uint256 liveTotal;
        uint256 selectedTotal;
        uint256 divisor;
        uint256 rosterStake;
        uint256 rosterCaps;
        uint256 admittedCaps;
        uint256 refused;
        uint256 below;
        uint256 upTo;
        uint256 cosineWeight;
        uint256 cosineBelow;
        uint256 cosineUpTo;
    }

    function _tally(Tally memory t, Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x)
        private
        pure
        returns (bool)
    {
        if (x.stake >= LIMIT || x.firstCap >= LIMIT || x.capped >= LIMIT || x.rosterCap >= LIMIT) return true;
        if (_rostered(x)) {
            t.rosterStake += x.stake;
            t.rosterCaps += x.rosterCap;
            if (x.code == Traces.ADMITTED) t.admittedCaps += x.rosterCap;
            if (x.code == Traces.REFUSED) ++t.refused;
        }
        if (x.code == Traces.REFERENCE) {
            ++t.references;
            return false;
        }
        if (x.row == 0) return false;
        ++t.candidates;
        // rows follow the order of entries, behind the reference
        if (x.row != o.reference_ + t.candidates || x.norm >= LIMIT) return true;
        t.candidateStake += x.stake;
        t.cappedTotal += x.firstCap;
        if (x.norm <= o.median) t.upTo += x.firstCap;
        if (x.norm < o.median) t.below += x.firstCap;
        _tallyPassed(t, o, x);
        return false;
    }

    function _tallyPassed(Tally memory t, Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x) private pure {
        bool passed = _passed(x.code);
        if (passed || x.code == Traces.OFF_REFERENCE) {
            t.cosineWeight += x.firstCap;
            if (x.cosine <= o.cosineMedian) t.cosineUpTo += x.firstCap;
            if (x.cosine < o.cosineMedian) t.cosineBelow += x.firstCap;
        }
        if (!passed) return;
        ++t.kept;
        t.keptStake += x.stake;
        t.liveTotal += x.capped;
        if (x.code != Traces.ADMITTED) return;
        t.selectedTotal += x.capped;
        t.divisor += x.full <= WEIGHT_ONE ? x.full : WEIGHT_ONE + 1;
    }

    function _sumsDiffer(Tally memory t, Traces.RoundLeaf calldata o) private pure returns (bool) {
        if (t.references != o.reference_ || t.candidates != o.candidates) return true;
        if (t.candidateStake != o.candidateStake || t.cappedTotal != o.cappedTotal) return true;
        if (t.keptStake != o.keptStake || t.liveTotal != o.liveTotal) return true;
        if (t.selectedTotal != o.selectedTotal || t.divisor != o.divisor) return true;
        if (t.rosterStake != o.rosterStake || o.byAdmitted != (t.admittedCaps != 0 ? 1 : 0)) return true;
        return o.shareTotal != (t.admittedCaps != 0 ? t.admittedCaps : t.rosterCaps);
    }

    /// @dev The lower weighted median m: half of the weight lies at or below it, and less than half below. (A value that no
    /// entry has fails one of both.)
    function _mediansDiffer(Tally memory t, Traces.RoundLeaf calldata o) private pure returns (bool) {
        if (t.candidates == 0 ? o.median != 0 : 2 * t.upTo < t.cappedTotal || 2 * t.below >= t.cappedTotal) return true;
        if (o.reference_ == 0 || o.referenceLength == 0 || t.cosineWeight == 0) return o.cosineMedian != 0;
        if (2 * t.cosineUpTo < t.cosineWeight || o.cosineMedian < 0) return true;
        return o.cosineMedian > 0 && 2 * t.cosineBelow >= t.cosineWeight;
    }

    /// @dev Twin of rules.remaining_byzantine.
    function _krumDiffers(Tally memory t, Traces.RulesLeaf calldata r, Traces.RoundLeaf calldata o)
        private
        pure
        returns (bool)
    {
        if (r.multiKrum == 0) return o.byzantine != 0;
        uint256 dropped = t.refused + t.candidates - t.kept;
        uint256 left = r.byzantine > dropped ? r.byzantine - dropped : 0;
        return o.byzantine != left || (left != 0 && t.kept < 2 * left + 3);
    }
}
