// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Documents
/// @notice Finding parties in a task's specification: canonical JSON (sorted keys, no spaces) whose SHA-256 is on chain.
/// Documents stay in calldata.
///
/// A caller says where a key stands; the contract only looks whether it does. A quote inside a JSON string is written \",
/// so the bytes {"key": or ,"key": cannot lie inside one, and each key read here occurs once in a specification.
library Documents {
    /// @notice Thrown when a document is not the one whose digest is on chain.
    error Documents_DigestMismatch(bytes32 digest, bytes32 expected);

    /// @notice Thrown when a key is not where the caller says.
    error Documents_KeyNotThere(uint256 place);

    /// @notice Revert unless `document` has this SHA-256.
    function requireDigest(bytes calldata document, bytes32 expected) internal view {
        bytes32 digest;
        // The precompile at address 2 cannot fail but for want of gas, and then its caller has none left to go on with; a zero
        // digest is no specification's. memory-safe: writes [m, m + length) past the free pointer and scratch space [0, 32).
        assembly ("memory-safe") {
            let m := mload(0x40)
            calldatacopy(m, document.offset, document.length)
            if staticcall(gas(), 2, m, document.length, 0, 32) { digest := mload(0) }
        }
        if (digest != expected || digest == 0) revert Documents_DigestMismatch(digest, expected);
    }

    /// @notice Return whether `text` stands at `place` behind an opening quote that begins a key.
    function follows(bytes calldata document, uint256 place, bytes memory text) internal pure returns (bool found) {
        uint256 length = text.length;
        uint256 whole = document.length;
        if (place == 0 || place >= whole || length >= whole - place) return false;
        // Reads the two bytes at place - 1 and `length` bytes from place + 1 on, which the checks keep inside the document:
        // `{"` or `,"`, then the text. memory-safe: writes [m, m + length) past the free pointer.
        assembly ("memory-safe") {
            let at := add(document.offset, place)
            let opening := shr(240, calldataload(sub(at, 1)))
            if or(eq(opening, 0x7b22), eq(opening, 0x2c22)) {
                let m := mload(0x40)
                calldatacopy(m, add(at, 1), length)
                found := eq(keccak256(m, length), keccak256(add(text, 32), length))
            }
        }
    }

    /// @notice Revert unless a list of the specification (aggregators or auditors) names this party with this wrap key:
    /// {"address":"0x..","wrap_key":"0x.."}, the opening quote of "address" at `place`.
    function requireParty(bytes calldata document, uint256 place, address party, uint256 x, uint256 y) internal pure {
        bytes memory text = abi.encodePacked(
            'address":"0x', _hex20(party), '","wrap_key":"0x', _hex32(bytes32(x)), _hex32(bytes32(y)), '"}'
        );
        // an element of a list follows [ or a comma; the one party outside a list, the reference, follows a colon
        bool listed = place > 1 && place < document.length && (document[place - 2] == "[" || document[place - 2] == ",");
        if (!listed || !follows(document, place, text)) revert Documents_KeyNotThere(place);
    }

    function _hex20(address value) private pure returns (bytes memory) {
        uint256 word = uint256(uint160(value));
        return abi.encodePacked(_digits(word >> 32), bytes8(_digits(word & type(uint32).max) << 192));
    }

    function _hex32(bytes32 value) private pure returns (bytes memory) {
        return abi.encodePacked(_digits(uint256(value) >> 128), _digits(uint256(value) & type(uint128).max));
    }

    /// @dev The 32 lower-case hex digits of a number below 2^128: its nibbles are spread to one a byte, halving by halving.
    function _digits(uint256 x) private pure returns (bytes32) {
        unchecked {
            x = (x | (x << 64)) & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
            x = (x | (x << 32)) & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
            x = (x | (x << 16)) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
            x = (x | (x << 8)) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
            x = (x | (x << 4)) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
            // a digit above nine gets 39 more: from "9" + 1 to "a"
            uint256 letters = ((x + 0x0606060606060606060606060606060606060606060606060606060606060606) >> 4)
                & 0x0101010101010101010101010101010101010101010101010101010101010101;
            return bytes32(x + 0x3030303030303030303030303030303030303030303030303030303030303030 + letters * 39);
        }
    }
}
