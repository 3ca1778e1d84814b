// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {RefereeCore} from "../dispute/RefereeCore.sol";

/// @title RefereeHarness
/// @notice The referee with seals that tests register, and bonds that are counted: no chain of rounds is needed to try what
/// follows from a tape alone.
contract RefereeHarness is RefereeCore {
    /// @param starts First leaf of every block, then the number of leaves.
    struct Seal {
        Facts facts;
        uint256[] starts;
        uint256 end;
        uint256 answer;
        address keyHolder;
        bool fallen;
    }

    mapping(bytes32 key => Seal) private _seals;
    mapping(address account => int256) public bonds;

    function register(Facts calldata facts, uint256[] calldata starts, uint256 end, uint256 answer, address keyHolder)
        external
    {
        _seals[facts.key] = Seal(facts, starts, end, answer, keyHolder, false);
    }

    function isFallen(bytes calldata target) external view returns (bool) {
        return _isFallen(target);
    }

    function _facts(bytes calldata target) internal view override returns (Facts memory) {
        require(!_isFallen(target), "fallen");
        return _seal(target).facts;
    }

    function _block(bytes calldata target, uint256 block_) internal view override returns (uint256 first, uint256 count) {
        uint256[] storage starts = _seal(target).starts;
        first = starts[block_];
        count = starts[block_ + 1] - first;
    }

    function _windows(bytes calldata target) internal view override returns (uint256, uint256) {
        return (_seal(target).end, _seal(target).answer);
    }

    function _requireKeyHolder(bytes calldata target) internal view override {
        require(msg.sender == _seal(target).keyHolder, "no key holder");
    }

    function _lockBond(bytes calldata, address from) internal override {
        bonds[from] -= 1;
    }

    function _payBond(bytes calldata, address, address to) internal override {
        bonds[to] += 1;
    }

    function _fall(bytes calldata target, address) internal override {
        _seal(target).fallen = true;
    }

    function _isFallen(bytes calldata target) internal view override returns (bool) {
        return _seal(target).fallen;
    }

    function _keyOf(bytes calldata target) internal pure override returns (bytes32) {
        return abi.decode(target, (bytes32));
    }

    function _seal(bytes calldata target) private view returns (Seal storage) {
        return _seals[_keyOf(target)];
    }
}
