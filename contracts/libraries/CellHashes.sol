// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Language} from "./Language.sol";
import {PoseidonWords} from "./PoseidonWords.sol";
import {Refutation} from "./Refutation.sol";
import {Rows} from "./Rows.sol";

/// @title CellHashes
/// @notice Decides cells that are hashes, as {Refutation} does all others, and hashes. Twin of zk/poseidon.py.
library CellHashes {
    uint256 private constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 private constant GROUP = 3; // levels of a column's tree that one cell reads

    /// @notice Return whether the cell is not what follows. Reverts where the claim is not about this round's tape.
    function isRefuted(Refutation.Round memory round, Refutation.Claim memory claim) internal pure returns (bool) {
        uint256 packed = Refutation.requireInstruction(round, claim.column, claim.words, claim.path);
        uint256 axes = (packed >> 108) & 0xFFF;
        Refutation.requireCell(round, claim.column, axes, claim.place, claim.claimed);
        // what fills a column up to a power of two is 0
        if (!Refutation.isInside(round, axes, claim.place)) return claim.claimed.value != 0;
        uint8 op = uint8(packed >> 120);
        int256[8] memory x;
        if (op == Language.POSEIDON) {
            bool alone;
            (x, alone) = _group(round, claim, packed);
            if (alone) return uint256(claim.claimed.value) != _reduced(x[0]);
        } else {
            if (op != Language.POSEIDON3) revert Refutation.Refutation_OtherKind(op);
            int256[3] memory cells = Refutation.operandsOf(round, claim, packed, op);
            (x[0], x[1], x[2]) = (cells[0], cells[1], cells[2]);
        }
        return uint256(claim.claimed.value) != hash(x);
    }

    /// @dev Eight cells, one after another along the operand's last axis: a node of its tree, and one path. An axis of four
    /// places or less is one group. alone: it has no more than one place.
    function _group(Refutation.Round memory round, Refutation.Claim memory claim, uint256 packed)
        private
        pure
        returns (int256[8] memory x, bool alone)
    {
        uint256 operand = (packed >> 72) & 0xFFFFFFFFF;
        uint256 axes = operand & 0xFFF;
        uint256 last = Refutation.countOf(axes) - 1;
        uint256 length = round.lengths[Refutation.axisAt(axes, last)];
        alone = length < 2;
        uint256 depth = Refutation.depthOf(length);
        uint256 level = depth < GROUP ? depth : GROUP;
        // the last group has no axis of its own
        uint256 group = Refutation.countOf((packed >> 108) & 0xFFF) > last ? claim.place[last] : 0;
        if (claim.operands.length != 1 << level) revert Refutation.Refutation_WrongLength();
        bytes32[] memory row = new bytes32[](1 << level);
        for (uint256 i = 0; i < row.length; ++i) {
            int256 value = claim.operands[i].value;
            row[i] = Refutation.leafOf(value);
            if ((group << GROUP) + i < length) x[i] = value;
        }
        uint256 index;
        for (uint256 i = 0; i < last; ++i) {
            index = (index << Refutation.depthOf(round.lengths[Refutation.axisAt(axes, i)])) | claim.place[i];
        }
        index = (index << (depth - level)) | group;
        depth = Refutation.depthIn(round, axes);
        Refutation.requireNode(round, operand >> 20, depth, Rows.fold(row), level, index, claim.operands[0].siblings);
    }

    /// @dev A number modulo r, as lanes have it.
    function _reduced(int256 value) private pure returns (uint256 found) {
        found = uint256(value) % ORDER;
        if (value < 0) found = addmod(found, ORDER - addmod(type(uint256).max, 1, ORDER), ORDER);
    }

    /// @dev First lane after the permutation of (0, cells). `words`: round constants, nine in a full round and one in each
    /// between them, then the matrix, row by row. Lanes lie at the free pointer; those of the next round behind them.
    function _permute(int256[8] memory cells, bytes memory words) private pure returns (uint256 found) {
        // memory-safe: writes [m, m + 576) past the free pointer and moves no pointer; reads `words`, whose length is fixed
        assembly ("memory-safe") {
            function fifth(value, r) -> out {
                out := mulmod(value, value, r)
                out := mulmod(mulmod(out, out, r), value, r)
            }
            let r := ORDER
            let lanes := mload(0x40)
            let next := add(lanes, 288)
            mstore(lanes, 0)
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                let cell := mload(add(cells, i))
                // a negative number stands for 2^256 more
                if slt(cell, 0) { cell := addmod(cell, sub(r, addmod(not(0), 1, r)), r) }
                mstore(add(lanes, add(i, 32)), cell)
            }
            let constant_ := add(words, 32)
            let matrix := add(constant_, 4320)
            for { let round := 0 } lt(round, 71) { round := add(round, 1) } {
                let end := 32
                if or(lt(round, 4), gt(round, 66)) { end := 288 }
                for { let i := 0 } lt(i, end) { i := add(i, 32) } {
                    let lane := add(lanes, i)
                    mstore(lane, fifth(addmod(mload(lane), mload(constant_), r), r))
                    constant_ := add(constant_, 32)
                }
                let row := matrix
                for { let i := 0 } lt(i, 288) { i := add(i, 32) } {
                    // five products, each below r, stay below 2^256
                    let sum := mulmod(mload(lanes), mload(row), r)
                    sum := add(sum, mulmod(mload(add(lanes, 32)), mload(add(row, 32)), r))
                    sum := add(sum, mulmod(mload(add(lanes, 64)), mload(add(row, 64)), r))
                    sum := add(sum, mulmod(mload(add(lanes, 96)), mload(add(row, 96)), r))
                    sum := add(sum, mulmod(mload(add(lanes, 128)), mload(add(row, 128)), r))
                    let rest := mulmod(mload(add(lanes, 160)), mload(add(row, 160)), r)
                    rest := add(rest, mulmod(mload(add(lanes, 192)), mload(add(row, 192)), r))
                    rest := add(rest, mulmod(mload(add(lanes, 224)), mload(add(row, 224)), r))
                    rest := add(rest, mulmod(mload(add(lanes, 256)), mload(add(row, 256)), r))
                    mstore(add(next, i), addmod(sum, rest, r))
                    row := add(row, 288)
                }
                let done := lanes
                lanes := next
                next := done
            }
            found := mload(lanes)
        }
    }

    /// @notice Return the hash of eight cells, each modulo r.
    function hash(int256[8] memory cells) internal pure returns (uint256) {
        return _permute(cells, PoseidonWords.all());
    }
}
