// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title ITraceJudge
/// @notice Decides by arithmetic whether a seal says something false. Judges hold no state and no money: {ITraceDisputes} asks
/// them and acts. They are split by subject because of the size of contracts.
///
/// A judge answers true only for a lie that it has itself recomputed; everything that it cannot read, or that is right,
/// ends in false or in a revert. So an honest seal cannot be lost, whatever evidence anybody brings.
interface ITraceJudge {
    /// @notice What is asked.
    /// @param task The task.
    /// @param round The sealed round.
    /// @param record Its seal; the caller has checked that it is the ledger's.
    /// @param question Which rule is said to be broken, see {ITraceDisputes.Question}.
    struct Case {
        uint256 task;
        uint256 round;
        IRoundLedger.SealRecord record;
        uint8 question;
    }

    /// @notice One leaf of the trace with its path.
    /// @param index Its place among the leaves of its kind.
    /// @param words Its content, 32 bytes a word.
    /// @param siblings From the leaf up.
    struct Opening {
        uint32 index;
        bytes words;
        bytes32[] siblings;
    }

    /// @notice What the challenger shows.
    /// @param counts Leaves of every kind: with `roots` the preimage of the trace root.
    /// @param roots Root of every kind.
    /// @param openings Single leaves, in the order that the question wants.
    /// @param all All leaves of one kind, where the question touches every update; empty otherwise.
    /// @param extra What lies outside the trace, ABI-encoded; what it is depends on the question.
    struct Evidence {
        uint32[6] counts;
        bytes32[6] roots;
        Opening[] openings;
        bytes all;
        bytes extra;
    }

    /// @notice Return whether the evidence shows that the seal breaks the rule.
    function refutes(Case calldata case_, Evidence calldata evidence) external view returns (bool);
}
