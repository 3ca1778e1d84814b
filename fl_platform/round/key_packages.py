"""Key packages that come to an aggregator (untrusted): it keeps, for each receipt, one that the trainer signed.

Tests: tests/unit/round/test_collecting.py
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import replace

from fl_platform.errors import ReceiptSignatureInvalid, RejectedInput
from fl_platform.judging.commitments import fits
from fl_platform.ledger.reveals import Package
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, CommitmentOpening
from fl_platform.protocol.keypackage import check_package
from fl_platform.protocol.messages import Reveal, RevealOrder, Submission, decode_message
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.protocol.spec import TaskSpec
from fl_platform.task.decrypting import UpdateOpener

logger = logging.getLogger(__name__)


class KeyPackages:
    """At most one package a trainer: the first that opens for the opener's recipient, else the first signed one.

    With it comes what its trainer shows of its commitment. Nobody signs that: `round.committing.mend` makes it again
    from the key where it does not fit.
    """

    def __init__(self, opener: UpdateOpener, domain: Domain, spec: TaskSpec) -> None:
        self._opener, self._domain, self._spec = opener, domain, spec
        self._kept: dict[bytes, tuple[Package, CommitmentOpening | None]] = {}

    @property
    def kept(self) -> KeysView[bytes]:
        """Whose packages came, as they come."""
        return self._kept.keys()

    def take_reveals(self, answers: Iterable[bytes], order: RevealOrder, wanted: Sequence[Receipt]) -> None:
        """Take in the answers (unverified bytes) to a strict round's second order that are about these receipts."""
        receipts = {receipt.trainer: receipt for receipt in wanted}
        for answer in answers:
            try:
                reveal = decode_message(answer, expected=Reveal)
                assert isinstance(reveal, Reveal)
                if reveal.trainer in receipts and (reveal.task, reveal.round) == (order.task, order.round):
                    self.add(receipts[reveal.trainer], reveal.keys, reveal.keys_signature, reveal.shown)
            except RejectedInput as error:
                logger.warning("round %d: refused a reveal: %s", order.round, error)

    def take_submissions(self, answers: Iterable[bytes], wanted: Sequence[Receipt]) -> None:
        """Take in the answers (unverified bytes) to a standard round's order, asked again, about these receipts."""
        receipts = {receipt.trainer: receipt for receipt in wanted}
        for answer in answers:
            try:
                sent = decode_message(answer, expected=Submission)
                assert isinstance(sent, Submission)
                if receipts.get(sent.receipt.trainer) == sent.receipt:
                    self.add(sent.receipt, sent.keys, sent.keys_signature, sent.shown)
            except RejectedInput as error:
                logger.warning("refused an answer about a forced receipt: %s", error)

    def add(
        self, receipt: Receipt, keys: tuple[WrappedKey, ...], signature: bytes, shown: CommitmentOpening | None = None
    ) -> None:
        """Take a package in. Raises ReceiptSignatureInvalid where the receipt's trainer did not sign it.

        One that does not open is kept where no other comes: it proves on chain what its trainer did.
        """
        check_package(receipt, keys, signature, self._domain, self._spec)
        before = self._kept.get(receipt.trainer)
        if before is None or not self._opener.opens(receipt, before[0][0]):
            fitted = None if shown is None else fitting(shown, self._spec)
            self._kept[receipt.trainer] = (keys, signature), fitted

    def fill(self, entry: Entry) -> Entry:
        """Return an entry with the package that came for it, else as it is."""
        kept = self._kept.get(entry.receipt.trainer)
        return entry if kept is None else with_package(entry, *kept)

    def fill_forced(self, entries: tuple[Entry, ...], forced: Mapping[bytes, Sequence[Package]]) -> tuple[Entry, ...]:
        """Return entries with the keys that are on chain, where those that came another way do not open.

        `forced`: by the receipt's struct hash. Boxes made for other public keys than the task's are none.
        """
        for entry in entries:
            packages = forced.get(entry.receipt.struct_hash(), ())
            if packages and not self._opener.opens(entry.receipt, entry.keys):
                for keys, signature in packages:
                    with contextlib.suppress(ReceiptSignatureInvalid):
                        self.add(entry.receipt, keys, signature)
        return tuple(self.fill(entry) for entry in entries)


def with_package(entry: Entry, package: Package, shown: CommitmentOpening | None = None) -> Entry:
    """Return an entry with other keys, and with what came along of the commitment (None: that stays)."""
    shown = entry.shown if shown is None else shown
    return replace(entry, keys=package[0], keys_signature=package[1], shown=shown)


def fitting(shown: CommitmentOpening, spec: TaskSpec) -> CommitmentOpening:
    """Return what a peer shows if its lengths are those of the rules, else nothing: a bundle carries no ballast."""
    return shown if fits(shown, spec) else NOTHING_SHOWN
