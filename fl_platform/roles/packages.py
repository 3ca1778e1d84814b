"""Key packages that come to an aggregator (untrusted): it keeps, for each receipt, one that the trainer signed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fl_platform.chain.reveals import Package
from fl_platform.errors import ReceiptSignatureInvalid
from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keypackage import check_package
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.protocol.spec import TaskSpec
from fl_platform.roles.opening import UpdateOpener

NO_PACKAGE: Package = ((), b"")


class KeyPackages:
    """At most one package a trainer: the first that opens for the opener's recipient, else the first signed one."""

    def __init__(self, opener: UpdateOpener, domain: Domain, spec: TaskSpec) -> None:
        self._opener, self._domain, self._spec = opener, domain, spec
        self._kept: dict[bytes, Package] = {}

    def add(self, receipt: Receipt, keys: tuple[WrappedKey, ...], signature: bytes) -> None:
        """Take a package in. Raises ReceiptSignatureInvalid where the receipt's trainer did not sign it.

        One that does not open is kept where no other comes: it proves on chain what its trainer did.
        """
        check_package(receipt, keys, signature, self._domain, self._spec)
        before = self._kept.get(receipt.trainer)
        if before is None or not self._opener.opens(receipt, before[0]):
            self._kept[receipt.trainer] = keys, signature

    def of(self, trainer: bytes) -> Package:
        """Return a trainer's package; NO_PACKAGE where none came."""
        return self._kept.get(trainer, NO_PACKAGE)

    def fill(self, entry: Entry) -> Entry:
        """Return an entry with the package that came for it, else as it is."""
        package = self._kept.get(entry.receipt.trainer)
        return entry if package is None else with_package(entry, package)

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


def with_package(entry: Entry, package: Package) -> Entry:
    """Return an entry with other keys."""
    return replace(entry, keys=package[0], keys_signature=package[1])
