"""Layer P in a round: what trainers show of their commitments, and that the sums are those of what they committed to.

Three checks. Anybody: the maker of a shown commitment knows an opening (`Layer.faults`). Holders of the keys: it opens
to the update, under blindings that follow from the update's key (`Openings`). Anybody: the stored sums are the weighted
sum of the commitments (`check_round_sum`). Everything here is in the field of the curve; that the committed integers
keep the codec's range is only seen by who opens the updates.

No update is refused for its commitment, which no contract can check. Whoever seals makes a bad one again from the
update's key (`round.committing`). A receipt may promise another: then that part of the sums rests on who sealed
(`unpromised`), and says so.

The key of an update (bound to its content, chain, ledger, task, round and trainer) gives the blindings' seed and the
salt, so whoever may read the update can open its commitment, and nobody else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fl_platform.errors import CommitmentMismatch, RejectedInput
from fl_platform.judging.sums import Sums
from fl_platform.protocol.bundle import Entry, RoundBundle
from fl_platform.protocol.commitment_opening import PEDERSEN, CommitmentOpening
from fl_platform.protocol.receipt import Domain, Receipt
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates.tensors import Integers
from zk.commitment import pedersen
from zk.commitment.aggregate_proof import SumClaim, powers, verify_opening, verify_sum
from zk.commitment.generators import Generators, count_for, generators_for
from zk.commitment.knowledge import KnowledgeProof, parse_proof, verify_knowledge, verify_knowledge_many
from zk.commitment.pedersen import SALT_BYTES, Commitment
from zk.commitment.transcript import Binding
from zk.curve import bn254
from zk.curve.bn254 import ORDER

# The 32-byte key of entry i's update. Raises RejectedInput when it was not revealed or is not the committed one.
KeySource = Callable[[int], bytes]

_SALT_LABEL = b"fl-platform/commitment-salt/v1"


@dataclass(frozen=True)
class Secrets:
    """What follows from an update's key: who may read the update may open its commitment."""

    seed: bytes = field(repr=False)  # of the blindings, 32 bytes
    salt: bytes = field(repr=False)  # of the receipt's hash, 32 bytes


@dataclass(frozen=True)
class Layer:
    """Layer P at one round of one task."""

    spec: TaskSpec
    domain: Domain
    task: int
    round: int

    @property
    def length(self) -> int:
        """Parameters of the model."""
        return self.spec.model.size

    @property
    def chunks(self) -> int:
        """Points of one commitment."""
        return pedersen.chunk_count(self.length, count_for(self.length))

    @cached_property
    def generators(self) -> Generators:
        """The bases: made, or read from the user's cache, when first needed."""
        return generators_for(self.length)

    def binding(self, party: bytes) -> Binding:
        """Return the place of a trainer's commitment, or of an aggregator's sum."""
        domain = self.domain
        return Binding(chain_id=domain.chain_id, contract=domain.ledger, task=self.task, round=self.round, party=party)

    def secrets(self, key: bytes, trainer: bytes) -> Secrets:
        """Return what follows from the key of a trainer's update."""
        binding = self.binding(trainer)
        salt = hmac.digest(key, _SALT_LABEL + binding.encode(), "sha256")
        return Secrets(pedersen.blinding_seed(key, binding), salt)

    def needs_proof(self, entry: Entry) -> bool:
        """Whether an entry's maker must prove that it knows an opening.

        On a strict round's roster it need not: the roster was on chain before anybody's points were shown. A forced
        receipt came later than that, and so did what no receipt promised.
        """
        return entry.forced or self.spec.strictness == "standard" or not self.is_promised(entry.receipt, entry.shown)

    def is_promised(self, receipt: Receipt, shown: CommitmentOpening) -> bool:
        """Whether a shown commitment, of the right lengths, hashes to its receipt's."""
        root = Commitment(shown.points, self.length).root
        return pedersen.roster_commitment(root, shown.salt) == receipt.commitment

    def commitment(self, receipt: Receipt, shown: CommitmentOpening) -> Commitment:
        """Return the shown commitment (unverified), on points of the curve.

        Raises CommitmentMismatch, PointInvalid: in this order, nothing large is made before the lengths fit.
        """
        who = f"0x{receipt.trainer.hex()}"
        if not shown.points:
            raise CommitmentMismatch(f"{who} shows no commitment")
        if not fits(shown, self.spec):
            raise CommitmentMismatch(
                f"{who} shows {len(shown.points)} bytes of points, {len(shown.salt)} of salt and {len(shown.proof)} of "
                f"proof; a model of {self.length} parameters implies {_lengths(self.length)}"
            )
        self.generators.engine.bases(shown.points)
        return Commitment(shown.points, self.length)

    def faults(self, entries: Mapping[int, Entry]) -> dict[int, RejectedInput]:
        """Check what these entries (by number) show, as far as anybody can; return what is wrong, by number.

        The proofs are checked together (a false batch passes with probability 2^-128), one by one if that fails.
        """
        faults: dict[int, RejectedInput] = {}
        proofs: dict[int, tuple[KnowledgeProof, Commitment, Binding]] = {}
        for index, entry in entries.items():
            try:
                commitment = self.commitment(entry.receipt, entry.shown)
                if self.needs_proof(entry):
                    proof = parse_proof(entry.shown.proof, self.generators, self.length)
                    proofs[index] = (proof, commitment, self.binding(entry.receipt.trainer))
            except RejectedInput as error:
                faults[index] = error
        try:
            verify_knowledge_many(list(proofs.values()), self.generators)
        except RejectedInput:
            for index, (proof, commitment, binding) in proofs.items():
                try:
                    verify_knowledge(proof, commitment=commitment, binding=binding, generators=self.generators)
                except RejectedInput as error:
                    faults[index] = error
        return faults


def layer_of(spec: TaskSpec, domain: Domain, *, task: int, round_number: int) -> Layer | None:
    """Return the layer of a round, None in tasks without."""
    return Layer(spec, domain, task, round_number) if spec.commitments == PEDERSEN else None


def fits(shown: CommitmentOpening, spec: TaskSpec) -> bool:
    """Whether what a peer shows has the lengths that the rules imply. The proof may be absent; without layer P all."""
    points, salt, proof = _lengths(spec.model.size)
    return (
        spec.commitments == PEDERSEN
        and (len(shown.points), len(shown.salt)) == (points, salt)
        and len(shown.proof) in (0, proof)
    )


def _lengths(size: int) -> tuple[int, int, int]:
    """Bytes of points, salt and proof for a model of `size` parameters."""
    count = count_for(size)
    halvings = count.bit_length() - 1
    chunks = pedersen.chunk_count(size, count)
    return chunks * bn254.POINT_BYTES, SALT_BYTES, 2 * bn254.POINT_BYTES * (1 + halvings)


class Openings:
    """Checks that commitments open to their updates, all together: one sum over the generators for a whole round.

    Each equation C_(i,k) = <q_(i,k), G> + rho_(i,k) H is taken times a power of a secret random number: one false
    equation among m makes the sum true with probability m / r. Updates are added one at a time and not kept.
    """

    def __init__(self, layer: Layer, keys: KeySource) -> None:
        """Start with no entry; `keys(i)` gives the key of entry i's update."""
        self._layer, self._keys = layer, keys
        engine = layer.generators.engine
        self._base = engine.to_ints(engine.random_scalars(1))[0] or 1
        self._next = 1
        self._folded = engine.scalars([0] * min(layer.generators.count, layer.length))
        self._blinding = 0
        self._points: list[bytes] = []
        self._factors: list[int] = []
        self.seeds: dict[int, bytes] = {}  # of the entries that were added, by number

    def add(self, index: int, entry: Entry, row: Integers) -> None:
        """Take one entry's update, shape (d,), in the codec's range; its commitment has hashed to its receipt.

        Raises CommitmentMismatch when the salt does not follow from the key (then no holder of the key could make the
        commitment again), and what `keys` raises.
        """
        layer = self._layer
        trainer = entry.receipt.trainer
        secrets = layer.secrets(self._keys(index), trainer)
        if secrets.salt != entry.shown.salt:
            raise CommitmentMismatch(f"the salt of 0x{trainer.hex()} does not follow from its update's key")
        generators, chunk = layer.generators, layer.generators.count
        factors = [self._next * power % ORDER for power in powers(self._base, layer.chunks)]
        self._next = factors[-1] * self._base % ORDER
        for k, factor in enumerate(factors):
            part = row[k * chunk : (k + 1) * chunk].astype(np.int64, copy=False)
            generators.engine.add_row(self._folded, factor, part)
        rhos = pedersen.blindings(secrets.seed, layer.chunks)
        self._blinding += sum(factor * rho for factor, rho in zip(factors, rhos, strict=True))
        self._points.append(entry.shown.points)
        self._factors += factors
        self.seeds[index] = secrets.seed

    def faults(
        self, entries: Sequence[Entry] | Mapping[int, Entry], read: Callable[[int], Integers]
    ) -> dict[int, CommitmentMismatch]:
        """Return, by number, whose commitments do not open. `read(i)` gives an update again, if one has to be named."""
        if self._hold():
            return {}
        return {i: fault for i in self.seeds if (fault := self._fault(i, entries[i], read(i))) is not None}

    def _hold(self) -> bool:
        """Whether every commitment that was added opens to its update."""
        if not self._points:
            return True
        generators = self._layer.generators
        engine = generators.engine
        left = engine.msm(engine.bases(b"".join(self._points)), engine.scalars(self._factors))
        hiding = engine.msm(generators.blinding, engine.scalars([self._blinding]))
        return left == bn254.add(engine.msm(generators.points[: len(self._folded)], self._folded), hiding)

    def _fault(self, index: int, entry: Entry, row: Integers) -> CommitmentMismatch | None:
        layer, trainer = self._layer, entry.receipt.trainer
        try:
            verify_opening(
                row, self.seeds[index], commitment=Commitment(entry.shown.points, layer.length),
                bits=layer.spec.codec.bits, binding=layer.binding(trainer), generators=layer.generators,
            )  # fmt: skip
        except CommitmentMismatch:
            return CommitmentMismatch(
                f"the commitment of 0x{trainer.hex()} does not open to its update under the update's key"
            )
        return None


def blinding_sums(
    layer: Layer, seeds: Mapping[int, bytes], entries: Sequence[int], weights: Sequence[int]
) -> tuple[int, ...]:
    """Return R_k = sum over `entries` (numbers; parallel to `weights`) of weight * blinding, one a chunk."""
    used = [(weight, seeds[i]) for i, weight in zip(entries, weights, strict=True) if weight]
    if not used:
        return (0,) * layer.chunks
    per_update = [pedersen.blindings(seed, layer.chunks) for _, seed in used]
    return tuple(pedersen.combine_blindings([weight for weight, _ in used], per_update))


def check_round_sum(spec: TaskSpec, bundle: RoundBundle, sums: Sums) -> int:
    """Check, without any key, that sums (d,) int32 are the weighted sum of commitments whose makers know them.

    Weights, commitments and blinding sums are the bundle's, which is taken as claimed: that its entries are those on
    the roster, signed, and that its weights follow from the rules, `audit.auditor` checks. Which commitments no receipt
    promised, `unpromised` says. Returns how many updates are in the sum. Raises CommitmentMismatch, ProofInvalid,
    PointInvalid, ConfigError (weights beyond the bound).
    """
    layer, weights = _committed(spec, bundle)
    for fault in layer.faults({i: bundle.entries[i] for i in weights}).values():
        raise fault
    return check_weighted_sum(spec, bundle, sums)


def check_weighted_sum(spec: TaskSpec, bundle: RoundBundle, sums: Sums) -> int:
    """Check that sums are the weighted sum of what is shown; that its makers know it, `check_round_sum` asks, too."""
    layer, weights = _committed(spec, bundle)
    if not weights:
        if sums.shape != (layer.length,) or sums.any() or any(bundle.blindings):
            raise CommitmentMismatch(f"round {bundle.round}: nobody is in the sum, and it is not zero")
        return 0
    claim = SumClaim(
        binding=layer.binding(bundle.aggregator),
        bits=spec.codec.bits,
        weights=tuple(weights.values()),
        aggregate=np.ascontiguousarray(sums, np.int64),
        blindings=bundle.blindings,
    )
    verify_sum(claim, [Commitment(bundle.entries[i].shown.points, layer.length) for i in weights], layer.generators)
    return len(weights)


def _committed(spec: TaskSpec, bundle: RoundBundle) -> tuple[Layer, dict[int, int]]:
    """Return a round's layer, and the weights of those in its sum. Raises CommitmentMismatch in tasks without."""
    layer = layer_of(spec, Domain(bundle.chain_id, bundle.ledger), task=bundle.task, round_number=bundle.round)
    if layer is None:
        raise CommitmentMismatch("this task has no commitments: only holders of the updates can check its sums")
    return layer, {i: verdict.weight for i, verdict in enumerate(bundle.verdicts) if verdict.weight}


def unpromised(spec: TaskSpec, bundle: RoundBundle) -> tuple[int, ...]:
    """Return the entries, by number, that are in the sum with another commitment than their receipt's.

    What is shown must have passed `check_round_sum`. Raises CommitmentMismatch in tasks without commitments.
    """
    layer, weights = _committed(spec, bundle)
    entries = bundle.entries
    return tuple(i for i in weights if not layer.is_promised(entries[i].receipt, entries[i].shown))
