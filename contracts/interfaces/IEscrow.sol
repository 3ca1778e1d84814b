// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title IEscrow
/// @notice All money of all tasks: bounties, stakes, bonds and credits. Every other contract holds none.
///
/// Money of a task lies in exactly one of these places, and moves only between them:
///
///   wallet --fund--> pot (`funded - paid` of the task) --creditClaim, release--> credit --withdraw--> wallet
///   wallet --admit, lock--> stake --exit--> credit;   stake --slash--> pot and the beneficiary's credit
///   wallet --lockBond--> bond --payBond--> credit of whoever the disputes contract names
///
/// So for every token: balance >= sum over tasks of (funded - paid) + sum over members of (stake + credit + bond); the
/// difference is what somebody sent without a call, and nobody owns it. Bonds of disputes are no stake: no slash takes them,
/// no exit pays them, and what pays one back takes no stake.
///
/// Notes:
/// - Nobody but the modules fixed at deployment (registry, ledger, settlement, disputes) can move money, and each only along
///   the arrows above. There is no owner, no upgrade, no pause.
/// - Amounts are in the token's smallest unit ("wei") and at most `MAX_AMOUNT` per deposit.
/// - Payouts are pulled. A wallet that cannot receive blocks only itself.
interface IEscrow {
    /// @notice One account's place in one task, in one storage slot.
    /// @param stake A trainer's stake or an aggregator's bond; slashable until it is credit.
    /// @param credit What `withdraw` would pay now.
    /// @param claimed What claims have credited so far, over the whole task; never falls.
    /// @param flags Bit field, see the FLAG constants of `MemberFlags`.
    struct Member {
        uint80 stake;
        uint80 credit;
        uint80 claimed;
        uint16 flags;
    }

    /// @notice When a trainer was a member of a task, in one storage slot. Every field is written once and never again, so
    /// that nothing that happens later changes who could take part in a round.
    /// @param joinedStake What it locked when it joined, in wei.
    /// @param joinedAt When it joined, Unix seconds; zero for an account that never joined.
    /// @param leftAt When it asked to leave, or when a slash first left it less than the task's stake; zero until then.
    /// @param seat Its number in the task: 9, 10, 11, ... in the order of joining, never used again. Seats 0 to 7 are the listed
    /// aggregators by their place in the list, seat 8 is the task's reference party; none of these has a tenure.
    struct Tenure {
        uint80 joinedStake;
        uint40 joinedAt;
        uint40 leftAt;
        uint32 seat;
    }

    /// @notice One task's pot. `paid <= funded` always holds.
    /// @param funded Bounty plus slashed money, less what `release` gave out.
    /// @param paid What claims have credited.
    struct Account {
        uint128 funded;
        uint128 paid;
    }

    /// @notice Emitted when a task's bounty has arrived.
    event TaskFunded(uint256 indexed task, address indexed token, address indexed owner, uint256 amount);

    /// @notice Emitted when an account's stake grew by a bond of `amount`; a trainer's stake shows in `TrainerJoined`.
    event StakeLocked(uint256 indexed task, address indexed account, uint256 amount);

    /// @notice Emitted when an account asked for its stake back; it stays slashable until `readyAt` (Unix seconds).
    event UnbondingStarted(uint256 indexed task, address indexed account, uint256 readyAt);

    /// @notice Emitted when stake became credit, after unbonding.
    event StakeReleased(uint256 indexed task, address indexed account, uint256 amount);

    /// @notice Emitted when `amount` of stake was taken: `share` became the beneficiary's credit, the rest the task's pot.
    event StakeSlashed(
        uint256 indexed task, address indexed account, uint256 amount, address indexed beneficiary, uint256 share
    );

    /// @notice Emitted when an account locked a bond of `amount` for a dispute.
    event BondLocked(uint256 indexed task, address indexed account, uint256 amount);

    /// @notice Emitted when `amount` of such a bond became the credit of `to`: back to its account, or lost to another.
    event BondPaid(uint256 indexed task, address indexed account, uint256 amount, address indexed to);

    /// @notice Emitted when a pot paid something that is not a claim: refund, dust, compensation, residual share.
    event PotReleased(uint256 indexed task, address indexed account, uint256 amount);

    /// @notice Emitted when credit left for the wallet.
    event CreditWithdrawn(uint256 task, address account, uint256 amount);

    /// @notice Thrown when somebody other than a module that may make this call makes it.
    error Escrow_NotModule(address caller);

    /// @notice Thrown when an amount is zero or above `MAX_AMOUNT`.
    error Escrow_AmountOutOfBounds(uint256 amount, uint256 limit);

    /// @notice Thrown when a task is funded a second time.
    error Escrow_AlreadyFunded(uint256 task);

    /// @notice Thrown when the task has no money here: it was never opened.
    error Escrow_UnknownTask(uint256 task);

    /// @notice Thrown when the token is no contract.
    error Escrow_TokenNotContract(address token);

    /// @notice Thrown when a token moved another amount than it was told to (a fee on transfer, a rebase).
    error Escrow_TransferMismatch(address token, uint256 expected, uint256 received);

    /// @notice Thrown when an account already has one of the roles that exclude the new one.
    error Escrow_RoleConflict(uint256 task, address account, uint16 flags);

    /// @notice Thrown when an account wants to join a task that it left at `leftAt`: a seat is taken once, with another account.
    error Escrow_AlreadyLeft(uint256 task, address account, uint256 leftAt);

    /// @notice Thrown when an account that already asked for its stake asks again.
    error Escrow_AlreadyUnbonding(uint256 task, address account);

    /// @notice Thrown when an account that never asked for its stake wants to exit.
    error Escrow_NotUnbonding(uint256 task, address account);

    /// @notice Thrown when unbonding is not over: `readyAt` is the first second at which exit works.
    error Escrow_StillUnbonding(uint256 task, address account, uint256 readyAt);

    /// @notice Thrown when a dispute is open in the task; stakes stay until it is decided.
    error Escrow_TaskChallenged(uint256 task);

    /// @notice Thrown when a claim's cumulative amount is not above what the account was already credited.
    error Escrow_NothingToClaim(uint256 task, address account, uint256 cumulative, uint256 claimed);

    /// @notice Thrown when claims together would exceed the total that the seal committed.
    error Escrow_ClaimAboveTotal(uint256 task, uint256 wouldBePaid, uint256 total);

    /// @notice Thrown when a release would leave the pot below what claims have already been paid.
    error Escrow_PotTooSmall(uint256 task, uint256 amount, uint256 available);

    /// @notice Thrown when a bond of `amount` is to be paid and less is locked.
    error Escrow_BondTooSmall(uint256 task, address account, uint256 amount, uint256 locked);

    /// @notice Thrown when an account has no credit in the task.
    error Escrow_NothingToWithdraw(uint256 task, address account);

    /// @notice Take a new task's bounty from `owner`. Only the registry.
    /// Requirements: the task is not funded; amount in 1..MAX_AMOUNT; the token moves exactly `amount`.
    function fund(uint256 task, address token, address owner, uint256 amount) external;

    /// @notice Take a trainer's stake and write its tenure. Only the registry; `account` is its caller.
    /// Requirements: the account has no role in the task and never left it; the task is funded; the token moves exactly
    /// `amount`.
    function admit(uint256 task, address account, uint256 amount, uint32 seat) external;

    /// @notice Take `amount` from `account` into its stake and set `flags`. Only the ledger, whose caller `account` is.
    /// Requirements: none of `excluded` is set on the member; the task is funded; the token moves exactly `amount`.
    function lock(uint256 task, address account, uint256 amount, uint16 flags, uint16 excluded) external;

    /// @notice Start unbonding and clear `clear` from the flags; a trainer has left. Registry and ledger.
    /// Requirements: the account is not unbonding yet.
    function beginUnbonding(uint256 task, address account, uint256 readyAt, uint16 clear) external;

    /// @notice Take `amount` from `account` as a bond. Only disputes, whose caller `account` is.
    /// Requirements: the task is funded; the token moves exactly `amount`.
    function lockBond(uint256 task, address account, uint256 amount) external;

    /// @notice Turn `amount` of an account's bonds into the credit of `to`. Only disputes.
    /// Requirements: so much of the account's bonds is locked.
    function payBond(uint256 task, address account, uint256 amount, address to) external;

    /// @notice Take up to `amount` of an account's stake: `shareBps` of it (rounded down) to the beneficiary's credit,
    /// the rest to the pot. Only the ledger.
    /// @return slashed What was taken: min(stake, amount).
    /// @return toPot The part of it that went to the pot.
    function slash(uint256 task, address account, uint256 amount, address beneficiary, uint256 shareBps)
        external
        returns (uint256 slashed, uint256 toPot);

    /// @notice Credit `cumulative - claimed` to an account. Only the ledger, whose `RewardClaimed` tells.
    /// Requirements: cumulative > claimed; all claims of the task together <= total.
    /// @return amount What was credited.
    function creditClaim(uint256 task, address account, uint256 cumulative, uint256 total)
        external
        returns (uint256 amount);

    /// @notice Credit `amount` from the pot and set `flags` on the member. Only the settlement.
    /// Requirements: amount <= funded - paid.
    function release(uint256 task, address account, uint256 amount, uint16 flags) external;

    /// @notice Turn the caller's stake into credit once unbonding is over.
    /// Requirements: `beginUnbonding` ran; now >= readyAt; no dispute is open in the task.
    /// @return amount What became credit.
    function exit(uint256 task) external returns (uint256 amount);

    /// @notice Pay the caller's credit to the caller.
    /// Requirements: credit > 0.
    /// @return amount What was paid.
    function withdraw(uint256 task) external returns (uint256 amount);

    /// @notice Pay an account's credit to that account's wallet. Anyone may call for anyone: the money has one way to go.
    /// Requirements: credit > 0.
    /// @return amount What was paid.
    function withdraw(uint256 task, address account) external returns (uint256 amount);

    /// @notice Return one account's place in one task.
    function member(uint256 task, address account) external view returns (Member memory);

    /// @notice Return when an account was a trainer of a task; zeros for one that never was.
    function tenure(uint256 task, address account) external view returns (Tenure memory);

    /// @notice Return one task's pot.
    function account(uint256 task) external view returns (Account memory);

    /// @notice Return a task's token; zero for a task that was never opened.
    function tokenOf(uint256 task) external view returns (address);

    /// @notice Return when an account's stake can leave (Unix seconds); zero when it never asked.
    function readyAt(uint256 task, address account) external view returns (uint256);

    /// @notice Return what an account's bonds in a task's disputes sum to, in wei.
    function bondOf(uint256 task, address account) external view returns (uint256);

    /// @notice Return the largest amount of one deposit, in wei.
    function MAX_AMOUNT() external view returns (uint256);
}
