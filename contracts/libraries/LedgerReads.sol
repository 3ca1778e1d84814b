// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Heads} from "./Heads.sol";

/// @title LedgerReads
/// @notice What follows from a task's packed words, for contracts that read {RoundLedger}.
library LedgerReads {
    using Heads for uint256;

    /// @notice Whether a dispute is open.
    function isFrozen(IRoundLedger.Words memory w) internal pure returns (bool) {
        return w.head & Heads.CHALLENGED != 0;
    }

    /// @notice The lowest disputed round; meaningful while a dispute is open.
    function lowest(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return (w.side >> 104) & 0xffff;
    }

    /// @notice Whether a dispute blocks a sealed round: it, or one before it, is disputed.
    function isBlocked(IRoundLedger.Words memory w, uint256 round) internal pure returns (bool) {
        return isFrozen(w) && round >= lowest(w) && round < w.head.round();
    }

    /// @notice Whether this very round is disputed. Twin of LedgerState._isChallenged.
    function isChallenged(IRoundLedger.Words memory w, uint256 round) internal pure returns (bool) {
        uint256 size = w.windows.ring();
        if (!isFrozen(w) || round >= w.head.round() || round + size <= w.head.round()) return false;
        return (w.side >> (round % size)) & 1 != 0;
    }

    /// @notice Slashed money that seals have allotted or will allot, in wei.
    function bonus(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return (w.terms >> 128) & type(uint80).max;
    }

    /// @notice How long a successor has to roster, or to seal, in seconds.
    function takeover(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return (w.terms >> 208) & 0xffffff;
    }

    /// @notice Of a task that ended compensated: until then its roster can fall, and from then on its books can be closed. A dispute
    /// that is open makes it later. Twin of LedgerState._closableFrom.
    function closableFrom(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return w.head.time() + takeover(w);
    }

    /// @notice How many seats there were when a roster or a seal fell last.
    function seatsAtFall(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return w.terms >> 232;
    }

    /// @notice How long a stake stays slashable after its owner asked for it, in seconds.
    function unbonding(IRoundLedger.Words memory w) internal pure returns (uint256) {
        return (w.terms >> 80) & 0xffffffff;
    }

    /// @notice How many rounds had a roster at some time, void ones included. Twin of LedgerState._everRostered.
    function everRostered(IRoundLedger.Words memory w) internal pure returns (uint256 count) {
        IRoundLedger.Phase phase = w.head.phase();
        count = w.head.round();
        if (phase == IRoundLedger.Phase.Rostered || phase == IRoundLedger.Phase.Compensated) ++count;
        uint256 before = (w.terms >> 112) & 0xffff;
        if (before > count) count = before;
    }

    /// @notice [from, to) of the head's next step: roster in Open, seal in Rostered; zeros otherwise.
    function window(IRoundLedger.Words memory w) internal pure returns (uint256 from, uint256 to) {
        IRoundLedger.Phase phase = w.head.phase();
        if (phase != IRoundLedger.Phase.Open && phase != IRoundLedger.Phase.Rostered) return (0, 0);
        if (w.head & Heads.TAKEOVER == 0) (from, to) = w.head.stepWindow(w.windows);
        else (from, to) = (w.head.time(), w.head.time() + takeover(w));
        // a seal comes after the first second of its window
        if (phase == IRoundLedger.Phase.Rostered) ++from;
    }

    /// @notice What claims need of a seal record of this round.
    function claimRecord(IRoundLedger.Words memory w, uint256 round, IRoundLedger.SealRecord memory record)
        internal
        pure
        returns (IRoundLedger.ClaimRecord memory)
    {
        return IRoundLedger.ClaimRecord({
            content: keccak256(
                abi.encode(
                    record.rosterDigest,
                    record.bundle,
                    record.model,
                    record.trace,
                    record.asOf,
                    record.forced,
                    record.aggregator
                )
            ),
            claimRoot: record.claimRoot,
            claimTotal: record.claimTotal,
            claimCount: record.claimCount,
            finalAt: uint40(record.sealedAt + w.windows.challengeWindow()),
            slot: uint8(round % w.windows.ring())
        });
    }

    /// @notice The digest that the ring keeps where `round` lies, as it was before a dispute complemented it; it may be
    /// another round's.
    function ringDigest(IRoundLedger.Words memory w, IRoundLedger ledger, uint256 task, uint256 round)
        internal
        view
        returns (bytes32)
    {
        uint256 size = w.windows.ring();
        if (size == 0) return 0;
        bytes32 kept = ledger.ringSlot(task, round % size);
        return isBlocked(w, round) ? ~kept : kept;
    }
}
