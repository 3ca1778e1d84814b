// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDisputes} from "../interfaces/IDisputes.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IGameSeam} from "../interfaces/IGameSeam.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";

/// @title GameSeam
/// @notice See {IGameSeam}: what {Disputes} shares with the games. It counts the open disputes of every seal.
abstract contract GameSeam is IDisputes, IGameSeam {
    /// @notice What a demand costs: basis points of the pot, rounded up. It pays an answer's gas many times over.
    uint256 public constant DEMAND_BPS = 500;
    /// @notice How many answers, one after the other, a dispute may have to wait for: a trace, three parts of its sums, and
    /// then a game.
    uint256 public constant FOLLOW_UPS = 5;
    uint256 internal constant BASIS = 10_000;

    /// @inheritdoc IDisputes
    address public immutable ledger;
    address public immutable escrow;
    /// @notice The games that this contract lends its trust to; zero where a deployment has none.
    address public immutable bisections;
    address public immutable reveals;
    address public immutable demands;

    /// @dev Open demands and games about a seal: the first one marks, the last one resolves.
    mapping(bytes32 seal => uint256) internal _open;

    constructor(address ledger_, address escrow_, address bisections_, address reveals_, address demands_) {
        (ledger, escrow, bisections, reveals, demands) = (ledger_, escrow_, bisections_, reveals_, demands_);
    }

    modifier onlyGames() {
        if (msg.sender != bisections && msg.sender != reveals && msg.sender != demands) {
            revert Disputes_NotGame(msg.sender);
        }
        _;
    }

    /// @inheritdoc IGameSeam
    function enter(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, address challenger)
        external
        onlyGames
        returns (uint256 bond)
    {
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
        IRoundLedger.Words memory state = IRoundLedger(ledger).words(task);
        if (!LedgerReads.isChallenged(state, round)) return true;
        IRoundLedger.ClaimRecord memory claims = LedgerReads.claimRecord(state, round, record);
        bytes32 kept = LedgerReads.ringDigest(state, IRoundLedger(ledger), task, round);
        return keccak256(abi.encode(task, round, claims)) != kept;
    }

    /// @inheritdoc IGameSeam
    function bondOf(uint256 task) public view returns (uint256) {
        return (Heads.pot(IRoundLedger(ledger).words(task).windows) * DEMAND_BPS + BASIS - 1) / BASIS;
    }

    /// @dev Count one more dispute of a seal. The first must come inside the challenge window, later ones at most
    /// {FOLLOW_UPS} takeovers after it (they follow from what answers showed, each of which may take a takeover): else disputes
    /// could be strung together for ever.
    function _openOn(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record) internal returns (bytes32 seal) {
        seal = _sealKey(task, round, record);
        if (_open[seal] == 0) {
            IRoundLedger(ledger).markChallenged(task, round, record);
        } else {
            IRoundLedger.Words memory state = IRoundLedger(ledger).words(task);
            uint256 window = Heads.challengeWindow(state.windows);
            uint256 end = uint256(record.sealedAt) + window + FOLLOW_UPS * LedgerReads.takeover(state);
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
    ) internal {
        IRoundLedger(ledger).overturnSeal(task, round, record, challenger, aggregators);
    }

    function _sealKey(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(task, round, record));
    }
}
