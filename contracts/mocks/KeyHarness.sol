// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Aes256} from "../libraries/Aes256.sol";
import {Dleq} from "../libraries/Dleq.sol";
import {Documents} from "../libraries/Documents.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";

/// @title KeyHarness
/// @notice Shows the libraries about keys to the tests.
contract KeyHarness {
    function encrypt(bytes32 key, bytes16 block_) external pure returns (bytes16) {
        return Aes256.encrypt(key, block_);
    }

    /// @notice What one encryption costs, without call and calldata.
    function encryptGas(bytes32 key, bytes16 block_) external view returns (uint256) {
        uint256 before = gasleft();
        Aes256.encrypt(key, block_);
        return before - gasleft();
    }

    function requireProof(
        Dleq.Point calldata public_,
        Dleq.Point calldata base,
        Dleq.Point calldata shared,
        bytes32 context,
        Dleq.Proof calldata proof
    ) external view {
        Dleq.requireProof(public_, base, shared, context, proof);
    }

    function open(KeyWraps.Box calldata box, Dleq.Point calldata shared, bytes calldata context)
        external
        pure
        returns (bytes32)
    {
        return KeyWraps.open(box, shared, context);
    }

    function packageDigest(address ledger, bytes32 receipt, KeyWraps.Box[] calldata boxes)
        external
        view
        returns (bytes32)
    {
        bytes32 hash = KeyWraps.structHash(receipt, boxes);
        return keccak256(abi.encodePacked(hex"1901", KeyWraps.domainSeparator(ledger), hash));
    }

    function contextOf(address ledger, uint256 task, uint64 round, address trainer, address recipient)
        external
        view
        returns (bytes memory)
    {
        return KeyWraps.contextOf(ledger, task, round, trainer, recipient);
    }

    function requireParty(bytes calldata document, uint256 place, address party, uint256 x, uint256 y) external pure {
        Documents.requireParty(document, place, party, x, y);
    }
}
