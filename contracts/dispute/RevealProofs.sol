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
import {Refutation} from "../libraries/Refutation.sol";
import {Terms} from "../libraries/Terms.sol";

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
        address signer =
            KeyWraps.recover(address(ledger), KeyWraps.structHash(receipt, package.boxes), package.signature);
        if (signer != trainer) revert Reveals_PackageSignatureInvalid(trainer, signer);
    }

    function _requireParty(uint256 task, address recipient, Party calldata party) internal view {
        bytes calldata document = party.document;
        Documents.requireDigest(document, registry.specOf(task));
        Documents.requireParty(document, party.place, recipient, party.key.x, party.key.y);
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

    /// @dev Reverts when an integer of a content leaf is what the ciphertext decrypts to; behind its tensor's end, when it is
    /// zero. The leaf's size tells the width of the integers: no honest tree has a leaf of another one.
    function _requireBadInteger(
        IRoundLedger.Receipt calldata receipt,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        Contents.Leaf calldata content,
        Spot calldata spot,
        Model calldata model
    ) internal view {
        bytes32 given = keccak256(abi.encode(key));
        if (given != receipt.keyHash) revert Reveals_KeyMismatch(given, receipt.keyHash);
        uint256 bits = content.body.length / CipherLeaves.BLOCK_BYTES;
        if (bits == 0 || bits > MAX_BITS || spot.place >= Contents.COORDINATES) {
            revert Reveals_NoSuchLeaf(spot.place, bits);
        }
        (uint256 first, uint256 count) = _spanOf(receipt.task, model, spot.index);
        Contents.requireLeaf(content, spot.index, bits, Refutation.depthOf(model.terms.leaves), receipt.contentRoot);
        int256 told = _committed(content.body, spot.place, bits);
        int256 found =
            spot.place < count ? _decrypted(receipt, key, cipher, (first + spot.place) * bits, bits) : int256(0);
        if (told == found) revert Reveals_OpeningIsGood(receipt.task, receipt.round, receipt.trainer);
    }

    /// @dev Returns a leaf's first coordinate in the update, and how many of its 128 are there. Reverts where the task's
    /// trees have no such leaf, or another block has it.
    function _spanOf(uint256 task, Model calldata model, uint256 index)
        internal
        view
        returns (uint256 first, uint256 count)
    {
        if (Terms.rootOf(model.terms) != registry.rulesOf(task)) revert Terms.Terms_Mismatch(index);
        Terms.requireBlock(model.terms, model.block_);
        int256[8] calldata words = model.block_.words;
        uint256 from = uint256(words[0]);
        if (index < from || index - from >= uint256(words[1])) revert Reveals_NoSuchLeaf(index, model.terms.leaves);
        uint256 before = (index - from) * Contents.COORDINATES;
        (first, count) = (uint256(words[7]) + before, uint256(words[2]) - before);
        if (count > Contents.COORDINATES) count = Contents.COORDINATES;
    }

    function _committed(bytes calldata body, uint256 place, uint256 bits) private pure returns (int256) {
        uint256 from;
        // reads nothing: where the body, whose length was checked, lies in calldata
        assembly ("memory-safe") {
            from := body.offset
        }
        return Contents.integerAt(from, place, bits);
    }

    /// @dev Returns the integer of `bits` bits that begins `start` bits behind the file's header. It lies in one block: a
    /// header has two whole ones, and 4, 8 and 16 divide 128.
    function _decrypted(
        IRoundLedger.Receipt calldata receipt,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        uint256 start,
        uint256 bits
    ) private view returns (int256) {
        uint256 at = HEADER_BYTES + start / 8;
        bytes16 plain = _decrypt(receipt, key, cipher, at / CipherLeaves.BLOCK_BYTES);
        uint256 low = uint8(plain[at % CipherLeaves.BLOCK_BYTES]);
        if (bits == 8) return int8(uint8(low));
        if (bits == 16) return int16(uint16(low | uint256(uint8(plain[at % CipherLeaves.BLOCK_BYTES + 1])) << 8));
        // of two integers in a byte the low nibble is the first; four bits, two's complement
        return int256(((low >> (start % 8)) & 15) ^ 8) - 8;
    }

    function _decrypt(
        IRoundLedger.Receipt calldata receipt,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        uint256 number
    ) private view returns (bytes16) {
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
