// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Aes256
/// @notice AES-256 (FIPS 197): encryption of one block, which is one step of counter mode. Twin of
/// `fl_platform/store/envelope.py`. About 12k gas. Inputs are public in a dispute, so timing does not matter.
library Aes256 {
    bytes private constant BOX = hex"637c777bf26b6fc53001672bfed7ab76ca82c97dfa5947f0add4a2af9ca472c0"
        hex"b7fd9326363ff7cc34a5e5f171d8311504c723c31896059a071280e2eb27b275"
        hex"09832c1a1b6e5aa0523bd6b329e32f8453d100ed20fcb15b6acbbe394a4c58cf"
        hex"d0efaafb434d338545f9027f503c9fa851a3408f929d38f5bcb6da2110fff3d2"
        hex"cd0c13ec5f974417c4a77e3d645d197360814fdc222a908846eeb814de5e0bdb"
        hex"e0323a0a4906245cc2d3ac629195e479e7c8376d8dd54ea96c56f4ea657aae08"
        hex"ba78252e1ca6b4c6e8dd741f4bbd8b8a703eb5664803f60e613557b986c11d9e"
        hex"e1f8981169d98e949b1e87e9ce5528df8ca1890dbfe6426841992d0fb054bb16";

    /// @notice Return the encryption of one block.
    /// @dev State and round keys are the low 128 bits of a word, first byte highest: bytes 16 to 31 for `byte`. SubBytes and
    /// ShiftRows go through the scratch space, a byte each (byte i comes from byte 4 (i / 4) + 5 (i % 4) modulo 16);
    /// MixColumns works on all 16 bytes at once: with x the state, r its columns rotated by one byte and t = x ^ r, it is
    /// 2 t ^ r ^ (t rotated by two bytes).
    function encrypt(bytes32 key, bytes16 block_) internal pure returns (bytes16 result) {
        bytes memory box = BOX;
        // memory-safe: reads the table (an index is one byte, whose word begins 31 bytes before its place), writes the scratch
        // space.
        assembly ("memory-safe") {
            // SubBytes and ShiftRows: the state goes to bytes 16 to 31 of the scratch space
            function substitute(t, state) {
                mstore8(16, mload(add(t, byte(16, state))))
                mstore8(17, mload(add(t, byte(21, state))))
                mstore8(18, mload(add(t, byte(26, state))))
                mstore8(19, mload(add(t, byte(31, state))))
                mstore8(20, mload(add(t, byte(20, state))))
                mstore8(21, mload(add(t, byte(25, state))))
                mstore8(22, mload(add(t, byte(30, state))))
                mstore8(23, mload(add(t, byte(19, state))))
                mstore8(24, mload(add(t, byte(24, state))))
                mstore8(25, mload(add(t, byte(29, state))))
                mstore8(26, mload(add(t, byte(18, state))))
                mstore8(27, mload(add(t, byte(23, state))))
                mstore8(28, mload(add(t, byte(28, state))))
                mstore8(29, mload(add(t, byte(17, state))))
                mstore8(30, mload(add(t, byte(22, state))))
                mstore8(31, mload(add(t, byte(27, state))))
            }
            let t := add(box, 1)
            // the halves of the key are round keys 0 and 1; each later one follows from the two before it
            let older := shr(128, key)
            let newer := and(key, 0xffffffffffffffffffffffffffffffff)
            let state := xor(shr(128, block_), older)
            mstore(0, 0)
            for { let round := 1 } lt(round, 14) { round := add(round, 1) } {
                substitute(t, state)
                let x := mload(0)
                let r :=
                    or(
                        and(shl(8, x), 0xffffff00ffffff00ffffff00ffffff00),
                        and(shr(24, x), 0x000000ff000000ff000000ff000000ff)
                    )
                let y := xor(x, r)
                state := xor(
                    xor(newer, r),
                    xor(
                        xor(
                            shl(1, and(y, 0x7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f)),
                            mul(and(shr(7, y), 0x01010101010101010101010101010101), 0x1b)
                        ),
                        or(
                            and(shl(16, y), 0xffff0000ffff0000ffff0000ffff0000),
                            and(shr(16, y), 0x0000ffff0000ffff0000ffff0000ffff)
                        )
                    )
                )
                // the last word of the newer key, substituted; in odd rounds rotated and with a round constant as well
                switch and(round, 1)
                case 1 {
                    mstore8(28, mload(add(t, byte(29, newer))))
                    mstore8(29, mload(add(t, byte(30, newer))))
                    mstore8(30, mload(add(t, byte(31, newer))))
                    mstore8(31, mload(add(t, byte(28, newer))))
                    older := xor(older, shl(add(120, shr(1, round)), 1))
                }
                default {
                    mstore8(28, mload(add(t, byte(28, newer))))
                    mstore8(29, mload(add(t, byte(29, newer))))
                    mstore8(30, mload(add(t, byte(30, newer))))
                    mstore8(31, mload(add(t, byte(31, newer))))
                }
                // each word is the one eight before it, xor all words of its key before it, xor that
                older := xor(older, shl(96, and(mload(0), 0xffffffff)))
                older := xor(older, shr(32, older))
                older := xor(older, shr(64, older))
                x := older
                older := newer
                newer := x
            }
            // the last round has no MixColumns
            substitute(t, state)
            result := shl(128, xor(mload(0), newer))
        }
    }
}
