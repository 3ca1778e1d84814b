// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILedgerViews} from "../interfaces/ILedgerViews.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";

/// @title LedgerViews
/// @notice See {ILedgerViews}. No contract trusts it, and it can be deployed again at any time.
contract LedgerViews is ILedgerViews {
    using Heads for uint256;
    using LedgerReads for IRoundLedger.Words;

    IRoundLedger public immutable ledger;

    constructor(address ledger_) {
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc ILedgerViews
    function ringDigest(uint256 task, uint256 round) external view returns (bytes32) {
        return ledger.words(task).ringDigest(ledger, task, round);
    }

    /// @inheritdoc ILedgerViews
    function window(uint256 task) external view returns (uint256 from, uint256 to) {
        return ledger.words(task).window();
    }

    /// @inheritdoc ILedgerViews
    function allotted(uint256 task, uint256 round) external view returns (uint256) {
        IRoundLedger.Words memory w = ledger.words(task);
        if (round > type(uint16).max) revert IRoundLedger.RoundLedger_WrongRound(task, round, w.head.round());
        return w.windows.pot() * (round + 1) + w.bonus();
    }

    /// @inheritdoc ILedgerViews
    function seats(uint256 task) external view returns (uint256) {
        return ledger.words(task).windows.seats();
    }
}
