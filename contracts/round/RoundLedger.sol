// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {DisputeSeam} from "./DisputeSeam.sol";
import {LedgerState} from "./LedgerState.sol";
import {Heads} from "../libraries/Heads.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";

/// @title RoundLedger
/// @notice See {IRoundLedger}. Holds no money; the escrow moves it on this contract's word. No owner, no upgrade.
contract RoundLedger is DisputeSeam {
    using Heads for uint256;

    constructor(address escrow_, address registry_, address settlement_, address disputes_)
        LedgerState(escrow_, registry_, settlement_, disputes_)
    {}

    /// @inheritdoc IRoundLedger
    function claim(
        uint256 task,
        uint256 round,
        ClaimRecord calldata record,
        Leaf calldata leaf,
        bytes calldata siblings
    ) external returns (uint256 amount) {
        _requireFinal(task, round, record);
        bytes32 hash = MerkleSum.leafHash(leaf.index, leaf.owner, leaf.amount, leaf.data);
        MerkleSum.requireLeaf(
            record.claimRoot, record.claimTotal, record.claimCount, leaf.index, hash, leaf.amount, siblings
        );
        amount = escrow.creditClaim(task, leaf.owner, leaf.amount, record.claimTotal);
        emit RewardClaimed(task, leaf.owner, round, amount, leaf.amount);
    }

    /// @inheritdoc IRoundLedger
    function markClosed(uint256 task) external {
        if (msg.sender != settlement) revert RoundLedger_NotSettlement(msg.sender);
        uint256 h = _tasks[task].head;
        Phase phase = h.phase();
        if (phase == Phase.None || phase == Phase.Open || phase == Phase.Rostered) {
            revert RoundLedger_WrongPhase(task, phase, Phase.Done);
        }
        if (h & Heads.CLOSED != 0) revert RoundLedger_AlreadyClosed(task);
        _requireCalm(task, h);
        _tasks[task].head = h | Heads.CLOSED;
    }
}
