// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title IBonds
/// @notice What the disputes contract lends to {IReveals}: ledger and escrow trust it alone.
interface IBonds {
    /// @notice Thrown when the caller is not the reveals contract.
    error Bonds_NotReveals(address caller);

    /// @notice Lock `amount` of `from`'s tokens as a bond. Requirements: the escrow is approved.
    function lockBond(uint256 task, address from, uint256 amount) external;

    /// @notice Give such a bond to `to`: back, or to somebody else.
    function payBond(uint256 task, address from, uint256 amount, address to) external;

    /// @notice Take up to `amount` of a trainer's stake; `shareBps` of it go to `challenger`, the rest to the task's pot.
    function penalise(uint256 task, address trainer, uint256 amount, address challenger, uint256 shareBps)
        external
        returns (uint256 slashed);

    /// @notice Return who is paid for a call with that data: `challenger`, if it committed to it ({IReferee}); else nobody.
    function rewarded(address challenger, bytes32 dataHash) external view returns (address);

    /// @notice Return what a demand of a key or of content costs in a task until it is answered, in wei.
    function bondOf(uint256 task) external view returns (uint256);
}
