// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {KeyWraps} from "./KeyWraps.sol";

/// @title Receipts
/// @notice The EIP-712 struct hash of a trainer's receipt, and who signed it. Twin of `fl_platform/protocol/receipt.py`.
library Receipts {
    bytes32 internal constant TYPEHASH = keccak256(
        "Receipt(uint256 task,uint64 round,uint64 life,uint64 baseRound,address trainer,bytes32 parent,bytes32 update,uint64 length,bytes32 keyHash,bytes32 leavesRoot,bytes32 contentRoot,bytes32 commitment,uint64 samples,bytes32 salt,bytes32 extras)"
    );

    /// @notice Return the struct hash.
    function structHash(IRoundLedger.Receipt calldata receipt) internal pure returns (bytes32) {
        // every field is one static word, so encoding the struct in place equals encoding its fields
        return keccak256(abi.encode(TYPEHASH, receipt));
    }

    /// @notice The same of one that was read from elsewhere.
    function structHashOf(IRoundLedger.Receipt memory receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(TYPEHASH, receipt));
    }

    /// @notice Revert unless the receipt's trainer signed it for `ledger`; return its struct hash.
    function requireSigned(address ledger, IRoundLedger.Receipt calldata receipt, bytes calldata signature)
        internal
        view
        returns (bytes32 hash)
    {
        hash = structHash(receipt);
        address signer = KeyWraps.recover(ledger, hash, signature);
        // what recovers to nobody is signed by nobody
        if (signer == address(0) || signer != receipt.trainer) {
            revert IRoundLedger.RoundLedger_ReceiptSignatureInvalid(receipt.trainer, signer);
        }
    }
}
