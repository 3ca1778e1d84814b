"""Rounds of a task with layer P, in memory: every trainer's key, commitment and proof are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fl_platform.errors import CommitmentMismatch
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.commitments import Layer, Openings
from fl_platform.protocol.bundle import Entry, RoundBundle, WrappedKey
from fl_platform.protocol.commitment_opening import PEDERSEN
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.receipt import Receipt
from fl_platform.round.committing import commit_update, mend
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.updates import decode_update
from fl_platform.updates.tensors import Integers
from tests.support.rounds import DOMAIN, Round, address_of, happy_round, place_of


def update_key(number: int) -> bytes:
    """Return the key of trainer `number`'s update."""
    return keccak256(b"update key of %d" % number)


def number_of(entry: Entry) -> int:
    """Return the number of the test key that signed an entry."""
    return next(number for number in range(100) if address_of(number) == entry.receipt.trainer)


def layer_of(round_: Round) -> Layer:
    """Return layer P of a round."""
    return Layer(round_.spec, DOMAIN, round_.context.task, round_.context.round)


def commit_round(round_: Round) -> Round:
    """Let every trainer of a round commit to its update: receipts, keys and what is shown."""
    for index, entry in enumerate(list(round_.entries)):
        data = round_.data[index]
        commit_entry(round_, number_of(entry), data if isinstance(data, bytes) else b"")
    round_.extra = {**round_.extra, "keys": lambda i: update_key(number_of(round_.entries[i]))}
    return round_


def commit_entry(round_: Round, number: int, plain: bytes) -> None:
    """Let trainer `number` commit to `plain`, sign its receipt anew and show what its round asks for."""
    index, context = place_of(round_, number), round_.context
    made = commit_update(
        round_.spec, DOMAIN, task=context.task, round_number=context.round, trainer=address_of(number), plain=plain,
        key=update_key(number), forced=round_.entries[index].forced,
    )  # fmt: skip
    round_.sign(index, number, commitment=made.hidden)
    round_.entries[index] = replace(round_.entries[index], shown=made.shown)


def show(round_: Round, number: int, **changes: Any) -> None:
    """Change what trainer `number` shows; its receipt stays as it is."""
    index = place_of(round_, number)
    entry = round_.entries[index]
    round_.entries[index] = replace(entry, shown=replace(entry.shown, **changes))


def hide(round_: Round, number: int, commitment: bytes) -> None:
    """Let trainer `number` sign a receipt with another commitment."""
    round_.sign(place_of(round_, number), number, commitment=commitment)


def committed_round(trainers: int = 4, **changes: Any) -> Round:
    """Return a valid anchored round with commitments."""
    return commit_round(happy_round(trainers, commitments=PEDERSEN, **changes))


def sealed(round_: Round) -> tuple[RoundBundle, Any]:
    """Judge a round and return what its aggregator publishes: the bundle and the sums."""
    judged = round_.judge()
    return bundle_of(round_.spec, round_.context, round_.before, round_.entries, judged), judged.sums


def codes(round_: Round, numbers: Sequence[int] = (1, 2, 3, 4)) -> list[str]:
    """Return the verdicts of some trainers."""
    verdicts = round_.judge().verdicts
    return [verdicts[place_of(round_, number)].code for number in numbers]


class RoundOpener(UpdateOpener):
    """Opens the updates of a round in memory, as who has its keys and its store."""

    def __init__(self, round_: Round) -> None:
        self.domain, self._round = DOMAIN, round_

    def unwrap(self, receipt: Receipt, keys: Sequence[WrappedKey]) -> bytes:
        """Return the key of a receipt's trainer."""
        return update_key(next(number for number in range(100) if address_of(number) == receipt.trainer))

    def open(self, entry: Entry) -> bytes:
        """Return the plaintext of an entry's trainer."""
        return self._round.updates(place_of(self._round, number_of(entry)))


def shown_faults(round_: Round) -> dict[int, str]:
    """Return what anybody finds wrong with what trainers show, by their numbers: names of errors."""
    summed = {i: entry for i, entry in enumerate(round_.entries) if entry.stake}
    faults = layer_of(round_).faults(summed)
    return {number_of(round_.entries[i]): type(fault).__name__ for i, fault in faults.items()}


def not_opening(round_: Round) -> set[int]:
    """Return whose commitments do not open to their updates under their keys, by their numbers; all are on the curve.

    One whose salt is not its key's is among them.
    """

    def read(index: int) -> Integers:
        return decode_update(round_.updates(index), model=round_.spec.model, bits=round_.spec.codec.bits)

    openings, found = Openings(layer_of(round_), lambda i: update_key(number_of(round_.entries[i]))), set[int]()
    for index, entry in enumerate(round_.entries):
        try:
            if entry.stake:
                openings.add(index, entry, read(index))
        except CommitmentMismatch:
            found.add(index)
    found |= openings.faults(round_.entries, read).keys()
    return {number_of(round_.entries[i]) for i in found}


def mended(round_: Round, bundle: RoundBundle) -> RoundBundle:
    """Return a bundle as whoever seals publishes it: with what does not hold of its commitments made again."""
    return replace(bundle, entries=mend(round_.spec, RoundOpener(round_), bundle.entries, bundle.verdicts))
