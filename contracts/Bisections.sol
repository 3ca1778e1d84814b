// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IBisections} from "./interfaces/IBisections.sol";
import {IDisputes} from "./interfaces/IDisputes.sol";
import {IGameSeam} from "./interfaces/IGameSeam.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITraceJudge} from "./interfaces/ITraceJudge.sol";
import {Contents} from "./libraries/Contents.sol";
import {LedgerReads} from "./libraries/LedgerReads.sol";
import {Traces} from "./libraries/Traces.sol";

/// @title Bisections
/// @notice See {IBisections}. Holds no money: bonds lie in the escrow. No owner, no upgrade.
contract Bisections is IBisections {
    using Traces for ITraceJudge.Evidence;

    uint256 private constant FAN = 128;

    /// @notice The disputes contract, which ledger and escrow trust.
    address public immutable disputes;

    /// @inheritdoc IBisections
    uint256 public gameCount;

    /// @inheritdoc IBisections
    mapping(uint256 id => bytes32) public gameDigest;

    constructor(address disputes_) {
        disputes = disputes_;
    }

    /// @inheritdoc IBisections
    function open(ITraceJudge.Case calldata case_, ITraceJudge.Evidence calldata evidence) external returns (uint256 id) {
        evidence.requireHeader(case_.record.trace);
        uint256 column = uint256(bytes32(evidence.extra));
        (Statement memory statement, uint256 row, int256 claimed) = _statement(evidence, column);
        uint256 bond = IGameSeam(disputes).enter(case_.task, case_.round, case_.record, msg.sender);
        id = ++gameCount;
        Game memory game = Game({
            challenger: msg.sender,
            deadline: _deadline(case_.task),
            round: uint16(case_.round),
            answered: false,
            bond: uint80(bond),
            first: 0,
            count: uint32(Contents.leafCount(statement.size)),
            task: case_.task,
            seal: keccak256(abi.encode(case_.task, case_.round, case_.record)),
            statement: keccak256(abi.encode(statement)),
            claimed: claimed,
            parts: 0
        });
        _keep(id, game);
        emit BisectionOpened(case_.task, case_.round, id, row, column, game, statement);
    }

    /// @inheritdoc IBisections
    function split(
        uint256 id,
        Game calldata shown,
        IRoundLedger.SealRecord calldata record,
        Statement calldata statement,
        int256[] calldata parts,
        bytes calldata tensors
    ) external {
        Game memory game = _requireMove(id, shown, record, false);
        _requireLayout(id, game, statement, tensors);
        (uint256 expected,) = partsOf(game.count);
        if (parts.length != expected) revert Bisections_PartCount(parts.length, expected);
        int256 sum = 0;
        // at most FAN turns; an overflow reverts
        for (uint256 i = 0; i < parts.length; ++i) {
            sum += parts[i];
        }
        if (sum != game.claimed) revert Bisections_PartSum(sum, game.claimed);
        (game.parts, game.answered, game.deadline) = (keccak256(abi.encodePacked(parts)), true, _deadline(game.task));
        _keep(id, game);
        emit BisectionSplit(game.task, game.round, id, game, parts, tensors);
    }

    /// @inheritdoc IBisections
    function pick(
        uint256 id,
        Game calldata shown,
        IRoundLedger.SealRecord calldata record,
        int256[] calldata parts,
        uint256 index
    ) external {
        Game memory game = _requireMove(id, shown, record, true);
        (uint256 first, uint256 count, int256 claimed) = _part(id, game, parts, index);
        if (count == 1) revert Bisections_NotALeaf(id, count);
        (game.first, game.count, game.claimed) = (uint32(first), uint32(count), claimed);
        (game.answered, game.parts, game.deadline) = (false, 0, _deadline(game.task));
        _keep(id, game);
        emit BisectionPicked(game.task, game.round, id, game);
    }

    /// @inheritdoc IBisections
    function prove(
        uint256 id,
        Game calldata shown,
        IRoundLedger.SealRecord calldata record,
        Statement calldata statement,
        int256[] calldata parts,
        uint256 index,
        Product calldata product,
        address[] calldata aggregators
    ) external {
        // a seal that is void by now cannot be overturned: the ledger looks
        Game memory game = _requireTurn(id, shown, record, true);
        if (keccak256(abi.encode(statement)) != game.statement) revert Bisections_WrongEvidence(id);
        (uint256 leaf, uint256 count, int256 claimed) = _part(id, game, parts, index);
        if (count != 1) revert Bisections_NotALeaf(id, count);
        int256 found = _product(statement, leaf, product);
        if (found == claimed) revert Bisections_NotRefuted(id, found);
        delete gameDigest[id];
        emit BisectionEnded(game.task, game.round, id, true);
        IGameSeam(disputes).uphold(game.task, game.round, record, game.challenger, game.bond, aggregators);
    }

    /// @inheritdoc IBisections
    function expire(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        address[] calldata aggregators
    ) external {
        _requireGame(id, game, record);
        bool gone = IGameSeam(disputes).isVoid(game.task, game.round, record);
        if (!gone && block.timestamp < game.deadline) revert Bisections_Deadline(id, game.deadline);
        delete gameDigest[id];
        emit BisectionEnded(game.task, game.round, id, !gone && !game.answered);
        if (gone) {
            IGameSeam(disputes).release(game.task, game.round, record, game.challenger, game.bond);
        } else if (game.answered) {
            IGameSeam(disputes).drop(game.task, game.round, record, game.challenger, game.bond, record.aggregator);
        } else {
            IGameSeam(disputes).uphold(game.task, game.round, record, game.challenger, game.bond, aggregators);
        }
    }

    /// @inheritdoc IBisections
    function partsOf(uint256 count) public pure returns (uint256 parts, uint256 width) {
        width = (count + FAN - 1) / FAN;
        if (width == 0) width = 1;
        parts = (count + width - 1) / width;
    }

    /// @dev Openings: rules, round, work, Gram row.
    function _statement(ITraceJudge.Evidence calldata e, uint256 column)
        private
        pure
        returns (Statement memory statement, uint256 row, int256 claimed)
    {
        (bytes calldata w,) = e.open(0, Traces.RULES, Traces.RULES_BYTES);
        (bytes calldata o,) = e.open(1, Traces.ROUND, Traces.ROUND_BYTES);
        uint256 rows = e.counts[Traces.GRAM];
        (bytes calldata work,) = e.open(2, Traces.WORK, Traces.WORK_HEAD + 64 * rows);
        bytes calldata words;
        (words, row) = e.open(3, Traces.GRAM, 32 * rows);
        if (column >= rows) revert Bisections_OutOfRange(column, rows);
        claimed = Traces.wordAt(words, column);
        Traces.RulesLeaf calldata rules = Traces.rules(w);
        uint256 trainersEnd = Traces.trainersEnd(Traces.round(o));
        (bytes32 left,) = Traces.rowAt(work, row);
        (bytes32 right,) = Traces.rowAt(work, column);
        statement = Statement({
            left: left,
            right: right,
            tensors: Traces.layoutOf(work),
            leftBits: uint32(row < trainersEnd ? rules.bits : Contents.DIRECTION_BITS),
            rightBits: uint32(column < trainersEnd ? rules.bits : Contents.DIRECTION_BITS),
            size: uint64(rules.size)
        });
    }

    function _product(Statement calldata statement, uint256 leaf, Product calldata product) private pure returns (int256) {
        Contents.requireLayout(product.tensors, statement.tensors);
        uint256 depth = Contents.depthOf(statement.size);
        Contents.requireLeaf(product.left, leaf, statement.leftBits, depth, statement.left);
        Contents.requireLeaf(product.right, leaf, statement.rightBits, depth, statement.right);
        return Contents.product(
            product.left.body, statement.leftBits, product.right.body, statement.rightBits, leaf, product.tensors
        );
    }

    function _part(uint256 id, Game memory game, int256[] calldata parts, uint256 index)
        private
        pure
        returns (uint256 first, uint256 count, int256 claimed)
    {
        if (keccak256(abi.encodePacked(parts)) != game.parts) revert Bisections_WrongEvidence(id);
        if (index >= parts.length) revert Bisections_OutOfRange(index, parts.length);
        (, uint256 width) = partsOf(game.count);
        first = game.first + index * width;
        uint256 end = uint256(game.first) + game.count;
        count = first + width > end ? end - first : width;
        claimed = parts[index];
    }

    function _keep(uint256 id, Game memory game) private {
        gameDigest[id] = keccak256(abi.encode(game));
    }

    function _requireGame(uint256 id, Game calldata game, IRoundLedger.SealRecord calldata record) private view {
        if (keccak256(abi.encode(game)) != gameDigest[id]) revert Bisections_UnknownGame(id);
        if (keccak256(abi.encode(game.task, uint256(game.round), record)) != game.seal) {
            revert Bisections_WrongEvidence(id);
        }
    }

    /// @dev A sealer that cannot show the layout, or whose layout is of another model, cannot answer.
    function _requireLayout(uint256 id, Game memory game, Statement calldata statement, bytes calldata tensors) private pure {
        if (keccak256(abi.encode(statement)) != game.statement) revert Bisections_WrongEvidence(id);
        Contents.requireLayout(tensors, statement.tensors);
        uint256 size = Contents.sizeOf(tensors);
        if (size != statement.size) revert Bisections_LayoutSize(size, statement.size);
    }

    function _requireMove(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        bool challengers
    ) private view returns (Game memory found) {
        found = _requireTurn(id, game, record, challengers);
        if (IGameSeam(disputes).isVoid(game.task, game.round, record)) revert Bisections_WrongEvidence(id);
    }

    function _requireTurn(
        uint256 id,
        Game calldata game,
        IRoundLedger.SealRecord calldata record,
        bool challengers
    ) private view returns (Game memory) {
        _requireGame(id, game, record);
        address mover = challengers ? game.challenger : record.aggregator;
        if (game.answered != challengers || msg.sender != mover) revert Bisections_NotYourMove(id);
        if (block.timestamp >= game.deadline) revert Bisections_Deadline(id, game.deadline);
        return game;
    }

    function _deadline(uint256 task) private view returns (uint40) {
        address ledger = IDisputes(disputes).ledger();
        return uint40(block.timestamp + LedgerReads.takeover(IRoundLedger(ledger).words(task)));
    }
}
