// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

interface IHook {
    function onTokenMoved() external;
}

/// @title HookToken
/// @notice An ERC-777-like token: it calls sender and receiver (when they are contracts) before and after it moves.
contract HookToken is ERC20 {
    constructor() ERC20("hook", "HOOK") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from != address(0) && from.code.length != 0) _tell(from);
        super._update(from, to, amount);
        if (to.code.length != 0) _tell(to);
    }

    /// @dev A contract without a hook is left alone, as ERC-777 does for unregistered ones.
    function _tell(address who) private {
        (bool ok,) = who.call(abi.encodeCall(IHook.onTokenMoved, ()));
        ok;
    }
}

/// @title ReentrantClaimer
/// @notice Calls back into the platform from the token's hook, and remembers what came of it.
contract ReentrantClaimer is IHook {
    address public target;
    bytes public payload;
    uint256 public entries;
    bool public succeeded;
    bytes public answer;

    /// @notice Arm the hook: the next hook, and only that, calls `target` with `payload`.
    function arm(address target_, bytes calldata payload_) external {
        (target, payload, entries, succeeded, answer) = (target_, payload_, 0, false, "");
    }

    /// @notice Make any call in this contract's name.
    function act(address to, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory out) = to.call(data);
        if (!ok) {
            // pass the callee's own error on
            assembly ("memory-safe") {
                revert(add(out, 32), mload(out))
            }
        }
        return out;
    }

    function onTokenMoved() external {
        if (target == address(0) || entries != 0) return;
        ++entries;
        (succeeded, answer) = target.call(payload);
    }
}
