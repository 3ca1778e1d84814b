"""The exception tree. Branches follow what the caller can do about it.

FLError
├── RetryError                 transport: try again, or another end point          exit 6
│   ├── StoreUnavailable
│   ├── RpcUnavailable
│   ├── ProcessAbsent          a resident trainer, aggregator or Flower process does not answer
│   └── TransactionPending     sent, but not mined in time: run again, nothing is sent twice
├── RejectedInput              a peer's bytes or claims: refuse the peer           exit 7
│   ├── UpdateLengthMismatch   UpdateHashMismatch   UpdateHeaderMismatch
│   ├── UpdateRangeExceeded    UpdateNormExceeded   UpdateNotFinite
│   ├── ReceiptSignatureInvalid ReceiptParentMismatch ReceiptReplayed
│   ├── ReceiptDuplicate       ReceiptForeign
│   ├── EnvelopeInvalid        a key that does not open its update
│   ├── ObjectTooLarge         an object over the reader's limit, refused before it is read
│   ├── PointInvalid           not a usable point of the curve
│   ├── CommitmentMismatch     ProofInvalid
│   └── DocumentInvalid        malformed spec, bundle ...
│       └── CidInvalid   CarInvalid
├── Incomplete                 nothing is wrong, but this was not looked at or made   exit 3
│   └── NoCircuit              no settlement circuit holds the round
├── ConfigError                wrong option, wallet, network: fix and run again     exit 5
│   ├── TaskCodeError          a party's own model, data, loss ... failed: it says in which method
│   ├── WalletError            no such wallet, empty wallet
│   │   └── WrongPassword
│   ├── UnknownTask   TaskClosed
│   ├── ProgramNotAccepted     a task's own round program, that nobody here has said yes to
│   ├── PolicyRefused          the site's own policy forbids it; a peer is told no more than that
│   ├── NotEnoughTrainers      the rule cannot work with so few
│   ├── ChainBusy              another process holds the embedded chain
│   └── StoreReadOnly   StoreRefused   DaemonUnsupported
├── ChainError                 the chain said no                                    exit 8
│   └── TransactionReverted   carries the decoded custom error: `error`, `values`
└── IntegrityError             something that must hold does not: stop              exit 4
    ├── CidMismatch            StoreMissing (asked for, not there)
    ├── StoreFull
    ├── EndPointsDisagree      two chain end points tell different stories
    ├── UpdatesNotOpened       updates that should open and do not; the chain says nothing of them
    ├── DeploymentMismatch     foreign code or wiring at a recorded address
    └── AuditDifference

Tests: tests/unit/cli/test_cli_main.py
"""

from __future__ import annotations

from collections.abc import Mapping


class FLError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a traceback."""

    exit_code = 1


class RetryError(FLError):
    """Transport failed; the same call may succeed later or elsewhere."""

    exit_code = 6


class StoreUnavailable(RetryError):
    """A store's daemon or gateway did not answer in time, or refused."""


class RpcUnavailable(RetryError):
    """A chain end point did not answer in time, or refused."""


class ProcessAbsent(RetryError):
    """A resident trainer, a resident aggregator or a Flower process does not answer."""


class TransactionPending(RetryError):
    """A transaction was sent but not mined or not confirmed in time; sending again is safe and does nothing twice."""


class RejectedInput(FLError):
    """Bytes or claims of a peer were refused. Nothing was parsed beyond the failed check."""

    exit_code = 7


class UpdateLengthMismatch(RejectedInput):
    """An update's length is not the one that the model spec and codec imply."""


class UpdateHashMismatch(RejectedInput):
    """An update's bytes do not hash to what its receipt committed."""


class UpdateHeaderMismatch(RejectedInput):
    """An update's header names another format, width, size or model."""


class UpdateRangeExceeded(RejectedInput):
    """An update holds an integer outside the codec's symmetric range."""


class UpdateNormExceeded(RejectedInput):
    """An update's L2 norm is over the rule's bound."""


class UpdateNotFinite(RejectedInput):
    """A float tensor holds NaN or infinity."""


class ReceiptSignatureInvalid(RejectedInput):
    """A receipt's signature is malformed, malleable or not its trainer's."""


class ReceiptParentMismatch(RejectedInput):
    """A receipt commits to another parent model than the round's."""


class ReceiptReplayed(RejectedInput):
    """A receipt belongs to another task or round, or its update was handed in before."""


class ReceiptDuplicate(RejectedInput):
    """A trainer handed in more than one receipt for a round."""


class ReceiptForeign(RejectedInput):
    """A receipt's trainer is not a member of the task, or not on the roster."""


class EnvelopeInvalid(RejectedInput):
    """A wrapped key does not unwrap, or does not open the update that its receipt committed."""


class DocumentInvalid(RejectedInput):
    """A spec, bundle, CID, CAR or other document is malformed."""


class CidInvalid(DocumentInvalid):
    """A content identifier is outside the grammar that the store accepts."""


class CarInvalid(DocumentInvalid):
    """A CAR file or the object inside it is malformed, truncated or over a limit."""


class ObjectTooLarge(RejectedInput):
    """A stored object is larger than its reader allows; refused before it was read."""


class PointInvalid(RejectedInput):
    """Bytes do not encode a point of BN254 G1, or encode one that is not allowed here."""


class CommitmentMismatch(RejectedInput):
    """An opening, a weighted sum or a revealed root does not belong to the commitment it was given for."""


class ProofInvalid(RejectedInput):
    """A proof is malformed, or is not a proof of this statement in this place."""


class Incomplete(FLError):
    """Nothing is known to be wrong, but something asked for could not be looked at or made here."""

    exit_code = 3


class NoCircuit(Incomplete):
    """No settlement circuit holds the round: it has no proof, and its challenge window stands."""


class ConfigError(FLError):
    """An option, file, wallet or network is wrong; the caller can mend it."""

    exit_code = 5


class TaskCodeError(ConfigError):
    """A party's own code (its `LearningTask`) failed. Its text names method and remedy; it is no bug of ours."""


class WalletError(ConfigError):
    """A wallet is missing, empty, or its password is wrong."""


class WrongPassword(WalletError):
    """A password does not open its keystore."""


class UnknownTask(ConfigError):
    """No task with that number on this chain."""


class TaskClosed(ConfigError):
    """The task no longer accepts this call."""


class ProgramNotAccepted(ConfigError):
    """The task is judged by a program that is not of the package's parts, and this party has not accepted it."""


class PolicyRefused(ConfigError):
    """The policy of the site where this runs forbids it. Its text is the site's; a peer is told `outside` alone."""

    OUTSIDE = "the site's policy does not allow it"

    def __init__(self, message: str, *, outside: str = OUTSIDE) -> None:
        super().__init__(message)
        self.outside = outside


class NotEnoughTrainers(ConfigError):
    """The aggregation rule cannot keep its promise with so few updates."""


class ChainBusy(ConfigError):
    """Another process holds the embedded chain's folder."""


class StoreReadOnly(ConfigError):
    """This store back end cannot be written to."""


class StoreRefused(ConfigError):
    """A store takes nothing from this wallet: it is no member, or the store knows itself by another address."""


class DaemonUnsupported(ConfigError):
    """The IPFS daemon is one that the chosen client refuses to talk to."""


class ChainError(FLError):
    """The chain refused a call or a transaction."""

    exit_code = 8


class TransactionReverted(ChainError):
    """A transaction reverted; the message carries the decoded custom error."""

    def __init__(self, message: str, *, error: str = "", values: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.error = error  # name of the custom error, "Error" or "Panic"; empty when the contract gave none
        self.values = values  # its arguments: int, bytes (addresses 20), str, bool


class IntegrityError(FLError):
    """Something that must hold does not; going on would spread it."""

    exit_code = 4


class CidMismatch(IntegrityError):
    """Bytes read from a store do not hash to their CID."""


class StoreMissing(IntegrityError):
    """An object that the chain or a document refers to is not in the store."""


class UpdatesNotOpened(IntegrityError):
    """Updates that nothing on chain refuses do not open for this reader."""

    def __init__(self, message: str, *, reasons: Mapping[int, FLError] | None = None) -> None:
        super().__init__(message)
        self.reasons = reasons or {}  # by number of the entry

    @classmethod
    def because(cls, reasons: Mapping[int, FLError]) -> UpdatesNotOpened:
        """Return the error for these entries, at least one."""
        index, first = next(iter(reasons.items()))
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        return cls(f"entry {index} does not open: {first}{more}", reasons=reasons)


class StoreFull(IntegrityError):
    """The disk is full; nothing half-written was left behind."""


class EndPointsDisagree(IntegrityError):
    """Two chain end points tell different stories about the same block."""


class DeploymentMismatch(IntegrityError):
    """The code at a recorded address is not what this package's artifacts say."""


class CurveEngineBroken(IntegrityError):
    """The fast curve library disagrees with the reference about a known vector: it must not be used."""


class AuditDifference(IntegrityError):
    """An audit found a recorded value that differs from its recomputation."""
