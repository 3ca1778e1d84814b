"""A round that was begun by command line and is left there: a roster is on chain, of all or without the last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fl_platform.cli.aggregator import make_aggregator
from fl_platform.cli.common import Options, Session, signing
from fl_platform.ledger.reveals import Reveals
from fl_platform.protocol.messages import RevealOrder, RoundOrder, Submission, decode_message
from fl_platform.protocol.receipt import SignedReceipt
from fl_platform.round.data_choice import Lesson
from fl_platform.round.local_trainers import local_crew
from fl_platform.round.membership import signed_file
from fl_platform.round.transport import LocalTransport
from fl_platform.round.waiting import Waiting


class Forgetful:
    """A transport that asks everybody and loses what the last trainer says."""

    def __init__(self, inner: LocalTransport) -> None:
        self._inner, self.once = inner, inner.once

    def exchange(self, order: RoundOrder, waiting: Waiting) -> Iterable[bytes]:
        return list(self._inner.exchange(order, waiting))[:-1]

    def reveal(self, order: RevealOrder, waiting: Waiting) -> Iterable[bytes]:
        return self._inner.reveal(order, waiting)


def begin(options: Options, aggregator: str, trainers: Sequence[str], *, forgetful: bool) -> tuple[str, ...]:
    """Collect and roster task 1's round; return the names of the trainers (wallets here) that were left out."""
    with signing(options, aggregator) as own:
        addresses = {name: own.workspace.signer(name).address for name in trainers}
        transport = LocalTransport(local_crew(own.workspace, addresses, 1, Lesson("")))
        working = make_aggregator(own, 1, watch=lambda _: None)
        entries = working.collect(Forgetful(transport) if forgetful else transport)
        working.roster(entries)
    rostered = {entry.receipt.trainer for entry in entries}
    return tuple(name for name in trainers if addresses[name] not in rostered)


def ask_for_keys(own: Session, trainer: str) -> None:
    """Ask a trainer of task 1's first round (a wallet here) on chain for its keys, as its aggregator may."""
    path = signed_file(own.workspace.role_folder(trainer), 1, 0)
    made = decode_message(path.read_bytes(), expected=Submission)
    assert isinstance(made, Submission)
    spec = own.workspace.reader(1).spec
    reveals = Reveals(own.contracts, spec, own.signer)
    assert reveals.demand_key(SignedReceipt(made.receipt, made.signature), spec.aggregators[0]) is not None
