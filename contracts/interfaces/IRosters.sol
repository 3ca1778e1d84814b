// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Terms} from "../libraries/Terms.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IRosters
/// @notice Who contradicts a roster that is not sealed yet, and how. A roster is a root over leaves: trainer, stake, receipt.
/// Its maker answers for two things, with its whole bond, until a seal stands on it, or for a takeover window after the task ended
/// compensated by it:
///
/// - **every leaf can be shown**: who asks for a leaf locks the task's ask bond. Anybody shows the leaf, with the receipt that its
///   trainer signed, and the bond is the maker's. Nobody shows it in time, and the roster falls (`lapseRoster`).
/// - **leaves ascend**: each trainer has one, sorted by address. Two neighbours that do not fell the roster at once.
///
/// A roster that fell leaves the round OPEN under the next aggregator, or the current one where that is not the maker. Where
/// nobody is left, or the task ended before, the pot goes to all seats that there were at the roster ({ISettlement}).
///
/// What is no fault of a roster: a leaf's stake, and its receipt's life, parent and trainer's membership. A trainer that leaves,
/// or a seal that falls, in the roster's own block would make an honest maker pay; the tape gives such an entry its due
/// ({ISources}).
///
/// Times: an answer takes half a takeover window at most, so a successor that asks in the first half of its own window sees the
/// roster fall, or the leaf, before that window ends; then it rosters in a new one. No clock stands still for a question. After a
/// compensated end it is the same: what is asked in the first half of the takeover window that follows is decided in the second,
/// and then the books can be closed. So the last of the list gains nothing by passing before an answer is due, and nobody keeps the
/// books open by asking.
/// Once the roster is sealed, the seal's own questions reach its leaves ({IReferee}, Node Roster).
///
/// Notes:
/// - `roster`, `terms` and the numbers before them name a question, so whoever calls repeats them as they were asked with.
/// - A question belongs to the task's life in which it was asked. If the roster is sealed and that seal falls, the roster stands
///   again in the next life: older questions end (`reclaimRoster`), and can be asked anew with a whole answer's time.
interface IRosters {
    /// @notice Emitted when a leaf is asked for; until `deadline` it can be shown. `roster` is the digest that the ring keeps.
    event RosterAsked(bytes32 indexed roster, uint32 index, uint8 life, address asker, uint256 deadline);

    /// @notice Emitted when a leaf is shown.
    event RosterShown(bytes32 indexed roster, uint32 index, bytes entry, bytes signature);

    /// @notice Thrown when a bond is claimed back of a question about a roster that can fall.
    error Rosters_Stands(uint256 task, uint256 round);

    /// @notice Thrown when two neighbouring leaves ascend.
    error Rosters_Ascending(uint32 index);

    /// @notice Ask for a leaf of a roster that can fall; locks the task's ask bond.
    /// Requirements: index < roster.count; the leaf was not asked for before in this life.
    function askRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index
    ) external;

    /// @notice Show a leaf; the asker's bond is paid to who rostered, whoever shows. Requirements: before the deadline.
    /// @param entry abi.encode of an {ISources.Entry}, which must be that leaf of the tree.
    /// @param signature Its trainer's, of the receipt.
    function showRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index,
        bytes calldata entry,
        bytes calldata signature
    ) external;

    /// @notice End a question that nobody answered in time: the roster falls. The asker has its bond back, and the challenger's
    /// part of the maker's. Requirements: the roster can fall; no dispute is open in the task.
    /// @param aggregators The frozen list.
    function lapseRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index,
        address[] calldata aggregators
    ) external;

    /// @notice Give the bond of a question that was not shown back to its asker, where the roster is sealed or fell, stands in
    /// another life, or cannot fall any more.
    /// @param life In which it was asked.
    function reclaimRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        Terms.Facts calldata terms,
        uint32 index,
        uint8 life
    ) external;

    /// @notice Show that leaves `index` and `index + 1` do not ascend: the roster falls. The reward is the caller's who committed to
    /// this call before ({IReferee}, `commit`). Requirements: as for `lapseRoster`.
    /// @param first abi.encode of the {ISources.Entry} that is leaf `index`; nobody need have signed its receipt.
    /// @param second The same of leaf `index + 1`.
    function refuteRoster(
        uint256 task,
        uint256 round,
        IRoundLedger.RosterRecord calldata roster,
        uint32 index,
        bytes calldata first,
        bytes calldata second,
        address[] calldata aggregators
    ) external;
}
