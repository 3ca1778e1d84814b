// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title MemberFlags
/// @notice The bits of `IEscrow.Member.flags`.
library MemberFlags {
    /// @notice The stake is a trainer's. Cleared at exit.
    uint16 internal constant TRAINER = 1;
    /// @notice The stake is an aggregator's bond. Cleared when it asks for it.
    uint16 internal constant AGGREGATOR = 2;
    /// @notice The account asked for its stake and has not got it yet.
    uint16 internal constant LEAVING = 4;
    /// @notice A trainer that did not leave before its task ended (ISettlement.claimResidual).
    uint16 internal constant RESIDUAL = 8;
    /// @notice The compensation was paid.
    uint16 internal constant COMPENSATED = 16;
    /// @notice The residual share was paid.
    uint16 internal constant RESIDUAL_PAID = 32;

    /// @notice Roles that exclude joining or bonding.
    uint16 internal constant BUSY = TRAINER | AGGREGATOR | LEAVING;
}
