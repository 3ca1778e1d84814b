"""How an order or an answer lies inside a Flower message: one ConfigRecord with one value.

Orders and answers are canonical bytes (`protocol.messages`), so Flower carries bytes and nothing else: no tensor, no
pickle, no self-declared example count.

Tests: tests/unit/flower/test_client_app.py
"""

from __future__ import annotations

from flwr.app import ConfigRecord, Message, RecordDict

from fl_platform.errors import DocumentInvalid

COMMIT = "train.commit"
REVEAL = "train.reveal"
MAX_MESSAGE_BYTES = 1024 * 1024  # as protocol.messages; repeated because importing that costs the thin app its start-up
MAX_REFUSAL_CHARS = 500

_RECORD = "fl-platform"
_BODY = "body"
_REFUSED = "refused"


def pack_body(body: bytes) -> RecordDict:
    """Return the content of a Flower message that carries `body`."""
    return RecordDict({_RECORD: ConfigRecord({_BODY: body})})


def pack_refusal(reason: str) -> RecordDict:
    """Return the content of a reply that says why a trainer did not answer (shown, never trusted)."""
    return RecordDict({_RECORD: ConfigRecord({_REFUSED: reason[:MAX_REFUSAL_CHARS]})})


def unpack_body(message: Message) -> bytes:
    """Return the body of a message from a peer (unverified).

    Raises DocumentInvalid when it is an error, a refusal, over MAX_MESSAGE_BYTES, or has any other shape.
    """
    if message.has_error():
        raise DocumentInvalid(f"Flower reports error {message.error.code}: {_shown(message.error.reason)}")
    content = message.content
    record = content.get(_RECORD) if list(content) == [_RECORD] else None
    if not isinstance(record, ConfigRecord) or len(record) != 1:
        raise DocumentInvalid(f"reply must hold exactly the record {_RECORD!r}, found {sorted(content)[:4]}")
    refused, body = record.get(_REFUSED), record.get(_BODY)
    if isinstance(refused, str):
        raise DocumentInvalid(f"trainer refused: {_shown(refused)}")
    if not isinstance(body, bytes):
        raise DocumentInvalid(f"reply's {_BODY!r} must be bytes, found {type(body).__name__}")
    if len(body) > MAX_MESSAGE_BYTES:
        raise DocumentInvalid(f"reply has {len(body)} bytes, allowed {MAX_MESSAGE_BYTES}")
    return body


def _shown(text: str | None) -> str:
    return repr((text or "")[:MAX_REFUSAL_CHARS])
