// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Documents
/// @notice Reading numbers out of a task's specification: canonical JSON (sorted keys, no spaces) whose SHA-256 is on chain.
///
/// A caller says where a key stands; the contract only looks whether it does. A quote inside a JSON string is written \",
/// so the bytes {"key": or ,"key": cannot lie inside one, and each key read here occurs once in a specification.
library Documents {
    /// @notice Thrown when a document is not the one whose digest is on chain.
    error Documents_DigestMismatch(bytes32 digest, bytes32 expected);

    /// @notice Thrown when a key is not where the caller says.
    error Documents_KeyNotThere(uint256 place);

    /// @notice Revert unless `document` has this SHA-256.
    function requireDigest(bytes memory document, bytes32 expected) internal pure {
        bytes32 digest = sha256(document);
        if (digest != expected) revert Documents_DigestMismatch(digest, expected);
    }

    /// @notice Return whether `text` stands at `place` behind an opening quote that begins a key.
    function follows(bytes memory document, uint256 place, bytes memory text) internal pure returns (bool) {
        if (place == 0 || place + text.length >= document.length) return false;
        if (document[place - 1] != "{" && document[place - 1] != ",") return false;
        if (document[place] != '"') return false;
        bytes32 found;
        // memory-safe: reads text.length bytes from place + 1 on, which the first check keeps inside the document.
        assembly ("memory-safe") {
            found := keccak256(add(add(document, 33), place), mload(text))
        }
        return found == keccak256(text);
    }

    /// @notice Return the non-negative number of a key whose opening quote stands at `place`.
    /// @param key The key with its closing quote and colon.
    function number(bytes memory document, uint256 place, bytes memory key) internal pure returns (uint256 value) {
        if (!follows(document, place, key)) revert Documents_KeyNotThere(place);
        // at most the document's length; canonical integers have no point or leading zero, and those read here no sign.
        // A specification of so many digits that they overflow does not pass the platform's own checks.
        unchecked {
            for (uint256 i = place + key.length + 1; i < document.length; ++i) {
                uint256 digit = uint256(uint8(document[i])) - 48;
                if (digit > 9) return value;
                value = value * 10 + digit;
            }
        }
    }
}
