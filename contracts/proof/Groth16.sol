// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Groth16
/// @notice Verifies a Groth16 proof with three public inputs over BN254, by a key that comes as data.
///
/// Notes:
/// - A key is 23 words: alpha, beta, gamma, delta, four points IC, and a word for how it was made, which this library does
///   not read. In G2 the part with u comes first. Twin of `VerifyingKey.to_bytes` in zk/groth16/verifier.py.
/// - Whoever freezes a key's digest answers for its points: one with infinity among them accepts anything
///   (`check_key` refuses it wherever a key is read).
library Groth16 {
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 private constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    /// @notice Return whether a proof holds.
    ///
    /// Notes:
    /// - proof is A.x, A.y, B.x (part with u first), B.y (the same), C.x, C.y.
    /// - Answers false, never reverts, for inputs that are not below r, coordinates that are not below p, points that are
    ///   not on their curve or not in its group of order r, and infinity in a proof.
    function verify(uint256[8] calldata proof, uint256[3] memory input, uint256[23] calldata key)
        internal
        view
        returns (bool holds)
    {
        // memory-safe: writes [m, m + 768) past the free pointer and moves no pointer. Points go to precompiles 0x06 to
        // 0x08, which fail for a coordinate >= P, for a point off its curve and for one outside G2's group of order R;
        // `holds` is and-ed with every answer. Infinity, which they accept, is refused here, and A.y is compared with P
        // before it is negated.
        assembly ("memory-safe") {
            function term(m, point, factor) -> done {
                calldatacopy(add(m, 64), point, 64)
                mstore(add(m, 128), factor)
                done := staticcall(gas(), 7, add(m, 64), 96, add(m, 64), 64)
                done := and(done, staticcall(gas(), 6, m, 128, m, 64))
            }
            let m := mload(0x40)
            let ay := calldataload(add(proof, 32))
            holds := and(lt(mload(input), R), lt(mload(add(input, 32)), R))
            holds := and(holds, and(lt(mload(add(input, 64)), R), lt(ay, P)))
            holds := and(holds, iszero(iszero(or(calldataload(proof), ay))))
            holds := and(holds, iszero(iszero(or(calldataload(add(proof, 192)), calldataload(add(proof, 224))))))
            {
                let b := or(calldataload(add(proof, 64)), calldataload(add(proof, 96)))
                b := or(b, or(calldataload(add(proof, 128)), calldataload(add(proof, 160))))
                holds := and(holds, iszero(iszero(b)))
            }
            if holds {
                calldatacopy(m, add(key, 448), 64)
                holds := term(m, add(key, 512), mload(input))
                holds := and(holds, term(m, add(key, 576), mload(add(input, 32))))
                holds := and(holds, term(m, add(key, 640), mload(add(input, 64))))
                // e(sum, gamma) e(-A, B) e(alpha, beta) e(C, delta) = 1; the sum already lies at m
                calldatacopy(add(m, 64), add(key, 192), 128)
                calldatacopy(add(m, 192), proof, 192)
                mstore(add(m, 224), sub(P, ay))
                calldatacopy(add(m, 384), key, 192)
                calldatacopy(add(m, 576), add(proof, 192), 64)
                calldatacopy(add(m, 640), add(key, 320), 128)
                holds := and(holds, staticcall(gas(), 8, m, 768, m, 32))
                holds := and(holds, mload(m))
            }
        }
    }
}
