// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Heads} from "../libraries/Heads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";

/// @title TaskRegistry
/// @notice See {ITaskRegistry}. The `owner()` of Ownable2Step is the guardian: it stops new tasks, nothing else.
contract TaskRegistry is ITaskRegistry, Ownable2Step, Pausable, EIP712 {
    bytes32 public constant CONSENT_TYPEHASH = keccak256("JoinConsent(uint256 task,address trainer,uint64 deadline)");
    uint256 private constant BPS = 10_000;

    /// @dev What `join` reads and writes, in one slot.
    struct Rules {
        uint80 stake;
        uint80 bond;
        uint32 unbonding;
        Admission admission;
        bool ended;
    }

    IEscrow public immutable escrow;
    IRoundLedger public immutable ledger;

    uint256 public taskCount;
    mapping(uint256 task => Rules) private _rules;
    /// @dev Bit (seat % 256) of word (seat / 256) is set for a trainer that left before the task ended.
    mapping(uint256 task => mapping(uint256 word => uint256)) private _left;
    mapping(uint256 task => address) public ownerOf;
    /// @inheritdoc ITaskRegistry
    mapping(uint256 task => bytes32) public specOf;
    mapping(uint256 task => bytes32) private _allowRoots;
    /// @inheritdoc ITaskRegistry
    mapping(uint256 task => bytes32) public programOf;
    /// @inheritdoc ITaskRegistry
    mapping(uint256 task => bytes32) public rulesOf;

    constructor(address escrow_, address ledger_, address guardian) Ownable(guardian) EIP712("fl-platform", "1") {
        escrow = IEscrow(escrow_);
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc ITaskRegistry
    function openTask(TaskParams calldata params) external whenNotPaused returns (uint256 id) {
        _check(params);
        id = ++taskCount;
        ownerOf[id] = msg.sender;
        _rules[id] = Rules({
            stake: uint80(params.stake),
            bond: uint80(params.bond),
            unbonding: params.windows.unbonding,
            admission: params.admission,
            ended: false
        });
        specOf[id] = params.spec;
        if (params.allowRoot != 0) _allowRoots[id] = params.allowRoot;
        if (params.program != 0) programOf[id] = params.program;
        if (params.rules != 0) rulesOf[id] = params.rules;
        emit TaskOpened(id, msg.sender, params.spec, params);
        ledger.openLedger(id, params.windows, params.pot, params.bond, params.rounds, params.aggregators);
        escrow.fund(id, params.token, msg.sender, params.bounty);
    }

    /// @inheritdoc ITaskRegistry
    function join(uint256 id, uint256 stake, bytes32 binding, Ticket calldata ticket) external {
        Rules memory rules = _rules[id];
        uint256 required = rules.stake;
        if (required == 0) revert TaskRegistry_UnknownTask(id);
        if (rules.ended) revert TaskRegistry_TaskEnded(id);
        if (stake < required) revert TaskRegistry_StakeTooSmall(id, stake, required);
        if (binding == 0) revert TaskRegistry_BindingMissing(id, msg.sender);
        if (rules.admission != Admission.Open) _admit(id, rules.admission, ticket);
        uint32 seat = ledger.takeSeat(id);
        emit TrainerJoined(id, msg.sender, stake, binding, seat);
        escrow.admit(id, msg.sender, stake, seat);
    }

    /// @inheritdoc ITaskRegistry
    function leaveTask(uint256 id) external {
        if (escrow.member(id, msg.sender).flags & MemberFlags.TRAINER == 0) {
            revert TaskRegistry_NotTrainer(id, msg.sender);
        }
        Rules storage rules = _rules[id];
        uint16 clear;
        // an ended task's residual shares are frozen: they divide what a compensation leaves
        if (!rules.ended) {
            uint256 seat = escrow.tenure(id, msg.sender).seat;
            _left[id][seat >> 8] |= 1 << (seat & 255);
            clear = MemberFlags.RESIDUAL;
        }
        uint256 readyAt = block.timestamp + rules.unbonding;
        emit TrainerLeft(id, msg.sender, readyAt);
        escrow.beginUnbonding(id, msg.sender, readyAt, clear);
    }

    /// @inheritdoc ITaskRegistry
    function endTask(uint256 id) external {
        if (msg.sender != address(ledger)) revert TaskRegistry_NotLedger(msg.sender);
        if (_rules[id].ended) return;
        _rules[id].ended = true;
        emit TaskEnded(id);
    }

    /// @inheritdoc ITaskRegistry
    function pause() external onlyOwner {
        _pause();
    }

    /// @inheritdoc ITaskRegistry
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @inheritdoc ITaskRegistry
    function task(uint256 id) external view returns (Task memory) {
        Rules memory rules = _rules[id];
        return Task({
            owner: ownerOf[id],
            stake: rules.stake,
            bond: rules.bond,
            unbonding: rules.unbonding,
            members: uint32(membersBelow(id, Heads.seats(ledger.words(id).windows))),
            admission: rules.admission,
            ended: rules.ended,
            spec: specOf[id],
            allowRoot: _allowRoots[id],
            program: programOf[id],
            rules: rulesOf[id]
        });
    }

    /// @inheritdoc ITaskRegistry
    function membersBelow(uint256 id, uint256 seat) public view returns (uint256 count) {
        // as many turns as trainers paid for a seat; 65,536 seats at most
        unchecked {
            for (uint256 i = Heads.FIRST_SEATS; i < seat; ++i) {
                count += 1 - ((_left[id][i >> 8] >> (i & 255)) & 1);
            }
        }
    }

    /// @inheritdoc ITaskRegistry
    function stakeOf(uint256 id) external view returns (uint256) {
        return _rules[id].stake;
    }

    /// @inheritdoc ITaskRegistry
    function consentDigest(uint256 id, address trainer, uint64 deadline) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CONSENT_TYPEHASH, id, trainer, deadline)));
    }

    /// @dev Windows and aggregators are checked by the ledger, the bounty's size by the escrow.
    function _check(TaskParams calldata params) private view {
        uint256 limit = escrow.MAX_AMOUNT();
        if (params.bounty == 0 || uint256(params.pot) * params.rounds != params.bounty) {
            revert TaskRegistry_BountyMismatch(params.bounty, params.pot, params.rounds);
        }
        if (params.stake == 0 || params.stake > limit) revert TaskRegistry_StakeOutOfBounds(params.stake, limit);
        if (params.bond < params.pot || params.bond > limit) {
            revert TaskRegistry_BondOutOfBounds(params.bond, params.pot, limit);
        }
        if (params.feeBps > BPS) revert TaskRegistry_FeeOutOfBounds(params.feeBps);
        if (params.spec == 0) revert TaskRegistry_SpecMissing();
        if ((params.admission == Admission.AllowList) != (params.allowRoot != 0)) {
            revert TaskRegistry_AllowRootMismatch(params.admission, params.allowRoot);
        }
    }

    function _admit(uint256 id, Admission admission, Ticket calldata ticket) private view {
        if (admission == Admission.AllowList) {
            // OpenZeppelin's standard tree: leaves are hashed twice, so no inner node can pass for a leaf
            bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(msg.sender))));
            if (!MerkleProof.verifyCalldata(ticket.proof, _allowRoots[id], leaf)) {
                revert TaskRegistry_NotAdmitted(id, msg.sender);
            }
            return;
        }
        if (block.timestamp >= ticket.deadline) revert TaskRegistry_ConsentExpired(id, ticket.deadline);
        bytes32 digest = consentDigest(id, msg.sender, ticket.deadline);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, ticket.signature);
        if (problem != ECDSA.RecoverError.NoError || signer != ownerOf[id]) {
            revert TaskRegistry_NotAdmitted(id, msg.sender);
        }
    }
}
