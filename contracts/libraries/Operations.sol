// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Language} from "./Language.sol";

/// @title Operations
/// @notice The operations of a round's cells: what each gives of single cells. Twin of fl_platform/protocol/operations.py.
/// @dev A cell is a signed integer of 256 bits in two's complement. Every operation is total: nothing here reverts but an
/// unknown number, so nobody can be kept from deciding a cell.
library Operations {
    /// @notice Thrown for a number that is no operation on operands alone.
    error Operations_Unknown(uint8 op);

    /// @notice Return what an operation gives. Operands that it has not are not looked at.
    function give(uint8 op, int256 x, int256 y, int256 z) internal pure returns (int256) {
        unchecked {
            if (op == Language.ADD) return x + y;
            if (op == Language.SUB) return x - y;
            if (op == Language.MUL) return x * y;
            if (op == Language.MULADD) return x * y + z;
            if (op == Language.DIV) return _div(x, y);
            if (op == Language.MULDIV) return _muldiv(x, y, z);
            if (op == Language.ROOT) return x < 0 ? int256(0) : int256(Math.sqrt(uint256(x)));
            if (op == Language.MIN) return x < y ? x : y;
            if (op == Language.MAX) return x > y ? x : y;
            if (op == Language.CLAMP) {
                int256 raised = x > y ? x : y;
                return raised < z ? raised : z;
            }
            if (op == Language.LT) return x < y ? int256(1) : int256(0);
            if (op == Language.EQ) return x == y ? int256(1) : int256(0);
            if (op == Language.SEL) return x != 0 ? y : z;
            if (op == Language.BITS) return x <= 0 ? int256(0) : int256(Math.log2(uint256(x)) + 1);
            if (op == Language.SHIFT) return _shift(x, y);
        }
        revert Operations_Unknown(op);
    }

    /// @dev floor(x / y); 0 where y is 0. The least integer through -1 is itself, as 256 bits hold it.
    function _div(int256 x, int256 y) private pure returns (int256 quotient) {
        if (y == 0) return 0;
        unchecked {
            quotient = x / y;
            if ((x ^ y) < 0 && quotient * y != x) quotient -= 1;
        }
    }

    /// @dev floor(x * y / z) with an exact product; 0 where z is 0, and where it leaves 256 bits.
    function _muldiv(int256 x, int256 y, int256 z) private pure returns (int256) {
        if (z == 0) return 0;
        unchecked {
            bool negative = (x ^ y ^ z) < 0 && x != 0 && y != 0;
            uint256 a = _magnitude(x);
            uint256 b = _magnitude(y);
            uint256 c = _magnitude(z);
            uint256 m = mulmod(a, b, type(uint256).max);
            uint256 low = a * b;
            uint256 high = m - low - (m < low ? 1 : 0);
            if (high >= c) return 0;
            uint256 quotient = Math.mulDiv(a, b, c);
            uint256 limit = 1 << 255;
            if (!negative) return quotient < limit ? int256(quotient) : int256(0);
            if (mulmod(a, b, c) != 0) {
                if (quotient >= limit) return 0;
                quotient += 1;
            }
            return quotient <= limit ? int256(0 - quotient) : int256(0);
        }
    }

    /// @dev x * 2^y; floor where y is negative.
    function _shift(int256 x, int256 y) private pure returns (int256) {
        unchecked {
            if (y >= 256) return 0;
            if (y >= 0) return int256(uint256(x) << uint256(y));
            if (y <= -256) return x < 0 ? int256(-1) : int256(0);
            return x >> uint256(-y);
        }
    }

    function _magnitude(int256 x) private pure returns (uint256) {
        unchecked {
            return x < 0 ? 0 - uint256(x) : uint256(x);
        }
    }
}
