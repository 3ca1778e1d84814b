"""The entries of a sealed round as an honest sealer shows them, signed for the chain that the round is on."""

from __future__ import annotations

from dataclasses import replace

from fl_platform.chain.entries_shown import ShownEntry, shown_from
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.receipt import sign_digest
from tests.support.disputes import Stage
from tests.support.rounds import address_of, private_key


def shown_entries(stage: Stage, first: int = 0) -> list[ShownEntry]:
    """Return the entries of round 0 from `first` on, as many as go into one answer."""
    entries, spec, domain = stage.bundles[0].entries, stage.rounds[0].spec, stage.world.domain
    keys = {address_of(number): private_key(number) for number in range(len(entries) + 9)}
    signed = []
    for shown in shown_from(entries, first, stage.traces[0], spec):
        entry = entries[shown.entry.index]
        key = keys[entry.receipt.trainer]
        package = sign_digest(package_digest(entry.receipt, entry.keys, domain, spec), key)
        receipt = sign_digest(entry.receipt.digest(domain), key)
        signed.append(replace(shown, signature=receipt, packageSignature=package))
    return signed
