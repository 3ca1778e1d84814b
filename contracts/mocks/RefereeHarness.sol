// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {RefereeCore} from "../dispute/RefereeCore.sol";
import {ITapes} from "../interfaces/ITapes.sol";

/// @title RefereeHarness
/// @notice The referee with seals that tests register, and bonds that are counted: no chain of rounds is needed to try what
/// follows from a tape alone.
contract RefereeHarness is RefereeCore {
    /// @notice A sealed tape: nothing of it is kept but its hash, as a ledger keeps no more of a seal.
    /// @param starts First leaf of every block, then the number of leaves.
    struct Seal {
        ITapes.Facts facts;
        uint256[] starts;
        uint256 end;
        uint256 answer;
        address keyHolder;
        address sealer;
    }

    /// @notice What a target is, encoded.
    /// @param blocks Those that the call shows; of others nothing is known, as on the platform.
    struct Target {
        Seal seal;
        uint256[] blocks;
    }

    mapping(bytes32 digest => bool) public registered;
    mapping(bytes32 key => bool) private _fallen;
    mapping(address account => int256) public bonds;

    constructor(address tapes_, address poseidon_) RefereeCore(tapes_, poseidon_) {}

    function register(bytes calldata target) external {
        registered[keccak256(abi.encode(_seal(target)))] = true;
    }

    function isFallen(bytes calldata target) external view returns (bool) {
        return _isFallen(target);
    }

    function _facts(bytes calldata target) internal view override returns (bytes memory) {
        require(registered[keccak256(abi.encode(_seal(target)))] && !_isFallen(target), "no seal");
        return abi.encode(_seal(target).facts);
    }

    function _block(bytes calldata target, uint256 block_)
        internal
        pure
        override
        returns (uint256 first, uint256 count)
    {
        uint256[] calldata blocks = _target(target).blocks;
        uint256 at;
        while (at < blocks.length && blocks[at] != block_) ++at;
        require(at < blocks.length, "block not shown");
        uint256[] calldata starts = _seal(target).starts;
        first = starts[block_];
        count = starts[block_ + 1] - first;
    }

    function _windows(bytes calldata target) internal pure override returns (uint256, uint256) {
        return (_seal(target).end, _seal(target).answer);
    }

    function _requireKeyHolder(bytes calldata target) internal view override {
        require(msg.sender == _seal(target).keyHolder, "no key holder");
    }

    function _requireSealer(bytes calldata target) internal view override {
        require(msg.sender == _seal(target).sealer, "no sealer");
    }

    function _lockBond(bytes calldata, address from) internal override {
        bonds[from] -= 1;
    }

    function _returnBond(bytes calldata, address asker) internal override {
        bonds[asker] += 1;
    }

    function _forfeitBond(bytes calldata target, address) internal override {
        bonds[_seal(target).sealer] += 1;
    }

    function _opened(bytes calldata) internal override {}

    function _closed(bytes calldata) internal override {}

    function release(bytes calldata) external {}

    function _requireShown() internal pure override {
        revert("no claims");
    }

    function _isNowhere() internal pure override returns (bool) {
        return true;
    }

    function _refutesSource(bytes memory) internal pure override returns (bool) {
        return false;
    }

    function _refutesOutput(bytes memory) internal pure override returns (bool) {
        return false;
    }

    function _fall(bytes calldata target, address) internal override {
        _fallen[_keyOf(target)] = true;
    }

    function _isFallen(bytes calldata target) internal view override returns (bool) {
        return _fallen[_keyOf(target)];
    }

    function _keyOf(bytes calldata target) internal pure override returns (bytes32) {
        return _seal(target).facts.key;
    }

    function _seal(bytes calldata target) private pure returns (Seal calldata) {
        return _target(target).seal;
    }

    /// @dev abi.encode of one dynamic struct is its offset, 0x20, then the struct.
    function _target(bytes calldata target) private pure returns (Target calldata t) {
        assembly ("memory-safe") {
            t := add(target.offset, 0x20)
        }
    }
}
