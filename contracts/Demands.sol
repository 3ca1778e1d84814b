// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDemands} from "./interfaces/IDemands.sol";
import {IGameSeam} from "./interfaces/IGameSeam.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITraceJudge} from "./interfaces/ITraceJudge.sol";
import {Contents} from "./libraries/Contents.sol";
import {KeyWraps} from "./libraries/KeyWraps.sol";
import {LedgerReads} from "./libraries/LedgerReads.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";
import {Receipts} from "./libraries/Receipts.sol";
import {TracePages} from "./libraries/TracePages.sol";
import {Traces} from "./libraries/Traces.sol";

/// @title Demands
/// @notice See {IDemands}. Holds no money: bonds lie in the escrow. No owner, no upgrade.
contract Demands is IDemands {
    /// @notice The disputes contract, which ledger and escrow trust.
    address public immutable disputes;
    address public immutable ledger;

    /// @notice How many demands were ever made: the last one's number.
    uint256 public demandCount;

    mapping(uint256 id => Demand) private _demands;

    constructor(address disputes_, address ledger_) {
        (disputes, ledger) = (disputes_, ledger_);
    }

    /// @inheritdoc IDemands
    function demand(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        Subject subject,
        uint32 index
    ) external returns (uint256 id) {
        if (subject != Subject.Claims && record.trace == 0) revert IGameSeam.Disputes_NoTrace(task, round);
        uint256 bond = IGameSeam(disputes).enter(task, round, record, msg.sender);
        id = ++demandCount;
        Demand memory made = Demand({
            challenger: msg.sender,
            deadline: _deadline(task),
            round: uint16(round),
            subject: subject,
            kind: 0,
            answered: false,
            index: subject == Subject.Sums ? index : 0,
            bond: uint80(bond),
            task: task,
            seal: _sealKey(task, round, record)
        });
        _demands[id] = made;
        emit Demanded(task, round, id, made);
    }

    /// @inheritdoc IDemands
    function answerTrace(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Page calldata page
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Trace, record);
        TracePages.requireReadable(counts, roots, record.trace);
        (uint256 first, uint256 end) = TracePages.requirePage(counts, roots, d.kind, d.index, page);
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(counts, roots, d.kind, first, page.words));
        (uint256 kind, uint256 index) = TracePages.next(counts, d.kind, end);
        if (kind == Traces.KINDS) return _satisfy(id, d);
        (_demands[id].kind, _demands[id].index) = (uint8(kind), uint32(index));
    }

    /// @inheritdoc IDemands
    function answerEntries(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        IRoundLedger.RosterRecord calldata roster,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Shown[] calldata shown
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Entries, record);
        bytes32 digest = keccak256(abi.encode(d.task, uint256(d.round), roster));
        if (digest != record.rosterDigest) {
            revert IRoundLedger.RoundLedger_RecordMismatch(d.task, d.round, digest, record.rosterDigest);
        }
        TracePages.requireReadable(counts, roots, record.trace);
        bool own = roster.aggregator == record.aggregator;
        // one turn an entry; the caller pays for as many as it shows
        for (uint256 i = 0; i < shown.length; ++i) {
            (bytes calldata words, uint256 index) =
                Traces.openIn(counts, roots, shown[i].entry, Traces.ENTRY, Traces.ENTRY_BYTES);
            if (index != d.index + i) revert Demands_WrongEntry(id, index);
            _requireEntry(id, index, shown[i], Traces.entry(words), roster, own);
        }
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(d.index, shown));
        uint256 next = d.index + shown.length;
        if (next == counts[Traces.ENTRY]) return _satisfy(id, d);
        _demands[id].index = uint32(next);
    }

    function _requireEntry(
        uint256 id,
        uint256 index,
        Shown calldata shown,
        Traces.EntryLeaf calldata entry,
        IRoundLedger.RosterRecord calldata roster,
        bool own
    ) private view {
        bytes32 receipt = Receipts.structHash(shown.receipt);
        address trainer = shown.receipt.trainer;
        if (receipt != entry.receipt || uint160(trainer) != entry.trainer) revert Demands_WrongEntry(id, index);
        if (index < roster.count) {
            if (entry.stake > type(uint128).max) revert Demands_WrongEntry(id, index);
            bytes32 leaf = MerkleSum.leafHash(uint32(index), trainer, uint128(entry.stake), receipt);
            MerkleSum.requireLeaf(
                roster.root, roster.totalStake, roster.count, index, leaf, entry.stake, shown.siblings
            );
        }
        if (own || entry.row != 0) Receipts.requireSigned(ledger, shown.receipt, shown.signature);
        if (entry.row == 0) return;
        address signer = KeyWraps.recover(ledger, KeyWraps.structHash(receipt, shown.boxes), shown.packageSignature);
        if (signer != trainer || shown.boxes.length > KeyWraps.MAX_BOXES) revert Demands_WrongEntry(id, index);
    }

    /// @inheritdoc IDemands
    function answerClaims(uint256 id, IRoundLedger.SealRecord calldata record, bytes calldata leaves) external {
        Demand memory d = _requireAnswerable(id, Subject.Claims, record);
        if (leaves.length != record.claimCount * MerkleSum.PACKED) revert Demands_WrongAnswer(id);
        (bytes32 root, uint256 total) = MerkleSum.rootOf(leaves);
        if (root != record.claimRoot || total != record.claimTotal) {
            revert MerkleSum.MerkleSum_NotInTree(root, record.claimRoot, total, record.claimTotal);
        }
        emit Answered(d.task, d.round, id, msg.sender, leaves);
        _satisfy(id, d);
    }

    /// @inheritdoc IDemands
    function answerSums(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        ITraceJudge.Opening[2] calldata openings,
        bytes32[] calldata nodes,
        Contents.Leaf calldata leaf
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Sums, record);
        TracePages.requireReadable(counts, roots, record.trace);
        (bytes calldata rules,) = Traces.openIn(counts, roots, openings[0], Traces.RULES, Traces.RULES_BYTES);
        uint256 length = Traces.lengthOf(Traces.WORK, counts);
        (bytes calldata work,) = Traces.openIn(counts, roots, openings[1], Traces.WORK, length);
        Contents.requireSubtree(d.index, Traces.rules(rules).size, nodes, leaf, Traces.sumsOf(work));
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(nodes, leaf));
        _satisfy(id, d);
    }

    /// @inheritdoc IDemands
    function expire(uint256 id, IRoundLedger.SealRecord calldata record, address[] calldata aggregators) external {
        Demand memory d = _requireDemand(id);
        if (_sealKey(d.task, d.round, record) != d.seal) revert Demands_WrongAnswer(id);
        bool gone = IGameSeam(disputes).isVoid(d.task, d.round, record);
        bool early = block.timestamp < d.deadline && !(d.answered && msg.sender == d.challenger);
        if (!gone && early) revert Demands_Deadline(id, d.deadline);
        delete _demands[id];
        emit DemandEnded(d.task, d.round, id, !gone && !d.answered);
        if (gone) {
            IGameSeam(disputes).release(d.task, d.round, record, d.challenger, d.bond);
        } else if (d.answered) {
            // to the sealer, whoever answered: else a challenger could answer itself for nothing
            IGameSeam(disputes).drop(d.task, d.round, record, d.challenger, d.bond, record.aggregator);
        } else {
            IGameSeam(disputes).uphold(d.task, d.round, record, d.challenger, d.bond, aggregators);
        }
    }

    /// @inheritdoc IDemands
    function demandOf(uint256 id) external view returns (Demand memory) {
        return _demands[id];
    }

    function _requireDemand(uint256 id) private view returns (Demand memory d) {
        d = _demands[id];
        if (d.challenger == address(0)) revert Demands_Unknown(id);
    }

    function _requireAnswerable(uint256 id, Subject subject, IRoundLedger.SealRecord calldata record)
        private
        view
        returns (Demand memory d)
    {
        d = _requireDemand(id);
        if (d.subject != subject || d.answered || _sealKey(d.task, d.round, record) != d.seal || IGameSeam(disputes).isVoid(d.task, d.round, record)) {
            revert Demands_WrongAnswer(id);
        }
        if (block.timestamp >= d.deadline) revert Demands_Deadline(id, d.deadline);
    }

    /// @dev The round stays disputed until the new deadline, so that what was shown can be challenged.
    function _satisfy(uint256 id, Demand memory d) private {
        _demands[id].answered = true;
        _demands[id].deadline = _deadline(d.task);
    }

    function _deadline(uint256 task) private view returns (uint40) {
        return uint40(block.timestamp + LedgerReads.takeover(IRoundLedger(ledger).words(task)));
    }

    function _sealKey(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record) private pure returns (bytes32) {
        return keccak256(abi.encode(task, round, record));
    }
}
