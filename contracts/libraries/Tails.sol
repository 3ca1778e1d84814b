// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITapes} from "../interfaces/ITapes.sol";

/// @title Tails
/// @notice What {RefereeCore} adds behind a call's own data where it asks others about that call. Counted from the end, so no
/// offset in the data moves it.
library Tails {
    /// @notice Bytes of {ITapes.Facts}: all of its fields are words.
    uint256 internal constant FACTS = 23 * 32;

    /// @notice Return the facts, which `words` words follow.
    function facts(uint256 words) internal pure returns (ITapes.Facts memory) {
        uint256 end = msg.data.length - 32 * words;
        return abi.decode(msg.data[end - FACTS:end], (ITapes.Facts));
    }

    /// @notice Return the word that `place` words from the end begins.
    function word(uint256 place) internal pure returns (uint256) {
        return uint256(bytes32(msg.data[msg.data.length - 32 * place:]));
    }
}
