// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title IDisputes
/// @notice The seam where disputes and proofs plug in. The ledger and the escrow trust one address, fixed when they are
/// deployed, and only with this:
///
/// - `IRoundLedger.markChallenged` stops a task at a sealed round inside its challenge window;
/// - `IRoundLedger.markUnchallenged` lets it go on;
/// - `IRoundLedger.overturnSeal` voids such a seal, marked before or not, and slashes its sealer;
/// - `IRoundLedger.overturnRoster` voids a roster that is not sealed and slashes its maker;
/// - `IRoundLedger.slashMember` takes the stake of a member that was proved wrong;
/// - `IEscrow.lockBond` takes a bond from the caller of the disputes contract, `IEscrow.payBond` gives it back or to somebody
///   else.
///
/// It cannot pay anybody more than a slashed stake or a bond, cannot touch pots, and cannot change a final round.
///
/// Notes:
/// - A deployment without disputes passes the zero address: then no round can ever be challenged.
/// - A round carries one mark; several disputes about one round are counted by the disputes contract, which marks with
///   the first and dismisses with the last; one that is upheld overturns the seal at once.
/// - When a dispute is upheld all later rounds are void and their marks are gone; `isChallenged` tells. Their disputes
///   end without effect and their bonds go back.
/// - A validity proof ("settle") plugs in here too: a contract that has verified one dismisses a dispute;
///   shortening the window by a proof is left to a later version of the ledger.
interface IDisputes {
    /// @notice Return the ledger that this contract decides for.
    function ledger() external view returns (address);
}
