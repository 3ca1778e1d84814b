// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ILedgerViews} from "./interfaces/ILedgerViews.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {Heads} from "./libraries/Heads.sol";
import {KeyWraps} from "./libraries/KeyWraps.sol";
import {LedgerReads} from "./libraries/LedgerReads.sol";
import {Receipts} from "./libraries/Receipts.sol";

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
    function config(uint256 task) external view returns (Config memory out) {
        IRoundLedger.Words memory w = ledger.words(task);
        out.minRound = uint32(w.windows.windowAt(0));
        out.roster = uint32(w.windows.windowAt(1));
        out.forceInclude = uint32(w.windows.windowAt(2));
        out.reveal = uint32(w.windows.windowAt(3));
        out.seal = uint32(w.windows.windowAt(4));
        out.challenge = uint32(w.windows.windowAt(5));
        out.takeover = uint32(w.takeover());
        out.unbonding = uint32(w.unbonding());
        out.pot = uint80(w.windows.pot());
        out.bond = uint80(w.terms);
        out.ring = uint8(w.windows.ring());
        out.aggregatorsHash = ledger.aggregatorsHash(task);
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
    function bonus(uint256 task) external view returns (uint256) {
        return ledger.words(task).bonus();
    }

    /// @inheritdoc ILedgerViews
    function everRostered(uint256 task) external view returns (uint256) {
        return ledger.words(task).everRostered();
    }

    /// @inheritdoc ILedgerViews
    function seats(uint256 task) external view returns (uint256) {
        return ledger.words(task).windows.seats();
    }

    /// @inheritdoc ILedgerViews
    function challenged(uint256 task) external view returns (bool open, uint256 lowest) {
        IRoundLedger.Words memory w = ledger.words(task);
        return w.isFrozen() ? (true, w.lowest()) : (false, 0);
    }

    /// @inheritdoc ILedgerViews
    function isChallenged(uint256 task, uint256 round) external view returns (bool) {
        return ledger.words(task).isChallenged(round);
    }

    /// @inheritdoc ILedgerViews
    function roundState(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        external
        view
        returns (RoundState)
    {
        IRoundLedger.Words memory w = ledger.words(task);
        IRoundLedger.Phase phase = w.head.phase();
        uint256 current = w.head.round();
        if (phase == IRoundLedger.Phase.None || round >= w.head.rounds()) return RoundState.None;
        if (round == current) {
            if (phase == IRoundLedger.Phase.Open) return RoundState.Open;
            if (phase == IRoundLedger.Phase.Rostered) return RoundState.Rostered;
            return phase == IRoundLedger.Phase.Refunded ? RoundState.Refunded : RoundState.Compensated;
        }
        if (round > current) return round < w.everRostered() ? RoundState.Void : RoundState.None;
        IRoundLedger.ClaimRecord memory claims = w.claimRecord(round, record);
        bytes32 digest = keccak256(abi.encode(task, round, claims));
        bytes32 expected = w.ringDigest(ledger, task, round);
        if (digest != expected) revert IRoundLedger.RoundLedger_RecordMismatch(task, round, digest, expected);
        if (w.isChallenged(round)) return RoundState.Challenged;
        return block.timestamp >= claims.finalAt && !w.isBlocked(round) ? RoundState.Final : RoundState.Sealed;
    }

    /// @inheritdoc ILedgerViews
    function rosterDigest(uint256 task, uint256 round, IRoundLedger.RosterRecord calldata record)
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(task, round, record));
    }

    /// @inheritdoc ILedgerViews
    function claimRecord(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        external
        view
        returns (IRoundLedger.ClaimRecord memory)
    {
        return ledger.words(task).claimRecord(round, record);
    }

    /// @inheritdoc ILedgerViews
    function receiptDigest(IRoundLedger.Receipt calldata receipt) external view returns (bytes32) {
        bytes32 domain = KeyWraps.domainSeparator(address(ledger));
        return MessageHashUtils.toTypedDataHash(domain, Receipts.structHash(receipt));
    }
}
