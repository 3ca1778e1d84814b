// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../interfaces/ITaskRegistry.sol";
import {LedgerReads} from "../libraries/LedgerReads.sol";
import {MemberFlags} from "../libraries/MemberFlags.sol";
import {Words} from "../libraries/Words.sol";

/// @title Escrow
/// @notice See {IEscrow}.
/// @dev Deposits are guarded against reentrancy because they measure balances around a call to a token. Withdrawals are
/// not: all state is final before the token is called.
contract Escrow is IEscrow, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @inheritdoc IEscrow
    /// @dev Below 2^80 with room for one more deposit of the same size, so that stake and credit fit into their fields.
    uint256 public constant MAX_AMOUNT = 2 ** 79 - 1;
    uint256 private constant BPS = 10_000;

    address public immutable registry;
    address public immutable ledger;
    address public immutable settlement;
    /// @notice Zero in a deployment without disputes.
    address public immutable disputes;

    mapping(uint256 task => mapping(address account => Member)) private _members;
    mapping(uint256 task => mapping(address account => Tenure)) private _tenures;
    mapping(uint256 task => Account) private _accounts;
    mapping(uint256 task => address) public tokenOf;
    mapping(uint256 task => mapping(address account => uint256)) public readyAt;
    /// @inheritdoc IEscrow
    mapping(uint256 task => mapping(address account => uint256)) public bondOf;

    constructor(address registry_, address ledger_, address settlement_, address disputes_) {
        (registry, ledger, settlement, disputes) = (registry_, ledger_, settlement_, disputes_);
    }

    modifier onlyLedger() {
        if (msg.sender != ledger) revert Escrow_NotModule(msg.sender);
        _;
    }

    modifier onlyDisputes() {
        if (msg.sender != disputes) revert Escrow_NotModule(msg.sender);
        _;
    }

    /// @inheritdoc IEscrow
    function fund(uint256 task, address token, address owner, uint256 amount) external nonReentrant {
        if (msg.sender != registry) revert Escrow_NotModule(msg.sender);
        if (tokenOf[task] != address(0)) revert Escrow_AlreadyFunded(task);
        if (token.code.length == 0) revert Escrow_TokenNotContract(token);
        _requireAmount(amount);
        tokenOf[task] = token;
        _accounts[task].funded = uint128(amount);
        emit TaskFunded(task, token, owner, amount);
        _pull(token, owner, amount);
    }

    /// @inheritdoc IEscrow
    function admit(uint256 task, address from, uint256 amount, uint32 seat) external nonReentrant {
        if (msg.sender != registry) revert Escrow_NotModule(msg.sender);
        Tenure storage t = _tenures[task][from];
        uint256 left = t.leftAt;
        if (left != 0) revert Escrow_AlreadyLeft(task, from, left);
        // `_lock` refuses an amount of more than 79 bits
        Words.store(t, amount | (block.timestamp << 80) | (uint256(seat) << 160));
        _lock(task, from, amount, MemberFlags.TRAINER | MemberFlags.RESIDUAL, MemberFlags.BUSY);
    }

    /// @inheritdoc IEscrow
    function lock(uint256 task, address from, uint256 amount, uint16 flags, uint16 excluded) external nonReentrant {
        if (msg.sender != ledger) revert Escrow_NotModule(msg.sender);
        emit StakeLocked(task, from, amount);
        _lock(task, from, amount, flags, excluded);
    }

    /// @inheritdoc IEscrow
    function lockBond(uint256 task, address from, uint256 amount) external onlyDisputes nonReentrant {
        address token = _requireFunded(task);
        _requireAmount(amount);
        bondOf[task][from] += amount;
        emit BondLocked(task, from, amount);
        _pull(token, from, amount);
    }

    /// @inheritdoc IEscrow
    function payBond(uint256 task, address from, uint256 amount, address to) external onlyDisputes {
        uint256 locked = bondOf[task][from];
        if (amount > locked) revert Escrow_BondTooSmall(task, from, amount, locked);
        bondOf[task][from] = locked - amount;
        _members[task][to].credit += _toUint80(amount);
        emit BondPaid(task, from, amount, to);
    }

    /// @inheritdoc IEscrow
    function beginUnbonding(uint256 task, address account_, uint256 readyAt_, uint16 clear) external {
        if (msg.sender != registry && msg.sender != ledger) revert Escrow_NotModule(msg.sender);
        Member storage m = _members[task][account_];
        uint16 flags = m.flags;
        if (flags & MemberFlags.LEAVING != 0) revert Escrow_AlreadyUnbonding(task, account_);
        m.flags = (flags & ~clear) | MemberFlags.LEAVING;
        readyAt[task][account_] = readyAt_;
        if (flags & MemberFlags.TRAINER != 0) _leave(task, account_);
        emit UnbondingStarted(task, account_, readyAt_);
    }

    /// @inheritdoc IEscrow
    function slash(uint256 task, address account_, uint256 amount, address beneficiary, uint256 shareBps)
        external
        onlyLedger
        returns (uint256 slashed, uint256 toPot)
    {
        Member storage m = _members[task][account_];
        uint80 stake = m.stake;
        slashed = amount < stake ? amount : stake;
        m.stake = stake - uint80(slashed);
        uint256 share = beneficiary == address(0) ? 0 : slashed * shareBps / BPS;
        toPot = slashed - share;
        _accounts[task].funded += uint128(toPot);
        if (share != 0) _members[task][beneficiary].credit += uint80(share);
        _leaveIfShort(task, account_, m.flags, m.stake);
        emit StakeSlashed(task, account_, slashed, beneficiary, share);
    }

    /// @inheritdoc IEscrow
    function creditClaim(uint256 task, address account_, uint256 cumulative, uint256 total)
        external
        onlyLedger
        returns (uint256 amount)
    {
        Member storage m = _members[task][account_];
        Account storage a = _accounts[task];
        uint256 word = Words.load(m);
        uint256 claimed = (word >> 160) & type(uint80).max;
        if (cumulative <= claimed) revert Escrow_NothingToClaim(task, account_, cumulative, claimed);
        // cumulative > claimed was just checked
        unchecked {
            amount = cumulative - claimed;
        }
        uint256 pot = Words.load(a);
        uint256 paid = (pot >> 128) + amount;
        if (paid > total) revert Escrow_ClaimAboveTotal(task, paid, total);
        uint256 funded = pot & type(uint128).max;
        if (paid > funded) revert Escrow_PotTooSmall(task, amount, funded - (pot >> 128));
        uint256 credit = ((word >> 80) & type(uint80).max) + amount;
        if (cumulative > type(uint80).max || credit > type(uint80).max) {
            revert Escrow_AmountOutOfBounds(credit, type(uint80).max);
        }
        // paid <= funded < 2^128, credit and cumulative < 2^80: every part stays in its field
        Words.store(a, (paid << 128) | funded);
        Words.store(m, (word & Words.STAKE_AND_FLAGS) | (credit << 80) | (cumulative << 160));
    }

    /// @inheritdoc IEscrow
    function release(uint256 task, address account_, uint256 amount, uint16 flags) external {
        if (msg.sender != settlement) revert Escrow_NotModule(msg.sender);
        Account memory a = _accounts[task];
        uint256 available = a.funded - a.paid;
        if (amount > available) revert Escrow_PotTooSmall(task, amount, available);
        _accounts[task].funded = a.funded - uint128(amount);
        Member memory m = _members[task][account_];
        m.credit += _toUint80(amount);
        m.flags |= flags;
        _members[task][account_] = m;
        emit PotReleased(task, account_, amount);
    }

    /// @inheritdoc IEscrow
    function exit(uint256 task) external returns (uint256 amount) {
        Member memory m = _members[task][msg.sender];
        if (m.flags & MemberFlags.LEAVING == 0) revert Escrow_NotUnbonding(task, msg.sender);
        uint256 ready = readyAt[task][msg.sender];
        if (block.timestamp < ready) revert Escrow_StillUnbonding(task, msg.sender, ready);
        if (LedgerReads.isFrozen(IRoundLedger(ledger).words(task))) revert Escrow_TaskChallenged(task);
        amount = m.stake;
        m.credit += m.stake;
        m.stake = 0;
        m.flags &= ~(MemberFlags.LEAVING | MemberFlags.TRAINER);
        _members[task][msg.sender] = m;
        emit StakeReleased(task, msg.sender, amount);
    }

    /// @inheritdoc IEscrow
    function withdraw(uint256 task) external returns (uint256 amount) {
        return _withdraw(task, msg.sender);
    }

    /// @inheritdoc IEscrow
    function withdraw(uint256 task, address account_) external returns (uint256 amount) {
        return _withdraw(task, account_);
    }

    /// @inheritdoc IEscrow
    function member(uint256 task, address account_) external view returns (Member memory) {
        return _members[task][account_];
    }

    /// @inheritdoc IEscrow
    function tenure(uint256 task, address account_) external view returns (Tenure memory) {
        return _tenures[task][account_];
    }

    /// @inheritdoc IEscrow
    function account(uint256 task) external view returns (Account memory) {
        return _accounts[task];
    }

    function _withdraw(uint256 task, address account_) private returns (uint256 amount) {
        Member storage m = _members[task][account_];
        uint256 word = Words.load(m);
        amount = (word >> 80) & type(uint80).max;
        if (amount == 0) revert Escrow_NothingToWithdraw(task, account_);
        Words.store(m, word & ~Words.CREDIT);
        emit CreditWithdrawn(task, account_, amount);
        _push(tokenOf[task], account_, amount);
    }

    function _lock(uint256 task, address from, uint256 amount, uint16 flags, uint16 excluded) private {
        address token = _requireFunded(task);
        _requireAmount(amount);
        Member storage m = _members[task][from];
        uint256 word = Words.load(m);
        if ((word >> 240) & excluded != 0) revert Escrow_RoleConflict(task, from, uint16(word >> 240));
        uint256 stake = (word & type(uint80).max) + amount;
        if (stake > type(uint80).max) revert Escrow_AmountOutOfBounds(stake, type(uint80).max);
        Words.store(m, ((word >> 80) << 80) | stake | (uint256(flags) << 240));
        _pull(token, from, amount);
    }

    /// @dev Written once: who fell short of the task's stake has left, whatever it does later.
    function _leave(uint256 task, address account_) private {
        if (_tenures[task][account_].leftAt == 0) _tenures[task][account_].leftAt = uint40(block.timestamp);
    }

    function _leaveIfShort(uint256 task, address account_, uint16 flags, uint256 stake) private {
        if (flags & MemberFlags.TRAINER == 0) return;
        if (stake < ITaskRegistry(registry).stakeOf(task)) _leave(task, account_);
    }

    function _requireFunded(uint256 task) private view returns (address token) {
        token = tokenOf[task];
        if (token == address(0)) revert Escrow_UnknownTask(task);
    }

    function _requireAmount(uint256 amount) private pure {
        if (amount == 0 || amount > MAX_AMOUNT) revert Escrow_AmountOutOfBounds(amount, MAX_AMOUNT);
    }

    function _toUint80(uint256 value) private pure returns (uint80) {
        if (value > type(uint80).max) revert Escrow_AmountOutOfBounds(value, type(uint80).max);
        return uint80(value);
    }

    /// @dev As SafeERC20.safeTransfer does it: a token's own error goes on; one that returns nothing must have code, any other
    /// must return true.
    function _push(address token, address to, uint256 amount) private {
        bytes4 selector = IERC20.transfer.selector;
        bool sent;
        // memory-safe: writes [m, m + 68) past the free pointer, and the first word of the scratch space; a failed call's data
        // go past it too, and the call ends there. `to` is clean: the caller, or an argument that the decoder has checked.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, selector)
            mstore(add(m, 4), to)
            mstore(add(m, 36), amount)
            if iszero(call(gas(), token, 0, m, 68, 0, 32)) {
                returndatacopy(m, 0, returndatasize())
                revert(m, returndatasize())
            }
            switch returndatasize()
            case 0 { sent := iszero(iszero(extcodesize(token))) }
            default { sent := eq(mload(0), 1) }
        }
        if (!sent) revert SafeERC20.SafeERC20FailedOperation(token);
    }

    /// @dev Balance difference: a token that keeps a fee, or moves nothing, is refused.
    function _pull(address token, address from, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert Escrow_TransferMismatch(token, amount, received);
    }
}
