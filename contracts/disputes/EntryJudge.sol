// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITraceDisputes} from "../interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Documents} from "../libraries/Documents.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Traces} from "../libraries/Traces.sol";
import {JudgeBase} from "./JudgeBase.sol";

/// @title EntryJudge
/// @notice Who is in a round: entries against the roster, the forced list, the members and the frozen rules.
contract EntryJudge is JudgeBase {
    using Traces for Evidence;

    IRoundLedger public immutable ledger;
    IEscrow public immutable escrow;
    ITaskRegistry public immutable registry;

    constructor(address ledger_, address escrow_, address registry_) {
        ledger = IRoundLedger(ledger_);
        escrow = IEscrow(escrow_);
        registry = ITaskRegistry(registry_);
    }

    /// @notice A leaf of the roster on chain.
    struct RosterProof {
        IRoundLedger.RosterRecord record;
        IRoundLedger.Leaf leaf;
        bytes siblings;
    }

    /// @notice The specification's bytes, and where in them each number of the rules stands.
    struct SpecProof {
        bytes document;
        uint256[13] places;
    }

    /// @notice A receipt that was forced in, as the ledger keeps it.
    struct ForcedProof {
        IRoundLedger.RosterRecord record;
        uint256 index;
        uint256 seat;
        address trainer;
        bytes32 receipt;
    }

    /// @inheritdoc ITraceJudge
    function refutes(Case calldata c, Evidence calldata e) external view returns (bool) {
        if (c.question == uint8(ITraceDisputes.Question.Foreign)) return _foreign(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Untraced)) return _untraced(c, e);
        e.requireHeader(c.record.trace);
        if (c.question == uint8(ITraceDisputes.Question.Roster)) return _roster(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Forced)) return _forced(c, e);
        if (c.question == uint8(ITraceDisputes.Question.Twice)) return _twice(e);
        if (c.question == uint8(ITraceDisputes.Question.Rules)) return _rules(c, e);
        revert Judge_UnknownQuestion(c.question);
    }

    /// @dev A leaf with a stake whose owner is no trainer of the task. Warning: unbonding outlasts the windows from the leave
    /// on, so who was leaving before the roster can be gone at the challenge: nobody rosters who is leaving.
    function _foreign(Case calldata c, Evidence calldata e) private view returns (bool) {
        RosterProof calldata p = _rosterProof(c, e.extra);
        if (p.leaf.amount == 0) return false;
        uint256 flags = escrow.member(c.task, p.leaf.owner).flags;
        uint256 known = MemberFlags.TRAINER | MemberFlags.LEAVING | MemberFlags.RESIDUAL;
        return flags & known == 0;
    }

    /// @dev openings: the entry at the leaf's place. Without openings: only the number of entries is compared.
    function _roster(Case calldata c, Evidence calldata e) private pure returns (bool) {
        RosterProof calldata p = _rosterProof(c, e.extra);
        uint256 count = p.record.count;
        if (e.counts[Traces.ENTRY] != count + c.record.forced) return true;
        (bytes calldata w, uint256 index) = e.open(0, Traces.ENTRY, Traces.ENTRY_BYTES);
        if (index != p.leaf.index) revert Traces.Traces_LeafMismatch(Traces.ENTRY, index);
        Traces.EntryLeaf calldata entry = Traces.entry(w);
        return entry.forced != 0 || entry.trainer != uint160(p.leaf.owner) || entry.stake != p.leaf.amount
            || entry.receipt != p.leaf.data;
    }

    function _rosterProof(Case calldata c, bytes calldata extra) private pure returns (RosterProof calldata p) {
        // abi.encode of one dynamic struct is its offset, 0x20, then the struct
        assembly ("memory-safe") {
            p := add(extra.offset, 0x20)
        }
        bytes32 digest = keccak256(abi.encode(c.task, c.round, p.record));
        if (digest != c.record.rosterDigest) {
            revert IRoundLedger.RoundLedger_RecordMismatch(c.task, c.round, digest, c.record.rosterDigest);
        }
        bytes32 hash = MerkleSum.leafHash(p.leaf.index, p.leaf.owner, p.leaf.amount, p.leaf.data);
        MerkleSum.requireLeaf(
            p.record.root, p.record.totalStake, p.record.count, p.leaf.index, hash, p.leaf.amount, p.siblings
        );
    }

    /// @dev A forced receipt has the entry behind the roster's, in the order of the list. openings: that entry; none are
    /// needed where the number of entries is wrong.
    function _forced(Case calldata c, Evidence calldata e) private view returns (bool) {
        // abi.encode of one static struct is the struct
        ForcedProof memory p = abi.decode(e.extra, (ForcedProof));
        bytes32 digest = keccak256(abi.encode(c.task, c.round, p.record));
        if (digest != c.record.rosterDigest) {
            revert IRoundLedger.RoundLedger_RecordMismatch(c.task, c.round, digest, c.record.rosterDigest);
        }
        bytes32 stated = keccak256(abi.encode(p.seat, p.trainer, p.receipt));
        bytes32 kept = p.index < c.record.forced ? ledger.forced(c.task, c.round, p.record.life, p.index) : bytes32(0);
        if (stated != kept) revert IRoundLedger.RoundLedger_ForcedMismatch(c.task, stated, kept);
        if (e.counts[Traces.ENTRY] != uint256(p.record.count) + c.record.forced) return true;
        (bytes calldata w, uint256 index) = e.open(0, Traces.ENTRY, Traces.ENTRY_BYTES);
        if (index != p.record.count + p.index) revert Traces.Traces_LeafMismatch(Traces.ENTRY, index);
        Traces.EntryLeaf calldata entry = Traces.entry(w);
        return entry.forced != 1 || entry.trainer != uint160(p.trainer) || entry.receipt != p.receipt;
    }

    /// @dev openings: two entries of one trainer that both count.
    function _twice(Evidence calldata e) private pure returns (bool) {
        (bytes calldata w, uint256 first) = e.open(0, Traces.ENTRY, Traces.ENTRY_BYTES);
        (bytes calldata v, uint256 second) = e.open(1, Traces.ENTRY, Traces.ENTRY_BYTES);
        if (first == second) return false;
        Traces.EntryLeaf calldata a = Traces.entry(w);
        Traces.EntryLeaf calldata b = Traces.entry(v);
        return a.trainer == b.trainer && _rostered(a) && _rostered(b);
    }

    /// @dev extra: (the specification's bytes, where "exact" stands in it). Only tasks outside integer arithmetic have no trace.
    function _untraced(Case calldata c, Evidence calldata e) private view returns (bool) {
        SpecProof calldata p = _specProof(c, e.extra);
        return c.record.trace == 0 && Documents.follows(p.document, p.places[0], 'exact":true,');
    }

    /// @dev A shorter list of places is followed by whatever comes; who reads further reads wrong places.
    function _specProof(Case calldata c, bytes calldata extra) private view returns (SpecProof calldata p) {
        // abi.encode of (bytes, uint256[13]) is the struct; the compiler checks the document's offset when it is followed
        assembly ("memory-safe") {
            p := extra.offset
        }
        Documents.requireDigest(p.document, registry.task(c.task).spec);
    }

    /// @dev openings: the rules leaf. extra: (the specification's bytes, where each number stands in it).
    function _rules(Case calldata c, Evidence calldata e) private view returns (bool) {
        if (e.counts[Traces.RULES] != 1 || e.counts[Traces.ROUND] != 1) return true;
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        SpecProof calldata p = _specProof(c, e.extra);
        bytes calldata document = p.document;
        uint256[13] calldata places = p.places;
        Traces.RulesLeaf calldata r = Traces.rules(w);
        if (_screenRulesDiffer(r, document, places)) return true;
        return r.feeBps != Documents.number(document, places[7], 'fee_bps":')
            || r.baseBps != Documents.number(document, places[8], 'base_bps":')
            || r.alphaNum != Documents.number(document, places[9], 'alpha_num":')
            || r.alphaDen != Documents.number(document, places[10], 'alpha_den":')
            || r.worth != _worth(document, places[11]) || r.bits != Documents.number(document, places[12], 'bits":');
    }

    function _worth(bytes calldata document, uint256 place) private pure returns (uint256) {
        if (Documents.follows(document, place, 'kind":"anchored","stake_cap_bps":')) return 0;
        if (Documents.follows(document, place, 'kind":"leave-one-out","stake_cap_bps":')) return 1;
        if (Documents.follows(document, place, 'kind":"equal","stake_cap_bps":')) return 2;
        revert Documents.Documents_KeyNotThere(place);
    }

    function _multiKrum(bytes calldata document, uint256 place) private pure returns (uint256) {
        if (Documents.follows(document, place, 'name":"multi-krum","reject_bps":')) return 1;
        if (Documents.follows(document, place, 'name":"fedavg","reject_bps":')) return 0;
        revert Documents.Documents_KeyNotThere(place);
    }

    function _screenRulesDiffer(Traces.RulesLeaf calldata r, bytes calldata document, uint256[13] calldata places)
        private
        pure
        returns (bool)
    {
        return r.stakeCapBps != Documents.number(document, places[0], 'stake_cap_bps":')
            || r.clipBps != Documents.number(document, places[1], 'clip_bps":')
            || r.rejectBps != Documents.number(document, places[2], 'reject_bps":')
            || r.floorBps != Documents.number(document, places[3], 'floor_bps":')
            || r.duplicateBps != Documents.number(document, places[4], 'duplicate_bps":')
            || r.byzantine != Documents.number(document, places[5], 'byzantine":')
            || r.multiKrum != _multiKrum(document, places[6]);
    }
}
