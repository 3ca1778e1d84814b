// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice A signed integer in memory: where its sign (1: negative), its width and so many limbs lie, the least first. The
/// top limb is not zero; zero has no limbs and no sign.
type Big is uint256;

/// @title Bigs
/// @notice Signed integers of up to 1,280 bits, for comparing products that leave 256 bits. A number costs what its width
/// costs. Numbers are never changed once they are made.
library Bigs {
    /// @notice Thrown when a number leaves 1,280 bits.
    error Bigs_Overflow();

    uint256 private constant LIMBS = 5;

    /// @notice Return a small number.
    function from(int256 value) internal pure returns (Big) {
        return product(value, 1);
    }

    /// @notice Return a * b.
    function product(int256 a, int256 b) internal pure returns (Big) {
        (uint256 low, uint256 high, uint256 top) = addProduct(0, 0, 0, a, b);
        return fromWords(low, high, top);
    }

    /// @notice Return (low, high, top) + a * b, all in two's complement of 768 bits. No sum of less than 2^256 products leaves
    /// it.
    function addProduct(uint256 low, uint256 high, uint256 top, int256 a, int256 b)
        internal
        pure
        returns (uint256, uint256, uint256)
    {
        // The unsigned product of the two's complements is too high by 2^256 b where a < 0, and by 2^256 a where b < 0; the
        // high half is right modulo 2^256 without them. |a b| <= 2^510, so the high half's sign is the product's.
        assembly ("memory-safe") {
            let m := mulmod(a, b, not(0))
            let l := mul(a, b)
            let h := sub(sub(m, l), lt(m, l))
            h := sub(sub(h, mul(slt(a, 0), b)), mul(slt(b, 0), a))
            low := add(low, l)
            let carry := lt(low, l)
            let sum := add(high, h)
            top := add(add(top, sar(255, h)), lt(sum, h))
            high := add(sum, carry)
            top := add(top, lt(high, carry))
        }
        return (low, high, top);
    }

    /// @notice Return a number of 768 bits in two's complement.
    function fromWords(uint256 low, uint256 high, uint256 top) internal pure returns (Big out) {
        // memory-safe: takes [m, m + 160) from the free pointer on. Negation: complement, and one.
        assembly ("memory-safe") {
            out := mload(0x40)
            mstore(0x40, add(out, 160))
            let negative := shr(255, top)
            if negative {
                low := sub(0, low)
                high := add(not(high), iszero(low))
                top := add(not(top), and(iszero(low), iszero(high)))
            }
            mstore(out, negative)
            let width := 3
            if iszero(top) {
                width := 2
                if iszero(high) { width := iszero(iszero(low)) }
            }
            mstore(add(out, 32), width)
            mstore(add(out, 64), low)
            mstore(add(out, 96), high)
            mstore(add(out, 128), top)
        }
    }

    /// @notice Return a * b for a small b.
    function times(Big a, int256 b) internal pure returns (Big) {
        return mul(a, from(b));
    }

    /// @notice Return a * b.
    function mul(Big a, Big b) internal pure returns (Big out) {
        uint256 width;
        // Rows of products, the least limb first; a row's carry opens the next limb. high <= 2^256 - 2 of a product of two
        // limbs, and the row's two additions carry at most 2 together only where high is smaller: (2^256 - 1)^2 + 2 (2^256 - 1)
        // is 2^512 - 1, so the running carry fits into one limb.
        // memory-safe: takes [m, m + 64 + 32 (width a + width b)), at most 10 limbs, from the free pointer on.
        assembly ("memory-safe") {
            out := mload(0x40)
            let height := mload(add(a, 32))
            let breadth := mload(add(b, 32))
            let x := add(a, 64)
            let y := add(b, 64)
            let z := add(out, 64)
            width := mul(add(height, breadth), mul(iszero(iszero(height)), iszero(iszero(breadth))))
            let end := add(z, shl(5, width))
            mstore(0x40, end)
            for { let p := z } lt(p, end) { p := add(p, 32) } { mstore(p, 0) }
            if width {
                for { let i := 0 } lt(i, height) { i := add(i, 1) } {
                    let factor := mload(add(x, shl(5, i)))
                    let at := add(z, shl(5, i))
                    let carry := 0
                    for { let j := 0 } lt(j, breadth) { j := add(j, 1) } {
                        let other := mload(add(y, shl(5, j)))
                        let m := mulmod(factor, other, not(0))
                        let low := mul(factor, other)
                        let high := sub(sub(m, low), lt(m, low))
                        low := add(low, carry)
                        high := add(high, lt(low, carry))
                        let sum := add(mload(at), low)
                        carry := add(high, lt(sum, low))
                        mstore(at, sum)
                        at := add(at, 32)
                    }
                    mstore(at, carry)
                }
                // the product of two numbers of h and w limbs has h + w limbs or one less
                if iszero(mload(sub(end, 32))) { width := sub(width, 1) }
            }
            mstore(out, and(xor(mload(a), mload(b)), iszero(iszero(width))))
            mstore(add(out, 32), width)
        }
        if (width > LIMBS) revert Bigs_Overflow();
    }

    /// @notice Return a + b.
    function add(Big a, Big b) internal pure returns (Big) {
        return _sum(a, b, 0);
    }

    /// @notice Return a - b.
    function sub(Big a, Big b) internal pure returns (Big) {
        return _sum(a, b, 1);
    }

    /// @notice Return -1, 0 or 1: the sign of a - b.
    function compare(Big a, Big b) internal pure returns (int256) {
        (uint256 signA, uint256 signB) = (_sign(a), _sign(b));
        if (signA != signB) return signA != 0 ? int256(-1) : int256(1);
        int256 larger = _compareMagnitudes(a, b);
        return signA != 0 ? -larger : larger;
    }

    /// @notice Return whether q = floor(n / d). Requirements: d > 0.
    function isFloor(int256 q, Big n, Big d) internal pure returns (bool) {
        Big rest = sub(n, times(d, q));
        return _sign(rest) == 0 && compare(rest, d) < 0;
    }

    function _sign(Big a) private pure returns (uint256 sign) {
        assembly ("memory-safe") {
            sign := mload(a)
        }
    }

    /// @dev a + b, or a - b where `flip` is 1.
    function _sum(Big a, Big b, uint256 flip) private pure returns (Big) {
        uint256 signA = _sign(a);
        uint256 signB = _sign(b) ^ flip;
        if (signA == signB) return _plus(a, b, signA);
        return _compareMagnitudes(a, b) < 0 ? _minus(b, a, signB) : _minus(a, b, signA);
    }

    /// @dev |a| + |b| with a sign.
    function _plus(Big a, Big b, uint256 sign) private pure returns (Big out) {
        uint256 width;
        // memory-safe: takes [m, m + 96 + 32 max(width)) from the free pointer on. A limb past a number's own is not read: it
        // counts as zero.
        assembly ("memory-safe") {
            out := mload(0x40)
            let widthA := mload(add(a, 32))
            let widthB := mload(add(b, 32))
            if lt(widthA, widthB) {
                let t := a
                a := b
                b := t
                t := widthA
                widthA := widthB
                widthB := t
            }
            let carry := 0
            for {} lt(width, widthB) { width := add(width, 1) } {
                let at := add(64, shl(5, width))
                let x := mload(add(a, at))
                let sum := add(x, mload(add(b, at)))
                let next := lt(sum, x)
                let total := add(sum, carry)
                carry := or(next, lt(total, sum))
                mstore(add(out, at), total)
            }
            for {} lt(width, widthA) { width := add(width, 1) } {
                let at := add(64, shl(5, width))
                let total := add(mload(add(a, at)), carry)
                carry := lt(total, carry)
                mstore(add(out, at), total)
            }
            if carry {
                mstore(add(out, add(64, shl(5, width))), 1)
                width := add(width, 1)
            }
            mstore(out, and(sign, iszero(iszero(width))))
            mstore(add(out, 32), width)
            mstore(0x40, add(out, add(64, shl(5, width))))
        }
        if (width > LIMBS) revert Bigs_Overflow();
    }

    /// @dev |a| - |b| with a sign. Requirements: |a| >= |b|.
    function _minus(Big a, Big b, uint256 sign) private pure returns (Big out) {
        // memory-safe: takes [m, m + 64 + 32 width(a)) from the free pointer on; |a| >= |b|, so b is no wider and nothing is
        // borrowed in the end.
        assembly ("memory-safe") {
            out := mload(0x40)
            let widthA := mload(add(a, 32))
            let widthB := mload(add(b, 32))
            let width := 0
            let borrow := 0
            for { let i := 0 } lt(i, widthA) { i := add(i, 1) } {
                let at := add(64, shl(5, i))
                let x := mload(add(a, at))
                let y := 0
                if lt(i, widthB) { y := mload(add(b, at)) }
                let difference := sub(x, y)
                let rest := sub(difference, borrow)
                borrow := or(lt(x, y), lt(difference, borrow))
                mstore(add(out, at), rest)
                if rest { width := add(i, 1) }
            }
            mstore(out, and(sign, iszero(iszero(width))))
            mstore(add(out, 32), width)
            mstore(0x40, add(out, add(64, shl(5, width))))
        }
    }

    /// @dev -1, 0 or 1: the sign of |a| - |b|.
    function _compareMagnitudes(Big a, Big b) private pure returns (int256 larger) {
        assembly ("memory-safe") {
            let width := mload(add(a, 32))
            let other := mload(add(b, 32))
            larger := sub(gt(width, other), lt(width, other))
            for {} and(iszero(larger), gt(width, 0)) { width := sub(width, 1) } {
                let at := add(32, shl(5, width))
                let x := mload(add(a, at))
                let y := mload(add(b, at))
                larger := sub(gt(x, y), lt(x, y))
            }
        }
    }
}
