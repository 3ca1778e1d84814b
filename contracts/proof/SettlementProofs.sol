// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MerkleSum} from "../libraries/MerkleSum.sol";
import {Groth16} from "./Groth16.sol";

/// @title SettlementProofs
/// @notice Keeps proofs that a list of claims, reputations and weights follows by a task's frozen program from a committed
/// round. Holds no money, has no owner, decides nothing: whoever trusts a commitment and a key may act on its list.
///
/// Notes:
/// - It knows no rule: the key of a program's circuit comes as data, and a task's specification freezes the key's digest.
/// - What the commitment holds is checked off chain, by anyone with the round's bundle (zk/README.md).
/// - A proof is bound to this chain, this contract, task, round, key and the address that hands it in, through rho.
/// - A proof is no identifier (it can be re-randomised); what was accepted goes by task, round, commitment and key, once.
/// - The list is one number a seat (wei earned so far, reputation << 128), weights, and the divisor.
contract SettlementProofs {
    /// @notice Thrown off local networks for a key whose secrets are known to everyone.
    error SettlementProofs_DevelopmentKey(uint256 chainId);

    /// @notice Thrown when a number of the list is not below r: it would be another number's alias.
    error SettlementProofs_ElementOutOfField(uint256 index, uint256 value);

    /// @notice Thrown when the proof does not hold for this list, sender, task, round, key, contract and chain.
    error SettlementProofs_Refused();

    /// @notice Thrown when this commitment was accepted for this round under this key before.
    error SettlementProofs_AlreadyAccepted(uint256 task, uint256 round, uint256 commitment);

    /// @notice A proof was accepted.
    event SettlementAccepted(
        uint256 indexed task,
        uint256 indexed round,
        uint256 commitment,
        bytes32 listHash,
        bytes32 indexed key,
        address claimant
    );

    bytes32 private constant DOMAIN = keccak256("fl-platform settlement 2");
    uint256 private constant REPUTATION_SHIFT = 128;

    mapping(bytes32 about => bytes32 listHash) private _accepted;

    /// @notice Accept a proof for a round. Anyone may; the proof must have been made for the sender.
    ///
    /// Requirements: numbers of the list below r; a key that was not made for development, but on local networks; a proof
    /// that holds; not accepted before. Emits {SettlementAccepted}.
    function submit(
        uint256 task,
        uint256 round,
        uint256 commitment,
        uint256[] calldata list,
        uint256[8] calldata proof,
        uint256[23] calldata key
    ) external {
        bool local = block.chainid == 1337 || block.chainid == 31337 || block.chainid == 131277322940537;
        if (key[22] == 0 && !local) revert SettlementProofs_DevelopmentKey(block.chainid);
        bytes32 keyDigest = sha256(abi.encodePacked(key));
        bytes32 about = _about(task, round, commitment, keyDigest);
        if (_accepted[about] != 0) revert SettlementProofs_AlreadyAccepted(task, round, commitment);
        bytes32 listHash = keccak256(abi.encodePacked(list));
        uint256 rho = rhoOf(about, msg.sender, listHash);
        if (!Groth16.verify(proof, [commitment, valueAt(list, rho), rho], key)) revert SettlementProofs_Refused();
        _accepted[about] = listHash;
        emit SettlementAccepted(task, round, commitment, listHash, keyDigest, msg.sender);
    }

    /// @notice Return the hash of the list that was accepted for a commitment under a key; zero when none was.
    function acceptedList(uint256 task, uint256 round, uint256 commitment, bytes32 key)
        external
        view
        returns (bytes32 listHash)
    {
        return _accepted[_about(task, round, commitment, key)];
    }

    /// @notice Return root and total of the claim tree that a list fixes for these accounts, one a seat: what an honest seal
    /// of it carries.
    function claimRoot(uint256[] calldata list, address[] calldata accounts)
        external
        pure
        returns (bytes32 root, uint256 total)
    {
        uint256 width = 1 << MerkleSum.depthOf(accounts.length);
        bytes32[] memory hashes = new bytes32[](width);
        uint256[] memory sums = new uint256[](width);
        for (uint256 i = 0; i < accounts.length; ++i) {
            sums[i] = uint128(list[i]);
            bytes32 reputation = bytes32(list[i] >> REPUTATION_SHIFT);
            hashes[i] = MerkleSum.leafHash(uint32(i), accounts[i], uint128(sums[i]), reputation);
        }
        for (; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                hashes[i >> 1] = MerkleSum.nodeHash(sums[i], hashes[i], sums[i + 1], hashes[i + 1]);
                sums[i >> 1] = sums[i] + sums[i + 1];
            }
        }
        return (hashes[0], sums[0]);
    }

    /// @notice Return the point at which list and proof are compared; `about`: hash of task, round, commitment and key.
    function rhoOf(bytes32 about, address claimant, bytes32 listHash) public view returns (uint256 rho) {
        return
            uint256(keccak256(abi.encode(DOMAIN, block.chainid, address(this), about, claimant, listHash))) % Groth16.R;
    }

    /// @notice Return sum list[i] * rho^i + rho^length modulo r: the last term says where the list ends. Requirements: every
    /// number is below r.
    function valueAt(uint256[] calldata list, uint256 rho) public pure returns (uint256 value) {
        uint256 bad;
        // r, for no list is so long; as a constant the compiler would copy it out of the code in every step
        uint256 r = Groth16.R | (list.length >> 255);
        // memory-safe: reads calldata only, the words of the array from the last one to the first, whose bounds the decoder has
        // checked.
        assembly ("memory-safe") {
            value := 1
            let place := add(list.offset, shl(5, list.length))
            for {} gt(place, list.offset) {} {
                place := sub(place, 32)
                let element := calldataload(place)
                if iszero(lt(element, r)) { bad := add(shr(5, sub(place, list.offset)), 1) }
                value := addmod(mulmod(value, rho, r), element, r)
            }
        }
        if (bad != 0) revert SettlementProofs_ElementOutOfField(bad - 1, list[bad - 1]);
    }

    function _about(uint256 task, uint256 round, uint256 commitment, bytes32 key) private pure returns (bytes32 hash) {
        return keccak256(abi.encode(task, round, commitment, key));
    }
}
