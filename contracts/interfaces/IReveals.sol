// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {CipherLeaves} from "../libraries/CipherLeaves.sol";
import {Contents} from "../libraries/Contents.sol";
import {Dleq} from "../libraries/Dleq.sol";
import {KeyWraps} from "../libraries/KeyWraps.sol";
import {Terms} from "../libraries/Terms.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IReveals
/// @notice What a trainer owes to those who may read its update, and what it loses when it does not deliver.
///
/// A trainer signs a receipt (what it committed to) and a key package (boxes with the update's key, one for each of the task's
/// first two aggregators and of its auditors, each with that party's public key). Both signatures are in {RoundLedger}'s
/// EIP-712 domain, so:
///
/// - a **bad wrap** is a box that opens to another key than the receipt's: its recipient shows the shared point S with a
///   proof, and anybody repeats the opening (`badWrap`);
/// - a **bad opening** is a ciphertext that decrypts to other integers than the content root says: one AES block decides
///   (`badOpening`);
/// - a key or a piece of content that nobody was given is **demanded** with a bond and a deadline (`demandKey`,
///   `demandContent`). Anybody who can may answer, and gets the bond. What an answer shows stands in an event and can be
///   used for the two calls above;
/// - a trainer that fears to be called silent puts its package on chain before the round may be sealed (`forceReveal`).
///
/// Proved lies, and content that nobody shows, cost the whole stake; a key not shown costs `SILENCE_BPS` of it, rounded up,
/// once for each recipient. 3,000 bps of what is taken go to the challenger, the rest to the task's pot. A trainer that asked
/// for its stake can lose it until it is paid out. A contract that has no stake in front of it takes nothing.
///
///   what                 who                  from        to
///   forceReveal          anyone               rostered    rostered + forceInclude + reveal (the seal's first second)
///   demandKey/Content    anyone               rostered    `ring` rounds later, while the books are open
///   answerKey/Content    anyone               demanded    demanded + takeover
///   expire               anyone               demanded + takeover    -
///   badWrap, badOpening  anyone               signed      while the trainer has a stake and the books are open
interface IReveals {
    /// @notice What a trainer can be asked to show.
    enum Subject {
        Key,
        Content
    }

    /// @notice A receipt with its trainer's signature.
    struct SignedReceipt {
        IRoundLedger.Receipt receipt;
        bytes signature;
    }

    /// @notice Wrapped keys with their trainer's signature (KeyPackage in {KeyWraps}).
    struct Package {
        KeyWraps.Box[] boxes;
        bytes signature;
    }

    /// @notice A party of the task, shown in the specification whose digest was frozen at the opening.
    /// @param document The specification's bytes.
    /// @param place Where the opening quote of the party's "address" stands.
    /// @param key The party's public wrap key.
    struct Party {
        bytes document;
        uint256 place;
        Dleq.Point key;
    }

    /// @notice Where a leaf lies in an update: the task's terms, and the block of parameters that the leaf is of.
    struct Model {
        Terms.Facts terms;
        Terms.Block block_;
    }

    /// @notice One integer of a content tree.
    /// @param index The leaf.
    /// @param place Its place there, 0 to 127.
    struct Spot {
        uint256 index;
        uint256 place;
    }

    /// @notice A demand. The contract keeps its hash; whoever answers or ends it brings it, out of the event.
    /// @param challenger Who locked the bond.
    /// @param deadline The first second (Unix) at which it is too late to answer.
    /// @param subject What is asked for.
    /// @param bits Content: width of the task's integers.
    /// @param index Content: the leaf.
    /// @param leaves Content: leaves of the tree.
    /// @param bond What the answerer gets, in wei.
    /// @param trainer Who must answer.
    /// @param recipient Key: for whom.
    /// @param key Key: the recipient's public wrap key.
    /// @param round The receipt's round.
    /// @param task The receipt's task.
    /// @param receipt Struct hash of the receipt.
    struct Demand {
        address challenger;
        uint40 deadline;
        Subject subject;
        uint8 bits;
        address trainer;
        uint80 bond;
        address recipient;
        Dleq.Point key;
        uint32 index;
        uint32 leaves;
        uint64 round;
        uint256 task;
        bytes32 receipt;
    }

    /// @notice Emitted when a package is put on chain in time.
    event RevealForced(
        uint256 indexed task,
        uint256 indexed round,
        address indexed trainer,
        bytes32 receipt,
        KeyWraps.Box[] boxes,
        bytes signature
    );

    /// @notice Emitted when a trainer's box was shown to hold another key than the one it committed to.
    event BadWrapProved(
        uint256 indexed task,
        uint256 indexed round,
        address indexed trainer,
        address recipient,
        address challenger,
        uint256 slashed
    );

    /// @notice Emitted when a trainer's ciphertext was shown to hold other integers than it committed to.
    event BadOpeningProved(
        uint256 indexed task, uint256 indexed round, address indexed trainer, address challenger, uint256 slashed
    );

    /// @notice Emitted when a trainer was asked to show something.
    event RevealDemanded(uint256 indexed task, uint256 indexed round, bytes32 indexed id, Demand demand);

    /// @notice Emitted when a key was shown.
    event KeyShown(
        uint256 indexed task,
        uint256 indexed round,
        bytes32 indexed id,
        bytes32 receipt,
        address answerer,
        KeyWraps.Box[] boxes,
        bytes signature
    );

    /// @notice Emitted when a piece of content was shown.
    event ContentShown(
        uint256 indexed task,
        uint256 indexed round,
        bytes32 indexed id,
        bytes32 receipt,
        address answerer,
        Contents.Leaf leaf
    );

    /// @notice Emitted when nobody answered in time.
    event SilenceProved(
        uint256 indexed task,
        uint256 indexed round,
        bytes32 indexed id,
        address trainer,
        address challenger,
        uint256 slashed
    );

    /// @notice Thrown when a package is not signed by the receipt's trainer; `signer` is zero when nothing can be recovered.
    error Reveals_PackageSignatureInvalid(address trainer, address signer);

    /// @notice Thrown when a package has more boxes than any task has recipients.
    error Reveals_TooManyBoxes(uint256 count, uint256 limit);

    /// @notice Thrown when a package has no such box.
    error Reveals_NoSuchBox(uint256 index, uint256 count);

    /// @notice Thrown when a box opens to the committed key.
    error Reveals_WrapIsGood(uint256 task, uint256 round, address trainer, address recipient);

    /// @notice Thrown when the ciphertext holds the committed integers.
    error Reveals_OpeningIsGood(uint256 task, uint256 round, address trainer);

    /// @notice Thrown when a key is not the committed one.
    error Reveals_KeyMismatch(bytes32 given, bytes32 expected);

    /// @notice Thrown when an update has no such content leaf, or a leaf no such integer.
    error Reveals_NoSuchLeaf(uint256 index, uint256 count);

    /// @notice Thrown when this fault was punished before.
    error Reveals_AlreadySlashed(bytes32 receipt);

    /// @notice Thrown when the account is no trainer of the task.
    error Reveals_NotTrainer(uint256 task, address trainer);

    /// @notice Thrown when the round is not rostered yet, or too long ago.
    error Reveals_NotDemandable(uint256 task, uint256 round);

    /// @notice Thrown when the same was asked before, answered or not.
    error Reveals_AlreadyAsked(bytes32 id);

    /// @notice Thrown when a demand was never made like this, or has ended.
    error Reveals_UnknownDemand(bytes32 id);

    /// @notice Thrown when the answer is not what was asked for.
    error Reveals_WrongAnswer(bytes32 id);

    /// @notice Thrown when the deadline has passed, or has not yet; `deadline` is the first second past it.
    error Reveals_Deadline(bytes32 id, uint256 deadline);

    /// @notice Thrown when a package cannot be forced any more, or not yet: [from, to) is the time for it, empty in a round
    /// that an aggregator took over, or while a dispute is open.
    error Reveals_NotForceable(uint256 task, uint256 round, uint256 to);

    /// @notice Put a trainer's package on chain, so that nobody can call the trainer silent.
    /// Requirements: receipt and package signed by the trainer; the receipt's round is rostered and its seal not due yet.
    function forceReveal(SignedReceipt calldata signed, Package calldata package) external;

    /// @notice Show that a box which a trainer signed does not hold the committed key: the receipt is convicted, and what
    /// stake the trainer has is taken.
    /// Requirements: receipt and package signed by the trainer; the proof shows that `shared` is the point of the public key
    /// in the box, bound to this box's context. A box whose ephemeral point is no point of the curve is bad without a proof.
    /// @param index Which box.
    /// @param shared S = k E.
    /// @param proof That S has the logarithm of the recipient's key.
    function badWrap(
        SignedReceipt calldata signed,
        Package calldata package,
        uint256 index,
        Dleq.Point calldata shared,
        Dleq.Proof calldata proof
    ) external;

    /// @notice Show that a ciphertext holds other integers than the content root: the receipt is convicted, and what stake
    /// the trainer has is taken.
    /// Requirements: the receipt is signed by the trainer; the key is the committed one; both leaves are under their roots.
    /// @param cipher The leaf of the ciphertext in which the integer lies; ignored behind its tensor's end: there are zeros.
    /// @param content The leaf of the content tree.
    /// @param spot The integer.
    /// @param model Tells where in the file it stands.
    function badOpening(
        SignedReceipt calldata signed,
        bytes32 key,
        CipherLeaves.Leaf calldata cipher,
        Contents.Leaf calldata content,
        Spot calldata spot,
        Model calldata model
    ) external;

    /// @notice Ask a trainer for a box for `recipient`; `id` is a hash of what was asked. Locks the bond of a demand ({IBonds}).
    /// Requirements: the receipt is signed by a trainer of the task, whether it is on the roster or not; its round is rostered
    /// and recent; `party` names the recipient, whose key is a point of the curve; not asked before.
    function demandKey(SignedReceipt calldata signed, address recipient, Party calldata party)
        external
        returns (bytes32 id);

    /// @notice Ask a trainer for a leaf of its content tree. Locks the bond of a demand ({IBonds}).
    /// Requirements: as `demandKey`; there is such a leaf.
    /// @param model Tells how many leaves there are.
    function demandContent(SignedReceipt calldata signed, uint256 index, Model calldata model)
        external
        returns (bytes32 id);

    /// @notice Answer with a signed package that has a box for the recipient. The bond goes to the caller.
    function answerKey(Demand calldata demand, Package calldata package) external;

    /// @notice Answer with the content leaf. The bond goes to the caller.
    function answerContent(Demand calldata demand, IRoundLedger.Receipt calldata receipt, Contents.Leaf calldata leaf)
        external;

    /// @notice End a demand that nobody answered in time: the bond goes back, the trainer loses stake.
    function expire(Demand calldata demand) external;

    /// @notice Return a demand's hash while it is open; zero when it was never made, one when it has ended.
    function demandOf(bytes32 id) external view returns (bytes32);

    /// @notice Return when a receipt was convicted (Unix seconds): of a wrong box, a wrong opening or header, or content that
    /// nobody showed in time; zero for never. Written once, with the whole stake taken, as far as there was one.
    function convictedAt(bytes32 receipt) external view returns (uint256);

    /// @notice Return the hash over the boxes ({KeyWraps}) of the package that was first put on chain by `forceReveal` for a
    /// receipt; zero for none. Whether it has a box for everybody is seen by whom it matters to ({ISources}).
    function revealed(bytes32 receipt) external view returns (bytes32);
}
