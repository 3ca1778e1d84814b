"""How every role reads a task: from chain and store alone, checking each document against the digest that names it.

What computes with models is imported where it does: most commands read no model, and start in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Self

from fl_platform.errors import AuditDifference, DocumentInvalid, IntegrityError, ObjectTooLarge
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.bundle import Entry, RoundBundle, RoundStart, TaskState, parse_roster, read_start
from fl_platform.protocol.program import MAX_PROGRAM_BYTES
from fl_platform.protocol.receipt import Domain
from fl_platform.protocol.spec import MAX_SPEC_BYTES, NO_BASE, TaskSpec
from fl_platform.store.interface import Store
from fl_platform.task.frozen_rules import check_spec_on_chain
from fl_platform.task.holders import held_by
from fl_platform.task.models import model_row, require_model
from fl_platform.task.sealed_states import is_sealed_start, sealed_state

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from fl_platform.judging.admit import RoundContext
    from fl_platform.judging.sums import Sums
    from fl_platform.ledger.reveals import Package
    from fl_platform.protocol.tape import Tape
    from fl_platform.updates.model_row import ModelRow
    from zk.groth16.verifier import VerifyingKey

    State = Mapping[str, npt.NDArray[np.float32]]

MAX_BUNDLE_BYTES = 256 * 1024 * 1024


class TaskReader:
    """One task, read. Holds no key and sends nothing."""

    def __init__(
        self, contracts: Contracts, store: Store, task: int, *, accepted: frozenset[bytes] = frozenset()
    ) -> None:
        """`accepted`: roots of programs, beside those of the package's parts, by which this party works and audits."""
        self._contracts, self.store, self.task, self.accepted = contracts, store, task, accepted
        self._bundles: dict[bytes, RoundBundle] = {}
        self._starts: dict[bytes, RoundStart] = {}
        self._states: dict[int, tuple[TaskState, TaskState]] = {}  # as told, as sealed
        self.kept_tape: tuple[RoundBundle, Tape] | None = None  # see `sealed_states.tape_of`
        self._models: dict[bytes, State] = {}
        self._sums: dict[bytes, Sums] = {}
        self._base: tuple[bytes | None] | None = None

    def reading(self, store: Store) -> Self:
        """Return this reader with another store: what was read stays read."""
        other = copy(self)
        other.store = store
        return other

    @cached_property
    def domain(self) -> Domain:
        """Where signatures of this platform are valid."""
        return Domain(self._contracts.chain_id, self._contracts.ledger_address)

    @cached_property
    def spec(self) -> TaskSpec:
        """The frozen rules: the document whose digest the chain recorded at the opening, held against the chain.

        Raises UnknownTask, StoreMissing, CidMismatch, DocumentInvalid, AuditDifference.
        """
        opened = self.history().opened
        with held_by("the owner", opened.owner, what=f"the document of task {self.task}'s rules"):
            data = self.object(opened.spec, max_bytes=MAX_SPEC_BYTES)
            spec = TaskSpec.from_bytes(data)
            if spec.aggregation.program:
                from fl_platform.judging.program import check_rules, know_program

                know_program(self.object(spec.aggregation.program, max_bytes=MAX_PROGRAM_BYTES))
                check_rules(spec)
        check_spec_on_chain(spec, self.history())
        return spec

    def history(self) -> TaskHistory:
        """Everything that the chain says about the task now. Raises UnknownTask."""
        return self._contracts.history(self.task)

    def object(self, digest: bytes, *, max_bytes: int = MAX_BUNDLE_BYTES) -> bytes:
        """Return the object whose root block has this sha256, verified. Raises StoreMissing, CidMismatch."""
        return self.store.get(self.store.locate(digest), max_bytes=max_bytes)

    def proof_key(self) -> VerifyingKey:
        """Return the key that the task's settlement proofs are held to, checked.

        Raises StoreMissing, CidMismatch, DocumentInvalid, PointInvalid.
        """
        from zk.groth16.verifier import VerifyingKey

        with held_by("the owner", self.history().opened.owner, what=f"the key of task {self.task}'s proofs"):
            return VerifyingKey.from_bytes(self.object(self.spec.proofs.key, max_bytes=MAX_SPEC_BYTES))

    def bundle(self, round_number: int) -> RoundBundle:
        """Return the sealed bundle of a round. Raises StoreMissing, CidMismatch, DocumentInvalid, IntegrityError."""
        record = self.history().rounds[round_number]
        seal = record.seal
        if seal is None:
            raise IntegrityError(f"task {self.task}: round {round_number} is not sealed")
        if seal.bundle not in self._bundles:
            with held_by("the aggregator", seal.aggregator, what=f"the bundle of round {round_number}"):
                data = self.object(seal.bundle)
            bundle = RoundBundle.from_bytes(data)
            check_shape(bundle, round_number, self.spec)
            if record.roster is not None:
                entries = record.roster.count + len(record.forced)
                check_size(bundle, entries=entries, seats=record.roster.seats)
            self._bundles[seal.bundle] = bundle
        return self._bundles[seal.bundle]

    def amend(self, bundle: RoundBundle) -> None:
        """Take this from now on for its round's bundle: the seal stands for it, and not for what was published."""
        seal = self.history().rounds[bundle.round].seal
        if seal is not None:
            self._bundles[seal.bundle] = bundle

    def sums(self, bundle: RoundBundle) -> Sums:
        """Return the sums that a bundle names, int32 (d,). Raises StoreMissing, CidMismatch, DocumentInvalid."""
        with held_by("the aggregator", bundle.aggregator, what=f"the file of round {bundle.round}'s sums"):
            return self.sums_of(bundle.aggregate)

    def sums_of(self, digest: bytes) -> Sums:
        """Return some round's sums by their file's digest. Raises StoreMissing, CidMismatch, DocumentInvalid."""
        from fl_platform.judging.sums import read_sums

        size = self.spec.model.size
        if digest not in self._sums:
            data = self.object(digest, max_bytes=4 * size)
            if len(self._sums) >= self.spec.aggregation.directions + 1:  # those of the last rounds; they can be large
                self._sums.pop(next(iter(self._sums)))
            self._sums[digest] = read_sums(data, size=size)
        return self._sums[digest]

    def model(self, digest: bytes) -> State:
        """Return a model by its file's digest, as float32. Raises StoreMissing, CidMismatch, UpdateHeaderMismatch."""
        from fl_platform.updates import floats_of

        if digest not in self._models:
            row = self.model_row(digest)
            if len(self._models) > 3:  # the parent, its parents and the new one; models can be large
                self._models.clear()
            self._models[digest] = floats_of(row, self.spec.model)
        return self._models[digest]

    def model_row(self, digest: bytes) -> ModelRow:
        """Return a model's integers by its file's digest, int32 (d,): see `models.model_row`."""
        return model_row(self, digest)

    def parent_row(self, state: RoundStart) -> ModelRow:
        """Return the integers of the model that a state starts from. Raises as `require_model`."""
        return require_model(self, state.model, state.model_root)

    def require_model(self, digest: bytes, root: bytes) -> ModelRow:
        """Return the integers of the model with this content root: see `models.require_model`."""
        return require_model(self, digest, root)

    def base(self, factory: Callable[[], nn.Module]) -> bytes | None:
        """Return the frozen base to load into a factory's models; None where their own frozen numbers are the task's.

        Looked at once: a factory gives models of the same base, or of none that counts. What the store sends is never
        larger than the model. Raises UpdateHeaderMismatch (another model than the task's), ObjectTooLarge,
        StoreMissing, CidMismatch, ConfigError (what cannot be learned).
        """
        if self.spec.base_model == NO_BASE:
            return None
        if self._base is None:
            from fl_platform.learning.base import base_digest, encode_base
            from fl_platform.learning.parameters import check_model

            module = factory()
            check_model(module, self.spec.model)
            own = base_digest(encode_base(module)) == self.spec.base_model
            self._base = (None if own else self._base_for(module),)
        return self._base[0]

    def _base_for(self, module: nn.Module) -> bytes:
        from fl_platform.learning.base import base_limit

        limit = base_limit(module)
        try:
            with held_by("the owner", self.spec.owner, what="the frozen base"):
                return self.object(self.spec.base_model, max_bytes=limit)
        except ObjectTooLarge as error:
            raise ObjectTooLarge(
                f"the task's frozen base has more than the {limit} bytes that this party's frozen layers can have; is "
                "model() that of the task, with the same layers frozen and of the same dtype?"
            ) from error

    def state_before(self, round_number: int) -> TaskState:
        """Return the state after the sealed round before `round_number`: by its seal and tape (`sealed_states`)."""
        if not round_number:
            return TaskState.first(self.spec)
        told = self.bundle(round_number - 1).after
        if (known := self._states.get(round_number)) is None or known[0] is not told:
            self._states[round_number] = known = told, sealed_state(self, round_number - 1)
        return known[1]

    def current_state(self) -> TaskState:
        """Return the state that the round being worked on starts from."""
        return self.state_before(self.history().head.round)

    def current_start(self) -> RoundStart:
        """Return what a trainer needs of that state, from the first bytes of the bundle: verified, and no more read.

        Raises StoreMissing, CidMismatch, DocumentInvalid.
        """
        history = self.history()
        number, digest = history.head.round, self.previous_bundle()
        if not number or digest in self._bundles:
            return self.current_state()
        if digest not in self._starts:
            with held_by("the aggregator", *history.opened.aggregators, what=f"the bundle of round {number - 1}"):
                pieces = self.store.open_blocks(self.store.locate(digest), max_bytes=MAX_BUNDLE_BYTES)
                data = next(iter(pieces))
            start = read_start(data)
            if start.round != number:
                raise DocumentInvalid(
                    f"the bundle sealed for round {number - 1} says that round {start.round} comes next"
                )
            _check_scale_length(start, "after", number - 1, self.spec)
            # beside its tape a bundle may say anything: what a trainer goes by then is the whole of it, by its tape
            self._starts = {digest: start if is_sealed_start(self, start) else self.current_state()}
        return self._starts[digest]

    def previous_bundle(self) -> bytes:
        """Return the digest of the last sealed bundle; zero in round 0."""
        current = self.history().head.round
        seal = self.history().rounds[current - 1].seal if current else None
        return seal.bundle if seal else bytes(32)

    def round_context(
        self, round_number: int, aggregator: bytes, entries: Sequence[Entry] = (), *, as_of: int | None = None
    ) -> RoundContext:  # fmt: skip
        """Return what the chain says about a round: domain, parent, stakes when its roster closed, money to allot; and
        which of these entries' receipts were shown to be bad, and which could be left out as not to be had, by the time
        that its seal names, or would name now; `as_of`: one to be sealed by then, seconds."""
        from fl_platform.judging.admit import RoundContext, seats_of

        history = self.history()
        before = self.state_before(round_number)
        told = (self._as_of(round_number) if as_of is None else as_of) if entries else 0
        return RoundContext(
            domain=self.domain,
            task=self.task,
            round=round_number,
            aggregator=aggregator,
            parent=before.model_root,
            members=history.members_at_roster(round_number),
            seats=seats_of(self.spec, history.joined_at_roster(round_number)),
            life=history.life_of(round_number),
            convicted=self._convicted(entries, told),
            missing=self._missing(entries, told),
            pot=history.allotted(round_number) - before.allotted,
        )

    def _convicted(self, entries: Sequence[Entry], as_of: int) -> frozenset[bytes]:
        from fl_platform.ledger.reveals import Reveals

        if not entries or not Reveals.there(self._contracts):
            return frozenset()
        reveals = Reveals(self._contracts, self.spec)
        receipts = (entry.receipt for entry in entries)
        return frozenset(one.struct_hash() for one in receipts if 0 < reveals.convicted_at(one) <= as_of)

    def _missing(self, entries: Sequence[Entry], as_of: int) -> frozenset[bytes]:
        from fl_platform.ledger.complaints import Complaints

        if not entries or not self.spec.complaints_needed or not Complaints.there(self._contracts):
            return frozenset()
        receipts = [entry.receipt for entry in entries]
        return Complaints(self._contracts).missing(self.spec, self.task, receipts, as_of)

    def _as_of(self, round_number: int) -> int:
        rounds = self.history().rounds
        seal = rounds[round_number].seal if round_number < len(rounds) else None
        return self._contracts.as_of(self.task) if seal is None else seal.as_of

    def forced_packages(self) -> dict[bytes, list[Package]]:
        """Return the key packages that trainers put on chain in time, by their receipt's struct hash, oldest first."""
        from fl_platform.ledger.reveals import Reveals

        if not Reveals.there(self._contracts):
            return {}
        return Reveals(self._contracts, self.spec).forced(self.task)

    def roster(self, round_number: int, digest: bytes) -> tuple[Entry, ...]:
        """Return the entries of a roster document, once they are exactly those on chain.

        Raises StoreMissing, CidMismatch, DocumentInvalid, AuditDifference.
        """
        with held_by("the aggregator", *self.history().opened.aggregators, what=f"the roster of round {round_number}"):
            data = self.object(digest)
        entries, root = _read_roster(data)
        self.check_roster(round_number, entries, root)
        return entries

    def has_roster(self, round_number: int, entries: Sequence[Entry]) -> bool:
        """Whether entries are exactly the roster on chain."""
        try:
            self.check_roster(round_number, entries)
        except AuditDifference:
            return False
        return True

    def check_roster(self, round_number: int, entries: Sequence[Entry], root: merkle_sum.Node | None = None) -> None:
        """Demand that entries are exactly the roster on chain; `root`: theirs, if known. Raises AuditDifference."""
        record = self.history().rounds[round_number].roster
        if record is None:
            raise AuditDifference(f"round {round_number}: no roster is on chain")
        rostered = tuple(entry for entry in entries if not entry.forced)
        owners = [entry.receipt.trainer for entry in rostered]
        if owners != sorted(set(owners)):
            raise AuditDifference(f"round {round_number}: the roster is not sorted by trainer address, each once")
        root = root or roster_root(rostered)
        if (root.digest, len(rostered), root.total) != (record.root, record.count, record.total_stake):
            raise AuditDifference(
                f"round {round_number}: roster of {len(rostered)} with root 0x{root.digest.hex()}, stake {root.total}; "
                f"the chain has {record.count}, 0x{record.root.hex()}, {record.total_stake}"
            )


def check_shape(bundle: RoundBundle, round_number: int, spec: TaskSpec) -> None:
    """Refuse a bundle that is another round's, or whose scales are another model's: what reads it counts on both.

    Raises DocumentInvalid.
    """
    if bundle.round != round_number:
        raise DocumentInvalid(f"the bundle sealed for round {round_number} says that it is round {bundle.round}'s")
    for name, state in (("before", bundle.before), ("after", bundle.after)):
        _check_scale_length(state, name, round_number, spec)


def check_size(bundle: RoundBundle, *, entries: int, seats: int) -> None:
    """Refuse a bundle with more entries or seats than the chain has, before anybody squares their number: fewer are a
    lie that costs its reader nothing. Raises DocumentInvalid.
    """
    found = len(bundle.entries), max(len(bundle.before.seats), len(bundle.after.seats))
    if found[0] > entries or found[1] > seats:
        raise DocumentInvalid(
            f"round {bundle.round}: a bundle of {found[0]} entries and {found[1]} seats; the chain has {entries} "
            f"entries and {seats} seats"
        )


def _check_scale_length(state: RoundStart, name: str, round_number: int, spec: TaskSpec) -> None:
    tensors = len(spec.model.tensors)
    if len(state.scale.exponents) != tensors:
        raise DocumentInvalid(
            f"round {round_number}: the scale {name} has {len(state.scale.exponents)} steps for {tensors} tensors"
        )


@lru_cache(maxsize=1)
def _read_roster(data: bytes) -> tuple[tuple[Entry, ...], merkle_sum.Node]:
    """Read a roster document and its root once for all trainers of one process: they are the same for the same bytes.

    Raises DocumentInvalid.
    """
    entries = parse_roster(data)
    return entries, roster_root(tuple(entry for entry in entries if not entry.forced))


def roster_root(entries: Sequence[Entry]) -> merkle_sum.Node:
    """Return root and total stake of roster entries."""
    return merkle_sum.build(tuple(entry.leaf for entry in entries))
