// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ISettlementVerifier} from "../interfaces/ISettlementVerifier.sol";
import {MerkleSum} from "../libraries/MerkleSum.sol";

/// @title SettlementProofs
/// @notice Keeps proofs that a list of claims, verdicts, weights and scores follows by the frozen rule from a committed
/// Gram matrix. Holds no money, has no owner, decides nothing: whoever trusts a commitment may act on its list.
///
/// Notes:
/// - What the commitment holds is checked off chain, by anyone with the round's bundle (zk/README.md, Settlement).
/// - A proof is bound to this chain, this contract, task, round and the address that hands it in, through rho.
/// - A proof is no identifier (it can be re-randomised); what was accepted goes by task, round and commitment, once.
/// - The list is 2 n + 1 numbers: n claims (address, wei earned so far << 160), n marks, one total.
contract SettlementProofs {
    /// @notice Thrown when a verifier with known secrets is deployed off local networks.
    error SettlementProofs_DevelopmentKey(address verifier, uint256 chainId);

    /// @notice Thrown when no circuit has a list of this length.
    error SettlementProofs_UnknownLength(uint256 length);

    /// @notice Thrown when a number of the list is not below r: it would be another number's alias.
    error SettlementProofs_ElementOutOfField(uint256 index, uint256 value);

    /// @notice Thrown when the proof does not hold for this list, sender, task, round, contract and chain.
    error SettlementProofs_Refused();

    /// @notice Thrown when this commitment was accepted for this round before.
    error SettlementProofs_AlreadyAccepted(uint256 task, uint256 round, uint256 commitment);

    /// @notice A proof was accepted.
    event SettlementAccepted(
        uint256 indexed task, uint256 indexed round, uint256 commitment, bytes32 listHash, address indexed claimant
    );

    uint256 private constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    bytes32 private constant DOMAIN = keccak256("fl-platform settlement 1");

    ISettlementVerifier public immutable small;
    ISettlementVerifier public immutable medium;
    ISettlementVerifier public immutable large;

    mapping(bytes32 key => bytes32 listHash) private _accepted;

    /// @param verifiers For 4, 16 and 64 slots, in this order.
    constructor(ISettlementVerifier[3] memory verifiers) {
        bool local = block.chainid == 1337 || block.chainid == 31337 || block.chainid == 131277322940537;
        for (uint256 i = 0; i < 3; ++i) {
            if (verifiers[i].DEVELOPMENT() && !local) {
                revert SettlementProofs_DevelopmentKey(address(verifiers[i]), block.chainid);
            }
        }
        (small, medium, large) = (verifiers[0], verifiers[1], verifiers[2]);
    }

    /// @notice Accept a proof for a round. Anyone may; the proof must have been made for the sender.
    ///
    /// Requirements: a list of 9, 33 or 129 numbers below r; a proof that holds; not accepted before.
    /// Emits {SettlementAccepted}.
    function submit(uint256 task, uint256 round, uint256 commitment, uint256[] calldata list, uint256[8] calldata proof)
        external
    {
        bytes32 key = keccak256(abi.encode(task, round, commitment));
        if (_accepted[key] != 0) revert SettlementProofs_AlreadyAccepted(task, round, commitment);
        bytes32 listHash = keccak256(abi.encodePacked(list));
        uint256 rho = rhoOf(task, round, msg.sender, commitment, listHash);
        if (!verifierOf(list.length).verify(proof, [commitment, valueAt(list, rho), rho])) {
            revert SettlementProofs_Refused();
        }
        _accepted[key] = listHash;
        emit SettlementAccepted(task, round, commitment, listHash, msg.sender);
    }

    /// @notice Return the hash of the list that was accepted for a commitment; zero when none was.
    function acceptedList(uint256 task, uint256 round, uint256 commitment) external view returns (bytes32 listHash) {
        return _accepted[keccak256(abi.encode(task, round, commitment))];
    }

    /// @notice Return root, total and count of the claim tree that a list fixes: what an honest seal of it carries.
    function claimRoot(uint256[] calldata list) external pure returns (bytes32 root, uint256 total, uint256 count) {
        uint256 slots = list.length / 2;
        while (count < slots && list[count] != 0) ++count;
        uint256 width = 1 << MerkleSum.depthOf(count);
        bytes32[] memory hashes = new bytes32[](width);
        uint256[] memory sums = new uint256[](width);
        for (uint256 i = 0; i < count; ++i) {
            sums[i] = list[i] >> 160;
            bytes32 reputation = bytes32((list[slots + i] >> 20) & 0xfffff);
            hashes[i] = MerkleSum.leafHash(uint32(i), address(uint160(list[i])), uint128(sums[i]), reputation);
        }
        for (; width > 1; width >>= 1) {
            for (uint256 i = 0; i < width; i += 2) {
                hashes[i >> 1] = MerkleSum.nodeHash(sums[i], hashes[i], sums[i + 1], hashes[i + 1]);
                sums[i >> 1] = sums[i] + sums[i + 1];
            }
        }
        return (hashes[0], sums[0], count);
    }

    /// @notice Return the verifier for a list of this length.
    function verifierOf(uint256 length) public view returns (ISettlementVerifier verifier) {
        if (length == 9) return small;
        if (length == 33) return medium;
        if (length == 129) return large;
        revert SettlementProofs_UnknownLength(length);
    }

    /// @notice Return the point at which list and proof are compared.
    function rhoOf(uint256 task, uint256 round, address claimant, uint256 commitment, bytes32 listHash)
        public
        view
        returns (uint256 rho)
    {
        return uint256(
            keccak256(abi.encode(DOMAIN, block.chainid, address(this), task, round, claimant, commitment, listHash))
        ) % R;
    }

    /// @notice Return sum list[i] * rho^i modulo r. Requirements: every number is below r.
    function valueAt(uint256[] calldata list, uint256 rho) public pure returns (uint256 value) {
        uint256 bad;
        // r, for no list is so long; as a constant the compiler would copy it out of the code in every step
        uint256 r = R | (list.length >> 255);
        // memory-safe: reads calldata only, the words of the array from the last one to the first, whose bounds the decoder has
        // checked.
        assembly ("memory-safe") {
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
}
