// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITraceDisputes} from "../interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Traces} from "../libraries/Traces.sol";
import {JudgeBase} from "./JudgeBase.sol";

/// @title MoneyJudge
/// @notice Accounts, pot and claim leaves. Twin of `fl_platform/protocol/payout.py` and `contribution/settle.py`.
contract MoneyJudge is JudgeBase {
    using Traces for Evidence;

    int256 private constant REPUTATION_ONE = 1_000_000;
    int256 private constant MEMORY = 8;

    IRoundLedger public immutable ledger;

    constructor(address ledger_) {
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc ITraceJudge
    function refutes(Case calldata c, Evidence calldata e) external view returns (bool) {
        e.requireHeader(c.record.trace);
        if (c.question == uint8(ITraceDisputes.Question.Claim)) return _claim(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Standing)) return _standing(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Totals)) return _totals(e);
        if (c.question == uint8(ITraceDisputes.Question.Carried)) return _carried(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Dropped)) return _dropped(c, e);
        revert Judge_UnknownQuestion(c.question);
    }

    /// @dev openings: the standing. extra: (amount, owner, data, siblings) of the claim leaf at the same place.
    function _claim(Case calldata c, Evidence calldata e) private pure returns (bool) {
        if (e.counts[Traces.STANDING] != c.record.claimCount) return true;
        (bytes calldata words, uint256 index) = e.open(0, Traces.STANDING, Traces.STANDING_BYTES);
        Traces.StandingLeaf calldata s = Traces.standing(words);
        if (s.scoredAfter >= LIMIT || s.baseAfter >= LIMIT) return true;
        if (s.scoredAfter + s.baseAfter > type(uint128).max || s.trainer > type(uint160).max) return true;
        return _claimLeafDiffers(c, e, s, index);
    }

    function _claimLeafDiffers(Case calldata c, Evidence calldata e, Traces.StandingLeaf calldata s, uint256 index)
        private
        pure
        returns (bool)
    {
        uint256 earned = s.scoredAfter + s.baseAfter;
        (address owner, uint128 amount, bytes32 data) = abi.decode(e.extra[:96], (address, uint128, bytes32));
        bytes32 hash = MerkleSum.leafHash(uint32(index), owner, amount, data);
        MerkleSum.requireLeaf(
            c.record.claimRoot, c.record.claimTotal, c.record.claimCount, index, hash, amount, e.extra[96:]
        );
        return uint160(owner) != s.trainer || amount != earned || uint256(data) != s.reputationAfter;
    }

    /// @dev openings: round, standing, and its entry where it has one (or the one that it should have).
    function _standing(Case calldata c, Evidence calldata e) private pure returns (bool) {
        (bytes calldata o,) = e.open(0, Traces.ROUND, Traces.ROUND_BYTES);
        (bytes calldata w,) = e.open(1, Traces.STANDING, Traces.STANDING_BYTES);
        Traces.StandingLeaf calldata s = Traces.standing(w);
        if (s.entry > e.counts[Traces.ENTRY] || _wild(s)) return true;
        if (s.entry == 0) {
            // who was neither here before nor on this roster has no account, but for the sealer's fee
            if (s.previous == 0 && s.trainer != uint160(c.record.aggregator)) return true;
            if (e.openings.length == 3) return _hasEntry(e, s.trainer);
            return _pays(Traces.round(o), s, 0, false, c.record.aggregator) || s.scoreAfter != s.scoreBefore
                || s.reputationAfter != s.reputationBefore;
        }
        (bytes calldata x, uint256 index) = e.open(2, Traces.ENTRY, Traces.ENTRY_BYTES);
        if (index + 1 != s.entry) revert Traces.Traces_LeafMismatch(Traces.ENTRY, index);
        Traces.EntryLeaf calldata entry = Traces.entry(x);
        if (entry.trainer != s.trainer || !_rostered(entry) || !_within(entry.score)) return true;
        if (s.scoreAfter != s.scoreBefore + entry.score) return true;
        bool good = Traces.round(o).measured == 1 ? entry.score > 0 : entry.code == Traces.ADMITTED;
        if (int256(s.reputationAfter) != _reputation(int256(s.reputationBefore), good)) return true;
        uint256 share =
            Traces.round(o).byAdmitted == 1 && entry.code != Traces.ADMITTED ? 0 : entry.rosterCap;
        return _pays(Traces.round(o), s, share, _passed(entry.code), c.record.aggregator);
    }

    /// @dev Whether the entry shown is a rostered one of `trainer`.
    function _hasEntry(Evidence calldata e, uint256 trainer) private pure returns (bool) {
        (bytes calldata x,) = e.open(2, Traces.ENTRY, Traces.ENTRY_BYTES);
        return Traces.entry(x).trainer == trainer && _rostered(Traces.entry(x));
    }

    /// @dev Numbers that no honest account holds, and money that shrinks.
    function _wild(Traces.StandingLeaf calldata s) private pure returns (bool) {
        return !_within(s.scoreBefore) || !_within(s.scoreAfter) || s.scoredAfter >= LIMIT || s.baseAfter >= LIMIT
            || s.scoredAfter < s.scoredBefore || s.baseAfter < s.baseBefore || s.due >= LIMIT
            || s.reputationBefore >= LIMIT || s.reputationAfter >= LIMIT;
    }

    /// @dev Whether the money of the round that went to one account is not what the totals give it.
    function _pays(
        Traces.RoundLeaf calldata o,
        Traces.StandingLeaf calldata s,
        uint256 share,
        bool present,
        address aggregator
    ) private pure returns (bool) {
        if (_wildRound(o)) return true;
        uint256 rest = o.pot - o.fee;
        uint256 due;
        if (present && s.scoreAfter > 0) {
            due = o.positiveScores == 0
                ? type(uint256).max
                : (o.potsBefore + rest - o.basePot) * uint256(s.scoreAfter) / o.positiveScores;
        }
        if (s.due != due) return true;
        if (s.lacking != (due > s.scoredBefore ? due - s.scoredBefore : 0)) return true;
        uint256 scored;
        if (o.lackingTotal != 0) scored = (rest - o.basePot) * s.lacking / o.lackingTotal;
        else if (o.dueTotal != 0) scored = (rest - o.basePot) * due / o.dueTotal;
        if (s.scoredAfter - s.scoredBefore != scored) return true;
        uint256 fee = uint160(aggregator) == s.trainer ? o.fee : 0;
        uint256 base = o.shareTotal == 0 ? 0 : o.basePool * share / o.shareTotal;
        return s.baseAfter - s.baseBefore != base + fee;
    }

    function _wildRound(Traces.RoundLeaf calldata o) private pure returns (bool) {
        return o.pot >= LIMIT || o.fee > o.pot || o.basePot > o.pot - o.fee || o.scoredPot > o.pot - o.fee - o.basePot
            || o.potsBefore >= LIMIT || o.basePool != o.pot - o.fee - o.scoredPot;
    }

    /// @dev rep + floor((target - rep) / 8).
    function _reputation(int256 before, bool good) private pure returns (int256) {
        return before + _floorDiv((good ? REPUTATION_ONE : int256(0)) - before, MEMORY);
    }

    /// @dev openings: rules, round. all: the standings. Sums, the fee, and the order of addresses.
    function _totals(Evidence calldata e) private pure returns (bool) {
        (bytes calldata r,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        (bytes calldata w,) = e.open(1, Traces.ROUND, Traces.ROUND_BYTES);
        Traces.RoundLeaf calldata o = Traces.round(w);
        if (_wildRound(o) || _feeDiffers(Traces.rules(r), o)) return true;
        uint256 count = e.requireAll(Traces.STANDING, Traces.STANDING_BYTES);
        uint256[4] memory sums; // positive, due, lacking, scored
        uint256 last;
        for (uint256 i = 0; i < count; ++i) {
            Traces.StandingLeaf calldata s = Traces.standingAt(e.all, i);
            if (s.trainer <= last || _wild(s) || s.lacking >= LIMIT) return true;
            last = s.trainer;
            if (s.scoreAfter > 0) sums[0] += uint256(s.scoreAfter);
            sums[1] += s.due;
            sums[2] += s.lacking;
            sums[3] += s.scoredAfter - s.scoredBefore;
        }
        if (sums[0] != o.positiveScores || sums[1] != o.dueTotal || sums[2] != o.lackingTotal) return true;
        uint256 scoredPot = sums[3] != 0 ? o.pot - o.fee - o.basePot : 0;
        return o.scoredPot != scoredPot || o.potsAfter != o.potsBefore + scoredPot;
    }

    function _feeDiffers(Traces.RulesLeaf calldata r, Traces.RoundLeaf calldata o) private pure returns (bool) {
        if (o.fee != o.pot * r.feeBps / BASIS) return true;
        uint256 bps = o.measured == 1 ? r.baseBps : BASIS;
        return o.basePot != (o.pot - o.fee) * bps / BASIS;
    }

    /// @dev openings: one standing, or the round leaf. extra: empty for round 0 and for a standing that is said to be new;
    /// else the seal before (`Before`) with its standing, or its round leaf.
    function _carried(Case calldata c, Evidence calldata e) private view returns (bool) {
        if (e.openings[0].words.length == Traces.ROUND_BYTES) return _potsDiffer(c, e);
        (bytes calldata w,) = e.open(0, Traces.STANDING, Traces.STANDING_BYTES);
        Traces.StandingLeaf calldata s = Traces.standing(w);
        if (e.extra.length == 0) {
            if (c.round == 0 && s.previous != 0) return true;
            if (s.previous != 0) return false;
            return s.scoreBefore != 0 || s.scoredBefore != 0 || s.baseBefore != 0 || s.reputationBefore != 0;
        }
        (bytes calldata x, uint256 index) = _before(c, e, Traces.STANDING, Traces.STANDING_BYTES);
        Traces.StandingLeaf calldata p = Traces.standing(x);
        if (s.previous != index + 1) return p.trainer == s.trainer;
        return p.trainer != s.trainer || p.scoreAfter != s.scoreBefore || p.scoredAfter != s.scoredBefore
            || p.baseAfter != s.baseBefore || p.reputationAfter != s.reputationBefore;
    }

    function _potsDiffer(Case calldata c, Evidence calldata e) private view returns (bool) {
        (bytes calldata w,) = e.open(0, Traces.ROUND, Traces.ROUND_BYTES);
        if (c.round == 0) return Traces.round(w).potsBefore != 0;
        (bytes calldata x,) = _before(c, e, Traces.ROUND, Traces.ROUND_BYTES);
        return Traces.round(x).potsAfter != Traces.round(w).potsBefore;
    }

    /// @dev Somebody who must have an account and has none. extra: the seal before with the lost standing; or empty, and
    /// the first opening is a rostered entry. Then the standings beside the gap (one at an end, none where there are none).
    function _dropped(Case calldata c, Evidence calldata e) private view returns (bool) {
        (uint256 lost, uint256 place) = _lost(c, e);
        uint256 count = e.counts[Traces.STANDING];
        if (count == 0 || lost == 0) return lost != 0;
        (bytes calldata w, uint256 index) = e.open(place, Traces.STANDING, Traces.STANDING_BYTES);
        uint256 first = Traces.standing(w).trainer;
        if (e.openings.length == place + 1) {
            return (index == 0 && lost < first) || (index + 1 == count && lost > first);
        }
        (bytes calldata v, uint256 next) = e.open(place + 1, Traces.STANDING, Traces.STANDING_BYTES);
        return next == index + 1 && first < lost && lost < Traces.standing(v).trainer;
    }

    function _lost(Case calldata c, Evidence calldata e) private view returns (uint256 trainer, uint256 place) {
        if (e.extra.length != 0) {
            (bytes calldata x,) = _before(c, e, Traces.STANDING, Traces.STANDING_BYTES);
            return (Traces.standing(x).trainer, 0);
        }
        (bytes calldata w,) = e.open(0, Traces.ENTRY, Traces.ENTRY_BYTES);
        if (_rostered(Traces.entry(w))) trainer = Traces.entry(w).trainer;
        place = 1;
    }

    /// @dev A leaf of the round before, whose seal must be the one in the ledger's ring.
    function _before(Case calldata c, Evidence calldata e, uint256 kind, uint256 length)
        private
        view
        returns (bytes calldata words, uint256 index)
    {
        Before calldata b;
        bytes calldata extra = e.extra;
        // abi.encode of one dynamic struct is its offset, 0x20, then the struct; the compiler checks every offset inside
        // against the calldata when it is followed.
        assembly ("memory-safe") {
            b := add(extra.offset, 0x20)
        }
        return _openBefore(ledger, c, b, kind, length);
    }
}
