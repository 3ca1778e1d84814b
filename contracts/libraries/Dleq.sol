// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Dleq
/// @notice Chaum-Pedersen: P = k G and S = k E for one k, without showing k. BN254, precompiles 0x06 and 0x07; about 27k
/// gas. Twin of `zk/commitment/dleq.py`, which has formula and soundness error.
library Dleq {
    uint256 internal constant FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    uint256 internal constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    bytes private constant DOMAIN = "fl-platform/dleq/v1";

    /// @notice An affine point of the curve, never infinity.
    struct Point {
        uint256 x;
        uint256 y;
    }

    /// @notice Challenge c and response z = w + c k, both below the order.
    struct Proof {
        uint256 challenge;
        uint256 response;
    }

    /// @notice Thrown when a point is not on the curve, not reduced, or infinity.
    error Dleq_PointInvalid(uint256 x, uint256 y);

    /// @notice Thrown when a proof's scalar is not below the order.
    error Dleq_ScalarTooLarge(uint256 scalar);

    /// @notice Thrown when the proof does not hold for these points in this context.
    error Dleq_NotProved();

    /// @notice Revert unless log_G(public_) = log_base(shared) is proved.
    /// @param context What the proof is bound to.
    function requireProof(
        Point memory public_,
        Point memory base,
        Point memory shared,
        bytes32 context,
        Proof memory proof
    ) internal view {
        requirePoint(public_);
        requirePoint(base);
        requirePoint(shared);
        if (proof.challenge >= ORDER) revert Dleq_ScalarTooLarge(proof.challenge);
        if (proof.response >= ORDER) revert Dleq_ScalarTooLarge(proof.response);
        // A = z G - c P, B = z E - c S
        Point memory a = _difference(Point(1, 2), proof.response, public_, proof.challenge);
        Point memory b = _difference(base, proof.response, shared, proof.challenge);
        bytes32 hash = keccak256(
            abi.encodePacked(
                DOMAIN, context, public_.x, public_.y, base.x, base.y, shared.x, shared.y, a.x, a.y, b.x, b.y
            )
        );
        if (uint256(hash) % ORDER != proof.challenge) revert Dleq_NotProved();
    }

    /// @notice Revert unless the point is on the curve. Its group has prime order, so that is all.
    function requirePoint(Point memory p) internal pure {
        if (!isPoint(p)) revert Dleq_PointInvalid(p.x, p.y);
    }

    /// @notice Return whether coordinates are reduced and on the curve; infinity, (0, 0), is not.
    function isPoint(Point memory p) internal pure returns (bool) {
        if (p.x >= FIELD || p.y >= FIELD) return false;
        uint256 right = addmod(mulmod(mulmod(p.x, p.x, FIELD), p.x, FIELD), 3, FIELD);
        return mulmod(p.y, p.y, FIELD) == right;
    }

    /// @dev u * p - v * q, for points on the curve.
    function _difference(Point memory p, uint256 u, Point memory q, uint256 v)
        private
        view
        returns (Point memory result)
    {
        // memory-safe: writes [m, m + 192) past the free pointer, and the result's two words. The precompiles cannot fail: their
        // points are on the curve. They get what gas there is.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, mload(p))
            mstore(add(m, 32), mload(add(p, 32)))
            mstore(add(m, 64), u)
            let good := staticcall(gas(), 7, m, 96, m, 64)
            mstore(add(m, 64), mload(q))
            // y is not zero: the curve has no point of order two
            mstore(add(m, 96), sub(FIELD, mload(add(q, 32))))
            mstore(add(m, 128), v)
            good := and(good, staticcall(gas(), 7, add(m, 64), 96, add(m, 64), 64))
            good := and(good, staticcall(gas(), 6, m, 128, result, 64))
            if iszero(good) { revert(0, 0) }
        }
    }
}
