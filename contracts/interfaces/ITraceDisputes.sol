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
/// - **By a game**: the challenger has nothing to show, because the sealer shows nothing ({IDemands}), or because a number
///   is a sum of too many ({IBisections}). It locks a bond, the task stands still, and who does not move in time loses.
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
    ///   Forced      an entry against the forced list on chain          (entry)                        -          the receipt
    ///   Twice       a trainer that counts twice                        entry, entry                   -          -
    ///   Rules       the rules leaf against the task's specification    rules                          -          document
    ///   Entry       one entry's screen, caps and weight                rules, round, entry, Gram row  -          -
    ///   Entries     stake sums, medians, divisor, rows                 rules, round                   entries    -
    ///   Foreign     somebody on the roster who is no member            -                              -          roster leaf
    ///   Symmetry    a Gram entry against its mirror                    Gram row, Gram row             -          -
    ///   Solution    what all scores share                              round, row 0, directions       -          -
    ///   Quality     one update's quality                               rules, round, entry, row, 0    -          -
    ///   Group       sums over one group of near-duplicates             rules, round, entry, Gram row  entries    -
    ///   Score       one score                                          rules, round, entry            -          -
    ///   Duplicates  two near-duplicates in different groups            rules, round, entries, row     -          -
    ///   Krum        one update's distances and its selection           round, entry, Gram row         entries    -
    ///   Replay      whether an update is made of public directions     rules .. row, directions       -          -
    ///   Untraced    a seal without a trace, in an exact task            -                              -          document
    ///   Work        a content root or weight against its entry         work, round, entry             -          receipt
    ///   Sum         one coordinate of the sums                         rules, work                    -          packed leaves
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

    /// @notice Emitted when a seal was shown to break a rule.
    event SealRefuted(
        uint256 indexed task, uint256 indexed round, address indexed challenger, address sealer, Question question
    );

    /// @notice Emitted when a trainer was shown to have signed two receipts for one round.
    event EquivocationProved(
        uint256 indexed task, uint256 indexed round, address indexed trainer, address challenger, uint256 slashed
    );

    /// @notice Thrown when the evidence shows no lie.
    error Disputes_NotRefuted(uint256 task, uint256 round, Question question);

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

    /// @notice Show that a trainer signed two different receipts for one round on the same parent; its stake is taken.
    /// Requirements: the task's first aggregator still works, so no dispute was ever upheld (a round that was voided is
    /// worked on twice).
    function equivocation(
        IRoundLedger.Receipt calldata first,
        bytes calldata firstSignature,
        IRoundLedger.Receipt calldata second,
        bytes calldata secondSignature
    ) external;
}
