// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReputation} from "../interfaces/IReputation.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";

/// @title Reputation
/// @notice See {IReputation}.
contract Reputation is IReputation {
    /// @dev One more than the first seat of a trainer; an assembly block takes no expression for a constant.
    uint256 private constant BEHIND_FIRST_TRAINER = 10;

    IRoundLedger public immutable ledger;

    /// @dev (round + 1) << 128 | value; zero when never written.
    mapping(uint256 task => mapping(address trainer => uint256)) private _values;

    constructor(address ledger_) {
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc IReputation
    function record(uint256 task, uint256 round, IRoundLedger.ClaimRecord calldata seal, bytes calldata leaves)
        external
    {
        ledger.requireFinal(task, round, seal);
        uint256 count = seal.claimCount;
        if (leaves.length != count * MerkleSum.PACKED) {
            revert Reputation_LengthMismatch(leaves.length, count * MerkleSum.PACKED);
        }
        bytes memory row = MerkleSum.emptyRow(count);
        _write(_values[task], task, round, leaves, row);
        (bytes32 root,) = MerkleSum.fold(row);
        if (root != seal.claimRoot) revert Reputation_RootMismatch(root, seal.claimRoot);
        emit ReputationRecorded(task, round, seal.claimRoot, count);
    }

    /// @inheritdoc IReputation
    function reputationOf(uint256 task, address trainer)
        external
        view
        returns (uint256 value, uint256 round, bool known)
    {
        uint256 word = _values[task][trainer];
        if (word == 0) return (0, 0, false);
        return (word & type(uint128).max, (word >> 128) - 1, true);
    }

    /// @dev Stores every leaf's value and puts its node into the bottom row. The loop's length is the sealed claim count,
    /// which the caller pays for; nothing is kept when the root turns out wrong, because `record` reverts.
    function _write(
        mapping(address => uint256) storage values,
        uint256 task,
        uint256 round,
        bytes calldata leaves,
        bytes memory row
    ) private {
        uint256 stale;
        // Proof of the assembly:
        // - calldata: position runs over `leaves` in steps of 52 while below its end, and its length is a multiple of 52, so
        //   the 52 bytes read at position lie inside it.
        // - memory-safe: nodes go to row + 33 + 48 i, 48 bytes each, i < count <= width, inside `row`; the sum's store is 32
        //   bytes long, its tail is overwritten by the hash. The leaf's preimage is built in [m, m + 73) past the free
        //   pointer: tag 1 (zero), index 4, owner 20, amount 16, data 32; the order of stores leaves each field whole
        //   (copying writes 36 bytes at m + 5, the index before it, the data after it). The slot's preimage uses scratch
        //   space [0, 64).
        // - storage: keccak256(owner . values.slot) is where the compiler keeps values[owner].
        assembly ("memory-safe") {
            let m := mload(0x40)
            let node := add(row, 33)
            let tag := shl(128, add(round, 1))
            let end := add(leaves.offset, leaves.length)
            let index := 0
            mstore(0x20, values.slot)
            for { let position := leaves.offset } lt(position, end) { position := add(position, 52) } {
                mstore(m, shl(216, index))
                calldatacopy(add(m, 5), position, 36)
                let value := shr(128, calldataload(add(position, 36)))
                mstore(add(m, 41), value)
                mstore(node, calldataload(add(position, 20)))
                mstore(add(node, 16), keccak256(m, 73))
                node := add(node, 48)
                index := add(index, 1)
                // seats before the first trainer's are those of aggregators and owner, who train nothing by them
                if lt(index, BEHIND_FIRST_TRAINER) { continue }
                mstore(0, shr(96, calldataload(position)))
                let slot := keccak256(0, 0x40)
                let written := sload(slot)
                if iszero(lt(written, tag)) {
                    stale := written
                    break
                }
                sstore(slot, or(tag, value))
            }
        }
        if (stale != 0) revert Reputation_Stale(task, round, (stale >> 128) - 1);
    }
}
