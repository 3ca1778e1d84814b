// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {GameSeam} from "./disputes/GameSeam.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITraceDisputes} from "./interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "./interfaces/ITraceJudge.sol";
import {MemberFlags} from "./libraries/MemberFlags.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";
import {Receipts} from "./libraries/Receipts.sol";
import {Traces} from "./libraries/Traces.sol";

/// @title Disputes
/// @notice See {ITraceDisputes}. Holds no money: bonds lie in the escrow. No owner, no upgrade.
contract Disputes is ITraceDisputes, GameSeam {
    /// @notice The challenger's part of a trainer's stake, in basis points; below one half, so that accusing oneself never
    /// pays.
    uint256 public constant CHALLENGER_BPS = 3_000;

    ITraceJudge public immutable moneyJudge;
    ITraceJudge public immutable entryJudge;
    ITraceJudge public immutable screenJudge;
    ITraceJudge public immutable worthJudge;
    ITraceJudge public immutable workJudge;

    /// @notice How many demands were ever made: the last one's number.
    uint256 public demandCount;

    mapping(uint256 id => Demand) private _demands;

    constructor(
        address ledger_,
        address escrow_,
        address moneyJudge_,
        address entryJudge_,
        address screenJudge_,
        address worthJudge_,
        address workJudge_,
        address bisections_,
        address reveals_
    ) GameSeam(ledger_, escrow_, bisections_, reveals_) {
        moneyJudge = ITraceJudge(moneyJudge_);
        entryJudge = ITraceJudge(entryJudge_);
        screenJudge = ITraceJudge(screenJudge_);
        worthJudge = ITraceJudge(worthJudge_);
        workJudge = ITraceJudge(workJudge_);
    }

    /// @inheritdoc ITraceDisputes
    function challenge(
        ITraceJudge.Case calldata case_,
        ITraceJudge.Evidence calldata, /* what `_refutes` hands on as it came */
        address[] calldata aggregators
    ) external {
        (uint256 task, uint256 round) = (case_.task, case_.round);
        Question question = Question(case_.question);
        bool traceless = question == Question.Foreign || question == Question.Untraced;
        if (case_.record.trace == 0 && !traceless) revert Disputes_NoTrace(task, round);
        if (!_refutes(_judge(question))) revert Disputes_NotRefuted(task, round, question);
        emit SealRefuted(task, round, msg.sender, case_.record.aggregator, question);
        _uphold(task, round, case_.record, msg.sender, aggregators);
    }

    /// @inheritdoc ITraceDisputes
    function demand(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        Subject subject,
        uint32 index
    ) external returns (uint256 id) {
        if (subject == Subject.Trace && record.trace == 0) revert Disputes_NoTrace(task, round);
        bytes32 seal = _openOn(task, round, record);
        id = ++demandCount;
        Demand memory made = Demand({
            challenger: msg.sender,
            deadline: _deadline(task),
            round: uint16(round),
            subject: subject,
            kind: 0,
            answered: false,
            index: subject == Subject.Receipt ? index : 0,
            bond: uint80(bondOf(task)),
            task: task,
            seal: seal
        });
        _demands[id] = made;
        emit Demanded(task, round, id, made);
        IEscrow(escrow).lock(task, msg.sender, made.bond, MemberFlags.CHALLENGER, MemberFlags.LEAVING);
    }

    /// @inheritdoc ITraceDisputes
    function answerTrace(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Page calldata page
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Trace, record);
        Traces.requireReadable(counts, roots, record.trace);
        uint256 end = Traces.requirePage(counts, roots, d.kind, d.index, page);
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(counts, roots, d.kind, d.index, page.words));
        (uint256 kind, uint256 index) = Traces.next(counts, d.kind, end);
        if (kind == Traces.KINDS) return _satisfy(id, d, record.aggregator);
        (_demands[id].kind, _demands[id].index) = (uint8(kind), uint32(index));
    }

    /// @inheritdoc ITraceDisputes
    function answerReceipt(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        IRoundLedger.RosterRecord calldata roster,
        IRoundLedger.Receipt calldata receipt,
        bytes calldata signature,
        uint128 stake,
        bytes calldata siblings
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Receipt, record);
        bytes32 digest = keccak256(abi.encode(d.task, uint256(d.round), roster));
        if (digest != record.rosterDigest) {
            revert IRoundLedger.RoundLedger_RecordMismatch(d.task, d.round, digest, record.rosterDigest);
        }
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(receipt, signature));
        // an index past the roster is answered by the roster's count
        if (d.index < roster.count) {
            bytes32 leaf = MerkleSum.leafHash(d.index, receipt.trainer, stake, Receipts.structHash(receipt));
            MerkleSum.requireLeaf(roster.root, roster.totalStake, roster.count, d.index, leaf, stake, siblings);
            _requireSigned(receipt, signature);
        }
        _satisfy(id, d, record.aggregator);
    }

    /// @inheritdoc ITraceDisputes
    function answerClaims(uint256 id, IRoundLedger.SealRecord calldata record, bytes calldata leaves) external {
        Demand memory d = _requireAnswerable(id, Subject.Claims, record);
        if (leaves.length != record.claimCount * MerkleSum.PACKED) revert Disputes_WrongAnswer(id);
        (bytes32 root, uint256 total) = MerkleSum.rootOf(leaves);
        if (root != record.claimRoot || total != record.claimTotal) {
            revert MerkleSum.MerkleSum_NotInTree(root, record.claimRoot, total, record.claimTotal);
        }
        emit Answered(d.task, d.round, id, msg.sender, leaves);
        _satisfy(id, d, record.aggregator);
    }

    /// @inheritdoc ITraceDisputes
    function expire(uint256 id, IRoundLedger.SealRecord calldata record, address[] calldata aggregators) external {
        Demand memory d = _requireDemand(id);
        if (_sealKey(d.task, d.round, record) != d.seal) revert Disputes_WrongAnswer(id);
        bool gone = isVoid(d.task, d.round, record);
        bool early = block.timestamp < d.deadline && !(d.answered && msg.sender == d.challenger);
        if (!gone && early) revert Disputes_Deadline(id, d.deadline);
        delete _demands[id];
        --_open[d.seal];
        emit DemandEnded(d.task, d.round, id, !gone && !d.answered);
        if (!d.answered) IEscrow(escrow).unlock(d.task, d.challenger, d.bond);
        if (gone) return;
        if (!d.answered) {
            _uphold(d.task, d.round, record, d.challenger, aggregators);
        } else if (_open[d.seal] == 0) {
            IRoundLedger(ledger).markUnchallenged(d.task, d.round, record);
        }
    }

    /// @inheritdoc ITraceDisputes
    function equivocation(
        IRoundLedger.Receipt calldata first,
        bytes calldata firstSignature,
        IRoundLedger.Receipt calldata second,
        bytes calldata secondSignature
    ) external {
        (uint256 task, address trainer) = (first.task, first.trainer);
        bool same = task == second.task && first.round == second.round && trainer == second.trainer
            && first.parent == second.parent;
        bool differ = Receipts.structHash(first) != Receipts.structHash(second);
        if (!same || !differ || !_neverUpheld(task)) revert Disputes_NoEquivocation(task, trainer);
        _requireSigned(first, firstSignature);
        _requireSigned(second, secondSignature);
        uint256 stake = IEscrow(escrow).member(task, trainer).stake;
        if (stake == 0) revert Disputes_NoEquivocation(task, trainer);
        uint256 slashed = IRoundLedger(ledger).slashMember(task, trainer, stake, msg.sender, CHALLENGER_BPS);
        emit EquivocationProved(task, first.round, trainer, msg.sender, slashed);
    }

    /// @inheritdoc ITraceDisputes
    function demandOf(uint256 id) external view returns (Demand memory) {
        return _demands[id];
    }

    function _judge(Question question) private view returns (ITraceJudge) {
        if (question <= Question.Dropped) return moneyJudge;
        if (question <= Question.Rules || question == Question.Foreign || question == Question.Untraced) return entryJudge;
        if (question <= Question.Entries) return screenJudge;
        if (question >= Question.Work) return workJudge;
        return worthJudge;
    }

    /// @dev Ask a judge with the calldata of `challenge` as it came: its arguments begin with those of `refutes`, and offsets
    /// count from the first argument in both, so only the selector changes. What the judge reads it decodes, and checks.
    function _refutes(ITraceJudge judge) private view returns (bool answer) {
        bytes32 selector = ITraceJudge.refutes.selector;
        // memory-safe: writes [m, m + calldatasize) past the free pointer and scratch space [0, 32); a revert's data go out
        // from the same place as they came in. A judge that answers with less than a word has not answered.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, selector)
            calldatacopy(add(m, 4), 4, sub(calldatasize(), 4))
            if iszero(staticcall(gas(), judge, m, calldatasize(), 0, 32)) {
                returndatacopy(m, 0, returndatasize())
                revert(m, returndatasize())
            }
            answer := and(gt(returndatasize(), 31), eq(mload(0), 1))
        }
    }

    function _requireSigned(IRoundLedger.Receipt calldata receipt, bytes calldata signature) private view {
        bytes32 digest = IRoundLedger(ledger).receiptDigest(receipt);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature);
        if (problem != ECDSA.RecoverError.NoError || signer != receipt.trainer) {
            revert IRoundLedger.RoundLedger_ReceiptSignatureInvalid(receipt.trainer, signer);
        }
    }

    function _requireDemand(uint256 id) private view returns (Demand memory d) {
        d = _demands[id];
        if (d.challenger == address(0)) revert Disputes_UnknownDemand(id);
    }

    function _requireAnswerable(uint256 id, Subject subject, IRoundLedger.SealRecord calldata record)
        private
        view
        returns (Demand memory d)
    {
        d = _requireDemand(id);
        if (d.subject != subject || d.answered || _sealKey(d.task, d.round, record) != d.seal || isVoid(d.task, d.round, record)) {
            revert Disputes_WrongAnswer(id);
        }
        if (block.timestamp >= d.deadline) revert Disputes_Deadline(id, d.deadline);
    }

    /// @dev Every upheld dispute moves the task to the next aggregator, or ends it.
    function _neverUpheld(uint256 task) private view returns (bool) {
        IRoundLedger.Head memory head = IRoundLedger(ledger).head(task);
        return head.index == 0 && head.phase != IRoundLedger.Phase.Compensated;
    }

    /// @dev The bond, until now the challenger's stake, goes to the sealer, whoever answered: else a challenger could
    /// answer itself for nothing. The round stays disputed until the new deadline,
    /// so that what was shown can be challenged.
    function _satisfy(uint256 id, Demand memory d, address sealer) private {
        _demands[id].answered = true;
        _demands[id].deadline = _deadline(d.task);
        IRoundLedger(ledger).slashMember(d.task, d.challenger, d.bond, sealer, BASIS);
    }
}
