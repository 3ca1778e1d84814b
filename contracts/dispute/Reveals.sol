// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IBonds} from "../interfaces/IBonds.sol";
import {IReveals} from "../interfaces/IReveals.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {CipherLeaves} from "../libraries/CipherLeaves.sol";
import {Contents} from "../libraries/Contents.sol";
import {Dleq} from "../libraries/Dleq.sol";
import {Heads} from "../libraries/Heads.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {Refutation} from "../libraries/Refutation.sol";
import {RevealProofs} from "./RevealProofs.sol";

/// @title Reveals
/// @notice See {IReveals}. Holds no money: bonds and stakes lie in the escrow. No owner, no upgrade.
contract Reveals is RevealProofs {
    using Heads for uint256;

    /// @notice What a key that was not shown costs: basis points of the trainer's stake, rounded up.
    uint256 internal constant SILENCE_BPS = 2_000;
    /// @notice The challenger's part, in basis points; below one half, so that accusing oneself never pays.
    uint256 public constant CHALLENGER_BPS = 3_000;
    uint256 private constant BASIS = 10_000;

    /// @notice The disputes contract, which ledger and escrow trust.
    address public immutable disputes;
    IEscrow public immutable escrow;

    /// @dev What a demand names: of a key the recipient, of content the leaf.
    struct Named {
        address recipient;
        Dleq.Point key;
        uint32 index;
        uint32 leaves;
        uint8 bits;
    }

    bytes32 private constant ENDED = bytes32(uint256(1));

    /// @inheritdoc IReveals
    mapping(bytes32 id => bytes32) public demandOf;
    /// @inheritdoc IReveals
    mapping(bytes32 receipt => uint256) public convictedAt;
    /// @inheritdoc IReveals
    mapping(bytes32 receipt => bytes32) public revealed;

    constructor(address disputes_, address ledger_, address escrow_, address registry_)
        RevealProofs(ledger_, registry_)
    {
        disputes = disputes_;
        escrow = IEscrow(escrow_);
    }

    /// @inheritdoc IReveals
    function forceReveal(SignedReceipt calldata signed, Package calldata package) external {
        (uint256 task, uint256 round, address trainer) =
            (signed.receipt.task, signed.receipt.round, signed.receipt.trainer);
        _requireForceable(task, round);
        bytes32 receipt = _requireReceipt(signed);
        _requirePackage(receipt, trainer, package);
        if (revealed[receipt] == 0) revealed[receipt] = KeyWraps.hashOf(package.boxes);
        emit RevealForced(task, round, trainer, receipt, package.boxes, package.signature);
    }

    /// @inheritdoc IReveals
    function badWrap(
        SignedReceipt calldata signed,
        Package calldata package,
        uint256 index,
        Dleq.Point calldata shared,
        Dleq.Proof calldata proof
    ) external {
        IRoundLedger.Receipt calldata receipt = signed.receipt;
        bytes32 hash = _requireReceipt(signed);
        _requirePackage(hash, receipt.trainer, package);
        if (index >= package.boxes.length) revert Reveals_NoSuchBox(index, package.boxes.length);
        KeyWraps.Box calldata box = package.boxes[index];
        _requireBadBox(receipt, box, shared, proof);
        uint256 slashed = _takeAll(receipt.task, receipt.trainer, hash);
        emit BadWrapProved(receipt.task, receipt.round, receipt.trainer, box.recipient, msg.sender, slashed);
    }

    /// @inheritdoc IReveals
    function badOpening(
        SignedReceipt calldata signed,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        Contents.Leaf calldata content,
        Spot calldata spot,
        Model calldata model
    ) external {
        IRoundLedger.Receipt calldata receipt = signed.receipt;
        bytes32 hash = _requireReceipt(signed);
        _requireBadInteger(receipt, key, cipher, content, spot, model);
        uint256 slashed = _takeAll(receipt.task, receipt.trainer, hash);
        emit BadOpeningProved(receipt.task, receipt.round, receipt.trainer, msg.sender, slashed);
    }

    /// @inheritdoc IReveals
    function demandKey(SignedReceipt calldata signed, address recipient, Party calldata party)
        external
        returns (bytes32 id)
    {
        _requireParty(signed.receipt.task, recipient, party);
        // nobody can wrap a key for what is no public key
        Dleq.requirePoint(party.key);
        return _open(signed, Subject.Key, Named(recipient, party.key, 0, 0, 0));
    }

    /// @inheritdoc IReveals
    function demandContent(SignedReceipt calldata signed, uint256 index, Model calldata model)
        external
        returns (bytes32 id)
    {
        _spanOf(signed.receipt.task, model, index);
        // no model of the platform has more leaves than a u32 counts
        (uint32 leaves, uint8 bits) = (uint32(model.terms.leaves), uint8(model.terms.updateBits));
        return _open(signed, Subject.Content, Named(address(0), Dleq.Point(0, 0), uint32(index), leaves, bits));
    }

    /// @inheritdoc IReveals
    function answerKey(Demand calldata demand, Package calldata package) external {
        bytes32 id = _requireAnswerable(demand, Subject.Key);
        _requirePackage(demand.receipt, demand.trainer, package);
        if (!_hasBox(package.boxes, demand)) revert Reveals_WrongAnswer(id);
        emit KeyShown(demand.task, demand.round, id, demand.receipt, msg.sender, package.boxes, package.signature);
        _satisfy(id, demand);
    }

    /// @inheritdoc IReveals
    function answerContent(Demand calldata demand, IRoundLedger.Receipt calldata receipt, Contents.Leaf calldata leaf)
        external
    {
        bytes32 id = _requireAnswerable(demand, Subject.Content);
        if (Receipts.structHash(receipt) != demand.receipt) revert Reveals_WrongAnswer(id);
        Contents.requireLeaf(leaf, demand.index, demand.bits, Refutation.depthOf(demand.leaves), receipt.contentRoot);
        emit ContentShown(demand.task, demand.round, id, demand.receipt, msg.sender, leaf);
        _satisfy(id, demand);
    }

    /// @inheritdoc IReveals
    function expire(Demand calldata demand) external {
        bytes32 id = _requireDemand(demand);
        if (block.timestamp < demand.deadline) revert Reveals_Deadline(id, demand.deadline);
        demandOf[id] = ENDED;
        IBonds(disputes).payBond(demand.task, demand.challenger, demand.bond, demand.challenger);
        uint256 slashed = _punishSilence(demand);
        emit SilenceProved(demand.task, demand.round, id, demand.trainer, demand.challenger, slashed);
    }

    function _open(SignedReceipt calldata signed, Subject subject, Named memory named) private returns (bytes32 id) {
        IRoundLedger.Receipt calldata receipt = signed.receipt;
        uint256 task = receipt.task;
        IRoundLedger.Words memory state = ledger.words(task);
        _requireDemandable(task, receipt.round, state);
        bytes32 hash = _requireReceipt(signed);
        _requireTrainer(task, receipt.trainer);
        id = _idOf(hash, subject, named.recipient, named.index);
        if (demandOf[id] != 0) revert Reveals_AlreadyAsked(id);
        Demand memory made = Demand({
            challenger: msg.sender,
            deadline: uint40(block.timestamp + LedgerReads.takeover(state)),
            subject: subject,
            bits: named.bits,
            trainer: receipt.trainer,
            bond: uint80(IBonds(disputes).bondOf(task)),
            recipient: named.recipient,
            key: named.key,
            index: named.index,
            leaves: named.leaves,
            round: receipt.round,
            task: task,
            receipt: hash
        });
        demandOf[id] = keccak256(abi.encode(made));
        emit RevealDemanded(task, receipt.round, id, made);
        IBonds(disputes).lockBond(task, msg.sender, made.bond);
    }

    function _satisfy(bytes32 id, Demand calldata d) private {
        demandOf[id] = ENDED;
        IBonds(disputes).payBond(d.task, d.challenger, d.bond, msg.sender);
    }

    function _hasBox(KeyWraps.Box[] calldata boxes, Demand calldata d) private pure returns (bool) {
        // as many turns as the caller pays for
        for (uint256 i = 0; i < boxes.length; ++i) {
            KeyWraps.Box calldata box = boxes[i];
            if (box.recipient == d.recipient && box.key.x == d.key.x && box.key.y == d.key.y) return true;
        }
        return false;
    }

    function _idOf(bytes32 receipt, Subject subject, address recipient, uint32 index) private pure returns (bytes32) {
        return keccak256(abi.encode(receipt, subject, recipient, index));
    }

    /// @dev A piece of content that nobody shows hides a bad opening, so it costs as much as one.
    function _punishSilence(Demand calldata d) private returns (uint256) {
        // all taken before, or the books are closed: the bond went back, that is all
        if (convictedAt[d.receipt] != 0 || ledger.words(d.task).head & Heads.CLOSED != 0) return 0;
        uint256 stake = _stake(d.task, d.trainer);
        uint256 amount = stake;
        // asked once for each recipient, so not punished twice
        if (d.subject == Subject.Key) amount = (stake * SILENCE_BPS + BASIS - 1) / BASIS;
        else convictedAt[d.receipt] = block.timestamp;
        return amount == 0 ? 0 : IBonds(disputes).penalise(d.task, d.trainer, amount, d.challenger, CHALLENGER_BPS);
    }

    /// @dev The whole stake, once for each receipt. A receipt is convicted also where nothing is left to take, because a seal
    /// refuses only what is convicted.
    function _takeAll(uint256 task, address trainer, bytes32 receipt) private returns (uint256) {
        if (convictedAt[receipt] != 0) revert Reveals_AlreadySlashed(receipt);
        convictedAt[receipt] = block.timestamp;
        uint256 stake = _stake(task, trainer);
        if (stake == 0) return 0;
        address challenger = IBonds(disputes).rewarded(msg.sender, keccak256(msg.data));
        return IBonds(disputes).penalise(task, trainer, stake, challenger, CHALLENGER_BPS);
    }

    /// @dev Also one with nothing left to take: a seal refuses only what is convicted.
    function _requireTrainer(uint256 task, address trainer) private view {
        if (escrow.member(task, trainer).flags & MemberFlags.TRAINER == 0) revert Reveals_NotTrainer(task, trainer);
    }

    /// @dev A trainer's, until it is paid out. An aggregator's bond is not at stake here: it answers for its seals.
    function _stake(uint256 task, address trainer) private view returns (uint256) {
        IEscrow.Member memory member = escrow.member(task, trainer);
        return member.flags & MemberFlags.TRAINER == 0 ? 0 : member.stake;
    }

    function _requireForceable(uint256 task, uint256 round) private view {
        IRoundLedger.Words memory state = ledger.words(task);
        uint256 head = state.head;
        bool rostered =
            head.phase() == IRoundLedger.Phase.Rostered && head.round() == round && !LedgerReads.isFrozen(state);
        // the seal window opens then; after a takeover it has
        uint256 to = head.time();
        if (head & Heads.TAKEOVER == 0) to += state.windows.windowAt(2) + state.windows.windowAt(3);
        if (!rostered || block.timestamp >= to) revert Reveals_NotForceable(task, round, to);
    }

    /// @dev Before the roster closes nobody needs a key, and in a strict round nobody may have one.
    function _requireDemandable(uint256 task, uint256 round, IRoundLedger.Words memory state) private pure {
        uint256 current = state.head.round();
        bool rostered = round < current || (round == current && state.head.phase() == IRoundLedger.Phase.Rostered);
        if (!rostered || state.head & Heads.CLOSED != 0 || round + state.windows.ring() <= current) {
            revert Reveals_NotDemandable(task, round);
        }
    }

    function _requireDemand(Demand calldata d) private view returns (bytes32 id) {
        id = _idOf(d.receipt, d.subject, d.recipient, d.index);
        if (demandOf[id] != keccak256(abi.encode(d))) revert Reveals_UnknownDemand(id);
    }

    function _requireAnswerable(Demand calldata d, Subject subject) private view returns (bytes32 id) {
        id = _requireDemand(d);
        if (d.subject != subject) revert Reveals_WrongAnswer(id);
        if (block.timestamp >= d.deadline) revert Reveals_Deadline(id, d.deadline);
    }
}
