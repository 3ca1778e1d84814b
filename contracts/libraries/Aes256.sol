// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Aes256
/// @notice AES-256 (FIPS 197): encryption of one block, which is one step of counter mode. Twin of
/// `fl_platform/store/envelope.py`. About 20k gas. Inputs are public in a dispute, so timing does not matter.
library Aes256 {
    /// @dev T[x] = (2 s, s, s, 3 s) with s = SubBytes(x) and products in GF(2^8): one column of a round's
    /// SubBytes, ShiftRows and MixColumns. Four bytes an entry; the second one is the S-box.
    bytes private constant TABLE =
        hex"c66363a5f87c7c84ee777799f67b7b8dfff2f20dd66b6bbdde6f6fb191c5c5546030305002010103ce6767a9562b2b7d"
        hex"e7fefe19b5d7d7624dababe6ec76769a8fcaca451f82829d89c9c940fa7d7d87effafa15b25959eb8e4747c9fbf0f00b"
        hex"41adadecb3d4d4675fa2a2fd45afafea239c9cbf53a4a4f7e47272969bc0c05b75b7b7c2e1fdfd1c3d9393ae4c26266a"
        hex"6c36365a7e3f3f41f5f7f70283cccc4f6834345c51a5a5f4d1e5e534f9f1f108e2717193abd8d873623131532a15153f"
        hex"0804040c95c7c752462323659dc3c35e30181828379696a10a05050f2f9a9ab50e070709241212361b80809bdfe2e23d"
        hex"cdebeb264e2727697fb2b2cdea75759f1209091b1d83839e582c2c74341a1a2e361b1b2ddc6e6eb2b45a5aee5ba0a0fb"
        hex"a45252f6763b3b4db7d6d6617db3b3ce5229297bdde3e33e5e2f2f7113848497a65353f5b9d1d16800000000c1eded2c"
        hex"40202060e3fcfc1f79b1b1c8b65b5bedd46a6abe8dcbcb4667bebed97239394b944a4ade984c4cd4b05858e885cfcf4a"
        hex"bbd0d06bc5efef2a4faaaae5edfbfb16864343c59a4d4dd766333355118585948a4545cfe9f9f91004020206fe7f7f81"
        hex"a05050f0783c3c44259f9fba4ba8a8e3a25151f35da3a3fe804040c0058f8f8a3f9292ad219d9dbc70383848f1f5f504"
        hex"63bcbcdf77b6b6c1afdada754221216320101030e5ffff1afdf3f30ebfd2d26d81cdcd4c180c0c1426131335c3ecec2f"
        hex"be5f5fe1359797a2884444cc2e17173993c4c45755a7a7f2fc7e7e827a3d3d47c86464acba5d5de73219192be6737395"
        hex"c06060a0198181989e4f4fd1a3dcdc7f44222266542a2a7e3b9090ab0b8888838c4646cac7eeee296bb8b8d32814143c"
        hex"a7dede79bc5e5ee2160b0b1daddbdb76dbe0e03b64323256743a3a4e140a0a1e924949db0c06060a4824246cb85c5ce4"
        hex"9fc2c25dbdd3d36e43acacefc46262a6399191a8319595a4d3e4e437f279798bd5e7e7328bc8c8436e373759da6d6db7"
        hex"018d8d8cb1d5d5649c4e4ed249a9a9e0d86c6cb4ac5656faf3f4f407cfeaea25ca6565aff47a7a8e47aeaee910080818"
        hex"6fbabad5f07878884a25256f5c2e2e72381c1c2457a6a6f173b4b4c797c6c651cbe8e823a1dddd7ce874749c3e1f1f21"
        hex"964b4bdd61bdbddc0d8b8b860f8a8a85e07070907c3e3e4271b5b5c4cc6666aa904848d806030305f7f6f6011c0e0e12"
        hex"c26161a36a35355fae5757f969b9b9d01786869199c1c1583a1d1d27279e9eb9d9e1e138ebf8f8132b9898b322111133"
        hex"d26969bba9d9d970078e8e89339494a72d9b9bb63c1e1e2215878792c9e9e92087cece49aa5555ff50282878a5dfdf7a"
        hex"038c8c8f59a1a1f8098989801a0d0d1765bfbfdad7e6e631844242c6d06868b8824141c3299999b05a2d2d771e0f0f11"
        hex"7bb0b0cba85454fc6dbbbbd62c16163a";

    uint256 private constant ROUNDS = 14;

    /// @notice Return the encryption of one block.
    function encrypt(bytes32 key, bytes16 block_) internal pure returns (bytes16) {
        bytes memory table = TABLE;
        uint256 t;
        // memory-safe: the first byte of the table's 1,024.
        assembly ("memory-safe") {
            t := add(table, 32)
        }
        // The two halves of the key are the round keys 0 and 1; each later one follows from the two before it.
        uint256 older = uint256(key) >> 128;
        uint256 newer = uint256(key) & type(uint128).max;
        uint256 state = uint128(block_) ^ older;
        uint256 constant_ = 1;
        for (uint256 round = 1; round < ROUNDS; ++round) {
            state = _round(t, state) ^ newer;
            uint256 next;
            if (round & 1 == 1) {
                // RotWord, SubWord, round constant; seven constants, none of which needs reduction
                next = _expand(older, _substitute(t, ((newer << 8) | (newer >> 24 & 0xff)) & 0xffffffff) ^ (constant_ << 24));
                constant_ <<= 1;
            } else {
                next = _expand(older, _substitute(t, newer & 0xffffffff));
            }
            (older, newer) = (newer, next);
        }
        return bytes16(uint128(_lastRound(t, state) ^ newer));
    }

    /// @dev Four key words: each is the one eight before it (in `older`) xor the one before it.
    function _expand(uint256 older, uint256 mixed) private pure returns (uint256 next) {
        unchecked {
            uint256 a = (older >> 96) ^ mixed;
            uint256 b = (older >> 64 & 0xffffffff) ^ a;
            uint256 c = (older >> 32 & 0xffffffff) ^ b;
            uint256 d = (older & 0xffffffff) ^ c;
            return (a << 96) | (b << 64) | (c << 32) | d;
        }
    }

    /// @dev SubBytes of four bytes, the low ones of `word`.
    function _substitute(uint256 t, uint256 word) private pure returns (uint256) {
        return (_box(t, word >> 24) << 24) | (_box(t, word >> 16 & 0xff) << 16) | (_box(t, word >> 8 & 0xff) << 8)
            | _box(t, word & 0xff);
    }

    /// @dev SubBytes, ShiftRows, MixColumns of the 128 low bits. Byte i of the state is byte i of the block: column c holds bytes
    /// 4 c to 4 c + 3, and row r of the new column c comes from byte 4 c + 5 r modulo 16:
    /// T[a] ^ rot8(T[b]) ^ rot16(T[c]) ^ rot24(T[d]), rotations to the right. The four are laid over each other 8 bits apart, and
    /// what stands above 32 bits is folded back, which is the rotation of all of them at once.
    function _round(uint256 t, uint256 s) private pure returns (uint256 out) {
        // memory-safe: reads at most 28 bytes past the table.
        assembly ("memory-safe") {
            let w := and(shr(200, mload(add(t, shl(2, byte(16, s))))), 0xffffffff000000)
            w := xor(w, and(shr(208, mload(add(t, shl(2, byte(21, s))))), 0xffffffff0000))
            w := xor(w, and(shr(216, mload(add(t, shl(2, byte(26, s))))), 0xffffffff00))
            w := xor(w, shr(224, mload(add(t, shl(2, byte(31, s))))))
            out := shl(96, and(xor(shl(8, w), shr(24, w)), 0xffffffff))
            w := and(shr(200, mload(add(t, shl(2, byte(20, s))))), 0xffffffff000000)
            w := xor(w, and(shr(208, mload(add(t, shl(2, byte(25, s))))), 0xffffffff0000))
            w := xor(w, and(shr(216, mload(add(t, shl(2, byte(30, s))))), 0xffffffff00))
            w := xor(w, shr(224, mload(add(t, shl(2, byte(19, s))))))
            out := or(out, shl(64, and(xor(shl(8, w), shr(24, w)), 0xffffffff)))
            w := and(shr(200, mload(add(t, shl(2, byte(24, s))))), 0xffffffff000000)
            w := xor(w, and(shr(208, mload(add(t, shl(2, byte(29, s))))), 0xffffffff0000))
            w := xor(w, and(shr(216, mload(add(t, shl(2, byte(18, s))))), 0xffffffff00))
            w := xor(w, shr(224, mload(add(t, shl(2, byte(23, s))))))
            out := or(out, shl(32, and(xor(shl(8, w), shr(24, w)), 0xffffffff)))
            w := and(shr(200, mload(add(t, shl(2, byte(28, s))))), 0xffffffff000000)
            w := xor(w, and(shr(208, mload(add(t, shl(2, byte(17, s))))), 0xffffffff0000))
            w := xor(w, and(shr(216, mload(add(t, shl(2, byte(22, s))))), 0xffffffff00))
            w := xor(w, shr(224, mload(add(t, shl(2, byte(27, s))))))
            out := or(out, and(xor(shl(8, w), shr(24, w)), 0xffffffff))
        }
    }

    /// @dev The last round has no MixColumns.
    function _lastRound(uint256 t, uint256 s) private pure returns (uint256 out) {
        // byte i of the result comes from byte 5 i modulo 16
        unchecked {
            for (uint256 i = 0; i < 16; ++i) {
                out = (out << 8) | _box(t, s >> (120 - 8 * (5 * i % 16)) & 0xff);
            }
        }
    }

    function _box(uint256 t, uint256 x) private pure returns (uint256 s) {
        // memory-safe: as above; the second byte of an entry.
        assembly ("memory-safe") {
            s := byte(1, mload(add(t, shl(2, x))))
        }
    }
}
