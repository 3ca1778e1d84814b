// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITraceDisputes} from "../interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {Big, Bigs} from "../libraries/Bigs.sol";
import {Cramer} from "../libraries/Cramer.sol";
import {Traces} from "../libraries/Traces.sol";
import {JudgeBase} from "./JudgeBase.sol";

/// @title WorthJudge
/// @notice Directions, qualities, groups, scores and selection from the Gram matrix. Twin of
/// `fl_platform/contribution/anchored.py`, `aggregation/projection.py` and the second half of `aggregation/rules.py`.
contract WorthJudge is JudgeBase {
    using Traces for Evidence;
    using Bigs for Big;

    int256 private constant SCORE_ONE = 10 ** 12;
    int256 private constant NOISE = 9; // NOISE_SIGMAS squared
    uint256 private constant DIRECTIONS = 4;

    /// @inheritdoc ITraceJudge
    function refutes(Case calldata c, Evidence calldata e) external pure returns (bool) {
        e.requireHeader(c.record.trace);
        if (c.question == uint8(ITraceDisputes.Question.Symmetry)) return _symmetry(e);
        if (c.question == uint8(ITraceDisputes.Question.Solution)) return _solution(e);
        if (c.question == uint8(ITraceDisputes.Question.Quality)) return _quality(e);
        if (c.question == uint8(ITraceDisputes.Question.Group)) return _group(e);
        if (c.question == uint8(ITraceDisputes.Question.Score)) return _score(e);
        if (c.question == uint8(ITraceDisputes.Question.Duplicates)) return _duplicates(e);
        if (c.question == uint8(ITraceDisputes.Question.Krum)) return _krum(e);
        if (c.question == uint8(ITraceDisputes.Question.Replay)) return _replay(e);
        revert Judge_UnknownQuestion(c.question);
    }

    // --- Gram ---

    /// @dev openings: Gram rows i and j. A row that has another length than there are rows is a lie by itself.
    function _symmetry(Evidence calldata e) private pure returns (bool) {
        (bytes calldata first, uint256 i) = e.open(0, Traces.GRAM, 0);
        if (first.length != uint256(e.counts[Traces.GRAM]) * 32) return true;
        (bytes calldata second, uint256 j) = _row(e, 1);
        return Traces.wordAt(first, j) != Traces.wordAt(second, i) || Traces.wordAt(first, i) < 0;
    }

    function _row(Evidence calldata e, uint256 place) private pure returns (bytes calldata words, uint256 index) {
        return e.open(place, Traces.GRAM, uint256(e.counts[Traces.GRAM]) * 32);
    }

    /// @dev openings: round; Gram row 0 where there is a reference; the direction rows in order.
    function _solution(Evidence calldata e) private pure returns (bool) {
        Traces.RoundLeaf calldata o = _round(e, 0);
        if (o.reference_ > 1 || e.counts[Traces.GRAM] < o.reference_ + o.candidates) return true;
        if (o.reference_ == 0 ? o.referenceLength != 0 : _referenceLengthDiffers(e, o)) return true;
        if (_directionsDisordered(e, o)) return true;
        (int256[20] memory rows, uint256 p) = _directionRows(e, o, 1 + o.reference_);
        int256[20] memory minors = Cramer.minors(rows, p);
        if (o.determinant != Cramer.determinant(minors) || o.determinant <= 0) return true;
        int256[4] memory z = Cramer.solve(rows, minors, p);
        return o.solution[0] != z[0] || o.solution[1] != z[1] || o.solution[2] != z[2] || o.solution[3] != z[3];
    }

    function _referenceLengthDiffers(Evidence calldata e, Traces.RoundLeaf calldata o) private pure returns (bool) {
        (bytes calldata g, uint256 index) = _row(e, 1);
        if (index != 0) revert Traces.Traces_LeafMismatch(Traces.GRAM, index);
        int256 squared = Traces.wordAt(g, 0);
        return squared < 0 || !_isRoot(o.referenceLength, uint256(squared) << 32);
    }

    /// @dev Directions are rows behind those of the trainers, each once, newest first, without gaps in the list.
    function _directionsDisordered(Evidence calldata e, Traces.RoundLeaf calldata o) private pure returns (bool) {
        uint256 last = o.reference_ + o.candidates;
        bool ended;
        for (uint256 k = 0; k < DIRECTIONS; ++k) {
            uint256 row = o.direction[k];
            if (row == 0) {
                ended = true;
                continue;
            }
            if (ended || row <= last || row > e.counts[Traces.GRAM]) return true;
            last = row;
        }
        return false;
    }

    /// @dev The Gram matrix of the independent directions, beside their products with the reference; their rows are the
    /// openings from `place` on. {Cramer} reads entries up to 2^62, or more where there are fewer directions; others revert,
    /// and then nothing is refuted.
    function _directionRows(Evidence calldata e, Traces.RoundLeaf calldata o, uint256 place)
        private
        pure
        returns (int256[20] memory rows, uint256 p)
    {
        while (p < DIRECTIONS && o.direction[p] != 0) ++p;
        rows = Cramer.system(p);
        for (uint256 k = 0; k < p; ++k) {
            (bytes calldata g, uint256 index) = _row(e, place + k);
            if (index + 1 != o.direction[k]) revert Traces.Traces_LeafMismatch(Traces.GRAM, index);
            for (uint256 l = 0; l < p; ++l) {
                rows[5 * k + l] = Traces.wordAt(g, o.direction[l] - 1);
            }
            if (o.reference_ == 1) rows[5 * k + 4] = Traces.wordAt(g, 0);
        }
    }

    /// @dev sum_k row[direction_k] * z_k
    function _along(bytes calldata row, Traces.RoundLeaf calldata o, int256[4] memory z) private pure returns (Big) {
        (uint256 low, uint256 high, uint256 top) = (0, 0, 0);
        for (uint256 k = 0; k < DIRECTIONS && o.direction[k] != 0; ++k) {
            (low, high, top) = Bigs.addProduct(low, high, top, Traces.wordAt(row, o.direction[k] - 1), z[k]);
        }
        return Bigs.fromWords(low, high, top);
    }

    /// @dev openings: rules, round, entry, its Gram row, the direction rows in order.
    function _replay(Evidence calldata e) private pure returns (bool) {
        Traces.RulesLeaf calldata r = _rules(e, 0);
        Traces.RoundLeaf calldata o = _round(e, 1);
        (Traces.EntryLeaf calldata x,) = _entry(e, 2);
        if (x.code == Traces.NO_WORK || x.code == Traces.TOO_LONG || x.row <= o.reference_) return false;
        if (o.direction[0] == 0) return x.code == Traces.REPLAY;
        bytes calldata g = _rowOf(e, 3, x);
        (int256[20] memory rows, uint256 p) = _directionRows(e, o, 4);
        for (uint256 k = 0; k < p; ++k) {
            rows[5 * k + 4] = Traces.wordAt(g, o.direction[k] - 1);
        }
        int256[4] memory z = Cramer.solve(rows, Cramer.minors(rows, p), p);
        Big inside = _along(g, o, z).times(int256(BASIS));
        Big bound = Bigs.product(o.determinant, int256(r.duplicateBps)).times(_energyOf(o, x));
        return (inside.compare(bound) > 0) != (x.code == Traces.REPLAY);
    }

    // --- worth ---

    /// @dev openings: rules, round, entry, its Gram row, Gram row 0.
    function _quality(Evidence calldata e) private pure returns (bool) {
        Traces.RulesLeaf calldata r = _rules(e, 0);
        Traces.RoundLeaf calldata o = _round(e, 1);
        (Traces.EntryLeaf calldata x,) = _entry(e, 2);
        if (r.worth != 0 || o.measured == 0 || x.capped == 0) return x.quality != 0;
        bytes calldata g = _rowOf(e, 3, x);
        if (Traces.wordAt(g, 0) <= 0) return x.quality != 0;
        if (o.determinant <= 0 || o.median >= LIMIT || x.norm >= LIMIT || !_within(x.quality)) return true;
        Big scale = Bigs.product(o.determinant, int256(r.alphaDen));
        Big numerator =
            scale.times(Traces.wordAt(g, 0)).sub(_along(g, o, o.solution).times(int256(r.alphaNum)));
        if (!_cleared(e, r, o, x, numerator, scale)) return x.quality != 0;
        uint256 length = x.norm > o.median / 8 ? x.norm : o.median / 8;
        if (length == 0) length = 1;
        return !Bigs.isFloor(x.quality, numerator.times(SCORE_ONE << 32), scale.times(int256(length)));
    }

    /// @dev Whether the cosine with r_perp is above noise.
    function _cleared(
        Evidence calldata e,
        Traces.RulesLeaf calldata r,
        Traces.RoundLeaf calldata o,
        Traces.EntryLeaf calldata x,
        Big numerator,
        Big scale
    ) private pure returns (bool) {
        (bytes calldata g, uint256 index) = _row(e, 4);
        if (index != 0) revert Traces.Traces_LeafMismatch(Traces.GRAM, index);
        (int256 num, int256 den) = (int256(r.alphaNum), int256(r.alphaDen));
        Big rest = Bigs.product(o.determinant, Traces.wordAt(g, 0)).times(den * den).sub(
            _along(g, o, o.solution).times(2 * num * den - num * num)
        );
        Big bound = scale.mul(rest).times(NOISE * _energyOf(o, x));
        return numerator.mul(numerator).times(int256(r.size)).times(den).compare(bound) > 0;
    }

    /// @dev openings: rules, round, entry, and its Gram row. all: the entries. Sums over the group, its leader, and that a member
    /// has a near-duplicate in it.
    function _group(Evidence calldata e) private pure returns (bool) {
        (Traces.EntryLeaf calldata x, uint256 index) = _entry(e, 2);
        uint256 count = e.requireAll(Traces.ENTRY, Traces.ENTRY_BYTES);
        if (x.capped == 0) {
            return x.group != x.row || x.groupStake != 0 || x.groupQuality != 0 || x.groupLargest != 0;
        }
        bytes calldata g = _rowOf(e, 3, x);
        uint256[4] memory sums; // stake, largest, least row, members
        sums[2] = type(uint256).max;
        int256 quality;
        bool linked;
        for (uint256 i = 0; i < count; ++i) {
            Traces.EntryLeaf calldata y = Traces.entryAt(e.all, i);
            if (y.capped == 0 || y.group != x.group) continue;
            if (y.capped >= LIMIT || !_within(y.quality) || y.row == 0 || y.row > e.counts[Traces.GRAM]) return true;
            sums[0] += y.capped;
            if (y.capped > sums[1]) sums[1] = y.capped;
            if (y.row < sums[2]) sums[2] = y.row;
            ++sums[3];
            quality += y.quality * int256(y.capped);
            if (i != index && _near(e, x, y, Traces.wordAt(g, y.row - 1))) linked = true;
        }
        if (sums[0] != x.groupStake || sums[1] != x.groupLargest || sums[2] != x.group) return true;
        return quality != x.groupQuality || (sums[3] > 1 && !linked);
    }

    /// @dev openings: rules, round.
    function _near(Evidence calldata e, Traces.EntryLeaf calldata x, Traces.EntryLeaf calldata y, int256 inner)
        private
        pure
        returns (bool)
    {
        if (inner <= 0) return false;
        Traces.RoundLeaf calldata o = _round(e, 1);
        Big bound = Bigs.product(_energyOf(o, x), _energyOf(o, y)).times(int256(_rules(e, 0).duplicateBps));
        return Bigs.product(inner, inner).times(int256(BASIS)).compare(bound) > 0;
    }

    /// @dev openings: rules, round, two entries, the Gram row of the first.
    function _duplicates(Evidence calldata e) private pure returns (bool) {
        (Traces.EntryLeaf calldata x,) = _entry(e, 2);
        (Traces.EntryLeaf calldata y,) = _entry(e, 3);
        if (x.capped == 0 || y.capped == 0 || x.group == y.group || y.row == 0) return false;
        bytes calldata g = _rowOf(e, 4, x);
        return _near(e, x, y, Traces.wordAt(g, y.row - 1));
    }

    /// @dev openings: rules, round, entry.
    function _score(Evidence calldata e) private pure returns (bool) {
        Traces.RulesLeaf calldata r = _rules(e, 0);
        Traces.RoundLeaf calldata o = _round(e, 1);
        (Traces.EntryLeaf calldata x,) = _entry(e, 2);
        if (r.worth == 1) return false; // needs the validation rows: re-executed, not decided here
        if (r.worth != 0 || o.measured == 0 || x.capped == 0 || o.liveTotal == 0) return x.score != 0;
        if (x.groupStake == 0 || o.referenceLength == 0 || !_within(x.score)) return true;
        Big n = Bigs.product(x.groupQuality, int256(x.groupLargest)).times(int256(x.capped));
        Big d = Bigs.product(int256(x.groupStake), int256(x.groupStake)).times(int256(o.referenceLength));
        return !Bigs.isFloor(x.score, n, d.times(int256(o.liveTotal)));
    }

    // --- selection ---

    /// @dev openings: round, entry, its Gram row. all: the entries.
    function _krum(Evidence calldata e) private pure returns (bool) {
        Traces.RoundLeaf calldata o = _round(e, 0);
        (Traces.EntryLeaf calldata x, uint256 index) = _entry(e, 1);
        uint256 count = e.requireAll(Traces.ENTRY, Traces.ENTRY_BYTES);
        if (o.byzantine == 0) return x.krum != 0 || x.code == Traces.NOT_SELECTED;
        if (!_passed(x.code)) return x.krum != 0;
        bytes calldata g = _rowOf(e, 2, x);
        uint256[] memory distances = new uint256[](count);
        uint256 others;
        uint256 ahead;
        for (uint256 i = 0; i < count; ++i) {
            Traces.EntryLeaf calldata y = Traces.entryAt(e.all, i);
            if (i == index || !_passed(y.code)) continue;
            if (y.row == 0 || y.squared == 0 || y.squared >= LIMIT) return true;
            if (y.krum < x.krum || (y.krum == x.krum && y.trainer < x.trainer)) ++ahead;
            int256 d = Traces.wordAt(g, x.row - 1) + int256(y.squared) - 2 * Traces.wordAt(g, y.row - 1);
            if (d < 0) return true;
            _insert(distances, others++, uint256(d));
        }
        if (others + 1 < 2 * o.byzantine + 3) return true;
        uint256 sum;
        for (uint256 i = 0; i < others - o.byzantine - 1; ++i) {
            sum += distances[i];
        }
        return sum != x.krum || (ahead < others + 1 - o.byzantine) != (x.code == Traces.ADMITTED);
    }

    /// @dev Keeps the first `length` + 1 items sorted.
    function _insert(uint256[] memory sorted, uint256 length, uint256 value) private pure {
        uint256 i = length;
        while (i > 0 && sorted[i - 1] > value) {
            sorted[i] = sorted[i - 1];
            --i;
        }
        sorted[i] = value;
    }

    // --- openings ---

    function _energyOf(Traces.RoundLeaf calldata o, Traces.EntryLeaf calldata x) private pure returns (int256) {
        return int256(_energy(x.squared, o.rounding));
    }

    function _rules(Evidence calldata e, uint256 place) private pure returns (Traces.RulesLeaf calldata) {
        (bytes calldata w,) = e.open(place, Traces.RULES, Traces.RULES_BYTES);
        return Traces.rules(w);
    }

    function _round(Evidence calldata e, uint256 place) private pure returns (Traces.RoundLeaf calldata) {
        (bytes calldata w,) = e.open(place, Traces.ROUND, Traces.ROUND_BYTES);
        return Traces.round(w);
    }

    function _entry(Evidence calldata e, uint256 place)
        private
        pure
        returns (Traces.EntryLeaf calldata x, uint256 index)
    {
        bytes calldata w;
        (w, index) = e.open(place, Traces.ENTRY, Traces.ENTRY_BYTES);
        x = Traces.entry(w);
    }

    function _rowOf(Evidence calldata e, uint256 place, Traces.EntryLeaf calldata x)
        private
        pure
        returns (bytes calldata words)
    {
        uint256 index;
        (words, index) = _row(e, place);
        if (index + 1 != x.row) revert Traces.Traces_LeafMismatch(Traces.GRAM, index);
    }
}
