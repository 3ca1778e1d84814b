// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Receipts} from "../libraries/Receipts.sol";

/// @title LibraryHarness
/// @notice Shows the libraries to the tests, and the weak node that the platform does not use.
contract LibraryHarness {
    function leafHash(uint32 index, address owner, uint128 amount, bytes32 data) external pure returns (bytes32) {
        return MerkleSum.leafHash(index, owner, amount, data);
    }

    function nodeHash(uint128 leftSum, bytes32 left, uint128 rightSum, bytes32 right) external pure returns (bytes32) {
        return MerkleSum.nodeHash(leftSum, left, rightSum, right);
    }

    function depthOf(uint256 count) external pure returns (uint256) {
        return MerkleSum.depthOf(count);
    }

    function requireLeaf(
        bytes32 root,
        uint256 total,
        uint256 count,
        IRoundLedger.Leaf calldata leaf,
        bytes calldata siblings
    ) external pure {
        bytes32 hash = MerkleSum.leafHash(leaf.index, leaf.owner, leaf.amount, leaf.data);
        MerkleSum.requireLeaf(root, total, count, leaf.index, hash, leaf.amount, siblings);
    }

    function receiptHash(IRoundLedger.Receipt calldata receipt) external pure returns (bytes32) {
        return Receipts.structHash(receipt);
    }

    /// @notice As the contracts recover: zero where OpenZeppelin reports a problem.
    function recover(bytes32 digest, bytes calldata signature) external pure returns (address signer) {
        ECDSA.RecoverError problem;
        (signer, problem,) = ECDSA.tryRecover(digest, signature);
        if (problem != ECDSA.RecoverError.NoError) signer = address(0);
    }

    /// @notice The node that must not be used: it binds the sum of the children, not the children's sums.
    function weakVerify(
        bytes32 root,
        uint256 total,
        uint256 index,
        bytes32 hash,
        uint256 sum,
        uint256[] calldata sums,
        bytes32[] calldata hashes
    ) external pure returns (bool) {
        for (uint256 i = 0; i < hashes.length; ++i) {
            sum += sums[i];
            hash = index & 1 == 0
                ? keccak256(abi.encode(hash, hashes[i], sum))
                : keccak256(abi.encode(hashes[i], hash, sum));
            index >>= 1;
        }
        return hash == root && sum == total;
    }
}
