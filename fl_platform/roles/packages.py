"""Key packages that come to an aggregator (untrusted): it keeps, for each receipt, one that the trainer signed."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.protocol.bundle import Entry, WrappedKey
from fl_platform.protocol.keypackage import check_package
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.roles.opening import UpdateOpener

Package = tuple[tuple[WrappedKey, ...], bytes]  # wrapped keys, and their trainer's signature over them
NO_PACKAGE: Package = ((), b"")


class KeyPackages:
    """At most one package a trainer: the first that opens for the opener's recipient, else the first signed one."""

    def __init__(self, opener: UpdateOpener, domain: Domain) -> None:
        self._opener, self._domain = opener, domain
        self._kept: dict[bytes, Package] = {}

    def add(self, receipt: Receipt, keys: tuple[WrappedKey, ...], signature: bytes) -> None:
        """Take a package in. Raises ReceiptSignatureInvalid where the receipt's trainer did not sign it.

        One that does not open is kept where no other comes: it proves on chain what its trainer did.
        """
        check_package(receipt, keys, signature, self._domain)
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


def with_package(entry: Entry, package: Package) -> Entry:
    """Return an entry with other keys."""
    return replace(entry, keys=package[0], keys_signature=package[1])
