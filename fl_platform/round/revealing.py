"""A trainer's side of the reveals contract: put its keys on chain in time, and answer what it is asked there.

Its own folder keeps what it signed and, beside it, the keys of its updates (mode 0600): who loses them cannot answer a
demand, and loses stake.

Tests: tests/unit/dispute/test_key_watcher.py
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, FLError, RetryError
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.records import ContentLeafRecord
from fl_platform.ledger.reveals import KEY, RevealDemand, Reveals
from fl_platform.protocol.commitment_opening import CommitmentOpening
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.messages import Submission, decode_message
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.spec import Party
from fl_platform.round.committing import commit_update
from fl_platform.round.membership import signed_file
from fl_platform.store.envelope import check_key, decrypt
from fl_platform.task.atomic_files import write_atomically
from fl_platform.task.decrypting import sealed_update, wrap_for
from fl_platform.task.reading import TaskReader
from fl_platform.updates.content import ContentLeaf, open_file
from zk.curve import bn254

logger = logging.getLogger(__name__)


def keep_key(folder: Path, receipt: Receipt, key: bytes) -> None:
    """Write an update's key beside what was signed for it."""
    write_atomically(_key_file(folder, receipt), key)


def force_reveal(reader: TaskReader, contracts: Contracts, signer: Signer, folder: Path, round_number: int) -> None:
    """Put a trainer's signed key package on chain before the reveal deadline, so that nobody can call it silent.

    `folder`: the trainer's own. Raises ConfigError (nothing signed, no such contract), TransactionReverted (too late).
    """
    path = signed_file(folder, reader.task, round_number)
    if not path.exists():
        raise ConfigError(f"this trainer has signed nothing for round {round_number} of task {reader.task}: no {path}")
    signed = _submission(path)
    Reveals(contracts, reader.spec, signer).force(signed.signed, signed.keys, signed.keys_signature)


def shown_if_forced(reader: TaskReader, folder: Path, signed: Submission) -> CommitmentOpening:
    """Return what a trainer shows whose receipt was forced in: with the proof that a strict round's roster needs not.

    Where the update or its key is lost from `folder` and store, no proof can be made, and the keys go out without:
    whoever opens the update makes commitment and proof again.
    """
    if not signed.shown.points or signed.shown.proof:
        return signed.shown
    receipt = signed.receipt
    try:
        key, plain = _opened(reader, folder, receipt)
    except FLError as error:
        logger.error("round %d: no proof of knowledge of the forced receipt can be made: %s", receipt.round, error)
        return signed.shown
    return commit_update(
        reader.spec, reader.domain, task=receipt.task, round_number=receipt.round, trainer=receipt.trainer,
        plain=plain, key=key, forced=True,
    ).shown  # fmt: skip


def open_demands(reader: TaskReader, contracts: Contracts, trainer: bytes) -> list[RevealDemand]:
    """Return the demands that a trainer must answer; none where the deployment has no such contract."""
    if not Reveals.there(contracts):
        return []
    return [made for made in Reveals(contracts, reader.spec).demands(reader.task) if made.trainer == trainer]


def answer_demands(reader: TaskReader, contracts: Contracts, signer: Signer, folder: Path) -> list[RevealDemand]:
    """Answer every demand that waits for this trainer, and take the bonds. Returns what was answered.

    What cannot be answered (a receipt that this folder did not sign, a lost key) is logged and left.
    """
    reveals = Reveals(contracts, reader.spec, signer)
    answered = []
    for demand in open_demands(reader, contracts, signer.address):
        if reader.history().block.timestamp >= demand.deadline:
            continue
        try:
            _answer(reader, reveals, signer, folder, demand)
        except RetryError:
            raise
        except FLError as error:  # also: the store lost the update, somebody answered first. The others must not wait
            logger.error("round %d: a demand cannot be answered: %s", demand.round, error)
            continue
        answered.append(demand)
    return answered


def _answer(reader: TaskReader, reveals: Reveals, signer: Signer, folder: Path, demand: RevealDemand) -> None:
    signed = next((s for s in _all_signed(folder, reader.task) if s.receipt.struct_hash() == demand.receipt), None)
    if signed is None:
        raise ConfigError(f"the receipt 0x{demand.receipt.hex()} was not signed from {folder}")
    if demand.subject == KEY:
        keys, signature = signed.keys, signed.keys_signature
        if demand.recipient not in {key.recipient for key in keys}:
            party, secret = Party(demand.recipient, bn254.encode(demand.key)), signer.derive(b"trainer")
            key = kept_key(folder, signed.receipt)
            keys += (wrap_for(party, key, secret=secret, receipt=signed.receipt, domain=reader.domain),)
            signature = signer.sign_digest(package_digest(signed.receipt, keys, reader.domain, reader.spec))
        reveals.answer_key(demand, keys, signature)
        return
    reveals.answer_content(demand, signed.receipt, _content(reader, folder, signed.receipt, demand.index))


def _content(reader: TaskReader, folder: Path, receipt: Receipt, index: int) -> ContentLeafRecord:
    key, plain = _opened(reader, folder, receipt)
    return record_of(open_file(plain, index, table=reader.spec.model.leaves, bits=reader.spec.codec.bits, key=key))


def _opened(reader: TaskReader, folder: Path, receipt: Receipt) -> tuple[bytes, bytes]:
    """Return the key of one's own update and its plaintext."""
    key = kept_key(folder, receipt)
    return key, decrypt(sealed_update(reader.store, receipt), key=key, expected_key_hash=receipt.key_hash)


def _all_signed(folder: Path, task: int) -> Iterator[Submission]:
    """Everything signed for a task, what a dispute voided since included."""
    for path in sorted((folder / f"task-{task}").glob("round-*.json")):
        yield _submission(path)


def _submission(path: Path) -> Submission:
    signed = decode_message(path.read_bytes(), expected=Submission)
    assert isinstance(signed, Submission)
    return signed


def kept_key(folder: Path, receipt: Receipt) -> bytes:
    """Return the key of an update that was signed for from a folder. Raises ConfigError where it is lost."""
    path = _key_file(folder, receipt)
    if not path.exists():
        raise ConfigError(f"the key of this update is lost: no {path}")
    key = path.read_bytes()
    check_key(key, receipt.key_hash)
    return key


def _key_file(folder: Path, receipt: Receipt) -> Path:
    return folder / f"task-{receipt.task}" / f"key-{receipt.struct_hash().hex()[:32]}.bin"


def record_of(leaf: ContentLeaf) -> ContentLeafRecord:
    """Return an opened leaf as calls carry it."""
    return ContentLeafRecord(leaf.blind, leaf.body, leaf.path)
