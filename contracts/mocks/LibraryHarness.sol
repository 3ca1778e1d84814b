// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Big, Bigs} from "../libraries/Bigs.sol";
import {Cramer} from "../libraries/Cramer.sol";
import {Documents} from "../libraries/Documents.sol";
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

    /// @notice The sum of products, as sign and limbs: one term is the product of its factors.
    function sumOfProducts(int256[][] calldata terms) external pure returns (bool negative, uint256[] memory limbs) {
        Big sum = Bigs.from(0);
        for (uint256 i = 0; i < terms.length; ++i) {
            sum = i % 2 == 0 ? Bigs.add(sum, _product(terms[i])) : Bigs.sub(sum, _product(terms[i]));
        }
        assembly ("memory-safe") {
            negative := mload(sum)
            limbs := add(sum, 32)
        }
    }

    /// @notice The sign of one product less another.
    function compareProducts(int256[] calldata a, int256[] calldata b) external pure returns (int256) {
        return Bigs.compare(_product(a), _product(b));
    }

    function isFloor(int256 q, int256[] calldata n, int256[] calldata d) external pure returns (bool) {
        return Bigs.isFloor(q, _product(n), _product(d));
    }

    /// @notice Up to four scalar products, summed where they grow.
    function scalarProduct(int256[] calldata a, int256[] calldata b)
        external
        pure
        returns (bool negative, uint256[] memory limbs)
    {
        (uint256 low, uint256 high, uint256 top) = (0, 0, 0);
        for (uint256 i = 0; i < a.length; ++i) {
            (low, high, top) = Bigs.addProduct(low, high, top, a[i], b[i]);
        }
        Big sum = Bigs.fromWords(low, high, top);
        assembly ("memory-safe") {
            negative := mload(sum)
            limbs := add(sum, 32)
        }
    }

    function cramer(int256[20] memory rows, uint256 order) external pure returns (int256, int256[4] memory) {
        int256[20] memory system = Cramer.system(order);
        for (uint256 i = 0; i < order; ++i) {
            for (uint256 j = 0; j < order; ++j) {
                system[5 * i + j] = rows[5 * i + j];
            }
            system[5 * i + 4] = rows[5 * i + 4];
        }
        int256[20] memory minors = Cramer.minors(system, order);
        return (Cramer.determinant(minors), Cramer.solve(system, minors, order));
    }

    function number(bytes calldata document, uint256 place, bytes calldata key, bytes32 digest)
        external
        view
        returns (uint256)
    {
        Documents.requireDigest(document, digest);
        return Documents.number(document, place, key);
    }

    function _product(int256[] calldata factors) private pure returns (Big product) {
        product = Bigs.from(1);
        for (uint256 i = 0; i < factors.length; ++i) {
            // both ways to multiply, in turns
            product = i % 2 == 0 ? Bigs.times(product, factors[i]) : Bigs.mul(Bigs.from(factors[i]), product);
        }
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
