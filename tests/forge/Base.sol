// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice The cheatcodes of forge that these tests use. forge-std is not published on npm by its authors, so the
/// little that is needed stands here.
interface Cheats {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 privateKey) external pure returns (address);
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata reason) external;
    function getRecordedLogs() external returns (Log[] memory);
    function label(address account, string calldata name) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function prank(address sender) external;
    function recordLogs() external;
    function roll(uint256 blockNumber) external;
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function startPrank(address sender) external;
    function stopPrank() external;
    function store(address target, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
}

/// @notice Base of every forge test: assertions that say both values, a bounded fuzz input, invariant targets.
abstract contract Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Cheats internal constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev forge looks for this name to learn that the contract holds tests.
    bool public IS_TEST = true;

    address[] private _targets;
    address[] private _senders;
    FuzzSelector[] private _selectors;

    error NotEqual(uint256 left, uint256 right, string what);
    error NotEqualBytes32(bytes32 left, bytes32 right, string what);
    error NotEqualAddress(address left, address right, string what);
    error NotAtMost(uint256 left, uint256 right, string what);
    error NotTrue(string what);

    function assertEq(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) revert NotEqual(left, right, what);
    }

    function assertEq(bytes32 left, bytes32 right, string memory what) internal pure {
        if (left != right) revert NotEqualBytes32(left, right, what);
    }

    function assertEq(address left, address right, string memory what) internal pure {
        if (left != right) revert NotEqualAddress(left, right, what);
    }

    function assertLe(uint256 left, uint256 right, string memory what) internal pure {
        if (left > right) revert NotAtMost(left, right, what);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    /// @notice Maps any `x` into [low, high], evenly but for the last lap.
    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        require(low <= high, "bound: low > high");
        uint256 size = high - low;
        if (size == type(uint256).max) return x;
        return low + (x % (size + 1));
    }

    /// @dev Fuzzes only `target` (and what else was named) in invariant runs.
    function targetContract(address target) internal {
        _targets.push(target);
    }

    /// @dev Lets only the named functions of `target` be called in invariant runs.
    function targetSelectors(address target, bytes4[] memory selectors) internal {
        _selectors.push(FuzzSelector({addr: target, selectors: selectors}));
    }

    /// @dev Lets only the named accounts send in invariant runs.
    function targetSender(address sender) internal {
        _senders.push(sender);
    }

    /// @dev Read by forge.
    function targetContracts() external view returns (address[] memory) {
        return _targets;
    }

    /// @dev Read by forge.
    function targetSenders() external view returns (address[] memory) {
        return _senders;
    }

    /// @dev Read by forge.
    function targetSelectors() external view returns (FuzzSelector[] memory) {
        return _selectors;
    }
}
