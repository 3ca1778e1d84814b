// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReputation} from "./interfaces/IReputation.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";

/// @title Reputation
/// @notice See {IReputation}.
contract Reputation is IReputation {
    /// @dev owner 20, amount 16, reputation 16 bytes.
    uint256 private constant ENTRY = 52;
    /// @dev A node in memory: sum 16, hash 32 bytes.
    uint256 private constant NODE = 48;

    IRoundLedger public immutable ledger;

    /// @dev (round + 1) << 128 | value; zero when never written.
    mapping(uint256 task => mapping(address trainer => uint256)) private _values;

    constructor(address ledger_) {
        ledger = IRoundLedger(ledger_);
    }

    /// @inheritdoc IReputation
    function record(uint256 task, uint256 round, IRoundLedger.ClaimRecord calldata seal, bytes calldata leaves) external {
        ledger.requireFinal(task, round, seal);
        uint256 count = seal.claimCount;
        if (leaves.length != count * ENTRY) revert Reputation_LengthMismatch(leaves.length, count * ENTRY);
        uint256 width = 1 << MerkleSum.depthOf(count);
        // one byte of tag, then the bottom row of nodes; fresh memory, so missing leaves are (0, 0)
        bytes memory row = new bytes(1 + width * NODE);
        _write(_values[task], task, round, leaves, row);
        bytes32 root = _fold(row, width);
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
                mstore(node, shl(128, shr(128, calldataload(add(position, 20)))))
                mstore(add(node, 16), keccak256(m, 73))
                node := add(node, 48)
                index := add(index, 1)
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

    /// @dev Folds the row in place, level by level, and returns the root.
    /// Proof of the assembly: pair j of a level lies at row + 33 + 96 j; its tag goes to the byte before, which is the last
    /// byte of pair j - 1 (already hashed) or the tag byte of `row`. Its parent goes to row + 33 + 48 j, which ends at or
    /// before the end of pair j, so no unread node is touched; width halves until one node is left. All writes lie inside
    /// `row`. Sums are below 2^128 before an addition, so it cannot wrap; one that reaches 2^128 ends the loop and reverts.
    function _fold(bytes memory row, uint256 width) private pure returns (bytes32 root) {
        bool overflow;
        uint256 left;
        uint256 right;
        assembly ("memory-safe") {
            let base := add(row, 33)
            for {} gt(width, 1) { width := shr(1, width) } {
                let parent := base
                let end := add(base, mul(width, 48))
                for { let pair := base } lt(pair, end) { pair := add(pair, 96) } {
                    left := shr(128, mload(pair))
                    right := shr(128, mload(add(pair, 48)))
                    let sum := add(left, right)
                    if shr(128, sum) {
                        overflow := 1
                        break
                    }
                    mstore8(sub(pair, 1), 1)
                    let hash := keccak256(sub(pair, 1), 97)
                    mstore(parent, shl(128, sum))
                    mstore(add(parent, 16), hash)
                    parent := add(parent, 48)
                }
                if overflow { break }
            }
            root := mload(add(base, 16))
        }
        if (overflow) revert MerkleSum.MerkleSum_SumOverflow(left, right);
    }
}
