// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDisputes} from "../interfaces/IDisputes.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";

/// @title MockDisputes
/// @notice Decides as it is told. It exercises the whole seam: bond, mark, dismiss, overturn, slash, pay.
contract MockDisputes is IDisputes {
    address public immutable ledger;
    address public immutable escrow;

    constructor(address ledger_, address escrow_) {
        (ledger, escrow) = (ledger_, escrow_);
    }

    function challenge(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record, uint256 bond) external {
        if (bond != 0) IEscrow(escrow).lockBond(task, msg.sender, bond);
        IRoundLedger(ledger).markChallenged(task, round, record);
    }

    function judge(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        bool upheld,
        address challenger,
        uint256 bond,
        address[] calldata aggregators
    ) external {
        if (upheld) {
            IRoundLedger(ledger).overturnSeal(task, round, record, challenger, aggregators);
            IEscrow(escrow).payBond(task, challenger, bond, challenger);
        } else {
            IRoundLedger(ledger).markUnchallenged(task, round, record);
            IEscrow(escrow).payBond(task, challenger, bond, record.aggregator);
        }
    }

    function fell(
        uint256 task,
        bytes32 roster,
        address maker,
        uint256 seats,
        address challenger,
        address[] calldata aggregators
    ) external {
        IRoundLedger(ledger).overturnRoster(task, roster, maker, seats, challenger, aggregators);
    }

    function slash(uint256 task, address account, uint256 amount, address challenger, uint256 shareBps) external {
        IRoundLedger(ledger).slashMember(task, account, amount, challenger, shareBps);
    }
}
