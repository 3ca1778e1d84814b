// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IComplaints} from "../interfaces/IComplaints.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";

/// @title Complaints
/// @notice See {IComplaints}. Holds no money, trusts no other contract. No owner, no upgrade.
contract Complaints is IComplaints {
    /// @inheritdoc IComplaints
    mapping(bytes32 receipt => mapping(address witness => uint256)) public complainedAt;

    /// @inheritdoc IComplaints
    function want(uint256 task, uint256 round, IRoundLedger.Receipt[] calldata receipts) external {
        emit UpdatesWanted(task, round, msg.sender, receipts);
    }

    /// @inheritdoc IComplaints
    function complain(uint256 task, uint256 round, bytes32[] calldata receipts) external {
        for (uint256 i = 0; i < receipts.length; ++i) {
            mapping(address => uint256) storage said = complainedAt[receipts[i]];
            if (said[msg.sender] == 0) said[msg.sender] = block.timestamp;
        }
        emit Complained(task, round, msg.sender, receipts);
    }

    /// @inheritdoc IComplaints
    function countOf(bytes32 receipt, address[] calldata witnesses, uint256 asOf)
        external
        view
        returns (uint256 count)
    {
        for (uint256 i = 0; i < witnesses.length; ++i) {
            uint256 at = complainedAt[receipt][witnesses[i]];
            if (at != 0 && at <= asOf) ++count;
        }
    }
}
