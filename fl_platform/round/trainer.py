"""A data owner (steps 2 to 6 and 10): it holds data, model and wallet, and decides what it signs.

Every order is checked against chain and store before a row is read. What was signed once is journalled and handed out
again byte for byte, so a crash, a retry or a cunning aggregator never gets two receipts for one round of one life.

Tests: tests/unit/round/test_whole_task.py
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, DocumentInvalid, ReceiptForeign, ReceiptParentMismatch, ReceiptReplayed
from fl_platform.learning.algorithms import algorithm_of
from fl_platform.learning.evaluation import Measured, measure
from fl_platform.learning.machine import Machine, choose_machine
from fl_platform.learning.parameters import check_model, frozen
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask
from fl_platform.learning.train import Bench, LocalUpdate, Past, build_module, train_locally, try_rows
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.reveals import RevealDemand
from fl_platform.protocol.canonical import canonical_json
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.messages import (
    Reveal,
    RevealOrder,
    RoundOrder,
    Submission,
    decode_message,
    encode_message,
    message_kind,
)
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.protocol.spec import NO_BASE
from fl_platform.round.committing import commit_update
from fl_platform.round.memory import keep_memory, memory_before
from fl_platform.round.revealing import answer_demands, force_reveal, shown_if_forced
from fl_platform.round.signing import Signing
from fl_platform.round.site import Site
from fl_platform.store.envelope import derive_update_key, encrypt
from fl_platform.store.unixfs import cid_of
from fl_platform.task.atomic_files import write_atomically
from fl_platform.task.reading import TaskReader
from fl_platform.updates import EncodedUpdate, encode_update, floats_of, l2_norm, rounding_seed, update_length
from fl_platform.updates.content import file_root

logger = logging.getLogger(__name__)

Delta = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class TrainedRound:
    """What a trainer has learned and is about to encode."""

    order: RoundOrder
    parent: Delta
    previous: Sequence[Delta]  # models before the parent, newest first; empty in round 0
    update: LocalUpdate


@dataclass(frozen=True)
class TrainingReport:
    """What one round's training came to, for whoever watches in this process. Nothing of it is sent."""

    round: int
    update: LocalUpdate
    encoded: EncodedUpdate
    seconds: float  # wall time of the training
    measure: Callable[[], Measured]  # the model that the round started from, on this party's validation rows


class PublicModels(Sequence[Delta]):
    """Models of earlier rounds, each read when it is asked for: most ways to train need none."""

    def __init__(self, read: Callable[[bytes], Delta], digests: Sequence[bytes]) -> None:
        self._read, self._digests = read, digests

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, index: Any) -> Any:
        found = self._digests[index]
        return self._read(found) if isinstance(found, bytes) else PublicModels(self._read, found)


class Conduct:
    """How a trainer behaves between learning and sealing: honestly. Rehearsals of attacks override it."""

    def forge(self, trained: TrainedRound) -> Delta:
        """Return the float delta to encode."""
        return trained.update.delta

    def tamper(self, plain: bytes) -> bytes | None:
        """Return the plaintext to encrypt; None: store nothing and commit to hashes of nothing."""
        return plain


class Trainer:
    """One data owner in one task."""

    def __init__(
        self,
        *,
        reader: TaskReader,
        contracts: Contracts,
        signer: Signer,
        learning: LearningTask,
        workdir: Path,
        machine: Machine | None = None,
        conduct: Conduct | None = None,
        watch: Callable[[TrainingReport], None] = lambda _: None,
        site: Site | None = None,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        """Create a trainer.

        `contracts` sends with the same `signer`; `workdir` keeps what was signed; `machine`: None takes a GPU if there
        is one; `conduct` is for rehearsals of attacks; `watch` is told of each training once its update is signed.
        `site`: whose policies hold, None: this machine's alone; `now`: the site's clock, for its hours.
        """
        self._reader, self._contracts, self._learning = reader, contracts, learning
        self._workdir, self._machine, self._conduct = workdir, machine or choose_machine(), conduct or Conduct()
        self._signer, self._bench, self._watch = signer, Bench(), watch
        self._secret = signer.derive(b"trainer")
        self._signing = Signing(reader, signer, self._secret, workdir)
        self._site, self._now = site or Site(), now
        self._refused: tuple[tuple[int, bytes], float, int] | None = None  # round and parent, norm, rows

    @property
    def address(self) -> bytes:
        """The wallet's address, 20 bytes."""
        return self._signer.address

    @property
    def reader(self) -> TaskReader:
        """What this trainer reads of the task."""
        return self._reader

    def join(self, stake: int | None = None, *, binding: bytes | None = None) -> None:
        """Lock a stake (the task's minimum unless said) and become a member; does nothing when already one.

        Raises PolicyRefused.
        """
        if self.address in self._reader.history().members:
            return
        locked = stake or self._reader.spec.money.stake
        self._site.allow_task(self._reader, stake=locked, later=True)
        self._contracts.join(self._reader.task, locked, binding or self._self_binding())

    def check_model(self) -> None:
        """Refuse, before any order comes, rules that this release cannot follow and a model that they are not for.

        Raises UpdateHeaderMismatch and DocumentInvalid naming the first tensor that differs, ConfigError.
        """
        algorithm_of(TrainPlan.of(self._reader.spec.training))
        module, spec = self._bench.module(self._learning, self._machine, self._base()), self._reader.spec
        check_model(module, spec.model)
        if spec.base_model == NO_BASE and (own := frozen(module)):
            raise ConfigError(
                f"tensor {next(iter(own))!r} is frozen in this party's model, and the task's model freezes none: each "
                "party would learn over its own; is model() that of the task, with the same layers frozen?"
            )

    def check_rows(self) -> None:
        """Refuse, before any order comes, rows that cannot be learned from. Raises ConfigError, TaskCodeError."""
        plan = TrainPlan.of(self._reader.spec.training)
        try_rows(self._learning, plan=plan, machine=self._machine, base=self._base())

    def handle(self, message: bytes) -> bytes:
        """Answer an order (unverified bytes): RoundOrder by a Submission, RevealOrder by a Reveal.

        Raises DocumentInvalid, ReceiptParentMismatch, ReceiptReplayed (the order does not fit the chain),
        ReceiptForeign (left off the roster), PolicyRefused (the site's policy; nothing is signed).
        """
        kind = message_kind(message)
        if kind == RoundOrder.__name__:
            order = decode_message(message, expected=RoundOrder)
            assert isinstance(order, RoundOrder)
            return self._public_part(self.commit(order))
        reveal_order = decode_message(message, expected=RevealOrder)
        assert isinstance(reveal_order, RevealOrder)
        return encode_message(self.reveal(reveal_order))

    def commit(self, order: RoundOrder) -> Submission:
        """Train, encode, encrypt, store and sign for one round; with the keys. Idempotent."""
        path = self._journal(order.task, order.round)
        if path.exists():
            signed = decode_message(path.read_bytes(), expected=Submission)
            assert isinstance(signed, Submission)
            life, same = self._reader.history().life_of(order.round), signed.receipt.parent == order.parent
            if same and signed.receipt.life == life:
                return signed
            # Only where a dispute voided what was signed for before does a round get a second receipt; the first stays
            # on file and is worth nothing: its parent, or its life, is not the round's.
            self._check_order(order)
            self._check_policy(order)
            if same:
                again = self._signing.again(signed, life)
                path.replace(path.with_name(f"round-{order.round}.life-{signed.receipt.life}.json"))
                write_atomically(path, encode_message(again))
                return again
            path.replace(path.with_name(f"round-{order.round}.void-{signed.receipt.parent.hex()[:16]}.json"))
        else:
            self._check_order(order)
            self._check_policy(order)
        plain, report = self._train(order)
        submission = self._sign(order, plain, report.update.samples)
        write_atomically(path, encode_message(submission))
        logger.info("task %d round %d: 0x%s committed", order.task, order.round, self.address.hex())
        self._watch(report)
        return submission

    def measure(self, model: bytes) -> Measured:
        """Measure a model of this task, by its digest, on this party's own validation rows.

        Raises TaskCodeError, ConfigError (no rows), StoreMissing, CidMismatch.
        """
        return measure(
            self._learning, self._reader.model(model), machine=self._machine, bench=self._bench, base=self._base()
        )

    def reveal(self, order: RevealOrder) -> Reveal:
        """Hand out the keys of a strict round, once the chain shows this trainer's receipt on the roster."""
        if order.task != self._reader.task:
            raise ReceiptReplayed(f"the order is for task {order.task}, this trainer works on {self._reader.task}")
        submission = self._signed(order.task, order.round)
        forced = self._forced_in(order, submission)
        if not forced and not self._on_roster(order, submission):
            raise ReceiptForeign(
                f"task {order.task} round {order.round}: the roster on chain leaves 0x{self.address.hex()} out; "
                "force the receipt in with `fl-platform trainer force` before the window closes"
            )
        shown = shown_if_forced(self._reader, self._workdir, submission) if forced else submission.shown
        return Reveal(order.task, order.round, self.address, submission.keys, submission.keys_signature, shown)

    def force_include(self, round_number: int) -> None:
        """Put this trainer's receipt on chain itself, because the roster left it out (costs its gas)."""
        submission = self._signed(self._reader.task, round_number)
        self._contracts.force_include(submission.receipt, submission.signature)

    def force_reveal(self, round_number: int) -> None:
        """Put this trainer's signed keys on chain itself, before the seal is due (costs its gas)."""
        force_reveal(self._reader, self._contracts, self._signer, self._workdir, round_number)

    def answer_demands(self) -> list[RevealDemand]:
        """Show on chain what this trainer is asked for there; returns what was answered."""
        return answer_demands(self._reader, self._contracts, self._signer, self._workdir)

    def _check_order(self, order: RoundOrder) -> None:
        if order.task != self._reader.task:
            raise ReceiptReplayed(f"the order is for task {order.task}, this trainer works on {self._reader.task}")
        start = self._reader.current_start()
        if order.round != start.round:
            raise ReceiptReplayed(f"the order is for round {order.round}, the chain works on round {start.round}")
        if (order.parent, order.scale) != (start.model_root, start.scale):
            raise ReceiptParentMismatch(
                f"round {order.round}: the order's parent 0x{order.parent.hex()} or scale is not that of the sealed "
                f"rounds before it (0x{start.model_root.hex()}); the aggregator is wrong or lying"
            )

    def _check_policy(self, order: RoundOrder) -> None:
        """Refuse before anything is learned what the site's policy does not allow to be trained."""
        stake = self._reader.history().members.get(self.address, 0)
        self._site.allow_task(self._reader, stake=stake)
        self._site.allow_start(order.task, self._now())
        if self._refused is not None and self._refused[0] == (order.round, order.parent):
            # An aggregator asks again every few seconds; the same training would end in the same refusal.
            self._site.allow_update(order.task, norm=self._refused[1], rows=self._refused[2])

    def _check_update(self, order: RoundOrder, delta: Delta, rows: int) -> None:
        """Refuse before anything is encoded what the site's policy does not allow to be signed."""
        norm = l2_norm(delta)
        self._refused = (order.round, order.parent), norm, rows
        self._site.allow_update(order.task, norm=norm, rows=rows)
        self._refused = None

    def _base(self) -> bytes | None:
        return self._reader.base(lambda: build_module(self._learning))

    def _train(self, order: RoundOrder) -> tuple[bytes | None, TrainingReport]:
        spec, start = self._reader.spec, self._reader.current_start()
        parent = floats_of(self._reader.parent_row(start), spec.model)
        previous = PublicModels(self._reader.model, start.previous_models)
        context = self._context(order.task, order.round)
        seed = int.from_bytes(
            rounding_seed(self._secret, task=order.task, round_number=order.round, context=b"sgd")[:7]
        )
        folder = self._journal(order.task, order.round).parent
        started = time.perf_counter()
        update = train_locally(
            self._learning, parent, plan=TrainPlan.of(spec.training), seed=seed, machine=self._machine,
            past=Past(order.round, spec.money.rounds, previous, memory_before(folder, order.round)), bench=self._bench,
            base=self._base(),
        )  # fmt: skip
        seconds = time.perf_counter() - started
        delta = self._conduct.forge(TrainedRound(order, parent, previous, update))
        self._check_update(order, delta, update.samples)
        keep_memory(folder, order.round, order.parent, update.memory)
        encoded = encode_update(
            delta,
            model=spec.model,
            scale=order.scale,
            bits=spec.codec.bits,
            seed=rounding_seed(self._secret, task=order.task, round_number=order.round, context=context),
            rounding=spec.codec.rounding,
        )
        report = TrainingReport(order.round, update, encoded, seconds, partial(self.measure, start.model))
        return self._conduct.tamper(encoded.data), report

    def _sign(self, order: RoundOrder, plain: bytes | None, samples: int) -> Submission:
        context, spec = self._context(order.task, order.round), self._reader.spec
        body = bytes(update_length(spec.model.size, spec.codec.bits)) if plain is None else plain
        key = derive_update_key(secret=self._secret, context=context, plain=body)
        sealed = encrypt(body, key=key)
        cid = cid_of(sealed.data) if plain is None else self._reader.store.put(sealed.data)
        committed = commit_update(
            spec, self._domain, task=order.task, round_number=order.round, trainer=self.address,
            plain=body, key=key,
        )  # fmt: skip
        receipt = Receipt(
            task=order.task,
            round=order.round,
            life=self._reader.history().head.life,
            base_round=order.round,
            trainer=self.address,
            parent=order.parent,
            update=cid.digest,
            length=sealed.length,
            key_hash=sealed.key_hash,
            leaves_root=sealed.leaves_root,
            content_root=self._content_root(body, key),
            commitment=committed.hidden,
            samples=samples,
            salt=rounding_seed(self._secret, task=order.task, round_number=order.round, context=b"salt" + context),
        )
        return self._signing.submission(receipt, key, committed.shown)

    def _content_root(self, plain: bytes, key: bytes) -> bytes:
        spec = self._reader.spec
        # a rehearsed attacker's file may be none
        return file_root(plain, table=spec.model.leaves, bits=spec.codec.bits, key=key) or bytes(32)

    def _forced_in(self, order: RevealOrder, submission: Submission) -> bool:
        """Whether this receipt stands on chain because its trainer put it there."""
        rounds = self._reader.history().rounds
        found = rounds[order.round].forced if order.round < len(rounds) else ()
        return any(item.receipt == submission.receipt for item in found)

    def _on_roster(self, order: RevealOrder, submission: Submission) -> bool:
        """Whether the roster document (from the store) is the one on chain and holds this receipt."""
        return any(entry.receipt == submission.receipt for entry in self._reader.roster(order.round, order.roster))

    def _public_part(self, submission: Submission) -> bytes:
        if self._reader.spec.strictness == "strict":
            submission = replace(submission, keys=(), keys_signature=b"", shown=NOTHING_SHOWN)
        return encode_message(submission)

    def _signed(self, task: int, round_number: int) -> Submission:
        path = self._journal(task, round_number)
        if not path.exists():
            raise DocumentInvalid(f"task {task} round {round_number}: this trainer has signed nothing")
        signed = decode_message(path.read_bytes(), expected=Submission)
        assert isinstance(signed, Submission)
        return signed

    def _journal(self, task: int, round_number: int) -> Path:
        return self._workdir / f"task-{task}" / f"round-{round_number}.json"

    @property
    def _domain(self) -> Domain:
        return self._reader.domain

    def _context(self, task: int, round_number: int) -> bytes:
        return canonical_json(
            {
                "chain": self._domain.chain_id,
                "ledger": "0x" + self._domain.ledger.hex(),
                "task": task,
                "round": round_number,
                "trainer": "0x" + self.address.hex(),
            }
        )

    def _self_binding(self) -> bytes:
        """Binding of a trainer without a Flower node of its own (in-process): domain and address, signed by nobody."""
        return keccak256(self._domain.separator() + self.address)
