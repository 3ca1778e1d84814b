// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// @title Words
/// @notice The one-slot structs of {IEscrow} as whole words, where a claim would otherwise pay for every field.
///
///   member    stake 80 | credit 80 | claimed 80 | flags 16      from the low end, as the compiler packs the struct
///   tenure    joinedStake 80 | joinedAt 40 | leftAt 40 | seat 32
///   account   funded 128 | paid 128
///
/// tests/contracts/test_escrow.py holds these layouts against the getters.
library Words {
    /// @notice The bits of a member word that a claim does not touch.
    uint256 internal constant STAKE_AND_FLAGS = (2 ** 80 - 1) | (uint256(0xffff) << 240);

    /// @notice The bits of a member's credit.
    uint256 internal constant CREDIT = (2 ** 80 - 1) << 80;

    // The struct occupies exactly one slot, `m.slot`; reading and writing it whole is reading and writing all its fields.

    function load(IEscrow.Member storage m) internal view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(m.slot)
        }
    }

    function store(IEscrow.Member storage m, uint256 word) internal {
        assembly ("memory-safe") {
            sstore(m.slot, word)
        }
    }

    function store(IEscrow.Tenure storage t, uint256 word) internal {
        assembly ("memory-safe") {
            sstore(t.slot, word)
        }
    }

    function load(IEscrow.Account storage a) internal view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(a.slot)
        }
    }

    function store(IEscrow.Account storage a, uint256 word) internal {
        assembly ("memory-safe") {
            sstore(a.slot, word)
        }
    }
}
