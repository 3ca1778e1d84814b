"""The aggregator (steps 5 to 8 and 10): collects receipts, rosters, judges, seals. Trusted with nothing it computes.

Each step reads the chain first and writes what it is about to commit to its own folder before it sends, so a process
killed between any two steps and started again does nothing twice and never signs two different rosters or seals.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fl_platform.audit.recompute import adopt_recomputed
from fl_platform.chain.types import Phase
from fl_platform.errors import (
    IntegrityError,
    TaskClosed,
    TransactionReverted,
    UpdatesNotOpened,
)
from fl_platform.judging.admit import CACHE_BYTES, is_reference
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.judging.validation import RevealedRow
from fl_platform.ledger.contracts import Contracts
from fl_platform.protocol.bundle import Entry, RoundBundle, roster_bytes
from fl_platform.protocol.messages import RevealOrder, RoundOrder
from fl_platform.protocol.receipt import Receipt
from fl_platform.protocol.sources import MOST_ROSTERED
from fl_platform.round.collecting import Collector, others_turn
from fl_platform.round.committing import mend
from fl_platform.round.conduct import AggregatorConduct
from fl_platform.round.grounds import Grounds, nobody
from fl_platform.round.inputs import RoundInputs, await_inputs, read_inputs
from fl_platform.round.kept_entries import KeptEntries
from fl_platform.round.key_packages import KeyPackages
from fl_platform.round.predecessor import Predecessor, RosterNotToBeHad
from fl_platform.round.waiting import PAUSE_S, BlockClock, Progress, Transport, Watch, margin
from fl_platform.store.keywrap import RevealKey
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader, roster_root
from fl_platform.task.stakes import stake_among
from fl_platform.task.taping import NO_TAPE, require_true_tape
from fl_platform.task.validating import RevealSlice, no_slice, readable_slice, slice_texts, utility_of

logger = logging.getLogger(__name__)

SEALS_TRIED = 3  # what is to be allotted may have grown between judging and sealing: then it is judged again


@dataclass(frozen=True)
class SealedRound:
    """One round that this aggregator sealed."""

    bundle: RoundBundle
    digest: bytes  # the bundle's, as sealed on chain
    judgement: Judgement


class Aggregator:
    """One aggregator in one task."""

    def __init__(
        self,
        *,
        reader: TaskReader,
        contracts: Contracts,
        reveal_key: RevealKey,
        workdir: Path,
        wait_until: Callable[[int], None],
        watch: Watch = lambda _: None,
        reveal_slice: RevealSlice = no_slice,
        clock: Callable[[], float] | None = None,
        pause: Callable[[float], None] = time.sleep,
        patience_s: float = math.inf,
        trainers: int = 0,
        witnesses: Callable[[], object] = nobody,
        conduct: AggregatorConduct | None = None,
    ) -> None:
        """Create an aggregator.

        `wait_until(time)` returns when the chain's clock has reached `time` (Unix seconds): a local chain is moved,
        a real one waited for. `reveal_slice(round)` asks the owner for its validation rows once the roster is on
        chain (evaluated worth). `clock()` is the chain's time (None: as its blocks say), `pause(seconds)` passes before
        trainers are asked again, `patience_s` is how long absent ones are waited for where the rule has enough without
        them: at most until near the roster's deadline. The first round waits as long for `trainers` to have joined.
        `witnesses()`: those in this process take a look at what is asked of them. `conduct`: None is honest.
        """
        self._reader, self._contracts, self._workdir = reader, contracts, workdir
        self._wait_until, self._watch, self._reveal_slice = wait_until, watch, reveal_slice
        self._pause, self._witnesses, self._conduct = pause, witnesses, conduct or AggregatorConduct()
        self._kept = KeptEntries.of(workdir, reader.task)
        self._read: tuple[object, RoundInputs] | None = None  # the names of some inputs, the inputs
        self._closed: set[bytes] = set()  # receipts, by struct hash, whose updates did not open here
        self._collector = Collector(
            reader,
            contracts,
            self._kept.folder,
            watch=watch,
            clock=clock,
            pause=pause,
            patience_s=patience_s,
            trainers=trainers,
        )
        self._opener = UpdateOpener(
            reader.store, domain=reader.domain, spec=reader.spec,
            recipient=contracts.address, key=reveal_key,
        ).keeping(CACHE_BYTES)  # fmt: skip

    @property
    def reader(self) -> TaskReader:
        """What this aggregator reads of the task."""
        return self._reader

    def run(self, transport: Transport, *, rounds: int | None = None) -> list[SealedRound]:
        """Work until the task is done, or `rounds` more rounds are sealed. Resumes wherever the chain stands."""
        sealed: list[SealedRound] = []
        while rounds is None or len(sealed) < rounds:
            head = self._reader.history().head
            if head.phase not in (Phase.OPEN, Phase.ROSTERED):
                break
            if head.aggregator != self._contracts.address:
                raise TaskClosed(others_turn(self._reader.history(), self._contracts.address))
            if head.phase is Phase.OPEN:
                require_true_tape(self._reader, head.round)
                self._inputs()
                self.roster(self.collect(transport))
            else:
                adopt_recomputed(self._reader, self._opener, head.round)
                if not self.take_over(transport):
                    continue  # the round is open again
            sealed.append(self.seal(transport))
        return sealed

    def order(self) -> RoundOrder:
        """Return the current round's order, from chain and store."""
        state = self._reader.current_state()
        return RoundOrder(self._reader.task, state.round, state.model_root, state.scale, self._reader.previous_bundle())

    def collect(self, transport: Transport) -> tuple[Entry, ...]:
        """Ask for updates and return the entries of a roster, sorted by trainer. Journalled: done once a round.

        Whoever is absent is asked again (see `collecting`). Raises NotEnoughTrainers.
        """
        order = self.order()
        if self._kept.there(order.round):
            chosen, life = self._kept.load(order.round), self._reader.history().life_of(order.round)
            # A dispute may have voided the round that they were made for: then they are of another life, or build on a
            # model that is no more.
            if all((entry.receipt.parent, entry.receipt.life) == (order.parent, life) for entry in chosen):
                return chosen
        self._watch(Progress(order.round, "train", "waiting for trainers"))
        entries, leaving = self._collector.submissions(order, transport), self._reader.history().leaving
        # who leaves gets its stake while the seal can be challenged, and is a stranger on the roster then
        kept = {who: e for who, e in entries.items() if who not in leaving or is_reference(e, self._reader.spec)}
        # the owner's reference, and who came first; who does not fit can force its receipt in
        fitting = sorted(kept, key=lambda who: not is_reference(kept[who], self._reader.spec))[:MOST_ROSTERED]
        chosen = tuple(replace(kept[who], stake=self._collector.stake_of(who)) for who in sorted(fitting))
        self._collector.require_enough(order, chosen)
        self._kept.save(order.round, chosen)
        return chosen

    def roster(self, entries: tuple[Entry, ...]) -> None:
        """Put the roster's root on chain, its document in the store."""
        round_number = self._reader.current_state().round
        document = self._reader.store.put(roster_bytes(entries))
        root = roster_root(entries)
        self._wait_until(self._contracts.window(self._reader.task)[0])
        self._contracts.roster_round(self._reader.task, round_number, root.digest, len(entries), root.total)
        logger.info("round %d: roster of %d in %s", round_number, len(entries), document)
        self._watch(Progress(round_number, "roster", f"{len(entries)} receipts on chain"))

    def seal(self, transport: Transport) -> SealedRound:
        """Take reveals (strict), judge the rostered round and seal it."""
        round_number = self._reader.current_state().round
        entries = self._rostered_entries(round_number, transport)
        if self._reader.spec.strictness == "strict":
            entries = self._with_reveals(round_number, entries, transport)
        self._wait_until(self._contracts.window(self._reader.task)[0])
        entries += self._forced(round_number, transport)
        entries = self._packages().fill_forced(entries, self._reader.forced_packages())
        self._watch(Progress(round_number, "judge", f"{len(entries)} updates"))
        revealed = readable_slice(self._reader.spec, self._reveal_slice(round_number))
        tried = 0
        while True:
            try:
                return self._sealed(round_number, entries, revealed, once=transport.once)
            except TransactionReverted as error:
                tried += 1
                if error.error != "RoundLedger_AllotmentMismatch" or tried == SEALS_TRIED:
                    raise

    def _sealed(
        self, round_number: int, entries: tuple[Entry, ...], revealed: Sequence[RevealedRow], *, once: bool
    ) -> SealedRound:
        honest, as_of = self._judged(round_number, entries, revealed, once=once)
        judged = self._conduct.judge(self._reader, round_number, self._contracts.address, entries, honest)
        entries = mend(self._reader.spec, self._opener, entries, judged.verdicts)
        sealed = self._store(round_number, entries, judged, slice_texts(revealed))
        tape = sealed.bundle.tape if self._reader.spec.exact else NO_TAPE
        self._contracts.seal_round(
            self._reader.task, round_number, sealed.digest, sealed.bundle, trace=tape, as_of=as_of
        )  # fmt: skip
        self._watch(Progress(round_number, "seal", "sealed"))
        return sealed

    def _judged(
        self, round_number: int, entries: tuple[Entry, ...], revealed: Sequence[RevealedRow], *, once: bool
    ) -> tuple[Judgement, int]:
        """Judge the round once every update opens or has a ground on chain for being left out; return with it the time
        (seconds) as of which that is so. Raises TaskClosed after passing."""
        as_of = self._contracts.as_of(self._reader.task)
        clock = BlockClock(self._contracts.chain.next_time)
        while True:
            inputs = await_inputs(self._inputs, lambda: not once and self._has_time(clock))
            if isinstance(inputs, str):
                raise self._passed(round_number, inputs)
            try:
                return self._judge(round_number, entries, revealed, as_of), as_of
            except UpdatesNotOpened as error:
                self._watch(Progress(round_number, "wait", f"{error}; looking for it, or for a ground to leave it out"))
                closed = [entries[i] for i in error.reasons]
                self._closed.update(entry.receipt.struct_hash() for entry in closed)
                self._await_grounds(round_number, closed, error, once=once)
            as_of = max(as_of, self._contracts.chain.now())

    def _has_time(self, clock: BlockClock) -> bool:
        """Wait a little, and say whether there is time to look again before the round must be passed on."""
        first, due = self._contracts.window(self._reader.task)
        self._pause(PAUSE_S)
        return clock() < int(due - margin(due - first))

    def _await_grounds(self, round_number: int, closed: Sequence[Entry], why: UpdatesNotOpened, *, once: bool) -> None:
        grounds = Grounds(self._reader, self._contracts, self._opener, witnesses=self._witnesses)
        first, due = self._contracts.window(self._reader.task)
        last, next_time = int(due - margin(due - first)), self._contracts.chain.next_time
        clock = next_time if once else BlockClock(next_time)  # where nothing passes by itself, it is moved
        while not grounds.seek(round_number, closed):
            ends = grounds.waits_until()
            if once and ends is not None and not grounds.moved:  # nobody else is here to answer
                self._wait_until(min(ends, last))
            if clock() >= last or (once and ends is None and not grounds.moved):
                raise self._passed(round_number, str(why))
            if not once:
                self._pause(PAUSE_S)

    def _passed(self, round_number: int, why: str) -> TaskClosed:
        """Hand the round over unsealed, which costs the fee and no bond; return the error that says so."""
        self._wait_until(self._contracts.window(self._reader.task)[0])  # before that only a successor may
        self._contracts.pass_round(self._reader.task, round_number)
        return TaskClosed(
            f"task {self._reader.task}: round {round_number} was passed on, for it could not be sealed in time: {why}; "
            "the next aggregator has it, or the task ends and its parties are compensated. Where the roster is your "
            f"own, keep `fl-platform aggregator defend {self._reader.task}` running: its leaves can still be asked for"
        )

    def _inputs(self) -> RoundInputs:
        """Return what the current round is judged from, read once a round: a model can be large."""
        state = self._reader.current_state()
        names = state.model_root, state.sums
        if self._read is None or self._read[0] != names:
            self._read = names, read_inputs(self._reader)
        return self._read[1]

    def _judge(
        self, round_number: int, entries: tuple[Entry, ...], revealed: Sequence[RevealedRow], as_of: int
    ) -> Judgement:
        inputs = self._inputs()
        context = self._reader.round_context(round_number, self._contracts.address, entries, as_of=as_of)
        return judge_round(
            self._reader.spec,
            # what opens here is not left out, whatever witnesses say
            replace(context, missing=context.missing & self._closed),
            self._reader.current_state(),
            entries,
            updates=self._opener.source(entries),
            models=lambda _: inputs.parent,
            sums=inputs.sums.__getitem__,
            keys=self._opener.keys(entries),
            validation=revealed,
            utility=utility_of(self._reader.spec),
        )

    def _with_reveals(self, round_number: int, entries: tuple[Entry, ...], transport: Transport) -> tuple[Entry, ...]:
        """Send the second message of a strict round and add the keys that came back."""
        if all(entry.keys for entry in entries):
            return entries
        keys = self._revealed(round_number, entries, [entry.receipt for entry in entries], transport)
        revealed = tuple(keys.fill(entry) for entry in entries)
        self._kept.save(round_number, revealed)
        return revealed

    def _revealed(
        self, round_number: int, rostered: tuple[Entry, ...], wanted: Sequence[Receipt], transport: Transport
    ) -> KeyPackages:
        """Ask for the keys of a strict round's receipts; return what their trainers signed."""
        digest = self._reader.store.put(roster_bytes(rostered)).digest
        order = RevealOrder(self._reader.task, round_number, digest)
        packages = self._packages()
        self._collector.reveals(order, transport, wanted, packages)
        return packages

    def _forced(self, round_number: int, transport: Transport) -> tuple[Entry, ...]:
        """Entries that trainers forced in on chain. Only receipts are there: the trainers are asked for the keys."""
        history = self._reader.history()
        forced = history.rounds[round_number].forced
        if not forced:
            return ()
        receipts = [item.receipt for item in forced]
        if self._reader.spec.strictness == "strict":
            keys = self._revealed(round_number, self._kept.load(round_number), receipts, transport)
        else:
            keys = self._resent_keys(receipts, transport)
        stakes = history.members_at_roster(round_number)
        return tuple(
            keys.fill(Entry(item.receipt, item.signature, stake_among(self._reader, stakes, who), (), b"", forced=True))
            for item, who in ((item, item.receipt.trainer) for item in forced)
        )

    def _resent_keys(self, wanted: Sequence[Receipt], transport: Transport) -> KeyPackages:
        """Ask all trainers of a standard round again: each hands out what it has signed before."""
        packages = self._packages()
        self._collector.resent(self.order(), transport, wanted, packages)
        return packages

    def _store(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> SealedRound:
        """Put aggregate, model and bundle into the store."""
        store = self._reader.store
        model = store.put(judged.model_bytes)
        if model.digest != judged.after.model:
            raise IntegrityError(f"round {round_number}: stored model is {model}, judged 0x{judged.after.model.hex()}")
        bundle = self._conduct.publish(self._bundle(round_number, entries, judged, validation))
        if store.put(judged.aggregate_bytes).digest != bundle.aggregate:
            raise IntegrityError(f"round {round_number}: the store keeps other sums than were judged")
        return SealedRound(bundle, store.put(bundle.to_bytes()).digest, judged)

    def _bundle(
        self, round_number: int, entries: tuple[Entry, ...], judged: Judgement, validation: tuple[str, ...]
    ) -> RoundBundle:
        context = self._reader.round_context(round_number, self._contracts.address)
        before = self._reader.current_state()
        return bundle_of(self._reader.spec, context, before, entries, judged, validation=validation)

    def _rostered_entries(self, round_number: int, transport: Transport) -> tuple[Entry, ...]:
        """Return the entries of the roster on chain: one's own, or a predecessor's, put together again.

        Raises TaskClosed where a predecessor's is not to be had, and AuditDifference for an own one.
        """
        if not self._has_entries(round_number) and not self.take_over(transport):
            raise TaskClosed(f"round {round_number}: the roster that a predecessor left fell; the round is open again")
        entries = self._kept.load(round_number)
        self._reader.check_roster(round_number, entries)
        return entries

    def _has_entries(self, round_number: int) -> bool:
        """Whether this folder has them; what it took of a roster that fell since is another's."""
        roster = self._reader.history().rounds[round_number].roster
        if not self._kept.there(round_number) or roster is None or roster.aggregator == self._contracts.address:
            return self._kept.there(round_number)
        return self._kept.taken(round_number) and self._reader.has_roster(round_number, self._kept.load(round_number))

    def take_over(self, transport: Transport) -> bool:
        """Have the entries of the round's roster, put together again where a predecessor left it; False: it fell.

        One that neither can be had nor falls in time is passed on: raises TaskClosed then.
        """
        order = self.order()
        if self._has_entries(order.round):
            return True
        predecessor = Predecessor(
            self._reader, self._contracts, self._collector, self._wait_until, self._watch, self._pause
        )
        try:
            entries = predecessor.entries(order, transport)
        except RosterNotToBeHad as error:
            raise self._passed(order.round, str(error)) from error
        if entries is not None:
            self._kept.take(order.round, entries)
        return entries is not None

    def _packages(self) -> KeyPackages:
        return KeyPackages(self._opener, self._reader.domain, self._reader.spec)
