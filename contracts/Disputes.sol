// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IGameSeam} from "./interfaces/IGameSeam.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITraceDisputes} from "./interfaces/ITraceDisputes.sol";
import {ITraceJudge} from "./interfaces/ITraceJudge.sol";
import {MemberFlags} from "./libraries/MemberFlags.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";
import {Receipts} from "./libraries/Receipts.sol";
import {Traces} from "./libraries/Traces.sol";

/// @title Disputes
/// @notice See {ITraceDisputes}. Holds no money: bonds lie in the escrow. No owner, no upgrade.
contract Disputes is ITraceDisputes, IGameSeam {
    /// @notice What a demand costs: basis points of the pot, rounded up. It pays the answerer's gas many times over.
    uint256 public constant DEMAND_BPS = 500;
    /// @notice The challenger's part of a trainer's stake, in basis points; below one half, so that accusing oneself never
    /// pays.
    uint256 public constant CHALLENGER_BPS = 3_000;
    uint256 private constant BASIS = 10_000;

    /// @inheritdoc IDisputes
    address public immutable ledger;
    address public immutable escrow;
    ITraceJudge public immutable moneyJudge;
    ITraceJudge public immutable entryJudge;
    ITraceJudge public immutable screenJudge;
    ITraceJudge public immutable worthJudge;
    ITraceJudge public immutable workJudge;
    /// @notice The games that this contract lends its trust to; zero where a deployment has none.
    address public immutable bisections;
    address public immutable reveals;

    /// @notice How many demands were ever made: the last one's number.
    uint256 public demandCount;

    mapping(uint256 id => Demand) private _demands;
    /// @dev Open demands about a seal: the first one marks, the last one resolves.
    mapping(bytes32 seal => uint256) private _open;

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
    ) {
        (ledger, escrow) = (ledger_, escrow_);
        moneyJudge = ITraceJudge(moneyJudge_);
        entryJudge = ITraceJudge(entryJudge_);
        screenJudge = ITraceJudge(screenJudge_);
        worthJudge = ITraceJudge(worthJudge_);
        workJudge = ITraceJudge(workJudge_);
        (bisections, reveals) = (bisections_, reveals_);
    }

    modifier onlyGames() {
        if (msg.sender != bisections && msg.sender != reveals) revert Disputes_NotGame(msg.sender);
        _;
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
        uint8 kind,
        uint32 index
    ) external returns (uint256 id) {
        if (subject == Subject.Leaf && record.trace == 0) revert Disputes_NoTrace(task, round);
        bytes32 seal = _openOn(task, round, record);
        id = ++demandCount;
        Demand memory made = Demand({
            challenger: msg.sender,
            deadline: _deadline(task),
            round: uint16(round),
            subject: subject,
            kind: kind,
            answered: false,
            index: index,
            bond: uint80(bondOf(task)),
            task: task,
            seal: seal
        });
        _demands[id] = made;
        emit Demanded(task, round, id, made);
        IEscrow(escrow).lock(task, msg.sender, made.bond, MemberFlags.CHALLENGER, MemberFlags.LEAVING);
    }

    /// @inheritdoc ITraceDisputes
    function answerLeaf(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        ITraceJudge.Opening calldata opening
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Leaf, record);
        bytes32 given = Traces.rootOf(counts, roots);
        if (given != record.trace) revert Traces.Traces_HeaderMismatch(given, record.trace);
        bytes memory content;
        if (d.kind < Traces.KINDS && d.index < counts[d.kind]) {
            if (opening.index != d.index) revert Disputes_WrongAnswer(id);
            uint256 length = Traces.lengthOf(d.kind, counts);
            (bytes calldata words,) = Traces.openIn(counts, roots, opening, d.kind, length);
            content = words;
        }
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(counts, roots, content));
        _satisfy(id, d, record.aggregator);
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
    function answerClaim(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        IRoundLedger.Leaf calldata leaf,
        bytes calldata siblings
    ) external {
        Demand memory d = _requireAnswerable(id, Subject.Claim, record);
        // an index past the claims is answered by their count, which the seal tells
        if (d.index < record.claimCount) {
            bytes32 hash = MerkleSum.leafHash(d.index, leaf.owner, leaf.amount, leaf.data);
            MerkleSum.requireLeaf(
                record.claimRoot, record.claimTotal, record.claimCount, d.index, hash, leaf.amount, siblings
            );
        }
        emit Answered(d.task, d.round, id, msg.sender, abi.encode(leaf, siblings));
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
    function bondOf(uint256 task) public view returns (uint256) {
        return (uint256(IRoundLedger(ledger).config(task).pot) * DEMAND_BPS + BASIS - 1) / BASIS;
    }

    /// @inheritdoc ITraceDisputes
    function demandOf(uint256 id) external view returns (Demand memory) {
        return _demands[id];
    }

    /// @inheritdoc IGameSeam
    function enter(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, address challenger)
        external
        onlyGames
        returns (uint256 bond)
    {
        if (record.trace == 0) revert Disputes_NoTrace(task, round);
        _openOn(task, round, record);
        bond = bondOf(task);
        IEscrow(escrow).lock(task, challenger, bond, MemberFlags.CHALLENGER, MemberFlags.LEAVING);
    }

    /// @inheritdoc IGameSeam
    function uphold(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        address challenger,
        uint256 bond,
        address[] calldata aggregators
    ) external onlyGames {
        --_open[_sealKey(task, round, record)];
        IEscrow(escrow).unlock(task, challenger, bond);
        _uphold(task, round, record, challenger, aggregators);
    }

    /// @inheritdoc IGameSeam
    function drop(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        address challenger,
        uint256 bond,
        address winner
    ) external onlyGames {
        IRoundLedger(ledger).slashMember(task, challenger, bond, winner, BASIS);
        if (--_open[_sealKey(task, round, record)] == 0) IRoundLedger(ledger).markUnchallenged(task, round, record);
    }

    /// @inheritdoc IGameSeam
    function release(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, address challenger, uint256 bond)
        external
        onlyGames
    {
        --_open[_sealKey(task, round, record)];
        IEscrow(escrow).unlock(task, challenger, bond);
    }

    /// @inheritdoc IGameSeam
    function lockBond(uint256 task, address from, uint256 amount) external onlyGames {
        IEscrow(escrow).lock(task, from, amount, MemberFlags.CHALLENGER, MemberFlags.LEAVING);
    }

    /// @inheritdoc IGameSeam
    function returnBond(uint256 task, address to, uint256 amount) external onlyGames {
        IEscrow(escrow).unlock(task, to, amount);
    }

    /// @inheritdoc IGameSeam
    function forfeitBond(uint256 task, address from, uint256 amount, address winner) external onlyGames {
        IRoundLedger(ledger).slashMember(task, from, amount, winner, BASIS);
    }

    /// @inheritdoc IGameSeam
    function penalise(uint256 task, address trainer, uint256 amount, address challenger, uint256 shareBps)
        external
        onlyGames
        returns (uint256 slashed)
    {
        return IRoundLedger(ledger).slashMember(task, trainer, amount, challenger, shareBps);
    }

    /// @inheritdoc IGameSeam
    function isVoid(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record) public view returns (bool) {
        if (!IRoundLedger(ledger).isChallenged(task, round)) return true;
        IRoundLedger.ClaimRecord memory claims = IRoundLedger(ledger).claimRecord(task, round, record);
        return keccak256(abi.encode(task, round, claims)) != IRoundLedger(ledger).ringDigest(task, round);
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

    /// @dev The bond, until now the challenger's stake, goes to who answered. The round stays disputed until the new deadline,
    /// so that what was shown can be challenged.
    function _satisfy(uint256 id, Demand memory d, address sealer) private {
        _demands[id].answered = true;
        _demands[id].deadline = _deadline(d.task);
        IRoundLedger(ledger).slashMember(d.task, d.challenger, d.bond, sealer, BASIS);
    }

    /// @dev Count one more dispute of a seal. The first must come inside the challenge window, later ones at most one
    /// takeover after it (they follow from what an answer showed): else disputes could be strung together for ever.
    function _openOn(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record) private returns (bytes32 seal) {
        seal = _sealKey(task, round, record);
        if (_open[seal] == 0) {
            IRoundLedger(ledger).markChallenged(task, round, record);
        } else {
            IRoundLedger.Config memory config = IRoundLedger(ledger).config(task);
            uint256 end = uint256(record.sealedAt) + config.challenge + config.takeover;
            if (block.timestamp >= end) revert IRoundLedger.RoundLedger_TooLate(task, end);
        }
        ++_open[seal];
    }

    function _uphold(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        address challenger,
        address[] calldata aggregators
    ) private {
        IRoundLedger(ledger).overturnSeal(task, round, record, challenger, aggregators);
    }

    function _deadline(uint256 task) private view returns (uint40) {
        return uint40(block.timestamp + IRoundLedger(ledger).config(task).takeover);
    }

    function _sealKey(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(task, round, record));
    }
}
