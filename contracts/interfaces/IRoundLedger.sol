// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITaskRegistry} from "./ITaskRegistry.sol";

/// @title IRoundLedger
/// @notice The state machine of a task's rounds. An undisputed round costs two transactions: roster and seal.
///
/// One head per task works on one round; every earlier round is sealed. Round r+1 opens at r's seal. All limits are
/// half-open intervals [from, to) of block time:
///
///   what                 who                  from                                   to
///   rosterRound          current aggregator   opened + minRound                      opened + roster
///     after a takeover   current aggregator   takeover                               takeover + takeover window
///   forceInclude         a trainer            rostered                               rostered + forceInclude
///   sealRound            current aggregator   after rostered + forceInclude + reveal the same + seal
///     after a takeover   current aggregator   after the takeover                     takeover + takeover window
///   markChallenged       disputes             sealed                                 sealed + challenge
///   overturnSeal         disputes             sealed                                 sealed + challenge, or marked
///   claim                anyone               sealed + challenge                     -
///   passRound            current aggregator   rostered + forceInclude + reveal       the same + seal
///     after a takeover   current aggregator   takeover                               takeover + takeover window
///   advance              anyone               the end of the roster or seal window   -
///   overturnRoster       disputes             rostered                               sealed
///     of an ended task   disputes             compensated                            compensated + takeover window
///   closeTask            anyone               the last sealed round is final         -                 (ISettlement)
///     compensated        anyone               that, and compensated + takeover window
///   claimCompensation    anyone               closed                                 closed + unbonding (ISettlement)
///   sweepCompensation    anyone               closed + unbonding                     -                 (ISettlement)
///
/// While a dispute is open the task stands still: no roster, seal, advance, force-include or exit, no claim at or past
/// the disputed round. When it ends without effect, the time it took is added to the head's clock.
///
/// States and arrows of a round:
///
///   OPEN -> ROSTERED -> SEALED -> FINAL            OPEN -> REFUNDED        (no aggregator is left)
///   SEALED <-> CHALLENGED                          ROSTERED -> COMPENSATED (no aggregator is left)
///   OPEN -> COMPENSATED                            (no aggregator is left, and the round had a roster that is void)
///   ROSTERED -> OPEN or COMPENSATED                (its roster fell: the successor rosters anew, or nobody is left)
///   COMPENSATED -> COMPENSATED                     (its roster fell before the books could be closed: nobody claims by it)
///   SEALED, CHALLENGED -> ROSTERED or COMPENSATED  (overturned: the successor seals anew, or nobody is left)
///   OPEN, ROSTERED, SEALED, CHALLENGED -> VOID     (an earlier round was overturned)
///   VOID -> OPEN                                   (the chain of rounds came by again)
///   COMPENSATED, REFUNDED -> VOID                  (an earlier round was overturned after the end)
///
/// Every other arrow is forbidden; FINAL has none.
///
/// Money: round r's seal must allot pot * (r + 1) + bonus, to the wei; but what was slashed after the first second of its window
/// it may leave to the next one, so that no slash comes too late for a seal that is on its way. The bonus is what was slashed
/// (less the challenger's share): it goes to the trainers, by worth, with the next seal, and to the compensation or the
/// owner's refund when there is no next seal. How the books of an ended task are closed is in `ISettlement`.
///
/// The ring keeps one digest a round for W = ceil(challenge / minRound) + 1 rounds; a later call brings the preimage.
/// Claims are cumulative, so the latest final round pays everything; there is always one in the ring.
interface IRoundLedger {
    /// @notice Where the head of a task stands.
    enum Phase {
        None,
        Open,
        Rostered,
        Done,
        Refunded,
        Compensated
    }

    /// @notice The head slot of a task.
    /// @param aggregator Who may roster and seal now.
    /// @param time When the current phase began: opened, rostered or taken over (Unix seconds, less frozen time).
    /// @param round The round being worked on; equals `rounds` when all are sealed.
    /// @param rounds How many rounds the task has.
    /// @param index The current aggregator's place in the list.
    /// @param phase The phase.
    /// @param bonded The current aggregator has locked its bond.
    /// @param takeover The current aggregator took over in this phase: the takeover window counts.
    /// @param forced Receipts were forced into the current roster.
    /// @param challenged A dispute is open in the task.
    /// @param hasBonus Slashed money waits for, or went into, a seal.
    /// @param closed The books are closed.
    /// @param life How often a roster or a seal of the task fell, modulo 256: rounds that open now are of this life.
    struct Head {
        address aggregator;
        uint40 time;
        uint16 round;
        uint16 rounds;
        uint8 index;
        Phase phase;
        bool bonded;
        bool takeover;
        bool forced;
        bool challenged;
        bool hasBonus;
        bool closed;
        uint8 life;
    }

    /// @notice What a task's ledger is made of, but for the ring: four storage slots.
    /// @param head aggregator 160 | time 40 | round 16 | rounds 16 | index 4 | phase 4 | life 8 | flags 8, from the low end.
    /// @param windows minRound, roster, forceInclude, reveal, seal, challenge 24 each | pot 80 | seats 24 | ring 8.
    /// @param side mask of disputed rounds 64 | frozenSince 40 | lowest disputed round 16.
    /// @param terms bond 80 | unbonding 32 | everRostered 16 | bonus 80 | takeover 24 | seats when a roster or seal fell last 24.
    struct Words {
        uint256 head;
        uint256 windows;
        uint256 side;
        uint256 terms;
    }

    /// @notice What the ring keeps the digest of after a roster: keccak256(abi.encode(task, round, ...these)).
    /// @param root Merkle-sum root over (trainer, stake, receipt digest), leaves sorted by trainer.
    /// @param count Leaves.
    /// @param totalStake The root's sum, in wei.
    /// @param seats How many seats the task had (IEscrow.Tenure); the contract's.
    /// @param rosteredAt Unix seconds; the contract's.
    /// @param aggregator Who rostered; the contract's.
    /// @param life The life in which the round opened; the contract's. A round that is sealed again keeps it.
    struct RosterRecord {
        bytes32 root;
        uint32 count;
        uint128 totalStake;
        uint32 seats;
        uint40 rosteredAt;
        address aggregator;
        uint8 life;
    }

    /// @notice What an aggregator seals.
    /// @param bundle SHA-256 digest in the CID of the round bundle.
    /// @param model Content root of the new global model's integers.
    /// @param trace Root of the trace tree; zero where a task has none (seam for disputes by leaf).
    /// @param asOf Up to when the seal takes note of what was shown against receipts, Unix seconds: not before the seal's window
    /// opened, and before the seal.
    /// @param claimRoot Merkle-sum root over (owner, wei earned so far, reputation).
    /// @param claimTotal The root's sum, in wei.
    /// @param claimCount Leaves.
    struct SealInput {
        bytes32 bundle;
        bytes32 model;
        bytes32 trace;
        uint40 asOf;
        bytes32 claimRoot;
        uint128 claimTotal;
        uint32 claimCount;
    }

    /// @notice What a seal leaves, whole. The ring keeps the digest of its `ClaimRecord`.
    /// @param rosterDigest The roster record's digest.
    /// @param forced How many receipts were forced into the round; the contract's. They lie in `forced`.
    /// @param sealedAt Unix seconds; the contract's.
    /// @param aggregator Who sealed; the contract's.
    struct SealRecord {
        bytes32 rosterDigest;
        bytes32 bundle;
        bytes32 model;
        bytes32 trace;
        uint40 asOf;
        uint32 forced;
        bytes32 claimRoot;
        uint128 claimTotal;
        uint32 claimCount;
        uint40 sealedAt;
        address aggregator;
    }

    /// @notice What claims must know of a seal. The ring keeps keccak256(abi.encode(task, round, ...these)).
    /// @param content keccak256(abi.encode(rosterDigest, bundle, model, trace, asOf, forced, aggregator)) of the seal record.
    /// @param claimRoot As sealed.
    /// @param claimTotal As sealed, in wei.
    /// @param claimCount As sealed.
    /// @param finalAt sealedAt + challenge window: the first second at which the round is final, if nobody disputes it.
    /// @param slot round % ring: where the digest lies.
    struct ClaimRecord {
        bytes32 content;
        bytes32 claimRoot;
        uint128 claimTotal;
        uint32 claimCount;
        uint40 finalAt;
        uint8 slot;
    }

    /// @notice One leaf of a Merkle-sum tree; its hash is keccak256(0x00, index u32, owner, amount u128, data).
    struct Leaf {
        uint32 index;
        address owner;
        uint128 amount;
        bytes32 data;
    }

    /// @notice A trainer's signed statement of what it hands in (EIP-712, this contract is the verifying contract).
    /// @param task The task.
    /// @param round The round.
    /// @param life Life of the task when the round opened: what a fallen roster or seal left behind counts nowhere else.
    /// @param baseRound Round whose opening model the update starts from: `round`, as long as all rounds are synchronous.
    /// @param trainer Who signs.
    /// @param parent Content root of the model it trained from.
    /// @param update SHA-256 digest in the CID of the sealed update file.
    /// @param length Bytes of the sealed update file.
    /// @param keyHash keccak256 of the update's key.
    /// @param leavesRoot Merkle root of the ciphertext leaves.
    /// @param contentRoot Merkle root of the integers under them, blinded ({Contents}).
    /// @param commitment keccak256(commitment root, salt).
    /// @param samples Self-declared number of samples; no weight is derived from it unchecked.
    /// @param salt Random.
    /// @param extras Hash of a map for what later releases say; 0: nothing.
    struct Receipt {
        uint256 task;
        uint64 round;
        uint64 life;
        uint64 baseRound;
        address trainer;
        bytes32 parent;
        bytes32 update;
        uint64 length;
        bytes32 keyHash;
        bytes32 leavesRoot;
        bytes32 contentRoot;
        bytes32 commitment;
        uint64 samples;
        bytes32 salt;
        bytes32 extras;
    }

    /// @notice Emitted when a task's ledger is open: round 0 opened at `openedAt`. `aggregators` is the frozen order.
    event LedgerOpened(uint256 indexed task, uint256 openedAt, address[] aggregators);

    /// @notice Emitted when an aggregator locked its bond.
    event AggregatorBonded(uint256 indexed task, address indexed aggregator, uint256 bond);

    /// @notice Emitted when an aggregator asked for its bond; it is free at `readyAt`.
    event AggregatorLeft(uint256 indexed task, address indexed aggregator, uint256 readyAt);

    /// @notice Emitted when a roster is on chain: everything of the `RosterRecord` but the life, which is how many upheld
    /// `ChallengeResolved` and `RosterFell` the task has had so far, modulo 256.
    event RoundRostered(
        uint256 indexed task,
        uint256 round,
        bytes32 root,
        uint32 count,
        uint128 totalStake,
        uint32 seats,
        uint40 rosteredAt,
        address aggregator
    );

    /// @notice Emitted when a trainer forced its receipt into the round, as number `index`; see `forced`.
    event ReceiptForced(
        uint256 indexed task,
        uint256 indexed round,
        address indexed trainer,
        uint8 life,
        uint256 index,
        uint32 seat,
        Receipt receipt,
        bytes signature
    );

    /// @notice Emitted when a round is sealed: everything of the `SealRecord` but its roster digest and the forced receipts. The task's claims so
    /// far must sum to pot * (round + 1) + bonus; `claimTotal` shows it.
    event RoundSealed(uint256 indexed task, uint256 round, SealInput record, uint40 sealedAt, address aggregator);

    /// @notice Emitted when a deadline passed and the next aggregator took over; `slashed` went into the bonus.
    event AggregatorReplaced(
        uint256 indexed task, uint256 indexed round, address indexed from, address to, uint256 slashed
    );

    /// @notice Emitted when an aggregator said that it cannot seal; `to` is the next one, zero where nobody is left.
    event RoundPassed(uint256 indexed task, uint256 indexed round, address indexed from, address to);

    /// @notice Emitted when slashed money was added to what the next seal allots; `bonus` is the sum over the task.
    event BonusRaised(uint256 indexed task, uint256 amount, uint256 bonus);

    /// @notice Emitted when no aggregator is left and `round` never had a roster.
    event RoundRefunded(uint256 indexed task, uint256 indexed round);

    /// @notice Emitted when no aggregator is left and `round` had a roster once: its pot goes to those on it.
    event RoundCompensated(uint256 indexed task, uint256 indexed round);

    /// @notice Emitted when a dispute about a sealed round was opened.
    event RoundChallenged(uint256 indexed task, uint256 indexed round);

    /// @notice Emitted when a dispute was decided. `voidedTo` is the first round that is not void by it.
    event ChallengeResolved(
        uint256 indexed task, uint256 indexed round, bool upheld, uint256 voidedTo, uint256 slashed
    );

    /// @notice Emitted when the roster of a round fell before it was sealed; `next` has the round now, zero where nobody is left.
    event RosterFell(uint256 indexed task, uint256 indexed round, address indexed maker, address next, uint256 slashed);

    /// @notice Emitted when a claim was paid into the owner's credit.
    /// `cumulative` is all that claims have credited to the owner so far.
    event RewardClaimed(
        uint256 indexed task, address indexed owner, uint256 indexed round, uint256 amount, uint256 cumulative
    );

    /// @notice Thrown when somebody other than the registry calls.
    error RoundLedger_NotRegistry(address caller);

    /// @notice Thrown when somebody other than the settlement contract calls.
    error RoundLedger_NotSettlement(address caller);

    /// @notice Thrown when somebody other than the disputes contract calls.
    error RoundLedger_NotDisputes(address caller);

    /// @notice Thrown when a window is out of bounds: `name` says which, `value` is it, `minimum` and `maximum` the limits.
    error RoundLedger_WindowOutOfBounds(bytes32 name, uint256 value, uint256 minimum, uint256 maximum);

    /// @notice Thrown when the aggregator list is empty, too long, or holds zero or the same address twice.
    error RoundLedger_AggregatorsInvalid(uint256 length, uint256 position);

    /// @notice Thrown when the list in calldata is not the one frozen at the opening.
    error RoundLedger_AggregatorsMismatch(uint256 task);

    /// @notice Thrown when the caller is not at the place in the list that it names.
    error RoundLedger_NotListed(uint256 task, address caller);

    /// @notice Thrown when a task has no seat left.
    error RoundLedger_SeatsTaken(uint256 task, uint256 limit);

    /// @notice Thrown when the bond is below the task's.
    error RoundLedger_BondTooSmall(uint256 task, uint256 bond, uint256 required);

    /// @notice Thrown when the current aggregator of a running task wants its bond back.
    error RoundLedger_StillCurrent(uint256 task, address aggregator);

    /// @notice Thrown when somebody who is not the current aggregator rosters or seals.
    error RoundLedger_NotAggregator(uint256 task, address caller, address aggregator);

    /// @notice Thrown when the current aggregator has not locked its bond.
    error RoundLedger_NotBonded(uint256 task, address aggregator);

    /// @notice Thrown when the head is in another phase than the call needs.
    error RoundLedger_WrongPhase(uint256 task, Phase phase, Phase needed);

    /// @notice Thrown when the head works on another round than the call names.
    error RoundLedger_WrongRound(uint256 task, uint256 round, uint256 current);

    /// @notice Thrown when now lies before a window: `from` is its first second.
    error RoundLedger_TooEarly(uint256 task, uint256 from);

    /// @notice Thrown when now lies after a window: `to` is the first second past it.
    error RoundLedger_TooLate(uint256 task, uint256 to);

    /// @notice Thrown when a dispute is open and the call would go at or past it.
    error RoundLedger_TaskChallenged(uint256 task, uint256 round);

    /// @notice Thrown when a roster is empty, has no stake, or names more than `limit`.
    error RoundLedger_RosterOutOfBounds(uint256 count, uint256 limit, uint256 totalStake);

    /// @notice Thrown when bundle, model or claim root of a seal is zero.
    error RoundLedger_SealIncomplete(uint256 task, uint256 round);

    /// @notice Thrown when what calldata says of a forced receipt is not what the chain keeps.
    error RoundLedger_ForcedMismatch(uint256 task, bytes32 stated, bytes32 expected);

    /// @notice Thrown when a seal's `asOf` is not in [from, to).
    error RoundLedger_AsOfOutOfBounds(uint256 task, uint256 asOf, uint256 from, uint256 to);

    /// @notice Thrown when a seal's claims do not allot what the rounds so far have to pay.
    error RoundLedger_AllotmentMismatch(uint256 claimTotal, uint256 claimCount, uint256 allotted);

    /// @notice Thrown when a record in calldata is not the one whose digest the ring keeps.
    error RoundLedger_RecordMismatch(uint256 task, uint256 round, bytes32 digest, bytes32 expected);

    /// @notice Thrown when a round is not final yet: `finalAt` is the first second at which it would be.
    error RoundLedger_NotFinal(uint256 task, uint256 round, uint256 finalAt);

    /// @notice Thrown when a receipt is for another task, round or life.
    error RoundLedger_ReceiptForeign(uint256 task, uint256 round);

    /// @notice Thrown when a receipt's signature is not its trainer's.
    error RoundLedger_ReceiptSignatureInvalid(address trainer, address recovered);

    /// @notice Thrown when the account is no trainer of the task, or joined after the roster.
    error RoundLedger_NotMember(uint256 task, address account);

    /// @notice Thrown when a trainer forces a second receipt into one round.
    error RoundLedger_AlreadyForced(uint256 task, uint256 round, address trainer);

    /// @notice Thrown when `limit` receipts were forced into the round already.
    error RoundLedger_ForcedFull(uint256 task, uint256 round, uint256 limit);

    /// @notice Thrown when a round that is being disputed is disputed again, or one that is not is decided.
    error RoundLedger_ChallengeState(uint256 task, uint256 round, bool challenged);

    /// @notice Thrown when a task was already closed.
    error RoundLedger_AlreadyClosed(uint256 task);

    /// @notice Open a task's ledger. Only the registry.
    /// Requirements: windows within bounds; ring <= 64 slots; 1..8 distinct aggregators.
    function openLedger(
        uint256 task,
        ITaskRegistry.Windows calldata windows,
        uint256 pot,
        uint256 bond,
        uint256 rounds,
        address[] calldata aggregators
    ) external;

    /// @notice Give the next seat to a trainer that joins. Only the registry.
    /// @return seat The seat's number: how many there were before.
    function takeSeat(uint256 task) external returns (uint32 seat);

    /// @notice Lock the caller's bond as aggregator `index` of the list. Successors may bond early or when they take over.
    /// Requirements: amount >= the task's bond; the escrow is approved; the caller is no trainer and not bonded.
    function bondAggregator(uint256 task, address[] calldata aggregators, uint256 index, uint256 amount) external;

    /// @notice Ask for the bond. Not possible for the current aggregator of a running task.
    function unbondAggregator(uint256 task) external;

    /// @notice Put a round's roster on chain. Requirements: inside the window; 1 to 256 leaves.
    /// @dev Warning: the contract checks neither the leaves nor the stakes; a wrong roster is a matter of disputes.
    function rosterRound(uint256 task, uint256 round, bytes32 root, uint32 count, uint128 totalStake) external;

    /// @notice Put a signed receipt on chain that the roster may lack. Anyone may send it for the trainer.
    /// Requirements: inside the window; the receipt names this task and the head's round and life; its trainer signed it,
    /// joined before the roster, is a member and has not forced one into this round; at most 256 are forced into one. So nobody can
    /// be shut out by anybody while a task has no more trainers.
    /// @dev Gas is not given back, also where the aggregator had acknowledged the receipt.
    function forceInclude(Receipt calldata receipt, bytes calldata signature) external;

    /// @notice Seal a rostered round and open the next one.
    /// Requirements: inside the window; window start <= asOf < now; claimTotal is pot * (round + 1) + bonus, or less by at most
    /// what was slashed after the window's start; claimCount in 1..2^20.
    function sealRound(uint256 task, uint256 round, SealInput calldata record) external;

    /// @notice After a missed deadline: cut the late aggregator's bond by a tenth of the pot (rounded up) and hand over to
    /// the next one; where none is left, the round is refunded or compensated (the whole bond goes to the trainers).
    /// @param aggregators The frozen list.
    function advance(uint256 task, address[] calldata aggregators) external;

    /// @notice Say that the caller cannot seal the round, because it cannot have what a seal needs: the next aggregator takes
    /// over as after a missed deadline, but nobody is fined. The round is compensated when all have passed.
    /// Requirements: the caller is the current aggregator and bonded; inside the seal window; no dispute is open.
    /// @param aggregators The frozen list.
    /// @dev Passing pays nothing either: the fee goes to who seals.
    function passRound(uint256 task, uint256 round, address[] calldata aggregators) external;

    /// @notice Open a dispute about a sealed round. Only disputes.
    /// Requirements: the record is the ring's; now < sealed + challenge; the round is not disputed yet.
    function markChallenged(uint256 task, uint256 round, SealRecord calldata record) external;

    /// @notice End a dispute without effect; the task goes on, its clock less the time it stood still. Only disputes.
    /// Requirements: the round is disputed; the record is the ring's.
    function markUnchallenged(uint256 task, uint256 round, SealRecord calldata record) external;

    /// @notice Void a seal with all later rounds. Only disputes. Its sealer loses its whole bond (CHALLENGER_BPS of it to the
    /// challenger), the round is ROSTERED again with the successor, or COMPENSATED.
    /// Requirements: the record is the ring's; the round is disputed, or now < sealed + challenge: a lie that is shown at
    /// once needs no mark before.
    /// @param aggregators The frozen list.
    function overturnSeal(
        uint256 task,
        uint256 round,
        SealRecord calldata record,
        address challenger,
        address[] calldata aggregators
    ) external;

    /// @notice Void a roster that is not sealed. Only disputes. Its maker loses its whole bond (CHALLENGER_BPS of it to the
    /// challenger), the round is OPEN again, in the task's next life and without forced receipts, with the successor, or with the
    /// current aggregator where that is another than the maker; COMPENSATED where nobody is left, or where it was before.
    /// Requirements: the head's round is ROSTERED, or has been COMPENSATED for less than a takeover window; no dispute is open.
    /// @param roster The record's digest, which must be the ring's: it says which round, too.
    /// @param maker The record's aggregator, as disputes says.
    /// @param seats The record's seats, too: who joined after the roster shares no compensation for it.
    /// @param challenger Zero: all of the bond goes into the bonus.
    /// @param aggregators The frozen list.
    function overturnRoster(
        uint256 task,
        bytes32 roster,
        address maker,
        uint256 seats,
        address challenger,
        address[] calldata aggregators
    ) external;

    /// @notice Take a member's stake after a decided dispute: part to the challenger, the rest into the bonus. Only disputes.
    /// @return slashed What was taken: min(stake, amount).
    function slashMember(uint256 task, address account, uint256 amount, address challenger, uint256 shareBps)
        external
        returns (uint256 slashed);

    /// @notice Credit what a leaf's owner has earned so far and was not credited yet. Anyone may call for anyone.
    /// Requirements: the round is final; the leaf is in its claim tree.
    /// @param siblings The leaf's Merkle-sum path from the bottom: 48 bytes each, sum (u128) then hash.
    /// @return amount What was credited.
    function claim(
        uint256 task,
        uint256 round,
        ClaimRecord calldata record,
        Leaf calldata leaf,
        bytes calldata siblings
    ) external returns (uint256 amount);

    /// @notice Note that the books of a task were closed. Only the settlement contract.
    /// Requirements: phase Done, Refunded or Compensated, that for a takeover window at least; not closed yet; no dispute is open.
    function markClosed(uint256 task) external;

    /// @notice Return the head of a task.
    function head(uint256 task) external view returns (Head memory);

    /// @notice Return keccak256(abi.encode(aggregators)) of a task's frozen list.
    function aggregatorsHash(uint256 task) external view returns (bytes32);

    /// @notice Return a task's packed words as they lie in storage ({LedgerReads} unpacks them).
    function words(uint256 task) external view returns (Words memory);

    /// @notice Return slot `slot` of a task's ring as it lies in storage: the digests of rounds that a dispute blocks are
    /// complemented, so that no claim finds them.
    function ringSlot(uint256 task, uint256 slot) external view returns (bytes32);

    /// @notice Return how many receipts are forced into the head's round.
    function forcedCount(uint256 task) external view returns (uint256);

    /// @notice Return forced receipt `index` of a round in a life: keccak256(abi.encode(seat, trainer, receipt struct hash)),
    /// zero where there is none. Meaningful below the number that forcedCount, or the round's seal, says.
    function forced(uint256 task, uint256 round, uint256 life, uint256 index) external view returns (bytes32);

    /// @notice Revert unless the record is that of a final round: `RecordMismatch`, `NotFinal` or `TaskChallenged`.
    function requireFinal(uint256 task, uint256 round, ClaimRecord calldata record) external view;
}
