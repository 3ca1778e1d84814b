// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Dleq} from "./Dleq.sol";

/// @title KeyWraps
/// @notice Wrapped keys and the trainer's signature over them. Twin of `fl_platform/store/keywrap.py` (boxes) and
/// `fl_platform/protocol/keypackage.py` (signed packages).
library KeyWraps {
    /// @notice The boxes that a package may have: for eight aggregators and 64 auditors. More would make an accusation dear.
    uint256 internal constant MAX_BOXES = 72;

    bytes32 internal constant TYPEHASH = keccak256("KeyPackage(bytes32 receipt,bytes32 boxes)");

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    /// @dev The salt of HKDF, padded with zeros to a block of SHA-256.
    bytes32 private constant SALT = "fl-platform/key-wrap/v1";
    bytes32 private constant INNER = 0x3636363636363636363636363636363636363636363636363636363636363636;
    bytes32 private constant OUTER = 0x5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c;

    /// @notice An update's key as only its recipient can read it.
    /// @param recipient Aggregator or auditor of the task.
    /// @param key P = k G, the recipient's public wrap key as the task froze it.
    /// @param ephemeral E = e G.
    /// @param box The key, xor a pad that follows from S = e P.
    struct Box {
        address recipient;
        Dleq.Point key;
        Dleq.Point ephemeral;
        bytes32 box;
    }

    /// @notice Return the domain separator of {RoundLedger}, in which receipts and key packages are signed.
    function domainSeparator(address ledger) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256("fl-platform"), keccak256("1"), block.chainid, ledger));
    }

    /// @notice Return who signed a struct hash in that domain; zero when nothing can be recovered.
    function recover(address ledger, bytes32 hash, bytes calldata signature) internal view returns (address signer) {
        ECDSA.RecoverError problem;
        (signer, problem,) =
            ECDSA.tryRecover(MessageHashUtils.toTypedDataHash(domainSeparator(ledger), hash), signature);
        if (problem != ECDSA.RecoverError.NoError) signer = address(0);
    }

    /// @notice Return the struct hash of a key package.
    function structHash(bytes32 receipt, Box[] calldata boxes) internal pure returns (bytes32) {
        return keccak256(abi.encode(TYPEHASH, receipt, hashOf(boxes)));
    }

    /// @notice Return the hash over all boxes in order: each is six static words, so they lie side by side in calldata.
    function hashOf(Box[] calldata boxes) internal pure returns (bytes32 hash) {
        // memory-safe: writes past the free pointer; the decoder has checked that all boxes lie inside the calldata.
        assembly ("memory-safe") {
            let m := mload(0x40)
            let size := mul(192, boxes.length)
            calldatacopy(m, boxes.offset, size)
            hash := keccak256(m, size)
        }
    }

    /// @notice Return what a box is bound to: abi.encodePacked of 132 bytes.
    function contextOf(address ledger, uint256 task, uint64 round, address trainer, address recipient)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodePacked(block.chainid, ledger, task, round, trainer, recipient);
    }

    /// @notice Return the key in a box, as whoever knows S opens it: box xor HKDF-SHA256(S, context, E, P).
    function open(Box calldata box, Dleq.Point memory shared, bytes memory context) internal pure returns (bytes32) {
        bytes32 inner = sha256(abi.encodePacked(SALT ^ INNER, INNER, shared.x, shared.y));
        bytes32 secret = sha256(abi.encodePacked(SALT ^ OUTER, OUTER, inner));
        inner = sha256(
            abi.encodePacked(
                secret ^ INNER, INNER, context, box.ephemeral.x, box.ephemeral.y, box.key.x, box.key.y, uint8(1)
            )
        );
        return box.box ^ sha256(abi.encodePacked(secret ^ OUTER, OUTER, inner));
    }
}
