"""What aggregator and trainers say to each other in a round, whatever carries it (Flower, a test, a file).

A standard round is one exchange: RoundOrder -> Submission with keys. A strict round is two: RoundOrder -> Submission
without keys, then the roster on chain, then RevealOrder -> Reveal. Tensors never travel here, only digests: models and
updates are in the store.

Tests: tests/adversarial/test_x_hostile_documents.py
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.canonical import canonical_json, parse_canonical
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, CommitmentOpening
from fl_platform.protocol.document import from_json, to_json
from fl_platform.protocol.model_spec import ScaleSpec
from fl_platform.protocol.receipt import Receipt, SignedReceipt

MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class RoundOrder:
    """Aggregator to trainer: train round `round` from this parent. A trainer checks each field against the chain."""

    task: int
    round: int
    parent: bytes  # content root of the parent model
    scale: ScaleSpec  # by the frozen formula of public values of the round before
    previous_bundle: bytes  # digest of the sealed bundle that fixes parent and scale; zero in round 0


@dataclass(frozen=True)
class Submission:
    """Trainer to aggregator: one signed receipt; its keys come along in a standard round only.

    So does, in tasks with layer P, what it shows of its commitment.
    """

    receipt: Receipt
    signature: bytes  # 65 bytes
    keys: tuple[WrappedKey, ...]
    keys_signature: bytes  # 65 bytes over receipt and keys; empty without keys
    shown: CommitmentOpening = NOTHING_SHOWN

    @property
    def signed(self) -> SignedReceipt:
        """The receipt with its signature."""
        return SignedReceipt(self.receipt, self.signature)


@dataclass(frozen=True)
class RevealOrder:
    """Aggregator to trainer, strict rounds: the roster is on chain and in the store; reveal if you are on it."""

    task: int
    round: int
    roster: bytes  # digest of the roster document


@dataclass(frozen=True)
class Reveal:
    """Trainer to aggregator, strict rounds: the wrapped keys of its committed update, and its commitment."""

    task: int
    round: int
    trainer: bytes  # 20 bytes
    keys: tuple[WrappedKey, ...]
    keys_signature: bytes  # 65 bytes over receipt and keys
    shown: CommitmentOpening = NOTHING_SHOWN


Message = RoundOrder | Submission | RevealOrder | Reveal
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (RoundOrder, Submission, RevealOrder, Reveal)}


def encode_message(message: Message) -> bytes:
    """Return the canonical bytes of a message."""
    return canonical_json({"kind": type(message).__name__, "body": to_json(message)})


def decode_message(data: bytes, *, expected: type[Message]) -> Message:
    """Read a message from a peer (unverified) and demand its kind. Raises DocumentInvalid."""
    value = parse_canonical(data, what="message", max_bytes=MAX_MESSAGE_BYTES)
    if not isinstance(value, dict) or sorted(value) != ["body", "kind"] or value["kind"] != expected.__name__:
        kind = value.get("kind") if isinstance(value, dict) else None
        raise DocumentInvalid(f"message: expected a {expected.__name__}, got {kind!r}")
    message: Message = from_json(_KINDS[expected.__name__], value["body"], expected.__name__)
    return message


def message_kind(data: bytes) -> str:
    """Return a message's kind without reading its body (unverified). Raises DocumentInvalid."""
    value = parse_canonical(data, what="message", max_bytes=MAX_MESSAGE_BYTES)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DocumentInvalid(f"message: unknown kind {kind!r}; known are {sorted(_KINDS)}")
    return kind
