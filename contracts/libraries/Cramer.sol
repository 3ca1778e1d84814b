// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Cramer
/// @notice Up to four linear equations by Cramer's rule: the determinant, and those with one column replaced by the right
/// side. All five share the 2x2 minors of the first two rows and of the last two, by Laplace's expansion.
///
/// A system is four rows of five words: the matrix, then the right side. One of a smaller order stands at the left top, with
/// ones on the rest of the diagonal and zeros elsewhere.
library Cramer {
    /// @notice Thrown when a coefficient of a system of this order reaches 2^bits: its determinants may leave 256 bits.
    error Cramer_OutOfRange(uint256 order, uint256 bits);

    /// @dev Bits of a coefficient by order, a byte each from order 0: 255, 255, 127, 84, 62. A determinant of order p is a sum of
    /// p! products: 24 * 2^248, 6 * 2^252 and 2 * (2^127 - 1)^2 are below 2^255.
    uint256 private constant BITS = 0x3e547fffff;

    /// @notice Return an empty system of this order.
    function system(uint256 order) internal pure returns (int256[20] memory rows) {
        // at most four turns
        for (uint256 i = order; i < 4; ++i) {
            rows[6 * i] = 1;
        }
    }

    /// @notice Return the minors of columns (0,1) (0,2) (0,3) (0,4) (1,2) (1,3) (1,4) (2,3) (2,4) (3,4): ten of the rows 0 and 1,
    /// then ten of the rows 2 and 3, modulo 2^256.
    /// Requirements: the matrix is in range.
    function minors(int256[20] memory rows, uint256 order) internal pure returns (int256[20] memory table) {
        uint256 reach;
        // memory-safe: reads the 20 words of `rows` and writes the 20 of `table`, which is a pair of rows by ten pairs of
        // columns. Words that belong to no equation are zero or one.
        assembly ("memory-safe") {
            let at := table
            for { let first := rows } lt(first, add(rows, 640)) { first := add(first, 320) } {
                let second := add(first, 160)
                for { let i := 0 } lt(i, 128) { i := add(i, 32) } {
                    let p := mload(add(first, i))
                    let q := mload(add(second, i))
                    reach := or(reach, or(xor(p, sar(255, p)), xor(q, sar(255, q))))
                    for { let j := add(i, 32) } lt(j, 160) { j := add(j, 32) } {
                        mstore(at, sub(mul(p, mload(add(second, j))), mul(q, mload(add(first, j)))))
                        at := add(at, 32)
                    }
                }
            }
        }
        _requireReach(reach, order);
    }

    /// @notice Return the determinant of the matrix whose minors these are.
    function determinant(int256[20] memory table) internal pure returns (int256) {
        return _expand(table, 0, 1, 2, 4, 5, 7);
    }

    /// @notice Return the determinants with the right side in place of column 0, 1, 2 and 3; zeros past the order.
    /// Requirements: the right side is in range.
    function solve(int256[20] memory rows, int256[20] memory table, uint256 order)
        internal
        pure
        returns (int256[4] memory z)
    {
        uint256 reach;
        for (uint256 i = 0; i < 4; ++i) {
            int256 side = rows[5 * i + 4];
            reach |= uint256(side ^ (side >> 255));
        }
        _requireReach(reach, order);
        // The right side is column 4; to bring it from place k to the end takes 3 - k swaps.
        unchecked {
            z[0] = -_expand(table, 4, 5, 6, 7, 8, 9);
            z[1] = _expand(table, 1, 2, 3, 7, 8, 9);
            z[2] = -_expand(table, 0, 2, 3, 5, 6, 9);
            z[3] = _expand(table, 0, 1, 3, 4, 6, 8);
        }
    }

    /// @dev Laplace's expansion of four columns a < b < c < d; the arguments are the places of their pairs among the minors.
    /// Modulo 2^256, and right because the range keeps the result below 2^255.
    function _expand(
        int256[20] memory table,
        uint256 ab,
        uint256 ac,
        uint256 ad,
        uint256 bc,
        uint256 bd,
        uint256 cd
    ) private pure returns (int256 sum) {
        // memory-safe: reads only; places are at most 9.
        assembly ("memory-safe") {
            function term(t, i, j) -> value {
                value := mul(mload(add(t, shl(5, i))), mload(add(add(t, 320), shl(5, j))))
            }
            sum := add(term(table, ab, cd), term(table, cd, ab))
            sum := sub(sum, add(term(table, ac, bd), term(table, bd, ac)))
            sum := add(sum, add(term(table, ad, bc), term(table, bc, ad)))
        }
    }

    /// @dev `reach` has the bits of all coefficients, negative ones complemented.
    function _requireReach(uint256 reach, uint256 order) private pure {
        uint256 bits = (BITS >> (8 * order)) & 0xff;
        if (reach >> bits != 0) revert Cramer_OutOfRange(order, bits);
    }
}
