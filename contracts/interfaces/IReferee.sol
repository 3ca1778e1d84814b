// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Refutation} from "../libraries/Refutation.sol";
import {Rows} from "../libraries/Rows.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IReferee
/// @notice Who contradicts a sealed round, and how. A seal fixes the tape of its round: every cell of the task's program. Two
/// things can be done about it, by anybody, and neither has a turn:
///
/// - **refute**: one transaction shows that a cell does not follow from others, by the cell's own instruction. It does not,
///   and the seal falls; or the call reverts and nothing happened.
/// - **ask**: who cannot see a node of the tape, a running sum or a leaf asks for it and pays the sealer for the answer. Anybody
///   shows it (running values the sealer alone), and it is shown for ever; nobody shows it in time, and the seal falls (`lapse`).
///
/// What shows a lie can be copied from a call that waits to be mined. So the reward of a refutation is its sender's who
/// committed to it a block before at the latest; without a commitment the seal falls all the same, and the reward is the
/// pot's. Who asked what nobody shows is paid for that.
///
/// Who looks for a lie goes to the first cell that differs from the honest tape. All before it is equal, so the paths of its
/// operands are known.
///
///   node        what it is                                        what shows it
///   Columns     of the tree over the columns' roots               at most 32 nodes, up to 5 levels further down
///   Cells       of the tree over one column's cells               the same; its cells themselves from 5 levels up on
///   Sums        the inner product of two rows over a run of       at most 128 parts, which add up to it
///               128^level leaves
///   Row         of the tree over a sum's leaves, or a new         at most 32 nodes; at its leaf, the leaf
///               model's
///   Prefixes    one leaf of a sum after some of the entries       at most 32 leaves' hashes, after 32^(level - 1) more each
///   Claims      of the tree over what may be claimed              at most 32 sums with hashes, 48 bytes each, up to 5 levels
///                                                                 further down; a leaf: owner, amount, reputation
///   Roster      an entry that the sealer judged, by `index`       abi.encode({ISources.Entry}), and its trainer's signature
///   Operand     leaf `index` of a row that a product or sum of    the cell that names the row, and the leaf, unless that cell
///               rows reads: operand `leaf`, or entry `leaf`       is 0: then there is no row
interface IReferee {
    /// @notice What kind of node is asked for.
    enum Node {
        Columns,
        Cells,
        Sums,
        Row,
        Prefixes,
        Claims,
        Roster,
        Operand
    }

    /// @notice One node.
    /// @param column Of the cell or cells; 0 for Columns.
    /// @param place Of the cell that is a product, a sum's root; 0 else.
    /// @param leaf Prefixes: of the sum. Operand: which row.
    /// @param level How far it is above the leaves, cells, entries.
    /// @param index Its place on its level.
    struct Question {
        Node node;
        uint16 column;
        uint32[3] place;
        uint32 leaf;
        uint8 level;
        uint32 index;
    }

    /// @notice What shows a node.
    /// @param hashes Columns, Cells, Row, Prefixes: what lies below.
    /// @param cells Cells, where `level` is at most 5: the cells below.
    /// @param siblings Columns, Cells, Row: the way up.
    /// @param parts Sums: what lies below, 20 bytes each. Claims, Roster: see above.
    /// @param above Sums, Prefixes below their top: what the node above was shown to be, as it was shown. Claims: the way up,
    /// 48 bytes each. Roster: the signature.
    /// @param instruction Sums, Row, Prefixes, Operand: of the column.
    /// @param cell Sums, Row and Prefixes at the top: the cell itself. Operand: that which names the row.
    /// @param leaf Row at a leaf, Prefixes at the top: the sum's leaf. Operand: the row's.
    struct Answer {
        bytes32[] hashes;
        int256[] cells;
        bytes32[] siblings;
        bytes parts;
        bytes above;
        Instruction instruction;
        Refutation.Cell cell;
        Rows.Leaf leaf;
    }

    /// @notice An instruction with its path to the program's root.
    struct Instruction {
        bytes32[5] words;
        bytes32[] path;
    }

    /// @notice One leaf of an inner product that is not what was shown of it, or of a model (STEP) that is not what the model
    /// before and the sums give.
    /// @param leaf Of the run that the cell is over; the last step has one.
    /// @param shown What the node above the leaf was shown to be; empty where the run is one leaf: then the cell is it. In a
    /// STEP: abi.encode of the new model's leaf's hash and the way up to the cell.
    /// @param rows The two cells that name the rows.
    /// @param shift The cell that says how often the block counts, in a DOT_SHIFTED; by how much it moves, in a STEP.
    /// @param block_ In a DOT_SHIFTED or STEP, the block of the leaf.
    struct DotClaim {
        uint16 column;
        uint32[3] place;
        Instruction instruction;
        Refutation.Cell cell;
        uint32 leaf;
        bytes shown;
        Refutation.Cell[2] rows;
        Refutation.Cell shift;
        uint256 block_;
        Rows.Leaf[2] leaves;
    }

    /// @notice One entry's part in one leaf of a sum that is not what was shown of it.
    /// @param entry Which; the shown hashes are of level 1.
    /// @param shown What the node above it was shown to be.
    /// @param before The leaf's integers before that entry, as its hash says; not read for the first entry.
    /// @param beforeShown Where the hash before lies under another node: what that one was shown to be; empty else.
    struct CombineClaim {
        uint16 column;
        uint32[3] place;
        Instruction instruction;
        uint32 leaf;
        uint32 entry;
        bytes shown;
        bytes before;
        bytes beforeShown;
        Refutation.Cell row;
        Refutation.Cell weight;
        Rows.Leaf rowLeaf;
    }

    /// @notice One of a seal's claims, or their total, that is not what the tape says.
    /// @param output Which ({Language}): earned, reputation, total or model.
    /// @param header The program's, with its path.
    /// @param cell The tape's.
    /// @param leaf Earned, reputation: the claim of a seat.
    /// @param siblings Of the claim, 48 bytes each.
    struct OutputClaim {
        uint256 output;
        bytes header;
        bytes32[] path;
        Refutation.Cell cell;
        IRoundLedger.Leaf leaf;
        bytes siblings;
    }

    /// @notice Emitted when a node is asked for; until `deadline` it can be shown.
    event Asked(bytes32 indexed target, bytes32 indexed id, address asker, uint256 deadline, Question question);

    /// @notice Emitted when a node is shown: what of the answer nobody else knows.
    event Shown(
        bytes32 indexed target,
        bytes32 indexed id,
        address by,
        Question question,
        bytes32[] hashes,
        int256[] cells,
        bytes32[] siblings,
        bytes parts,
        bytes above,
        Rows.Leaf leaf
    );

    /// @notice Emitted when a seal falls: by a cell (`column`), or by silence (`column` is of the question).
    event Fell(bytes32 indexed target, address indexed challenger, uint256 column);

    /// @notice Emitted when a question is ended because nothing could answer it.
    event Dismissed(bytes32 indexed target, bytes32 indexed id, address by);

    /// @notice Thrown when a question has an answer.
    error Referee_Answerable(bytes32 id);

    /// @notice Thrown when what was claimed is so.
    error Referee_NotRefuted(uint256 column);

    /// @notice Thrown when a node was asked for before, or never, or is shown already.
    error Referee_QuestionState(bytes32 id);

    /// @notice Thrown when it is too late to ask or show, or too early to let it lapse.
    error Referee_Deadline(uint256 deadline);

    /// @notice Thrown when somebody else than the sealer shows running values.
    error Referee_NotSealer(address caller, address sealer);

    /// @notice Ask for a node; locks the task's ask bond. Sums, Prefixes and Operand show others' integers: who asks for them has
    /// updates' keys ({ISources}).
    /// @param target Which seal, with what binds it to the chain.
    /// @param after_ Any node of the same seal that was shown lately: after the challenge window's end there can be asked for as
    /// long as an answer may take from then on, and never later than 24 such times after that end. Zero before.
    function ask(bytes calldata target, Question calldata question, bytes32 after_) external;

    /// @notice Show a node; the asker's bond is paid to who sealed. Sums, Prefixes and Operand are the sealer's alone to show.
    function show(bytes calldata target, Question calldata question, Answer calldata answer) external;

    /// @notice End a question that nobody answered in time: the seal falls.
    function lapse(bytes calldata target, Question calldata question) external;

    /// @notice End a question that has no answer: there is no such node, its fields are not those of its kind, or the node above
    /// it, whose parts its own must add up to, was not shown yet (then it can be asked again): so nobody falls for want of what
    /// cannot be shown. Anybody may; the asker's bond is paid to who sealed.
    /// @param instruction Of the question's column, where it is a column's.
    function dismiss(bytes calldata target, Question calldata question, Instruction calldata instruction) external;

    /// @notice Take back the bond of a question about a seal that fell.
    function reclaim(bytes calldata target, Question calldata question) external;

    /// @notice Commit to a later call that shows a lie, here or at {IReveals}: it is paid from 1 to 50 blocks later.
    /// @param commitment keccak256(abi.encode(sender, keccak256(data))), `data` being all of that call's. Whatever the caller
    /// adds behind its arguments is part of it, so that nobody can guess which call it is; and the sender is, so that nobody
    /// who repeats a commitment can use it.
    function commit(bytes32 commitment) external;

    /// @notice Show that a cell does not follow from cells at named places.
    function refute(bytes calldata target, Refutation.Claim calldata claim) external;

    /// @notice Show that a cell is not what the chain, or the seal before, says.
    /// @param claim Without operands.
    /// @param evidence What that source needs, see {ISources}.
    function refuteSource(bytes calldata target, Refutation.Claim calldata claim, bytes calldata evidence) external;

    /// @notice Show that what may be claimed is not what the tape says, is another account's, or is not as many as there are
    /// seats.
    function refuteOutput(bytes calldata target, OutputClaim calldata claim) external;

    /// @notice Let the task go on, whose last question was answered so late that what follows from it had to be waited for.
    function release(bytes calldata target) external;

    /// @notice Show that the tree over the columns holds something behind the last of them.
    function refutePadding(bytes calldata target, uint256 index, bytes32 node, bytes32[] calldata siblings) external;

    /// @notice Show that a part of an inner product is not what two leaves give.
    function refuteDot(bytes calldata target, DotClaim calldata claim) external;

    /// @notice Show that a leaf of a sum is not what an entry makes of the leaf before it.
    function refuteCombine(bytes calldata target, CombineClaim calldata claim) external;
}
