// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITraceJudge} from "../interfaces/ITraceJudge.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {Traces} from "../libraries/Traces.sol";

/// @title JudgeBase
/// @notice What judges share: integer rules that several questions repeat.
abstract contract JudgeBase is ITraceJudge {
    uint256 internal constant BASIS = 10_000;
    uint256 internal constant WEIGHT_ONE = 65_536;
    /// @dev No honest amount of money, score or length reaches it; products of two stay below 2^256.
    uint256 internal constant LIMIT = 2 ** 127;

    /// @notice Beside leaves: the seal of the round before, with the header of its trace.
    struct Before {
        IRoundLedger.SealRecord record;
        uint32[6] counts;
        bytes32[6] roots;
        Opening leaf;
    }

    /// @notice Thrown when a judge is asked a question of another one.
    error Judge_UnknownQuestion(uint256 question);

    /// @dev A leaf of the round before, whose seal must be the one in the ledger's ring.
    function _openBefore(IRoundLedger ledger_, Case calldata c, Before calldata b, uint256 kind, uint256 length)
        internal
        view
        returns (bytes calldata words, uint256 index)
    {
        IRoundLedger.Words memory state = ledger_.words(c.task);
        IRoundLedger.ClaimRecord memory record = LedgerReads.claimRecord(state, c.round - 1, b.record);
        bytes32 digest = keccak256(abi.encode(c.task, c.round - 1, record));
        bytes32 expected = LedgerReads.ringDigest(state, ledger_, c.task, c.round - 1);
        if (digest != expected) {
            revert IRoundLedger.RoundLedger_RecordMismatch(c.task, c.round - 1, digest, expected);
        }
        bytes32 given = Traces.rootOf(b.counts, b.roots);
        if (given != b.record.trace) revert Traces.Traces_HeaderMismatch(given, b.record.trace);
        // two leaves of a kind that has one would let its sealer choose which of them it handed on
        if ((kind == Traces.WORK || kind == Traces.ROUND) && b.counts[kind] != 1) {
            revert Traces.Traces_EvidenceShape(kind, b.counts[kind], 1);
        }
        return Traces.openIn(b.counts, b.roots, b.leaf, kind, length);
    }

    /// @dev floor(min(stake, max(1, total * bps / 10,000))). Twin of weights.capped_stakes.
    function _cap(uint256 stake, uint256 total, uint256 bps) internal pure returns (uint256) {
        uint256 ceiling = total * bps / BASIS;
        if (ceiling == 0) ceiling = 1;
        return stake < ceiling ? stake : ceiling;
    }

    /// @dev A squared length without what rounding adds on average; at least an eighth stays. Twin of rules.clean_energy.
    function _energy(uint256 squared, uint256 rounding) internal pure returns (uint256) {
        uint256 least = squared / 8;
        return squared > rounding + least ? squared - rounding : least;
    }

    /// @dev Whether `root` is floor(sqrt(square)); squares below 2^254.
    function _isRoot(uint256 root, uint256 square) internal pure returns (bool) {
        return root < LIMIT && root * root <= square && square < (root + 1) * (root + 1);
    }

    /// @dev Whether the update passed the screen.
    function _passed(uint256 code) internal pure returns (bool) {
        return code == Traces.ADMITTED || code == Traces.NOT_SELECTED;
    }

    /// @dev On the roster with a stake: no reference, no stranger, no second entry.
    function _rostered(Traces.EntryLeaf calldata e) internal pure returns (bool) {
        return e.stake != 0 && e.code != Traces.OFF_ROSTER;
    }

    function _within(int256 value) internal pure returns (bool) {
        return value > -int256(LIMIT) && value < int256(LIMIT);
    }

    /// @dev floor(a / b), towards minus infinity, b > 0.
    function _floorDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        if (a % b != 0 && a < 0) --q;
    }
}
