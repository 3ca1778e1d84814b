// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {GameSeam} from "./disputes/GameSeam.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITraceDisputes} from "./interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "./interfaces/ITraceJudge.sol";
import {Receipts} from "./libraries/Receipts.sol";

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

    constructor(
        address ledger_,
        address escrow_,
        address moneyJudge_,
        address entryJudge_,
        address screenJudge_,
        address worthJudge_,
        address workJudge_,
        address bisections_,
        address reveals_,
        address demands_
    ) GameSeam(ledger_, escrow_, bisections_, reveals_, demands_) {
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
        Receipts.requireSigned(ledger, first, firstSignature);
        Receipts.requireSigned(ledger, second, secondSignature);
        uint256 stake = IEscrow(escrow).member(task, trainer).stake;
        if (stake == 0) revert Disputes_NoEquivocation(task, trainer);
        uint256 slashed = IRoundLedger(ledger).slashMember(task, trainer, stake, msg.sender, CHALLENGER_BPS);
        emit EquivocationProved(task, first.round, trainer, msg.sender, slashed);
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

    /// @dev Every upheld dispute moves the task to the next aggregator, or ends it.
    function _neverUpheld(uint256 task) private view returns (bool) {
        IRoundLedger.Head memory head = IRoundLedger(ledger).head(task);
        return head.index == 0 && head.phase != IRoundLedger.Phase.Compensated;
    }
}
