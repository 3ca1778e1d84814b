// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title ITaskRegistry
/// @notice Tasks, their frozen rules, and who may train in them.
///
/// Notes:
/// - A task never exists without its whole bounty: `openTask` escrows it in the same transaction.
/// - Nothing that `openTask` fixed can be changed afterwards by anybody.
/// - The guardian (`owner()` of Ownable2Step) can stop NEW tasks and nothing else; it cannot touch a running one.
interface ITaskRegistry {
    /// @notice Who may join: anyone, addresses in a Merkle tree, or whoever holds the owner's signed consent.
    enum Admission {
        Open,
        AllowList,
        Consent
    }

    /// @notice Windows of a task, in seconds of block time. The one table of what they bound is in `IRoundLedger`.
    /// @param minRound A round cannot be rostered earlier than this after it opened; at least 1.
    /// @param roster The roster must be on chain before this has passed since the round opened; more than minRound.
    /// @param forceInclude For so long after the roster a trainer left out can put its receipt on chain; may be 0.
    /// @param reveal Then so long for late keys, before a seal is possible; may be 0.
    /// @param seal Then so long for the seal; at least 2.
    /// @param challenge So long after its seal a round can be challenged; then it is final; at least 1.
    /// @param takeover So long a successor has to roster, or to seal; at least 2.
    /// @param unbonding So long a stake stays slashable after its owner asked for it; longer than all of the above.
    struct Windows {
        uint32 minRound;
        uint32 roster;
        uint32 forceInclude;
        uint32 reveal;
        uint32 seal;
        uint32 challenge;
        uint32 takeover;
        uint32 unbonding;
    }

    /// @notice Everything that a task fixes at its opening.
    /// @param token A plain ERC-20: no fee on transfer, no rebasing, at most 18 decimals are sensible.
    /// @param bounty Exactly pot * rounds, in wei.
    /// @param pot What one round pays, in wei.
    /// @param stake What a trainer locks at least, in wei; may not be 0.
    /// @param bond What an aggregator locks at least, in wei; at least the pot.
    /// @param rounds How many rounds, 1..65535.
    /// @param admission Who may join.
    /// @param feeBps The aggregator's fee in basis points of the pot, for the record: it is paid by a claim leaf.
    /// @param allowRoot For AllowList: the root of OpenZeppelin's standard tree over (address); else 0.
    /// @param spec SHA-256 of the task's canonical specification in the store.
    /// @param program Root of the program that decides the task's rounds; zero for none.
    /// @param rules Root of the words of the task's rules that the program reads; zero for none.
    /// @param windows The windows.
    /// @param aggregators Who may aggregate, in order: the first works, the next takes over when one fails. 1..8,
    /// distinct, not zero.
    struct TaskParams {
        address token;
        uint128 bounty;
        uint128 pot;
        uint128 stake;
        uint128 bond;
        uint16 rounds;
        Admission admission;
        uint16 feeBps;
        bytes32 allowRoot;
        bytes32 spec;
        bytes32 program;
        bytes32 rules;
        Windows windows;
        address[] aggregators;
    }

    /// @notice What the caller of `join` shows for its admission; empty where the task is open to anyone.
    /// @param proof For AllowList: the Merkle proof of the caller's leaf.
    /// @param deadline For Consent: the first second (Unix) at which the owner's consent no longer counts.
    /// @param signature For Consent: the owner's EIP-712 signature of JoinConsent(uint256 task,address trainer,uint64
    /// deadline), 65 bytes, low s, v 27 or 28.
    struct Ticket {
        bytes32[] proof;
        uint64 deadline;
        bytes signature;
    }

    /// @notice What a task fixed about its members, and how many there are.
    /// @param owner Who opened the task and gets refunds and dust.
    /// @param stake What a trainer locks at least, in wei.
    /// @param bond What an aggregator locks at least, in wei.
    /// @param unbonding Seconds.
    /// @param members Trainers that joined and did not leave before the task ended.
    /// @param admission Who may join.
    /// @param ended True once no further round can be worked on: REFUNDED or COMPENSATED.
    /// @param spec SHA-256 of the specification.
    /// @param allowRoot Root of the allow-list; 0 without one.
    /// @param program Root of the task's program; 0 without one.
    /// @param rules Root of the words of the task's rules; 0 without one.
    struct Task {
        address owner;
        uint80 stake;
        uint80 bond;
        uint32 unbonding;
        uint32 members;
        Admission admission;
        bool ended;
        bytes32 spec;
        bytes32 allowRoot;
        bytes32 program;
        bytes32 rules;
    }

    /// @notice Emitted when a task is open and its bounty is in escrow. `params` is everything that was fixed.
    event TaskOpened(uint256 indexed task, address indexed owner, bytes32 indexed spec, TaskParams params);

    /// @notice Emitted when a trainer joined. `binding` is the digest of the statement by which wallet and Flower node
    /// key sign each other; the statement itself lies in the store. `seat` is its number in the task (IEscrow.Tenure).
    event TrainerJoined(uint256 indexed task, address indexed trainer, uint256 stake, bytes32 binding, uint32 seat);

    /// @notice Emitted when a trainer asked to leave; its stake is free (and slashable until) `readyAt`, Unix seconds.
    event TrainerLeft(uint256 indexed task, address indexed trainer, uint256 readyAt);

    /// @notice Emitted when the ledger ended a task for good (see `Task.ended`).
    event TaskEnded(uint256 indexed task);

    /// @notice Thrown when bounty is zero or not pot * rounds.
    error TaskRegistry_BountyMismatch(uint256 bounty, uint256 pot, uint256 rounds);

    /// @notice Thrown when a task asks for no stake, or for more than `limit`.
    error TaskRegistry_StakeOutOfBounds(uint256 stake, uint256 limit);

    /// @notice Thrown when the bond is below the pot or above `limit`.
    error TaskRegistry_BondOutOfBounds(uint256 bond, uint256 pot, uint256 limit);

    /// @notice Thrown when the fee is above 10,000 basis points.
    error TaskRegistry_FeeOutOfBounds(uint256 feeBps);

    /// @notice Thrown when the specification's digest is zero.
    error TaskRegistry_SpecMissing();

    /// @notice Thrown when the allow-list root is missing where one is needed, or given where none is.
    error TaskRegistry_AllowRootMismatch(Admission admission, bytes32 allowRoot);

    /// @notice Thrown when the trainer's stake is below what the task asks for.
    error TaskRegistry_StakeTooSmall(uint256 task, uint256 stake, uint256 required);

    /// @notice Thrown when the binding digest is zero.
    error TaskRegistry_BindingMissing(uint256 task, address trainer);

    /// @notice Thrown when the allow-list, or the owner's signature, does not admit the caller.
    error TaskRegistry_NotAdmitted(uint256 task, address trainer);

    /// @notice Thrown when the owner's consent is over; `deadline` is the first second at which it no longer counts.
    error TaskRegistry_ConsentExpired(uint256 task, uint256 deadline);

    /// @notice Thrown when the task does not exist.
    error TaskRegistry_UnknownTask(uint256 task);

    /// @notice Thrown when the task takes no members any more.
    error TaskRegistry_TaskEnded(uint256 task);

    /// @notice Thrown when the caller is no trainer of the task.
    error TaskRegistry_NotTrainer(uint256 task, address account);

    /// @notice Thrown when somebody other than the ledger calls.
    error TaskRegistry_NotLedger(address caller);

    /// @notice Open a task and escrow its bounty, in one transaction. Round 0 opens at once.
    /// Requirements: the guardian has not stopped new tasks; bounty == pot * rounds > 0; bond >= pot; windows and the
    /// aggregator list within bounds (`IRoundLedger.openLedger`); the caller approved the escrow for the bounty.
    /// @return task The task's number, from 1.
    function openTask(TaskParams calldata params) external returns (uint256 task);

    /// @notice Join as a trainer and lock a stake.
    /// Requirements: the task runs; stake >= the task's; binding not zero; the ticket admits the caller; the caller is
    /// neither trainer nor aggregator of the task nor still unbonding, and never left it; it approved the escrow for the
    /// stake; the task has a seat left (65,536).
    function join(uint256 task, uint256 stake, bytes32 binding, Ticket calldata ticket) external;

    /// @notice Stop training and ask for the stake. It stays slashable for the unbonding period; then `Escrow.exit`.
    /// @dev Warning: leaving is for ever, the account cannot join the task again. Leaving before the task has ended gives up the
    /// residual share (ISettlement.claimResidual). Compensation is limited by the stake still locked: claim it before exiting.
    function leaveTask(uint256 task) external;

    /// @notice Mark a task as ended. Only the ledger.
    function endTask(uint256 task) external;

    /// @notice Stop new tasks. Only the guardian. Running tasks do not notice.
    function pause() external;

    /// @notice Allow new tasks again. Only the guardian.
    function unpause() external;

    /// @notice Return how many trainers have a seat below `seat` and did not leave before the task ended.
    function membersBelow(uint256 task, uint256 seat) external view returns (uint256);

    /// @notice Return what a task fixed; owner zero for a task that does not exist.
    function task(uint256 id) external view returns (Task memory);

    /// @notice Return a task's owner; zero for a task that does not exist.
    function ownerOf(uint256 id) external view returns (address);

    /// @notice SHA-256 of a task's specification.
    function specOf(uint256 id) external view returns (bytes32);

    /// @notice What a trainer of a task locks at least, in wei; 0 for no task.
    function stakeOf(uint256 id) external view returns (uint256);

    /// @notice Return the root of a task's program; zero for a task that no program decides.
    function programOf(uint256 id) external view returns (bytes32);

    /// @notice Return the root of a task's terms ({Terms}).
    function rulesOf(uint256 id) external view returns (bytes32);

    /// @notice Return how many tasks were ever opened: the last task's number.
    function taskCount() external view returns (uint256);

    /// @notice Return the EIP-712 digest that the owner signs to admit a trainer.
    function consentDigest(uint256 task, address trainer, uint64 deadline) external view returns (bytes32);
}
