// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Contents} from "../libraries/Contents.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {IRoundLedger} from "./IRoundLedger.sol";
import {ITraceJudge} from "./ITraceJudge.sol";

/// @title IDemands
/// @notice What a sealer is made to show: a challenger that has nothing to challenge with, because the sealer shows nothing,
/// locks a bond and names what it wants to see; the task stands still. The sealer, or anybody, shows it before the deadline,
/// or the seal falls. What was shown can then be challenged at once ({ITraceDisputes}). When the demand ends, the bond goes
/// to the sealer if its seal still stands, and back to the challenger if it fell.
interface IDemands {
    /// @notice What a sealer can be asked to show.
    ///
    ///   Trace     every leaf, kind by kind, in as many answers as it takes (`answerTrace`)
    ///   Entries   every entry's receipt and, where it was judged, the keys to its update (`answerEntries`)
    ///   Claims    every claim leaf (`answerClaims`)
    ///   Sums      what lies below one node of the tree over the sums (`answerSums`): who has the right sums follows the
    ///             wrong child down to a leaf that the question Sum decides, two or three demands at any size
    enum Subject {
        Trace,
        Entries,
        Claims,
        Sums
    }

    /// @notice Some leaves of one kind, side by side.
    /// @param level It spans 2^level places of the kind's tree.
    /// @param words The words of its leaves; places past the count have none.
    /// @param siblings The way from its root up.
    struct Page {
        uint8 level;
        bytes words;
        bytes32[] siblings;
    }

    /// @notice One entry as its sealer had it.
    /// @param boxes The keys to its update, one a recipient; with `packageSignature` over them: see {KeyWraps}.
    /// @param entry The trace's leaf.
    /// @param siblings Its way to the roster's root; empty for a forced entry.
    struct Shown {
        IRoundLedger.Receipt receipt;
        bytes signature;
        KeyWraps.Box[] boxes;
        bytes packageSignature;
        ITraceJudge.Opening entry;
        bytes siblings;
    }

    /// @notice An open demand.
    /// @param challenger Who locked the bond.
    /// @param deadline The first second (Unix) at which it is too late to answer, or to challenge what the answer showed.
    /// @param round The sealed round.
    /// @param subject What is asked for.
    /// @param kind Trace: the kind of which a leaf is to be shown next.
    /// @param answered Whether the sealer, or anybody, has shown it all.
    /// @param index Trace: the place of that leaf. Entries: the entry to be shown next. Sums: the node, 1 for the root and
    /// 2 i, 2 i + 1 for the children of i.
    /// @param bond What the challenger locked, in wei.
    /// @param task The task.
    /// @param seal keccak256(abi.encode(task, round, seal record)).
    struct Demand {
        address challenger;
        uint40 deadline;
        uint16 round;
        Subject subject;
        uint8 kind;
        bool answered;
        uint32 index;
        uint80 bond;
        uint256 task;
        bytes32 seal;
    }

    /// @notice Emitted when a sealer was asked to show something.
    event Demanded(uint256 indexed task, uint256 indexed round, uint256 indexed id, Demand demand);

    /// @notice Emitted when a demand was answered, or a part of it; `content` is, ABI-encoded, the trace's counts and roots,
    /// kind and place of the page's first leaf and the page's words; or the place of the first entry and the entries; or,
    /// packed, all claim leaves; or the nodes and the leaf of the sums.
    event Answered(uint256 indexed task, uint256 indexed round, uint256 indexed id, address answerer, bytes content);

    /// @notice Emitted when a demand ended: by its deadline (`upheld`), or without effect because the round is void.
    event DemandEnded(uint256 indexed task, uint256 indexed round, uint256 indexed id, bool upheld);

    /// @notice Thrown when a demand does not exist or has ended.
    error Demands_Unknown(uint256 id);

    /// @notice Thrown when the answer is not what was asked for.
    error Demands_WrongAnswer(uint256 id);

    /// @notice Thrown when an entry is shown with another receipt than the trace's, or a package that its trainer did not sign.
    error Demands_WrongEntry(uint256 id, uint256 index);

    /// @notice Thrown when the deadline has passed, or has not yet; `deadline` is the first second past it.
    error Demands_Deadline(uint256 id, uint256 deadline);

    /// @notice Ask the sealer to show its trace, its entries, its claims or a part of its sums. Locks `bondOf(task)`.
    /// @param index Sums: the node. Else it is not read.
    /// Requirements: inside the challenge window, or at most five takeovers later while the seal is disputed; the caller is not
    /// leaving; the escrow is approved for the bond.
    function demand(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        Subject subject,
        uint32 index
    ) external returns (uint256 id);

    /// @notice Show the next page of the trace. Anyone; with the last one the demand is answered. The demand tells which leaf is next: its `kind` and `index`; kinds without leaves are passed over.
    /// @param page The places that the next leaf is among; it may begin before that leaf, so that nobody's small page stops a
    /// large one. Its leaves have the words of their kind, so that every judge can read them.
    /// Requirements: there is one leaf of rules, round and work each, and no root where there is no leaf.
    function answerTrace(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Page calldata page
    ) external;

    /// @notice Show the next entries, in the order of the trace. Anyone; with the last one the demand is answered.
    /// @param roster The roster on chain: entries below its count must be on it, as the trace has them.
    /// Requirements, for each: its receipt is the trace's, signed by its trainer; a judged one (one with a Gram row) comes with
    /// a key package that its trainer signed. An unjudged entry of a roster that another than the sealer wrote needs no
    /// signature: nobody answers for another's forgery.
    function answerEntries(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        IRoundLedger.RosterRecord calldata roster,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Shown[] calldata shown
    ) external;

    /// @notice Answer with all claim leaves, 52 bytes each: owner, amount (u128), reputation (u128). Anyone.
    /// Other leaves than {Reputation} can read cannot be shown.
    function answerClaims(uint256 id, IRoundLedger.SealRecord calldata record, bytes calldata leaves) external;

    /// @notice Answer with what lies below a node of the tree over the sums. Anyone. A node that
    /// no tree of the model's size has is answered by the first two openings.
    /// @param openings The rules, which tell the size, and the work, which tells the root.
    /// @param nodes The nodes 7 levels below, or on the bottom row if that is nearer; for a node of the bottom row none.
    /// @param leaf Its siblings: the way from the node up. For a node of the bottom row its integers, too; the blind is 0.
    function answerSums(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        ITraceJudge.Opening[2] calldata openings,
        bytes32[] calldata nodes,
        Contents.Leaf calldata leaf
    ) external;

    /// @notice End a demand. Unanswered past its deadline: the seal falls. Answered, and the second deadline past or the
    /// challenger says so: the bond goes to the sealer, the task goes on. Its round void by now: the bond goes back.
    function expire(uint256 id, IRoundLedger.SealRecord calldata record, address[] calldata aggregators) external;

    /// @notice Return an open demand; all zero when there is none.
    function demandOf(uint256 id) external view returns (Demand memory);
}
