// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Contents} from "../libraries/Contents.sol";
import {IRoundLedger} from "./IRoundLedger.sol";
import {ITraceJudge} from "./ITraceJudge.sol";

/// @title IBisections
/// @notice Disputes about one entry of the Gram matrix: an inner product over all coordinates of two rows, too long for one
/// transaction. The sealer splits its own number into at most 128 parts, the challenger picks one that is wrong, and so on
/// down to one leaf of 128 coordinates, which the contract multiplies itself. 1.66 million coordinates take two splits.
///
/// Each side has the task's `takeover` time for a move, and the task stands still meanwhile. Who does not move, loses: a
/// sealer its bond, as in any dispute; a challenger the bond of the game, to the sealer. Parts must add up to the number
/// they split, so a wrong number has a wrong part; an honest sealer's parts are all right, and no leaf refutes them.
interface IBisections {
    /// @notice An open game. The contract keeps its hash only: whoever moves shows the game as the last event told it.
    /// @param challenger Who locked the bond.
    /// @param deadline The first second (Unix) at which it is too late for the next move.
    /// @param round The sealed round.
    /// @param answered Whether the sealer has split: the challenger is to move.
    /// @param bond Of the challenger, wei.
    /// @param first The first leaf of the range that `claimed` is about.
    /// @param count How many leaves it has.
    /// @param task The task.
    /// @param seal keccak256(abi.encode(task, round, seal record)).
    /// @param statement keccak256(abi.encode(Statement)).
    /// @param claimed What the sealer says the inner product over the range is, squared base units.
    /// @param parts keccak256 of the last split, packed.
    struct Game {
        address challenger;
        uint40 deadline;
        uint16 round;
        bool answered;
        uint80 bond;
        uint32 first;
        uint32 count;
        uint256 task;
        bytes32 seal;
        bytes32 statement;
        int256 claimed;
        bytes32 parts;
    }

    /// @notice What is multiplied.
    /// @param left Content root of the Gram row.
    /// @param right Content root of the column's row.
    /// @param tensors Hash of the tensors' sizes and offsets.
    /// @param leftBits Width of the row's integers.
    /// @param rightBits Width of the column's.
    /// @param size Coordinates of both.
    struct Statement {
        bytes32 left;
        bytes32 right;
        bytes32 tensors;
        uint32 leftBits;
        uint32 rightBits;
        uint64 size;
    }

    /// @notice The two leaves that decide, and the layout's preimage.
    struct Product {
        Contents.Leaf left;
        Contents.Leaf right;
        bytes tensors;
    }

    /// @notice Emitted when a Gram entry is disputed.
    event BisectionOpened(
        uint256 indexed task, uint256 indexed round, uint256 indexed id, uint256 row, uint256 column, Game game, Statement statement
    );

    /// @notice Emitted when the sealer has split its number.
    event BisectionSplit(
        uint256 indexed task, uint256 indexed round, uint256 indexed id, Game game, int256[] parts, bytes tensors
    );

    /// @notice Emitted when the challenger has picked a part: the sealer is to split it.
    event BisectionPicked(uint256 indexed task, uint256 indexed round, uint256 indexed id, Game game);

    /// @notice Emitted when a game ended: by a leaf or a missed deadline; `upheld`: the seal fell. Neither when its round is void.
    event BisectionEnded(uint256 indexed task, uint256 indexed round, uint256 indexed id, bool upheld);

    /// @notice Thrown when a game has ended, never was, or stands otherwise than shown.
    error Bisections_UnknownGame(uint256 id);

    /// @notice Thrown when seal, statement or parts are not the game's.
    error Bisections_WrongEvidence(uint256 id);

    /// @notice Thrown when it is the other side's move.
    error Bisections_NotYourMove(uint256 id);

    /// @notice Thrown when a deadline has passed, or has not yet; `deadline` is the first second past it.
    error Bisections_Deadline(uint256 id, uint256 deadline);

    /// @notice Thrown when a split has not the number of parts that its range asks for.
    error Bisections_PartCount(uint256 given, uint256 expected);

    /// @notice Thrown when the parts do not add up to the number they split.
    error Bisections_PartSum(int256 given, int256 expected);

    /// @notice Thrown when there is no such row, column or part.
    error Bisections_OutOfRange(uint256 given, uint256 count);

    /// @notice Thrown when a layout's sizes are not the model's.
    error Bisections_LayoutSize(uint256 given, uint256 expected);

    /// @notice Thrown when a part spans more than one leaf, or one only where more are wanted.
    error Bisections_NotALeaf(uint256 id, uint256 count);

    /// @notice Thrown when the leaves multiply to just what the sealer says.
    error Bisections_NotRefuted(uint256 id, int256 product);

    /// @notice Dispute a Gram entry. Locks the bond of a demand.
    /// @param case_ Task, round and seal; its question is not read.
    /// @param evidence Openings: rules, round, work, Gram row; extra: the column, 32 bytes.
    /// Requirements: inside the challenge window; the escrow is approved for the bond.
    function open(ITraceJudge.Case calldata case_, ITraceJudge.Evidence calldata evidence) external returns (uint256 id);

    /// @notice Split the number in question (a range of one leaf: into itself). Only the sealer: a stranger's wrong parts
    /// would lose its bond.
    /// @param tensors The layout's preimage: what nobody can show, nobody can multiply by.
    /// Requirements: `partsOf(count)` parts that add up to it; the layout has the model's size; before the deadline.
    function split(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        Statement calldata statement,
        int256[] calldata parts,
        bytes calldata tensors
    ) external;

    /// @notice Pick a part of more than one leaf. Only the challenger; before the deadline.
    function pick(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        int256[] calldata parts,
        uint256 index
    ) external;

    /// @notice Multiply one leaf of two rows and end the game if the sealer's part is not the product.
    /// @param parts The last split.
    /// @param index Which part.
    /// Requirements: only the challenger; before the deadline; the part is one leaf; both leaves are under their roots.
    function prove(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        Statement calldata statement,
        int256[] calldata parts,
        uint256 index,
        Product calldata product,
        address[] calldata aggregators
    ) external;

    /// @notice End a game whose deadline passed, or whose round is void.
    function expire(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        address[] calldata aggregators
    ) external;

    /// @notice Return keccak256(abi.encode(game)) of an open game; zero when there is none.
    function gameDigest(uint256 id) external view returns (bytes32);

    /// @notice Return how many games were ever opened: the last one's number.
    function gameCount() external view returns (uint256);

    /// @notice Return into how many parts a range of `count` leaves is split, and how many leaves each (but the last) has.
    function partsOf(uint256 count) external pure returns (uint256 parts, uint256 width);
}
