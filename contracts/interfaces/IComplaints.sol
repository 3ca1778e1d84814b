// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IComplaints
/// @notice What decides that an update was not to be had. Ciphertexts lie in stores, which no contract can look into, so a
/// task freezes witnesses ({Terms}). Whoever must seal asks them for an update that it cannot have. A witness that gets the
/// ciphertext hands it over; one that does not get it complains. So many complaints as the task's terms say, by the time
/// that the seal names, let a sealer leave the update out ({ISources}); without them nobody can.
///
///   step       who may call    when
///   want       anybody         any time: it only asks
///   complain   anybody         any time; what a task's witnesses said counts in its disputes
interface IComplaints {
    /// @notice Emitted when somebody asks a task's witnesses for updates.
    event UpdatesWanted(
        uint256 indexed task, uint256 indexed round, address indexed asker, IRoundLedger.Receipt[] receipts
    );

    /// @notice Emitted when somebody says that updates are not to be had; `receipts` are struct hashes.
    event Complained(uint256 indexed task, uint256 indexed round, address indexed witness, bytes32[] receipts);

    /// @notice Ask for the ciphertexts of receipts. Nothing of them is checked: a receipt that nobody signed is on no roster.
    function want(uint256 task, uint256 round, IRoundLedger.Receipt[] calldata receipts) external;

    /// @notice Say that the ciphertexts of receipts (struct hashes) are not to be had. What was said before keeps its time.
    /// @param task That the receipts name; for who reads events, the contract does not look.
    function complain(uint256 task, uint256 round, bytes32[] calldata receipts) external;

    /// @notice Return when an account complained of a receipt (Unix seconds); zero for never.
    function complainedAt(bytes32 receipt, address witness) external view returns (uint256);

    /// @notice Return how many of these accounts had complained of a receipt by `asOf` (Unix seconds).
    function countOf(bytes32 receipt, address[] calldata witnesses, uint256 asOf) external view returns (uint256);
}
