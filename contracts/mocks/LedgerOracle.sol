// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {LedgerViews} from "../round/LedgerViews.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "../libraries/Heads.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {Receipts} from "../libraries/Receipts.sol";

/// @title LedgerOracle
/// @notice What the platform's Python works out from events, by the contracts' own code: tests hold one against the other.
contract LedgerOracle is LedgerViews {
    using Heads for uint256;
    using LedgerReads for IRoundLedger.Words;

    /// @notice What `roundState` answers.
    enum RoundState {
        None,
        Open,
        Rostered,
        Sealed,
        Challenged,
        Final,
        Void,
        Compensated,
        Refunded
    }

    /// @notice What the ledger fixed at the opening; windows in seconds, pot and bond in wei, ring in slots.
    struct Config {
        uint32 minRound;
        uint32 roster;
        uint32 forceInclude;
        uint32 reveal;
        uint32 seal;
        uint32 challenge;
        uint32 takeover;
        uint32 unbonding;
        uint80 pot;
        uint80 bond;
        uint8 ring;
        bytes32 aggregatorsHash;
    }

    constructor(address ledger_) LedgerViews(ledger_) {}

    /// @notice Return what a task's ledger fixed.
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

    /// @notice Return the slashed money that seals have allotted or will allot, in wei.
    function bonus(uint256 task) external view returns (uint256) {
        return ledger.words(task).bonus();
    }

    /// @notice Return how many rounds had a roster at some time, void ones included: their pots stay with the trainers.
    function everRostered(uint256 task) external view returns (uint256) {
        return ledger.words(task).everRostered();
    }

    /// @notice Return whether a dispute is open, and the lowest round that is disputed.
    function challenged(uint256 task) external view returns (bool open, uint256 lowest) {
        IRoundLedger.Words memory w = ledger.words(task);
        return w.isFrozen() ? (true, w.lowest()) : (false, 0);
    }

    /// @notice Return whether this very round is disputed.
    function isChallenged(uint256 task, uint256 round) external view returns (bool) {
        return ledger.words(task).isChallenged(round);
    }

    /// @notice Return the state of a round. `record` is needed for sealed rounds only; a wrong one reverts.
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

    /// @notice Return the digest of a roster record.
    function rosterDigest(uint256 task, uint256 round, IRoundLedger.RosterRecord calldata record)
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(task, round, record));
    }

    /// @notice Return what claims need of a seal record of this task and round.
    function claimRecord(uint256 task, uint256 round, IRoundLedger.SealRecord calldata record)
        external
        view
        returns (IRoundLedger.ClaimRecord memory)
    {
        return ledger.words(task).claimRecord(round, record);
    }

    /// @notice Return the EIP-712 digest that a trainer signs.
    function receiptDigest(IRoundLedger.Receipt calldata receipt) external view returns (bytes32) {
        bytes32 domain = KeyWraps.domainSeparator(address(ledger));
        return MessageHashUtils.toTypedDataHash(domain, Receipts.structHash(receipt));
    }
}
