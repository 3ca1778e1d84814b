// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReveals} from "../interfaces/IReveals.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {Aes256} from "../libraries/Aes256.sol";
import {CipherLeaves} from "../libraries/CipherLeaves.sol";
import {Contents} from "../libraries/Contents.sol";
import {Dleq} from "../libraries/Dleq.sol";
import {Documents} from "../libraries/Documents.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {Receipts} from "../libraries/Receipts.sol";
import {Traces} from "../libraries/Traces.sol";

/// @title RevealProofs
/// @notice The arithmetic of {Reveals}: signatures, boxes and blocks. Changes nothing.
abstract contract RevealProofs is IReveals {
    using KeyWraps for KeyWraps.Box[];

    /// @dev An update file begins with a header of two blocks.
    uint256 private constant HEADER_BYTES = 32;
    uint256 private constant MAX_BITS = 16;

    IRoundLedger public immutable ledger;
    ITaskRegistry public immutable registry;

    constructor(address ledger_, address registry_) {
        ledger = IRoundLedger(ledger_);
        registry = ITaskRegistry(registry_);
    }

    /// @dev Returns the receipt's struct hash.
    function _requireReceipt(SignedReceipt calldata signed) internal view returns (bytes32 hash) {
        return Receipts.requireSigned(address(ledger), signed.receipt, signed.signature);
    }

    function _requirePackage(bytes32 receipt, address trainer, Package calldata package) internal view {
        uint256 count = package.boxes.length;
        if (count > KeyWraps.MAX_BOXES) revert Reveals_TooManyBoxes(count, KeyWraps.MAX_BOXES);
        address signer = KeyWraps.recover(address(ledger), KeyWraps.structHash(receipt, package.boxes), package.signature);
        if (signer != trainer) revert Reveals_PackageSignatureInvalid(trainer, signer);
    }

    function _requireParty(uint256 task, address recipient, Party calldata party) internal view {
        bytes calldata document = party.document;
        Documents.requireDigest(document, registry.task(task).spec);
        Documents.requireParty(document, party.place, recipient, party.key.x, party.key.y);
    }

    /// @dev Returns the width of the task's integers.
    function _requireBits(uint256 task, bytes calldata document, uint256 place) internal view returns (uint256 bits) {
        Documents.requireDigest(document, registry.task(task).spec);
        bits = Documents.number(document, place, 'bits":');
        if (bits == 0 || bits > MAX_BITS) revert Documents.Documents_KeyNotThere(place);
    }

    /// @dev Reverts when the box opens to the committed key.
    function _requireBadBox(
        IRoundLedger.Receipt calldata receipt,
        KeyWraps.Box calldata box,
        Dleq.Point calldata shared,
        Dleq.Proof calldata proof
    ) internal view {
        // no S belongs to it, and no honest trainer signs it
        if (!Dleq.isPoint(box.ephemeral)) return;
        bytes memory context =
            KeyWraps.contextOf(address(ledger), receipt.task, receipt.round, receipt.trainer, box.recipient);
        Dleq.requireProof(box.key, box.ephemeral, shared, keccak256(context), proof);
        bytes32 found = KeyWraps.open(box, shared, context);
        if (keccak256(abi.encode(found)) == receipt.keyHash) {
            revert Reveals_WrapIsGood(receipt.task, receipt.round, receipt.trainer, box.recipient);
        }
    }

    /// @dev Reverts when block `place` of content leaf `index` is what the ciphertext decrypts to. Behind the file's end there
    /// are zeros. The leaf's size tells the width of the integers: no honest tree has a leaf of another one.
    function _requireBadBlock(
        IRoundLedger.Receipt calldata receipt,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        Contents.Leaf calldata content,
        uint256 index,
        uint256 place
    ) internal view {
        bytes32 given = keccak256(abi.encode(key));
        if (given != receipt.keyHash) revert Reveals_KeyMismatch(given, receipt.keyHash);
        uint256 bits = content.body.length / CipherLeaves.BLOCK_BYTES;
        if (bits == 0 || bits > MAX_BITS || place >= bits) revert Reveals_NoSuchLeaf(place, bits);
        _requireContent(receipt, content, index, bits);
        uint256 start = place * CipherLeaves.BLOCK_BYTES;
        bytes16 committed = bytes16(content.body[start:start + CipherLeaves.BLOCK_BYTES]);
        uint256 number = HEADER_BYTES / CipherLeaves.BLOCK_BYTES + index * bits + place;
        if (committed == _decrypt(receipt, key, cipher, number)) {
            revert Reveals_OpeningIsGood(receipt.task, receipt.round, receipt.trainer);
        }
    }

    /// @dev Reverts unless the leaf is under the receipt's content root.
    function _requireContent(
        IRoundLedger.Receipt calldata receipt,
        Contents.Leaf calldata content,
        uint256 index,
        uint256 bits
    ) internal pure {
        uint256 count = _leafCount(receipt.length, bits);
        if (index >= count) revert Reveals_NoSuchLeaf(index, count);
        Contents.requireLeaf(content, index, bits, Traces.depthOf(count), receipt.contentRoot);
    }

    /// @dev How many content leaves a file of this length has.
    function _leafCount(uint256 length, uint256 bits) internal pure returns (uint256) {
        if (length <= HEADER_BYTES) return 0;
        uint256 width = bits * CipherLeaves.BLOCK_BYTES;
        return (length - HEADER_BYTES + width - 1) / width;
    }

    function _decrypt(IRoundLedger.Receipt calldata receipt, bytes32 key, CipherLeaves.Leaf calldata cipher, uint256 number)
        private
        view
        returns (bytes16)
    {
        uint256 start = number * CipherLeaves.BLOCK_BYTES;
        if (start >= receipt.length) return 0;
        bytes16 data = CipherLeaves.blockOf(cipher, number, receipt.length, receipt.leavesRoot);
        bytes16 plain = data ^ Aes256.encrypt(key, bytes16(uint128(number)));
        uint256 rest = receipt.length - start;
        if (rest >= CipherLeaves.BLOCK_BYTES) return plain;
        // the key stream behind the end is nobody's plaintext
        return plain & ~bytes16(type(uint128).max >> (8 * rest));
    }
}
