// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Bigs
/// @notice Signed integers of up to 1,280 bits, for comparing products that leave 256 bits. Slow and small.
library Bigs {
    /// @notice Thrown when a number leaves 1,280 bits.
    error Bigs_Overflow();

    uint256 private constant LIMBS = 5;

    /// @param limbs Magnitude, least significant first.
    /// @param negative Sign; zero may have either.
    struct Big {
        uint256[5] limbs;
        bool negative;
    }

    /// @notice Return a small number.
    function from(int256 value) internal pure returns (Big memory big) {
        big.negative = value < 0;
        // the magnitude of -2^255 is 2^255, which the unchecked negation of the two's complement gives
        unchecked {
            big.limbs[0] = value < 0 ? uint256(-value) : uint256(value);
        }
    }

    /// @notice Return a * b.
    function mul(Big memory a, Big memory b) internal pure returns (Big memory out) {
        uint256 width = _width(b);
        uint256 height = _width(a);
        // at most 25 turns
        for (uint256 i = 0; i < height; ++i) {
            uint256 factor = a.limbs[i];
            uint256 carry;
            for (uint256 j = 0; j < width; ++j) {
                (uint256 high, uint256 low) = _wide(factor, b.limbs[j]);
                // high <= 2^256 - 2, so two carries fit into it
                unchecked {
                    low += carry;
                    if (low < carry) ++high;
                    if (low != 0 || high != 0) {
                        if (i + j >= LIMBS) revert Bigs_Overflow();
                        uint256 sum = out.limbs[i + j] + low;
                        if (sum < low) ++high;
                        out.limbs[i + j] = sum;
                    }
                }
                carry = high;
            }
            if (carry == 0) continue;
            if (i + width >= LIMBS) revert Bigs_Overflow();
            // a row never reached this limb before
            out.limbs[i + width] = carry;
        }
        out.negative = a.negative != b.negative;
    }

    function _width(Big memory a) private pure returns (uint256 width) {
        width = LIMBS;
        while (width > 0 && a.limbs[width - 1] == 0) --width;
    }

    /// @notice Return a * b for a small b.
    function mul(Big memory a, int256 b) internal pure returns (Big memory out) {
        uint256[5] memory x = a.limbs;
        uint256[5] memory y = out.limbs;
        uint256 carry;
        // five turns; high <= 2^256 - 2, so one more carry fits into it; the magnitude of -2^255 is 2^255
        unchecked {
            uint256 factor = b < 0 ? uint256(-b) : uint256(b);
            for (uint256 i = 0; i < LIMBS; ++i) {
                uint256 limb = x[i];
                if (limb == 0) {
                    if (carry != 0) (y[i], carry) = (carry, 0);
                    continue;
                }
                (uint256 high, uint256 low) = _wide(limb, factor);
                low += carry;
                if (low < carry) ++high;
                y[i] = low;
                carry = high;
            }
        }
        if (carry != 0) revert Bigs_Overflow();
        out.negative = a.negative != (b < 0);
    }

    /// @notice Return a + b.
    function add(Big memory a, Big memory b) internal pure returns (Big memory out) {
        if (a.negative == b.negative) {
            out.negative = a.negative;
            uint256 carry;
            for (uint256 i = 0; i < LIMBS; ++i) {
                unchecked {
                    uint256 sum = a.limbs[i] + b.limbs[i];
                    uint256 next = sum < a.limbs[i] ? 1 : 0;
                    uint256 total = sum + carry;
                    if (total < sum) next = 1;
                    out.limbs[i] = total;
                    carry = next;
                }
            }
            if (carry != 0) revert Bigs_Overflow();
            return out;
        }
        bool larger = _compareMagnitudes(a, b) >= 0;
        (Big memory x, Big memory y) = larger ? (a, b) : (b, a);
        out.negative = x.negative;
        uint256 borrow;
        for (uint256 i = 0; i < LIMBS; ++i) {
            unchecked {
                uint256 difference = x.limbs[i] - y.limbs[i];
                uint256 next = x.limbs[i] < y.limbs[i] ? 1 : 0;
                if (difference < borrow) next = 1;
                out.limbs[i] = difference - borrow;
                borrow = next;
            }
        }
    }

    /// @notice Return a - b.
    function sub(Big memory a, Big memory b) internal pure returns (Big memory) {
        Big memory minus = Big({limbs: b.limbs, negative: !b.negative});
        return add(a, minus);
    }

    /// @notice Return -1, 0 or 1: the sign of a.
    function sign(Big memory a) internal pure returns (int256) {
        for (uint256 i = 0; i < LIMBS; ++i) {
            if (a.limbs[i] != 0) return a.negative ? int256(-1) : int256(1);
        }
        return 0;
    }

    /// @notice Return -1, 0 or 1: the sign of a - b.
    function compare(Big memory a, Big memory b) internal pure returns (int256) {
        return sign(sub(a, b));
    }

    /// @notice Return whether q = floor(n / d). Requirements: d > 0.
    function isFloor(int256 q, Big memory n, Big memory d) internal pure returns (bool) {
        Big memory rest = sub(n, mul(d, q));
        return sign(rest) >= 0 && compare(rest, d) < 0;
    }

    function _compareMagnitudes(Big memory a, Big memory b) private pure returns (int256) {
        for (uint256 i = LIMBS; i > 0; --i) {
            if (a.limbs[i - 1] != b.limbs[i - 1]) return a.limbs[i - 1] > b.limbs[i - 1] ? int256(1) : int256(-1);
        }
        return 0;
    }

    /// @dev The 512-bit product: with p the product modulo 2^256 and m the one modulo 2^256 - 1, the high part is
    /// m - p, less one where m < p.
    function _wide(uint256 a, uint256 b) private pure returns (uint256 high, uint256 low) {
        unchecked {
            uint256 m = mulmod(a, b, type(uint256).max);
            low = a * b;
            high = m - low;
            if (m < low) --high;
        }
    }
}
