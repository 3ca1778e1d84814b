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
        bytes32[] memory hashes = new bytes32[](width);
        uint256[] memory sums = new uint256[](width);
        _write(task, round, leaves, hashes, sums);
        _requireRoot(hashes, sums, width, seal);
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

    /// @dev The loop's length is the sealed claim count, paid for by the caller.
    function _write(uint256 task, uint256 round, bytes calldata leaves, bytes32[] memory hashes, uint256[] memory sums)
        private
    {
        mapping(address => uint256) storage values = _values[task];
        uint256 count = leaves.length / ENTRY;
        uint256 offset;
        for (uint256 i = 0; i < count; ++i) {
            uint256 owner;
            uint256 amount;
            uint256 value;
            // [offset, offset + 52) lies inside `leaves`, whose length is count * 52
            assembly ("memory-safe") {
                let position := add(leaves.offset, offset)
                owner := shr(96, calldataload(position))
                amount := calldataload(add(position, 20))
                value := and(amount, 0xffffffffffffffffffffffffffffffff)
                amount := shr(128, amount)
            }
            hashes[i] = MerkleSum.leafHash(uint32(i), address(uint160(owner)), uint128(amount), bytes32(value));
            sums[i] = amount;
            uint256 written = values[address(uint160(owner))] >> 128;
            if (written > round) revert Reputation_Stale(task, round, written - 1);
            values[address(uint160(owner))] = ((round + 1) << 128) | value;
            // count * 52 is a calldata length
            unchecked {
                offset += ENTRY;
            }
        }
    }

    /// @dev Folds the arrays in place; missing leaves are (0, 0) as fresh memory is.
    function _requireRoot(
        bytes32[] memory hashes,
        uint256[] memory sums,
        uint256 width,
        IRoundLedger.ClaimRecord calldata seal
    ) private pure {
        for (; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                hashes[i >> 1] = MerkleSum.nodeHash(sums[i], hashes[i], sums[i + 1], hashes[i + 1]);
                sums[i >> 1] = MerkleSum.addSums(sums[i], sums[i + 1]);
            }
        }
        if (hashes[0] != seal.claimRoot) revert Reputation_RootMismatch(hashes[0], seal.claimRoot);
    }
}
