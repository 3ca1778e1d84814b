"""What a trainer signs for one update: its receipt, and the keys wrapped for who may read it.

Tests: tests/adversarial/test_x_hidden_roster.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fl_platform.chain.signer import Signer
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.commitment_opening import CommitmentOpening
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.messages import Submission
from fl_platform.protocol.receipt import Receipt
from fl_platform.round.revealing import keep_key, kept_key
from fl_platform.task.decrypting import wrap_for_all
from fl_platform.task.reading import TaskReader


@dataclass(frozen=True)
class Signing:
    """One trainer's signatures in one task."""

    reader: TaskReader
    signer: Signer
    secret: bytes
    folder: Path  # the trainer's own; it keeps the keys

    def submission(self, receipt: Receipt, key: bytes, shown: CommitmentOpening) -> Submission:
        """Sign a receipt and the package of its update's key; the key is kept before."""
        domain, spec = self.reader.domain, self.reader.spec
        signed = self.signer.sign_receipt(receipt, domain)
        keep_key(self.folder, receipt, key)
        keys = self.wrapped(key, receipt)
        package = self.signer.sign_digest(package_digest(receipt, keys, domain, spec))
        return Submission(receipt, signed.signature, keys, package, shown)

    def wrapped(self, key: bytes, receipt: Receipt) -> tuple[WrappedKey, ...]:
        """Return the key of a receipt's update for each of the task's recipients."""
        return wrap_for_all(
            key, secret=self.secret, receipt=receipt, domain=self.reader.domain, spec=self.reader.spec
        )  # fmt: skip

    def again(self, signed: Submission, life: int) -> Submission:
        """Sign the same update for another life of the task. Raises ConfigError where its key is lost.

        Nobody can hold the two receipts against their trainer: each counts in its own life alone ({IEquivocations}).
        """
        key = kept_key(self.folder, signed.receipt)
        return self.submission(replace(signed.receipt, life=life), key, signed.shown)
