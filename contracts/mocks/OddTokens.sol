// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title FeeToken
/// @notice Keeps one percent of every transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("fee", "FEE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(0xfee), fee);
    }
}

/// @title SilentToken
/// @notice Says nothing when it moves, as some old tokens do, and does not move at all once `stuck`.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    bool public stuck;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function setStuck(bool value) external {
        stuck = value;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        if (stuck) return;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @title RefusingToken
/// @notice Reverts when the receiver is on its list, as tokens with sanctions do; returns false instead when asked to.
contract RefusingToken is ERC20 {
    error RefusingToken_Refused(address to);

    mapping(address => bool) public refused;
    mapping(address => bool) public falsified;

    constructor() ERC20("refuse", "NO") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function refuse(address to, bool value) external {
        refused[to] = value;
    }

    function falsify(address to, bool value) external {
        falsified[to] = value;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (refused[to]) revert RefusingToken_Refused(to);
        if (falsified[to]) return false;
        return super.transfer(to, amount);
    }
}
