"""A task rehearsed in one process: real training, the real codec, the real judge; no chain, no store, no wallet.

Everybody's keys are made up for the occasion. What is left out is what costs money or waits: encryption, commitments,
windows, disputes. What a round decides (verdicts, sums, the new model, scores, pay) is `judge_round`'s, so it is what
the same updates would get on chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError
from fl_platform.judging.admit import RoundContext, seats_of
from fl_platform.judging.judge import Judgement, judge_round
from fl_platform.judging.sums import Sums
from fl_platform.learning.evaluation import Measured, measure
from fl_platform.learning.machine import CPU, Machine
from fl_platform.learning.parameters import State
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import Bench, LocalUpdate, Past, train_locally
from fl_platform.protocol.bundle import Entry, TaskState, WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.receipt import NOWHERE, Receipt
from fl_platform.round.offer import Offer
from fl_platform.round.validation_slices import LEAVE_ONE_OUT
from fl_platform.store.unixfs import cid_of
from fl_platform.task.workspace import party
from fl_platform.updates import decode_model, encode_update, floats_of, rounding_seed, update_length
from fl_platform.updates.content import file_root

TASK = 1
OWNER = "owner"


@dataclass(frozen=True)
class RehearsedRound:
    """One round's outcome."""

    number: int
    judged: Judgement
    measured: Measured  # the new model on the task's validation rows
    updates: tuple[LocalUpdate, ...]  # of the trainers, in their order


class Rehearsal:
    """A task among made-up parties."""

    def __init__(
        self, offer: Offer, owner: LearningTask, parties: Sequence[LearningTask], *, machine: Machine = CPU
    ) -> None:
        """Draft the rules, which trains once on the owner's rows. Raises ConfigError, TaskCodeError."""
        if offer.worth == LEAVE_ONE_OUT:
            raise ConfigError("leave-one-out scores need rows that were committed on chain: use `fl-platform run`")
        self._tasks = {OWNER: owner, **{str(number): task for number, task in enumerate(parties)}}
        self._signers = {name: _made_up(name) for name in (*self._tasks, "aggregator")}
        self._machine, self._bench = machine, Bench()
        self.spec, objects = replace(offer, commitments=False).draft(
            owner, owner=party(self._signers[OWNER]), aggregators=(party(self._signers["aggregator"]),), auditors=()
        )
        self._base = objects[1] if len(objects) > 1 else None
        row = decode_model(objects[0], self.spec.model)
        self._rows = {self.spec.initial_model: row}
        self._models: dict[bytes, State] = {self.spec.initial_model: floats_of(row, self.spec.model)}
        self._memories: dict[str, State] = {}
        self._sums: dict[bytes, Sums] = {}  # of all rounds, by their files' digests

    @property
    def initial(self) -> State:
        """The first model."""
        return self._models[self.spec.initial_model]

    def address(self, index: int) -> bytes:
        """Return the made-up address of a trainer, 20 bytes."""
        return self._signers[str(index)].address

    def measure(self, state: State) -> Measured:
        """Measure a model on the first party's validation rows, which all parties of one data set share."""
        return measure(self._tasks["0"], state, machine=self._machine, bench=self._bench, base=self._base)

    def rounds(self, told: Callable[[str], None] = lambda _: None) -> Iterator[RehearsedRound]:
        """Play all rounds; `told` is told what is being done. Raises NotEnoughTrainers, and what training raises."""
        state = TaskState.first(self.spec)
        names = [name for name in self._tasks if name != OWNER or self.spec.worth.kind == "anchored"]
        for number in range(self.spec.money.rounds):
            updates: dict[str, LocalUpdate] = {}
            made: list[tuple[Entry, bytes]] = []
            for name in names:
                told("the owner trains its reference" if name == OWNER else f"trainer {name} trains")
                updates[name] = self._train(state, name)
                made.append(self._entry(state, name, updates[name]))
            judged = self._judge(state, made)
            state = judged.after
            self._models[state.model], self._rows[state.model] = judged.model, judged.row
            told("the new model is measured")
            trained = tuple(update for name, update in updates.items() if name != OWNER)
            yield RehearsedRound(number, judged, self.measure(judged.model), trained)

    def _train(self, state: TaskState, name: str) -> LocalUpdate:
        models = [self._models[digest] for digest in state.previous_models]
        past = Past(state.round, self.spec.money.rounds, models, self._memories.get(name, {}))
        update = train_locally(
            self._tasks[name], self._models[state.model], plan=TrainPlan.of(self.spec.training),
            seed=_seed(name, state.round), machine=self._machine, past=past, bench=self._bench, base=self._base,
        )  # fmt: skip
        self._memories[name] = update.memory
        return update

    def _entry(self, state: TaskState, name: str, update: LocalUpdate) -> tuple[Entry, bytes]:
        """Return a signed roster entry, and the plaintext of its update."""
        spec, signer = self.spec, self._signers[name]
        data = encode_update(
            update.delta, model=spec.model, scale=state.scale, bits=spec.codec.bits, rounding=spec.codec.rounding,
            seed=rounding_seed(signer.derive(b"trainer"), task=TASK, round_number=state.round),
        ).data  # fmt: skip
        receipt = Receipt(
            task=TASK, round=state.round, life=0, base_round=state.round, trainer=signer.address,
            parent=state.model_root, update=keccak256(data),
            length=update_length(spec.model.size, spec.codec.bits), key_hash=bytes(32), leaves_root=bytes(32),
            content_root=file_root(data, table=spec.model.leaves, bits=spec.codec.bits, key=keccak256(name.encode()))
            or bytes(32),
            commitment=bytes(32), samples=update.samples, salt=bytes(32),
        )  # fmt: skip
        keys = (WrappedKey(self._signers["aggregator"].address, bytes(64), bytes(32)),)
        package = signer.sign_digest(package_digest(receipt, keys, NOWHERE, spec))
        stake = 0 if name == OWNER else spec.money.stake
        return Entry(receipt, signer.sign_receipt(receipt, NOWHERE).signature, stake, keys, package, forced=False), data

    def _judge(self, state: TaskState, made: list[tuple[Entry, bytes]]) -> Judgement:
        made = sorted(made, key=lambda one: one[0].receipt.trainer)
        entries = [entry for entry, _ in made]
        trainers = [self._signers[name].address for name in self._tasks if name != OWNER]
        context = RoundContext(
            NOWHERE, TASK, state.round, self._signers["aggregator"].address, state.model_root,
            {entry.receipt.trainer: entry.stake for entry in entries if entry.stake}, seats_of(self.spec, trainers),
            life=0,
        )  # fmt: skip
        judged = judge_round(
            self.spec, context, state, entries, updates=lambda index: made[index][1],
            models=lambda start: self._rows[start.model], sums=self._sums.__getitem__,
        )  # fmt: skip
        self._sums[cid_of(judged.aggregate_bytes).digest] = judged.sums
        return judged


def _made_up(name: str) -> Signer:
    return Signer(keccak256(f"fl-platform rehearsal, {name}".encode()))


def _seed(name: str, round_number: int) -> int:
    return int.from_bytes(keccak256(f"{name} in round {round_number}".encode())[:7])
