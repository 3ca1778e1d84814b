// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDisputes} from "./IDisputes.sol";
import {IRoundLedger} from "./IRoundLedger.sol";
import {ITraceJudge} from "./ITraceJudge.sol";

/// @title ITraceDisputes
/// @notice The disputes of a deployment: who contradicts a seal, how, and what it costs whom. See {IDisputes} for what the
/// ledger and the escrow trust it with.
///
/// Two ways to contradict a seal:
///
/// - **At once** (`challenge`): the challenger brings all evidence; a judge repeats the arithmetic. It shows a lie, and the
///   seal is void and its sealer loses its bond (3,000 bps to the challenger); or the call reverts and nothing happened.
///   A challenger risks its gas, so it locks no bond.
/// - **By demand** (`demand`): the challenger has nothing to show because the sealer shows nothing. It locks a bond and
///   names what it wants to see; the task stands still. The sealer answers before the deadline and gets the bond; or it
///   does not, and the seal falls. What an answer shows can then be challenged at once.
///
/// A trainer has a stake to lose, too: for two receipts of one round (`equivocation`).
interface ITraceDisputes is IDisputes {
    /// @notice Which rule a seal is said to break; `openings` are the leaves that the judge wants, in this order.
    ///
    ///   question    subject                                            openings                       all        extra
    ///   Claim       claim leaf against its account                     standing                       -          claim leaf, path
    ///   Standing    one account's arithmetic                           round, standing, entry         -          -
    ///   Totals      sums of the split, order of accounts               rules, round                   standings  -
    ///   Carried     an account (or pots) against the round before      standing | round               -          seal before
    ///   Dropped     an account that is missing                         (entry,) neighbours            -          (seal before)
    ///   Roster      an entry against the roster on chain               entry                          -          roster leaf
    ///   Forced      an entry against the forced list on chain          (entry)                        -          list links
    ///   Twice       a trainer that counts twice                        entry, entry                   -          -
    ///   Rules       the rules leaf against the task's specification    rules                          -          document
    ///   Entry       one entry's screen, caps and weight                rules, round, entry, Gram row  -          -
    ///   Entries     stake sums, medians, divisor, rows                 rules, round                   entries    -
    ///   Foreign     somebody on the roster who is no member            -                              -          roster leaf
    ///   Symmetry    a Gram entry against its mirror                    Gram row, Gram row             -          -
    ///   Solution    what all scores share                              round, row 0, directions       -          -
    ///   Quality     one update's quality                               rules, round, entry, row, 0    -          -
    ///   Group       sums over one group of near-duplicates             rules, entry, Gram row         entries    -
    ///   Score       one score                                          rules, round, entry            -          -
    ///   Duplicates  two near-duplicates in different groups            rules, entry, entry, Gram row  -          -
    ///   Krum        one update's distances and its selection           round, entry, Gram row         entries    -
    ///   Replay      whether an update is made of public directions     rules .. row, directions       -          -
    ///   Untraced    a seal without a trace, in an exact task            -                              -          document
    ///   Work        a content root or weight against its entry         work, round, entry             -          receipt
    ///   Sum         one coordinate of the sums                         rules, work                    -          leaves
    ///   Range       a judged update with a value outside its width     rules, work, round             -          leaf
    ///   Layout      the tensors' sizes and offsets                     rules, work                    -          document
    ///
    /// (An entry of the Gram matrix is a long sum: {IBisections}.)
    enum Question {
        Claim,
        Standing,
        Totals,
        Carried,
        Dropped,
        Roster,
        Forced,
        Twice,
        Rules,
        Entry,
        Entries,
        Foreign,
        Symmetry,
        Solution,
        Quality,
        Group,
        Score,
        Duplicates,
        Krum,
        Replay,
        Untraced,
        Work,
        Sum,
        Range,
        Layout
    }

    /// @notice What a sealer can be asked to show.
    ///
    ///   Trace     every leaf, kind by kind, in as many answers as it takes (`answerTrace`)
    ///   Receipt   one roster entry's signed receipt (`answerReceipt`)
    ///   Claims    every claim leaf (`answerClaims`)
    enum Subject {
        Trace,
        Receipt,
        Claims
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

    /// @notice An open demand.
    /// @param challenger Who locked the bond.
    /// @param deadline The first second (Unix) at which it is too late to answer, or to challenge what the answer showed.
    /// @param round The sealed round.
    /// @param subject What is asked for.
    /// @param kind Trace: the kind of which a leaf is to be shown next.
    /// @param answered Whether the sealer, or anybody, has shown it all.
    /// @param index Trace: the place of that leaf. Receipt: the entry's place in the roster.
    /// @param bond What the sealer gets for an answer, in wei.
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

    /// @notice Emitted when a seal was shown to break a rule.
    event SealRefuted(
        uint256 indexed task, uint256 indexed round, address indexed challenger, address sealer, Question question
    );

    /// @notice Emitted when a sealer was asked to show something.
    event Demanded(uint256 indexed task, uint256 indexed round, uint256 indexed id, Demand demand);

    /// @notice Emitted when a demand was answered, or a part of it; `content` is, ABI-encoded, the trace's counts and roots,
    /// kind and place of the page's first leaf and the page's words; or the receipt and its signature; or, packed, all claim
    /// leaves.
    event Answered(uint256 indexed task, uint256 indexed round, uint256 indexed id, address answerer, bytes content);

    /// @notice Emitted when a demand ended: by its deadline (`upheld`), or without effect because the round is void.
    event DemandEnded(uint256 indexed task, uint256 indexed round, uint256 indexed id, bool upheld);

    /// @notice Emitted when a trainer was shown to have signed two receipts for one round.
    event EquivocationProved(
        uint256 indexed task, uint256 indexed round, address indexed trainer, address challenger, uint256 slashed
    );

    /// @notice Thrown when the evidence shows no lie.
    error Disputes_NotRefuted(uint256 task, uint256 round, Question question);

    /// @notice Thrown when a demand does not exist or has ended.
    error Disputes_UnknownDemand(uint256 id);

    /// @notice Thrown when the answer is not what was asked for.
    error Disputes_WrongAnswer(uint256 id);

    /// @notice Thrown when the deadline has passed, or has not yet; `deadline` is the first second past it.
    error Disputes_Deadline(uint256 id, uint256 deadline);

    /// @notice Thrown when two receipts are no equivocation.
    error Disputes_NoEquivocation(uint256 task, address trainer);

    /// @notice Show that a sealed round breaks a rule. The seal and all later rounds are void, its sealer loses its bond.
    /// Requirements: inside the challenge window; the judge agrees.
    /// @param aggregators The task's frozen list.
    function challenge(
        ITraceJudge.Case calldata case_,
        ITraceJudge.Evidence calldata evidence,
        address[] calldata aggregators
    ) external;

    /// @notice Ask the sealer to show its trace, a roster entry's signed receipt, or its claims. Locks `bondOf(task)`.
    /// @param index Receipt: the entry's place in the roster. Else it is not read.
    /// Requirements: inside the challenge window, or at most one takeover later while the seal is disputed; the caller is not
    /// leaving; the escrow is approved for the bond.
    function demand(
        uint256 task,
        uint256 round,
        IRoundLedger.SealRecord calldata record,
        Subject subject,
        uint32 index
    ) external returns (uint256 id);

    /// @notice Show the next page of the trace. Anyone; with the last one the demand is answered and the bond goes to the
    /// sealer. The demand tells which leaf is next: its `kind` and `index`; kinds without leaves are passed over.
    /// @param page Its leaves have the words of their kind, so that every judge can read them.
    /// Requirements: the page starts where the last one ended; there is one leaf of rules, round and work each.
    function answerTrace(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        uint32[6] calldata counts,
        bytes32[6] calldata roots,
        Page calldata page
    ) external;

    /// @notice Answer with the signed receipt of a roster entry. Anyone; the bond goes to the sealer.
    function answerReceipt(
        uint256 id,
        IRoundLedger.SealRecord calldata record,
        IRoundLedger.RosterRecord calldata roster,
        IRoundLedger.Receipt calldata receipt,
        bytes calldata signature,
        uint128 stake,
        bytes calldata siblings
    ) external;

    /// @notice Answer with all claim leaves, 52 bytes each: owner, amount (u128), reputation (u128). Anyone; the bond goes to
    /// the sealer. Other leaves than {Reputation} can read cannot be shown.
    function answerClaims(uint256 id, IRoundLedger.SealRecord calldata record, bytes calldata leaves) external;

    /// @notice End a demand. Unanswered past its deadline: the seal falls. Answered: the task goes on once the second deadline
    /// is past, or the challenger says so. Its round void by now: the bond goes back.
    function expire(uint256 id, IRoundLedger.SealRecord calldata record, address[] calldata aggregators) external;

    /// @notice Show that a trainer signed two different receipts for one round on the same parent; its stake is taken.
    /// Requirements: the task's first aggregator still works, so no dispute was ever upheld (a round that was voided is
    /// worked on twice).
    function equivocation(
        IRoundLedger.Receipt calldata first,
        bytes calldata firstSignature,
        IRoundLedger.Receipt calldata second,
        bytes calldata secondSignature
    ) external;

    /// @notice Return an open demand; all zero when there is none.
    function demandOf(uint256 id) external view returns (Demand memory);
}
